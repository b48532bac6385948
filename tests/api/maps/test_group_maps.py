"""Concepts over simulated subjects on fsaverage5: every door against scipy's own t test of each subject's own map."""

import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from group import make_world
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nibabel.affines import apply_affine
from scipy import stats
from toy_server import Run, Serve, Server

import voxel_atlas as va
from tests.api.maps.test_page_geometry import unpacked
from tests.viz.conftest import hemispheres
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.group.group_maps import GroupRequest, group_map
from voxel_atlas.api.maps.group.over_subjects import leave_one_out, over_subjects
from voxel_atlas.api.maps.group.smoothing import smoothed
from voxel_atlas.api.maps.shared_space import shared_space
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import AtlasError, BadInputError, SpaceMismatchError
from voxel_atlas.viz.surfaces.raster import Mesh
from voxel_atlas.viz.surfaces.surface import Grid, load_surface

N, N_SUBJECTS = 642, 5
"""Vertices of each hemisphere that have responses, and subjects."""
VALUES = st.one_of(st.just(math.nan), st.floats(-1, 1, width=32))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("group")
    make_world(folder, N_SUBJECTS, N)
    return folder


@pytest.fixture(scope="module")
def atlas(home: Path) -> Iterator[Atlas]:
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(atlas: Atlas, home: Path, serve: Serve) -> Iterator[Server]:
    with serve(create_app(atlas, Settings(home=home))) as running:
        yield running


def own_maps(atlas: Atlas, concept: str) -> np.ndarray:
    """Each subject's similarities, (n_subjects, 2 · N), left vertices first."""
    models = sorted(atlas.models()["model_id"])
    return np.stack([atlas.model(each).map(concept).frame["similarity"].to_numpy() for each in models])


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 7), st.integers(1, 4)), elements=VALUES))
def test_t_is_that_of_scipy_s_literal_test_for_each_place(values: np.ndarray) -> None:
    found = over_subjects(values)
    for place, column in enumerate(values.T):
        there = column[~np.isnan(column)]
        if len(there) < max(2, math.ceil(len(column) / 2)):
            assert np.isnan([found.mean[place], found.t[place], found.q[place]]).all()
            continue
        assert found.mean[place] == pytest.approx(there.mean(), abs=1e-12)
        if there.std() > 1e-6:
            literal = stats.ttest_1samp(there, 0, alternative="greater")
            assert [found.t[place], found.p[place]] == pytest.approx([literal.statistic, literal.pvalue], rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(3, 8)), elements=VALUES))
def test_each_subject_is_told_by_the_mean_of_the_others(values: np.ndarray) -> None:
    found = leave_one_out(values)
    for subject in range(len(values)):
        pairs = []
        for own, others in zip(values[subject], np.delete(values, subject, axis=0).T, strict=True):
            known = others[~np.isnan(others)]
            if not np.isnan(own) and len(known):
                pairs.append((own, known.mean()))
        x, y = np.array(pairs).T if pairs else (np.zeros(0), np.zeros(0))
        if len(pairs) > 2 and min(np.ptp(x), np.ptp(y)) > 1e-3:
            assert found[subject] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


def test_a_peak_is_smoothed_to_the_width_that_was_asked_for_and_a_constant_stays() -> None:
    points, faces = hemispheres()["right"]
    ball = Mesh(points * 40, faces.astype(np.int32))  # edges of 4 mm
    peak = np.zeros((2, len(points)))
    peak[0, 0], peak[1] = 1, 3
    peak[1, 5] = np.nan
    smooth, level = smoothed(peak, ball, 20.0)
    apart = 40 * np.arccos(np.clip(points @ points[0], -1, 1))
    variance = (smooth * apart**2).sum() / smooth.sum() / 2  # along each of two axes
    assert 2 * math.sqrt(2 * math.log(2) * variance) == pytest.approx(20, rel=0.08)
    assert np.allclose(np.delete(level, 5), 3)
    assert np.isnan(level[5])


@pytest.mark.parametrize("concept", ["face", "face - cake"])
def test_a_group_s_numbers_are_those_of_its_subjects_maps(atlas: Atlas, concept: str) -> None:
    maps = own_maps(atlas, concept).astype(np.float64)
    frame = group_map(atlas, GroupRequest(concept=concept)).frame()
    literal = stats.ttest_1samp(maps, 0, alternative="greater")
    assert frame["vertex"].to_list() == [*range(N), *range(N)]
    assert np.allclose(frame["mean"], maps.mean(axis=0), atol=1e-7)
    assert np.allclose(frame["t"], literal.statistic, rtol=1e-4)
    assert np.allclose(frame["q"], stats.false_discovery_control(literal.pvalue), rtol=1e-4)
    assert frame["n_agree"].to_list() == (maps > 0).sum(axis=0).tolist()
    assert frame["n_subjects"].unique().to_list() == [N_SUBJECTS]


