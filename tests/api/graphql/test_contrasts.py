"""Comparisons of concepts at every door: the digits of `Model`'s own answers, asked in the server's process."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from toy_server import Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.notebook.desk import LocalDesk
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas
from voxel_atlas.atlas.client import RemoteAtlas
from voxel_atlas.atlas.search.across import roi_means
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

HOW: list[dict[str, Any]] = [{}, {"readout": "weights", "baseline": "none"}, {"by": "labels", "significant": False}]


def written(how: dict[str, Any]) -> str:
    """Arguments as GraphQL writes them."""
    values = {name: str(value).lower() if isinstance(value, bool) else value.upper() for name, value in how.items()}
    return "".join(f", {name}: {value}" for name, value in values.items())


def rows(told: list[dict[str, Any]], columns: list[str]) -> list[tuple[Any, ...]]:
    """Rows of an answer in the order of a frame's columns."""
    camel = ["".join([column.split("_")[0], *map(str.title, column.split("_")[1:])]) for column in columns]
    return [tuple(row[name] for name in camel) for row in told]


@pytest.fixture
def remote(server: Server) -> Any:
    with RemoteAtlas(server.url) as opened:
        yield opened


@pytest.mark.parametrize("how", HOW)
def test_regions_and_concepts_come_in_one_answer(
    atlas: Atlas, server: Server, remote: RemoteAtlas, how: dict[str, Any]
) -> None:
    concepts = ["cake", "face - cake", "house"]
    table = atlas.model().roi_table(concepts, **how)
    query = f"""query ($concepts: [String!]!) {{ roiSimilarities(concepts: $concepts{written(how)}) {{ modelId how
      simulated
      rows {{ roi concept nVoxels nBlocks mean sd low high specific }} }} }}"""
    told = server.data(query, concepts=concepts)["roiSimilarities"]
    assert rows(told["rows"], table.frame.columns) == table.frame.rows()
    assert (told["modelId"], told["how"], told["simulated"]) == (table.model_id, table.how, True)
    assert remote.model().roi_table(concepts, **how).frame.equals(table.frame)
    # The server knows where voxels lie.
    assert table.frame["low"].is_not_null().any()
    assert len(told["rows"]) == 3 * len(atlas.model().tables.voxels().rois)


def test_means_of_the_regions_of_all_models_come_in_one_answer(atlas: Atlas, server: Server) -> None:
    models = atlas.models().filter("has_text")["model_id"].to_list()
    found = roi_means([atlas.model(each) for each in models], ["cake", "face - cake"], semantic=False)
    query = """query ($models: [String!]) {
      roiMeans(concepts: ["cake", "face - cake"], models: $models, semantic: false) {
        warnings generation rows { modelId subjectId simulated roi concept nVoxels mean } } }"""
    for asked in (None, models):
        told = server.data(query, models=asked)["roiMeans"]
        assert rows(told["rows"], found.frame.columns) == found.frame.rows()
    for n in (0, 41):
        assert server.error(query, models=models[:1] * n)["message"] == f"{n} models are asked for; name 1 to 40."


def test_an_atlas_without_a_model_says_so_where_means_of_all_are_asked(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface
) -> None:
    with (
        Store.open(str(tmp_path / "atlas.duckdb")) as store,
        Atlas(store, home=tmp_path) as empty,
        serve(create_app(empty, Settings(home=tmp_path), load=surfaces)) as own,
    ):
        assert "holds no model yet" in own.error('{ roiMeans(concepts: ["cake"]) { warnings } }')["message"]


@pytest.mark.parametrize("how", HOW)
def test_every_two_concepts_have_one_correlation(
    atlas: Atlas, server: Server, remote: RemoteAtlas, how: dict[str, Any]
) -> None:
    matrix = atlas.model().concept_matrix(["cake", "face"], rois=["FFA", "FOOD"], **how)
    query = f"""{{ conceptCorrelations(concepts: ["cake", "face"], rois: ["FFA", "FOOD"]{written(how)}) {{
      rows {{ a b r }} }} }}"""
    told = server.data(query)["conceptCorrelations"]["rows"]
    assert rows(told, matrix.frame.columns) == matrix.frame.rows()
    assert remote.model().concept_matrix(["cake", "face"], rois=["FFA", "FOOD"], **how).frame.equals(matrix.frame)


@pytest.mark.parametrize("how", HOW)
def test_a_preference_is_one_whoever_asks(
    atlas: Atlas, server: Server, remote: RemoteAtlas, how: dict[str, Any]
) -> None:
    own, regions = (ask("cake", "face", **how) for ask in (atlas.model().contrast, atlas.model().contrast_regions))
    query = f"""{{ contrast(a: "cake", b: "face"{written(how)}) {{ a b how
      regions {{ roi nVoxels meanA meanB share low high nBlocks nA nB }}
      first: voxels(first: 100) {{ voxel a b similarity z qA qB }}
      last: voxels(prefer: B, first: 3) {{ voxel similarity }} }} }}"""
    told = server.data(query)["contrast"]
    assert (told["a"], told["b"], told["how"]) == ("cake", "face", own.how)
    assert rows(told["regions"], regions.frame.columns) == regions.frame.rows()
    best = own.frame.filter(pl.col("similarity") > 0).sort("similarity", "voxel", descending=[True, False]).head(100)
    assert rows(told["first"], best.columns) == best.rows()
    assert [row["voxel"] for row in told["last"]] == own.frame.sort("similarity", "voxel")["voxel"].head(3).to_list()
    assert remote.model().contrast("cake", "face", **how).frame.equals(own.frame)
    assert remote.model().contrast_regions("cake", "face", **how).frame.equals(regions.frame)


def test_only_voxels_with_evidence_are_listed_where_that_is_asked(server: Server) -> None:
    query = '{ contrast(a: "cake", b: "face") { voxels(maxQ: 0.01, first: 100) { qA } regions { roi nA } } }'
    told = server.data(query)["contrast"]
    assert max(row["qA"] for row in told["voxels"]) <= 0.01
    assert 0 < len(told["voxels"]) <= told["regions"][0]["nA"]


def test_a_notebook_s_model_has_the_intervals_of_the_server(
    home: Path, atlas: Atlas, server: Server, settings: Settings, surfaces: LoadSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxel_atlas.api.notebook.shown_atlas.LocalDesk", partial(LocalDesk, load=surfaces))
    with NotebookAtlas.at(str(home / "atlas.duckdb"), settings, home=home) as opened:
        found = opened.model().contrast_regions("cake", "face")
        assert "SIMULATED" in found._repr_html_()
        assert found.frame["low"].is_not_null().any()
        assert found.frame.equals(atlas.model().contrast_regions("cake", "face").frame)


def test_too_many_concepts_are_refused_in_one_sentence(server: Server) -> None:
    query = "query ($concepts: [String!]!) { roiSimilarities(concepts: $concepts) { modelId } }"
    error = server.error(query, concepts=[f"word {n}" for n in range(101)])
    assert error["message"] == "101 concepts were named; name 1 to 100."
    assert error["extensions"]["code"] == "BAD_INPUT"
