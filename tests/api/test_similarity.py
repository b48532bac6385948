"""One similarity at every door."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_server import Fill, Run, Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.maps.top_labels import top_labels
from voxel_atlas.api.maps.value_maps import MapRequest, value_map
from voxel_atlas.atlas.client import RemoteAtlas
from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import NotFoundError

METHOD = "brainlmm-eq2"
Doors = tuple[Atlas, Server]


@pytest.mark.parametrize("how", [{}, {"readout": "weights", "baseline": "none"}])
def test_the_command_line_and_graphql_give_the_similarities_that_python_gives(
    atlas: Atlas, server: Server, run: Run, how: dict[str, str]
) -> None:
    expected = atlas.model().similar("cake", first=20, **how).frame.select("voxel", "similarity", "z", "concept_q")
    options = [part for name, value in how.items() for part in (f"--{name}", value)]
    _, printed, _ = run("query", "cake", *options, "--json")
    told = [[row[name] for name in expected.columns] for row in json.loads(printed)]
    np.testing.assert_allclose(np.array(told), expected.to_numpy(), atol=1e-6)
    arguments = "".join(f", {name}: {value.upper()}" for name, value in how.items())
    wanted = "edges { node { voxel similarity z conceptQ } }"
    query = f'{{ similarVoxels(concept: "cake", first: 20{arguments}) {{ {wanted} }} }}'
    edges = server.data(query)["similarVoxels"]["edges"]
    np.testing.assert_allclose([list(edge["node"].values()) for edge in edges], expected.to_numpy(), atol=1e-6)


def test_an_unknown_word_is_questioned_at_every_door(
    atlas: Atlas, server: Server, run: Run, caplog: Any, tmp_path: Path
) -> None:
    sentence, unknown = atlas.model().similar("zzqqsa").warnings
    assert "contrast and edges" in unknown
    assert "does not seem to know 'zzqqsa'" in sentence
    for command in (["query", "zzqqsa", "--json"], ["query", "zzqqsa", "--by", "labels"]):
        _, printed, noted = run(*command)
        assert f"warning {sentence}" in noted.replace("\n", " ")
        assert "warning" not in printed
    query = '{ similarVoxels(concept: "zzqqsa") { warnings } flatmap(concept: "zzqqsa") { warnings } }'
    assert server.data(query) == {
        "similarVoxels": {"warnings": [sentence, unknown]},
        "flatmap": {"warnings": [sentence]},
    }
    with RemoteAtlas(server.url) as remote:
        model = remote.model()
        assert model.similar("zzqqsa").warnings == [sentence, unknown]
        assert model.map("zzqqsa").warnings == [sentence]
    with caplog.at_level("WARNING"):
        told = atlas.sql("SELECT DISTINCT warning FROM concept_map(concept('zzqqsa'))")
        assert told["warning"].to_list() == [sentence]
        assert caplog.messages == [sentence]
        export(atlas, tmp_path / "release", concepts=["zzqqsa"])
    assert caplog.messages == [sentence, sentence]


EXPLAINED = [7, *range(0, 300, 3)]
"""Voxels of the small atlas whose responses contrast and edges may explain, in a copy of it."""


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory, fill_atlas: Fill) -> Path:
    """A home whose atlas knows which voxels contrast and edges may explain."""
    home = tmp_path_factory.mktemp("controlled")
    with Store.open(str(home / "atlas.duckdb")) as store:
        model = fill_atlas(store, home / "stimuli", methods=(METHOD, "clip-msm"))
        q = np.where(np.isin(np.arange(300), EXPLAINED), 0.2, 0.01)
        numbers = {"r": np.full(300, 0.1), "p": q / 2, "q": q}
        rows = pa.table({"model_id": pa.repeat(model, 300), "voxel": np.arange(300), **numbers})
        store.append({"semantic": rows}, run_id="run-0", stage="semantic", key=model)
    return home


@pytest.fixture(scope="module")
def doors(controlled: Path, serve: Serve, surfaces: LoadSurface) -> Iterator[Doors]:
    """That atlas, opened and served."""
    settings = Settings(home=controlled)
    with (
        Atlas.open(str(controlled / "atlas.duckdb"), home=controlled) as opened,
        serve(create_app(opened, settings, load=surfaces)) as server,
    ):
        yield opened, server


@pytest.mark.parametrize("all_voxels", [False, True])
def test_every_door_leaves_out_the_same_voxels_that_contrast_may_explain(
    doors: Doors, controlled: Path, run: Run, monkeypatch: pytest.MonkeyPatch, all_voxels: bool
) -> None:
    atlas, server = doors
    hits = atlas.model().similar("cake", first=50, semantic=not all_voxels)
    expected = hits.frame["voxel"].to_list()
    assert any(voxel in EXPLAINED for voxel in expected) == all_voxels
    assert hits.total + hits.hidden == atlas.model().similar("cake", first=1, semantic=False).total
    monkeypatch.setenv("TEST_HOME", str(controlled))
    _, printed, said = run("query", "cake", "--first", 50, "--json", *["--all-voxels"] * all_voxels)
    told = json.loads(printed)
    assert [row["voxel"] for row in told] == expected
    assert [row.get("semantic") for row in told] == [v not in EXPLAINED if all_voxels else None for v in expected]
    assert ("--all-voxels shows them" in said) != all_voxels
    arguments = ", semantic: false" * all_voxels
    wanted = "hiddenCount edges { node { voxel semantic } }"
    answer = server.data(f'{{ similarVoxels(concept: "cake", first: 50{arguments}) {{ {wanted} }} }}')["similarVoxels"]
    assert [edge["node"]["voxel"] for edge in answer["edges"]] == expected
    assert [edge["node"]["semantic"] for edge in answer["edges"]] == [voxel not in EXPLAINED for voxel in expected]
    assert answer["hiddenCount"] == hits.hidden
    statement = f"FROM voxels_like('cake'{', all_voxels := true' * all_voxels}) LIMIT 50"
    assert atlas.sql(statement)["voxel"].to_list() == expected
    with RemoteAtlas(server.url) as remote:
        assert remote.model().similar("cake", first=50, semantic=not all_voxels).frame["voxel"].to_list() == expected


def test_words_and_regions_count_the_voxels_that_are_shown(doors: Doors) -> None:
    atlas, server = doors
    model = atlas.model()
    roi, word = atlas.rois()["roi"][0], model.labels(first=1).frame["label"][0]
    for semantic in (True, False):
        shown = atlas.sql(
            "FROM top_label JOIN voxel_roi USING (voxel) LEFT JOIN semantic USING (model_id, voxel) "
            f"WHERE roi = '{roi}' AND method = '{METHOD}' AND (q <= 0.05 OR NOT {semantic})"
        )
        expected = shown.group_by("label").len().sort(["len", "label"], descending=[True, False])
        first = model.roi_top_labels(roi, semantic=semantic, first=100).select("label", "n_voxels")
        assert first.rows() == expected.rows()
        sql = atlas.sql(f"FROM roi_labels('{roi}', all_voxels := {not semantic}) WHERE method = '{METHOD}'")
        assert sql.select("label", "n_voxels").rows() == expected.rows()
        argument = f"semantic: {str(semantic).lower()}"
        data = server.data(
            f'{{ roi(name: "{roi}") {{ topLabels(first: 100, {argument}) {{ text nVoxels }} }} '
            f'label(text: "{word}", {argument}) {{ nVoxels voxels(first: 100) {{ voxel {{ voxel }} }} }} '
            f"compare(methodA: BRAINLMM_EQ2, methodB: CLIP_MSM, {argument}) "
            "{ ... on Comparison { nVoxels baseline } } }"
        )
        assert [(one["text"], one["nVoxels"]) for one in data["roi"]["topLabels"]] == expected.rows()
        voxels = {one["voxel"]["voxel"] for one in data["label"]["voxels"]}
        assert voxels.isdisjoint(EXPLAINED) == semantic
        assert data["label"]["nVoxels"] == model.label(word, semantic=semantic).frame["n_voxels"][0] >= len(voxels)
        assert data["compare"] == {"nVoxels": 199 if semantic else 300, "baseline": "VOCABULARY"}


@pytest.mark.parametrize("all_voxels", [False, True])
def test_compare_on_the_command_line_is_of_the_voxels_that_the_other_doors_compare(
    doors: Doors, controlled: Path, run: Run, monkeypatch: pytest.MonkeyPatch, all_voxels: bool
) -> None:
    model = doors[0].model()
    both = model.compare(METHOD, "clip-msm", semantic=not all_voxels)
    monkeypatch.setenv("TEST_HOME", str(controlled))
    switch = ["--all-voxels"] * all_voxels
    _, printed, said = run("compare", METHOD, "clip-msm", "--json", *switch)
    assert {row["n"] for row in json.loads(printed)} == {len(both)} == {300 if all_voxels else 199}
    assert f"{both['same'].mean():.1%} of {len(both)} first labels are the same" in said
    assert f"{both['similarity'].mean():.3f} (" in said
    assert f"{model.model_id} (clip-msm; readout {model.readout()}, against the vocabulary)" in said
    assert ("of 101 more labelled voxels contrast and edges may explain" in said) != all_voxels
    _, printed, _ = run("compare", METHOD, "clip-msm", *switch)
    assert all(line.split()[-2] != "0" for line in printed.splitlines()[1:])


def test_a_word_that_only_explained_voxels_have_is_told_from_one_that_none_has(doors: Doors) -> None:
    model = doors[0].model()
    shown, every = (set(model.labels(semantic=semantic, first=100).frame["label"]) for semantic in (True, False))
    (only,) = every - shown
    assert model.label_voxels(only, semantic=False)["voxel"].to_list() == [7]
    with pytest.raises(NotFoundError, match="only on voxels that contrast and edges may explain"):
        model.label(only)
    with pytest.raises(NotFoundError, match="has no label 'zzqqx'"):
        model.label("zzqqx")


def test_maps_of_concepts_and_labels_leave_explained_voxels_bare_and_maps_of_metrics_do_not(
    doors: Doors,
) -> None:
    atlas, server = doors
    explained = np.array(EXPLAINED)
    for question, bare in (({"concept": "cake"}, True), ({"label": "cake"}, True), ({"metric": "r2"}, False)):
        for semantic in (True, False):
            values = value_map(atlas, MapRequest(**question, semantic=semantic))
            unknown = np.isnan(values.values[np.isin(values.voxels, explained)])
            assert unknown.all() if bare and semantic else not unknown.all()
    top = {given: server.client.get(f"/toplabels?semantic={given}").content for given in ("0", "1")}
    assert top["1"] == server.client.get("/toplabels").content != top["0"]


def test_a_map_without_a_voxel_says_so(atlas: Atlas, server: Server) -> None:
    sentence = f"No voxel of {atlas.model().model_id} is shown: none passes the limits."
    assert value_map(atlas, MapRequest(concept="cake", min_z=1e6)).warnings == [sentence]
    query = '{ flatmap(concept: "cake", minZ: 1000000, format: SVG) { url warnings } }'
    drawn = server.data(query)["flatmap"]
    assert drawn["warnings"] == [sentence]
    assert "no voxel is shown" in server.client.get(drawn["url"]).text


def test_it_is_known_how_many_labelled_voxels_a_picture_of_labels_leaves_out(doors: Doors) -> None:
    atlas, _ = doors
    for semantic, expected in ((True, 101), (False, 0)):
        assert top_labels(atlas, None, semantic=semantic).bare == expected


def test_where_it_is_not_known_what_contrast_explains_nothing_is_left_out(
    atlas: Atlas, server: Server, run: Run
) -> None:
    hits = atlas.model().similar("cake", first=100)
    assert hits.hidden is None
    assert hits.frame.equals(atlas.model().similar("cake", first=100, semantic=False).frame)
    wanted = "hiddenCount edges { node { semantic semanticQ } }"
    answer = server.data(f'{{ similarVoxels(concept: "cake", first: 1) {{ {wanted} }} }}')["similarVoxels"]
    assert answer == {"hiddenCount": None, "edges": [{"node": {"semantic": None, "semanticQ": None}}]}
    _, _, said = run("query", "cake")
    (sentence,) = hits.warnings
    assert sentence.endswith("may explain is not known: 85 training images are too few to tell; it takes 128.")
    assert sentence in " ".join(said.split())
    asked = '{ similarVoxels(concept: "cake", first: 1) { warnings edges { node { semanticUnknown } } } }'
    assert server.data(asked)["similarVoxels"] == {
        "warnings": [sentence],
        "edges": [{"node": {"semanticUnknown": sentence}}],
    }
    assert replace(atlas.model(), n_train=128).similar("cake").warnings == [
        f"{sentence.partition(':')[0]}; `voxel-atlas dissect` of the model tells it."
    ]


def test_an_answer_without_voxels_says_why(atlas: Atlas, run: Run) -> None:
    assert atlas.model().similar("cake", min_r2=2.0).warnings[-1].endswith("passes the limits.")
    status, printed, said = run("query", "cake", "--min-z", "1000", "--json")
    assert (status, json.loads(printed)) == (0, [])
    assert "passes the limits." in " ".join(said.split())