def test_limits_of_evidence_say_who_agrees_and_choose_nobody_s_similarity(atlas: Atlas) -> None:
    plain = group_map(atlas, GroupRequest(concept="face"))
    held = group_map(atlas, GroupRequest(concept="face", specific=True, max_q=0.01))
    assert held.frame().drop("n_agree").equals(plain.frame().drop("n_agree"))
    models = sorted(atlas.models()["model_id"])
    own = [atlas.model(each).map("face").frame for each in models]
    counted = sum((each["specific"] & (each["concept_q"] <= 0.01)).cast(pl.Int64) for each in own)
    assert held.frame()["n_agree"].to_list() == counted.to_list()
    assert 0 < counted.sum() < plain.agree.sum()


def test_regions_meet_by_name_and_each_subject_s_own_counts(atlas: Atlas) -> None:
    (row,) = group_map(atlas, GroupRequest(concept="face")).regions.iter_rows(named=True)
    means = []
    for model_id in sorted(atlas.models()["model_id"]):
        model = atlas.model(model_id)
        means.append(model.map("face").frame["similarity"].to_numpy()[model.tables.voxels().roi("FFA")].mean())
    literal = stats.ttest_1samp(means, 0)
    interval = literal.confidence_interval()
    assert (row["roi"], row["n_subjects"], row["n_positive"]) == ("FFA", N_SUBJECTS, N_SUBJECTS)
    expected = [np.mean(means), literal.statistic, interval.low, interval.high]
    assert [row["mean"], row["t"], row["low"], row["high"]] == pytest.approx(expected, rel=1e-5)


QUERY = """{ groupMap(concept: "face", specific: true, show: T, groupQ: 0.9, width: 128, rois: ["FFA"]) {
  url width height unit lo hi heldTo mesh subjectId subjects { subjectId modelId leaveOneOutR } leaveOneOutR nVertices
  nSignificant regions { roi nSubjects mean low high t p q nPositive } how simulated warnings } }"""


