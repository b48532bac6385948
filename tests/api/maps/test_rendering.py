"""Pictures as a server makes them: flat or seen from several sides, values or colours."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_server import Fill, Server

import voxel_atlas.api.maps.top_labels as colours_module
from voxel_atlas.api.maps.top_labels import colour_map, top_labels
from voxel_atlas.api.maps.value_maps import MapRequest, value_map
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.errors import BadInputError
from voxel_atlas.viz.render.label_colours import LabelColours

SIZE = "url width height"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """UMAP takes half a minute to compile: here colours are drawn by lot, and the fits are counted."""
    fits: list[int] = []

    def fit(images: Any, labels: Sequence[str], vectors: Any) -> LabelColours:
        fits.append(len(images))
        rgb = np.random.default_rng(len(fits)).random((len(labels), 3)).astype(np.float32)
        return LabelColours(tuple(labels), rgb, 0.9)

    monkeypatch.setattr(colours_module, "label_colours", fit)
    return fits


def picture(server: Server, described: dict[str, Any]) -> Any:
    response = server.client.get(described["url"])
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.content))
    assert image.size == (described["width"], described["height"])
    return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize("views", ["[]", "[LATERAL]", "[MEDIAL, VENTRAL, POSTERIOR]"])
def test_maps_are_seen_from_several_sides(server: Server, views: str) -> None:
    found = server.data(f'{{ flatmap(concept: "cake", width: 300, views: {views}) {{ {SIZE} }} }}')["flatmap"]
    pixels = picture(server, found)
    assert (np.ptp(pixels, axis=2) > 100).sum() > 100


def test_views_are_png_pictures_only(server: Server) -> None:
    error = server.error('{ flatmap(concept: "cake", views: [], format: SVG) { url } }')
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert "take png" in error["message"]


@pytest.mark.parametrize("limits", [{"min_z": 2.0}, {"max_q": 0.2}, {"specific": True}, {"min_z": 1.0, "max_q": 0.5}])
def test_a_map_shows_only_voxels_that_pass_the_limits(atlas: Atlas, server: Server, limits: dict[str, Any]) -> None:
    passing = atlas.model().similar("cake", significant=False, first=300, **limits).frame["voxel"].sort()
    mapped = value_map(atlas, MapRequest(concept="cake", **limits))
    assert mapped.voxels[np.isfinite(mapped.values)].tolist() == passing.to_list()
    assert 0 < len(passing) < len(mapped.voxels)
    names = {"min_z": "minZ", "max_q": "maxQ", "specific": "specific"}
    given = "".join(f", {names[name]}: {json.dumps(value)}" for name, value in limits.items())
    whole, some = (
        server.data(f'{{ flatmap(concept: "cake", metric: Z, width: 300{more}) {{ {SIZE} }} }}')["flatmap"]
        for more in ("", given)
    )
    coloured = [(np.ptp(picture(server, found), axis=2) > 20).sum() for found in (whole, some)]
    assert coloured[1] < coloured[0]


def test_colours_of_explained_variance_begin_at_zero_where_no_range_is_given(atlas: Atlas) -> None:
    for metric in ("r2", "r2_of_ceiling"):
        scale = value_map(atlas, MapRequest(metric=metric)).scale
        assert scale.vmin == 0 < scale.vmax
        assert value_map(atlas, MapRequest(metric=metric, lo=-1)).scale.vmin == -1
        below = value_map(atlas, MapRequest(metric=metric, hi=-0.5)).scale
        assert below.vmin < below.vmax == -0.5


@pytest.mark.parametrize("compared", [{"baseline": "none"}, {"by": "labels"}, {"readout": "half"}])
def test_only_a_concept_is_compared(server: Server, compared: dict[str, str]) -> None:
    for request in ({"metric": "r2"}, {"label": "cake"}):
        with pytest.raises(BadInputError, match="are of a concept"):
            MapRequest(**request, **compared)
    ((name, value),) = compared.items()
    asked = f"{{ flatmap(metric: R2, {name}: {value.upper()}) {{ url }} }}"
    assert "are of a concept" in server.error(asked)["message"]


def test_limits_are_a_concept_s(atlas: Atlas) -> None:
    for request in ({"metric": "r2"}, {"label": "cake"}):
        with pytest.raises(BadInputError, match="are of a concept"):
            MapRequest(**request, specific=True)
    with pytest.raises(BadInputError, match="has no z by labels"):
        value_map(atlas, MapRequest(concept="cake", by="labels", max_q=0.05))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"baseline": "none"}, "With baseline none a concept has no percentile"),
        ({"concept": "cake - face"}, "A sum or difference has no percentile"),
        ({"image": ""}, "A picture has no percentile"),
    ],
)
def test_nothing_is_specific_to_what_has_no_percentile(
    atlas: Atlas, server: Server, asked: dict[str, str], said: str
) -> None:
    question: dict[str, Any] = {"concept": "cake", **asked, "specific": True}
    if "image" in asked:
        question |= {"concept": None, "image": np.zeros((8, 8, 3), np.uint8)}
    with pytest.raises(BadInputError, match=f"{said}.*nothing is specific to it"):
        atlas.model().similar(**question)
    assert atlas.model().similar(**question | {"specific": False, "max_q": 1.0}).total
    if "image" not in asked:
        with pytest.raises(BadInputError, match=said):
            value_map(atlas, MapRequest(**question))
        baseline = question.get("baseline", "vocabulary").upper()
        fields = f'concept: "{question["concept"]}", baseline: {baseline}, specific: true'
        assert said in server.error(f"{{ similarVoxels({fields}) {{ totalCount }} }}")["message"]


def test_insignificant_and_badly_predicted_voxels_give_way_to_the_cortex(server: Server) -> None:
    coloured = {}
    for options in ("", "significant: true", "opacity: R2"):
        found = server.data(f'{{ flatmap(concept: "cake", width: 600, {options}) {{ {SIZE} }} }}')["flatmap"]
        coloured[options] = np.ptp(picture(server, found)[60:300], axis=2)
    assert (coloured["significant: true"] > 20).sum() < 0.95 * (coloured[""] > 20).sum()
    assert coloured["opacity: R2"].sum() < 0.8 * coloured[""].sum()


@pytest.mark.parametrize("field", ['flatmap(concept: "cake", rois: [], ', "labelColours(rois: [], "])
def test_voxels_out_of_focus_are_pale_and_a_marked_one_has_a_ring(server: Server, quick: list[int], field: str) -> None:
    def drawn(more: str) -> Any:
        (found,) = server.data(f"{{ {field} width: 600 {more}) {{ {SIZE} }} }}").values()
        return picture(server, found)

    plain, half, all_of_them = drawn(""), drawn(f"focus: {list(range(150))}"), drawn(f"focus: {list(range(300))}")
    assert np.abs(plain - all_of_them).max() <= 2
    changed = np.abs(half - plain).max(2) > 8
    assert changed.any()
    assert np.ptp(half[changed], axis=1).mean() < 0.5 * np.ptp(plain[changed], axis=1).mean()
    assert (np.ptp(half, axis=2) > 60).sum() > 100
    rows, columns = np.nonzero(np.abs(drawn("mark: 20") - plain).max(2) > 30)
    assert 20 < len(rows) < 1000
    # One cell of this cortex is wider than a ring, which lies within it, its name beside it.
    assert max(np.ptp(rows), np.ptp(columns)) < 110


def test_a_marked_voxel_must_exist(server: Server) -> None:
    error = server.error('{ flatmap(concept: "cake", mark: 300) { url } }')
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert "numbered from 0" in error["message"]


def test_an_unknown_region_to_outline_is_answered_with_the_known_ones(server: Server) -> None:
    found = server.data(f'{{ flatmap(concept: "cake", rois: ["XYZ"]) {{ {SIZE} }} }}')["flatmap"]
    response = server.client.get(found["url"])
    assert response.status_code == 404
    assert "FFA" in response.text


def test_colours_are_not_worked_out_for_a_picture_that_cannot_be(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxel_atlas.api.graphql.query.colour_map", lambda *_: pytest.fail("worked out"))
    for options, words in (("width: -1156459", "64 to 4096"), ("views: [], format: SVG", "take png")):
        error = server.error(f"{{ labelColours({options}) {{ url }} }}")
        assert (error["extensions"]["code"], words in error["message"]) == ("BAD_INPUT", True)


def test_labels_are_coloured_once_for_each_model(server: Server, quick: list[int]) -> None:
    wanted = SIZE + " trustworthiness nVoxels simulated legend { text nVoxels colour }"
    query = f"{{ labelColours(width: 400) {{ {wanted} }} }}"
    first, again = (server.data(query)["labelColours"] for _ in range(2))
    assert first == again
    assert len(quick) <= 1
    assert first["nVoxels"] == 300
    assert first["simulated"] is True
    counts = [entry["nVoxels"] for entry in first["legend"]]
    assert counts == sorted(counts, reverse=True)
    pixels = picture(server, first)
    commonest = [int(first["legend"][0]["colour"][at : at + 2], 16) for at in (1, 3, 5)]
    assert (np.abs(pixels - commonest).max(2) <= 1).sum() > 50
    views = server.data(f"{{ labelColours(width: 400, views: []) {{ {SIZE} }} }}")["labelColours"]
    picture(server, views)
    for form, begins in (("SVG", b"<?xml"), ("PDF", b"%PDF")):
        drawn = server.data(f"{{ labelColours(width: 400, format: {form}) {{ url }} }}")["labelColours"]
        assert server.client.get(drawn["url"]).content.startswith(begins)


def test_colours_belong_to_a_model_whose_ingest_has_finished(
    tmp_path: Path, fill_atlas: Fill, quick: list[int]
) -> None:
    from voxel_atlas.atlas.search.atlas import Atlas
    from voxel_atlas.atlas.store.store import Store

    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli", finished=False)
        with Atlas(store, home=tmp_path) as opened, pytest.raises(BadInputError, match="has not finished"):
            colour_map(opened, None, tmp_path)
    assert quick == []


def test_first_labels_are_those_of_the_database(atlas: Atlas) -> None:
    top = top_labels(atlas, None)
    rows = atlas.sql("SELECT voxel, label FROM top_label ORDER BY voxel")
    assert [top.labels[at] for at in top.label] == rows["label"].to_list()
    assert top.voxels.tolist() == rows["voxel"].to_list()
    assert list(top.counts) == sorted(top.counts, reverse=True)
    assert sum(top.counts) == len(rows)


def test_the_page_gets_first_labels_and_meshes(server: Server) -> None:
    assert server.client.get("/toplabels").status_code == 200
    assert server.client.get("/toplabels?method=smell").status_code == 400
    assert server.client.get("/toplabels?model=none").status_code == 404
    mesh = server.client.get("/meshes/simulated/T1/inflated.bin").content
    header = json.loads(mesh[4 : 4 + int.from_bytes(mesh[:4], "little")])
    lengths = {array["name"]: array["length"] for array in header["arrays"]}
    assert (header["n_left"], lengths["curvature"], lengths["corner"]) == (600, 1200, 3 * 2280)
    assert server.client.get("/meshes/simulated/T1/thin.bin").status_code == 404


def test_a_picture_says_how_voxels_were_compared(server: Server) -> None:
    def drawn(how: str) -> str:
        found = server.data(f'{{ flatmap(concept: "cake", format: SVG{how}) {{ {SIZE} }} }}')["flatmap"]
        svg = server.client.get(found["url"]).text
        return svg[svg.index("cosine") :][:60]

    assert "cosine similarity (half, against the vocabulary)" in drawn(", readout: HALF")
    assert "cosine similarity (weights, not centred)" in drawn(", readout: WEIGHTS, baseline: NONE")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (", minZ: 2.5, maxQ: 0.001, specific: true", ["only z ≥ 2.5, q of the concept ≤ 0.001, specific<"]),
        (", maxQ: 0.9, significant: true", ["only q of the concept ≤ 0.9; only significant<"]),
        (", semantic: false", ["voxels that contrast may explain are shown<"]),
        ("", []),
    ],
)
def test_a_picture_says_what_its_voxels_are_held_to(server: Server, limits: str, said: list[str]) -> None:
    found = server.data(f'{{ flatmap(concept: "cake", format: SVG{limits}) {{ {SIZE} baseline heldTo nValues }} }}')[
        "flatmap"
    ]
    svg = server.client.get(found["url"]).text
    assert all(words in svg for words in said)
    assert (found["baseline"], found["heldTo"]) == ("VOCABULARY", "".join(said).removesuffix("<"))
    assert (found["nValues"] < 300) == ("only" in found["heldTo"])
    assert ("only " in svg or "are shown" in svg) == bool(said)


def test_a_server_draws_the_mean_over_depths(server: Server) -> None:
    thin, thick = (
        server.data(f"{{ flatmap(metric: R2, width: 300, rois: [], range: [0, 1]{depths}) {{ {SIZE} }} }}")["flatmap"]
        for depths in ("", ", thick: 3")
    )
    assert thin["url"] != thick["url"]
    assert (picture(server, thin) != picture(server, thick)).any()
    svg = server.data("{ flatmap(metric: R2, thick: 3, format: SVG) { url } }")["flatmap"]["url"]
    assert "mean over 3 depths" in server.client.get(svg).text


@pytest.mark.parametrize(
    ("asked", "said"),
    [("thick: 33", "take 1 to 32 depths"), ("thick: 0", "take 1 to 32"), ("thick: 2, views: []", "show one depth")],
)
def test_a_mean_over_depths_that_there_are_not_is_refused(server: Server, asked: str, said: str) -> None:
    error = server.error(f"{{ flatmap(metric: R2, {asked}) {{ url }} }}")
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert said in error["message"]