def test_all_doors_give_one_group(
    atlas: Atlas, server: Server, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    request = GroupRequest(concept="face", specific=True, show="t", group_q=0.9)
    found = group_map(atlas, request)
    header, parts = unpacked(server.client.get("/group?concept=face&specific=1&show=t&group_q=0.9").content)
    for name, expected in (("mean", found.statistics.mean), ("value", found.values), ("agree", found.agree)):
        assert np.array_equal(parts[name], expected.astype(np.float32), equal_nan=True)
    told = server.data(QUERY)["groupMap"]
    assert told["leaveOneOutR"] == header["leave_one_out_r"] == found.mean_leave_one_out
    assert [told["regions"][0][name] for name in ("mean", "low", "t", "q")] == list(
        found.regions.select("mean", "low", "t", "q").row(0)
    )
    assert header["regions"] == found.regions.to_dicts()
    assert (told["unit"], told["heldTo"], told["mesh"]) == (header["unit"], header["held_to"], "fsaverage5")
    assert told["nSignificant"] == (found.statistics.q <= 0.05).sum()
    assert 0 < np.isfinite(found.values).sum() < told["nVertices"]
    assert told["simulated"]
    picture = server.client.get(told["url"]).content
    monkeypatch.setenv("TEST_HOME", str(home))
    drawing = ("--show", "t", "--group-q", 0.9, "--width", 128, "--roi", "FFA", "-o", tmp_path / "face.png")
    table = tmp_path / "vertices.csv"
    status, out, said = run("group", "face", "--specific", *drawing, "--vertices", table, "--json")
    assert status == 0, said
    assert json.loads(out) == found.regions.to_dicts()
    assert (tmp_path / "face.png").read_bytes() == picture
    assert pl.read_csv(io.BytesIO(table.read_bytes()))["t"].to_list() == found.frame()["t"].to_list()
    assert f"{N_SUBJECTS} subjects (simulated) on fsaverage5" in said


def test_python_gives_one_group_of_an_open_and_of_a_served_atlas(server: Server, home: Path, tmp_path: Path) -> None:
    drawing = {"rois": ["FFA"], "width": 128}
    with va.open(str(home / "atlas.duckdb"), home=home) as opened, va.open(server.url) as served:
        found, other = (
            each.group("face", show="t", group_q=0.9, max_q=0.05, limits=(-3, 9)) for each in (opened, served)
        )
        assert found.plot(**drawing).content == other.plot(**drawing).content
        assert found._repr_html_() == other._repr_html_()
        assert len(opened.group("face", *sorted(opened.models()["model_id"])[:3]).subjects) == 3
        literal = group_map(opened, found.request)
    for name in ("frame", "regions", "subjects"):
        assert getattr(found, name).equals(getattr(other, name)), name
    assert np.array_equal(found.similarities, other.similarities, equal_nan=True)
    assert np.array_equal(found.values, literal.values, equal_nan=True)
    assert found.regions.equals(literal.regions)
    assert found.frame["t"].to_numpy() == pytest.approx(literal.frame()["t"].to_numpy(), rel=1e-6)
    assert found.frame.columns == literal.frame().columns
    assert found.leave_one_out_r == literal.mean_leave_one_out


VERTICES = """query($show: GroupQuantity!, $numbers: [Int!]) { groupMap(concept: "face", show: $show, width: 128) {
  lo hi vertices(numbers: $numbers, first: 3) {
    number hemisphere vertex nSubjects mean t p q nAgree similarities } } }"""


@pytest.mark.parametrize("show", ["mean", "q"])
def test_graphql_tells_the_first_vertices_and_those_of_given_numbers(atlas: Atlas, server: Server, show: str) -> None:
    maps, frame = own_maps(atlas, "face"), group_map(atlas, GroupRequest(concept="face")).frame()
    told = server.data(VERTICES, show=show.upper())["groupMap"]
    best = frame.with_row_index("row").sort(show, descending=show == "mean").head(3)
    assert [row[show] for row in told["vertices"]] == pytest.approx(best[show].to_list())
    for row in told["vertices"]:
        place = row["vertex"] + N * (row["hemisphere"] == "right")
        assert row["number"] == row["vertex"] + 10_242 * (row["hemisphere"] == "right")
        assert row["similarities"] == pytest.approx(maps[:, place].tolist())
        assert [row[name] for name in ("t", "p", "q")] == list(frame.select("t", "p", "q").row(place))
        assert (row["nSubjects"], row["nAgree"]) == (N_SUBJECTS, (maps[:, place] > 0).sum())
    last, beyond = server.data(VERTICES, show="T", numbers=[10_242 + N - 1, N])["groupMap"]["vertices"]
    assert last["mean"] == pytest.approx(frame["mean"][-1])
    assert (beyond["mean"], beyond["nSubjects"], beyond["similarities"]) == (None, 0, [None] * N_SUBJECTS)
    assert "There is no vertex 20484" in server.error(VERTICES, show="T", numbers=[20_484])["message"]
    assert "at most 100" in server.error(VERTICES, show="T", numbers=list(range(101)))["message"]


def test_q_over_subjects_is_drawn_by_powers_of_ten(atlas: Atlas, server: Server) -> None:
    found = group_map(atlas, GroupRequest(concept="face", show="q"))
    assert np.array_equal(found.values, found.statistics.q.astype(np.float32), equal_nan=True)
    header, _ = unpacked(server.client.get("/group?concept=face&show=q").content)
    assert (header["logarithmic"], header["hi"], header["unit"]) == (True, 1.0, found.unit)
    assert found.unit.startswith("q over subjects")


def test_the_page_finds_the_shared_mesh_where_it_finds_subjects(server: Server, atlas: Atlas) -> None:
    header, parts = unpacked(server.client.get("/pixelmaps/group/fsaverage5.bin").content)
    assert header["width"] == 1024
    assert parts["voxel"].max() < 2 * 10_242
    outlines = server.client.get("/outlines/group/fsaverage5.json").json()
    (region,) = [each for each in outlines["rois"] if each["name"] == "FFA"]
    inside = [set(np.flatnonzero(atlas.model(each).tables.voxels().roi("FFA"))) for each in atlas.models()["model_id"]]
    at_least_half = {vertex for own in inside for vertex in own if sum(vertex in each for each in inside) >= 3}
    assert set(region["voxels"]) == {v if v < N else v - N + 10_242 for v in at_least_half}
    places = unpacked(server.client.get("/places/group/fsaverage5.bin").content)[1]["mm"]
    assert len(places) == 3 * 2 * 10_242
    assert (
        server.client.get("/outlines/group/S1.json").json()["errors"][0]["message"].startswith("Subjects do not meet")
    )


def asked(atlas: Atlas, **given: Any) -> AtlasError:
    with pytest.raises(AtlasError) as refused:
        group_map(atlas, GroupRequest(concept="face", **given))
    return refused.value


def test_one_subject_is_no_group_and_two_models_of_one_are_one(atlas: Atlas) -> None:
    first = min(atlas.models()["model_id"])
    alone = asked(atlas, models=(first,))
    assert isinstance(alone, BadInputError)
    assert str(alone).startswith("A group takes two subjects or more that meet on fsaverage or fs_LR, and there is sim")
    assert "name one model of each" in str(asked(atlas, models=(first, first)))


def test_subjects_that_meet_nowhere_are_told_which_files_would_lead_there(home: Path, tmp_path: Path) -> None:
    shutil.copy(home / "atlas.duckdb", tmp_path)
    with duckdb.connect(str(tmp_path / "atlas.duckdb")) as changing:
        changing.execute(
            "UPDATE subject SET space = 'volume', surface = 'S1', transform = 'fullhead', shape = [31, 100, 100]; "
            "UPDATE voxel SET i = voxel % 100, j = voxel // 100, k = 7"
        )
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        names = tuple(sorted(atlas.models()["model_id"]))
        said = [str(asked(atlas)), str(asked(atlas, models=names[:2]))]
    assert said[0].startswith("A group takes two subjects or more that meet on fsaverage or fs_LR, and there is none. ")
    assert said[1].startswith("simulated/G01 meets no other subject: Nothing leads from 'S1' to fsaverage.")
    assert all("white-to-fsaverage.mgz" in each and "surf/lh.sphere.reg" in each for each in said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"show": "median"}, "shows mean, t, q, agree"),
        ({"group_q": 2.0}, "from 0 to 1"),
        ({"smooth": -1.0}, "smoothed over 0 to 30 mm"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        GroupRequest(concept="face", **given)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "x"), "give them behind the concept"),
        (("--vertices", "a.xlsx"), ".csv or a .parquet"),
        (("-o", "a.gif"), "Pictures are .png"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_status_2(run: Run, words: tuple[str, ...], said: str) -> None:
    status, out, err = run("group", "face", *words)
    assert (status, out) == (2, "")
    assert said in err


def test_a_query_string_without_a_concept_is_refused(server: Server) -> None:
    answer = server.client.get("/group?show=t")
    assert answer.status_code == 400
    assert "name one" in answer.json()["errors"][0]["message"]


def test_subjects_of_two_families_do_not_meet(home: Path, tmp_path: Path) -> None:
    shutil.copy(home / "atlas.duckdb", tmp_path)
    (tmp_path / "surfaces").symlink_to(home / "surfaces")
    with duckdb.connect(str(tmp_path / "atlas.duckdb")) as changing:
        changing.execute("UPDATE subject SET surface = 'fs_LR', shape = [32492, 32492] WHERE subject_id LIKE '%G02'")
    with Atlas.open(str(tmp_path / "atlas.duckdb"), home=tmp_path) as atlas:
        found = group_map(atlas, GroupRequest(concept="face"))
        named = asked(atlas, models=tuple(atlas.models()["model_id"]))
    assert len(found.models) == N_SUBJECTS - 1
    (warning,) = found.warnings
    assert warning.startswith("simulated/G02 lies on fs_LR, and others on fsaverage: 1 of 5")
    assert isinstance(named, SpaceMismatchError)
    assert "simulated/G02 lies on fs_LR, and others on fsaverage, which do not meet" in str(named)


def test_a_volume_in_mni_space_meets_others_at_the_voxels_of_fsaverage_5_s_vertices(tmp_path: Path) -> None:
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -100, -130, -80
    surface = load_surface("fsaverage5", "MNI152", tmp_path, None, Grid((24, 30, 26), tuple(affine.ravel())))
    space, values = shared_space(surface), np.arange(surface.n_cells, dtype=np.float32)
    assert (space.family, space.n) == ("fsaverage", 10_242)
    vertices = surface.mesh("fiducial").points[[5, 700, 10_242 + 9]]
    i, j, k = np.rint(apply_affine(np.linalg.inv(affine), vertices)).astype(int).T
    carried = space.carried(values, 1000)
    assert [carried[5], carried[700], carried[1009]] == ((k * 30 + j) * 26 + i).tolist()


def test_a_denser_fsaverage_meets_a_coarser_one_at_its_first_vertices(tmp_path: Path) -> None:
    dense = shared_space(load_surface("fsaverage6", None, tmp_path, None))
    values = np.arange(2 * dense.n, dtype=np.float32)
    assert dense.n == 40_962
    assert dense.carried(values, 10_242)[[0, 10_241, 10_242]].tolist() == [0, 10_241, 40_962]
