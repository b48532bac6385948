"""Pages of connections: they join without a gap or a repeat, over several models and while rows are added."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_server import Fill, Grow, Serve, Server

from voxel_atlas.api.graphql.loaders import Loaders
from voxel_atlas.api.graphql.request_context import RequestContext
from voxel_atlas.api.graphql.schema import schema
from voxel_atlas.api.graphql.watch import Watch
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

VOXELS = """query ($concept: String!, $first: Int!, $after: String) {
  similarVoxels(concept: $concept, first: $first, after: $after, significant: false) {
    modelId pageInfo { hasNextPage endCursor } edges { node { voxel } } } }"""


def test_pages_join_without_a_gap_or_a_repeat(server: Server) -> None:
    whole, after = [], None
    for _ in range(10):
        page = server.data(VOXELS, concept="face", first=37, after=after)["similarVoxels"]
        whole += [edge["node"]["voxel"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert sorted(whole) == list(range(300))


def test_pages_stay_right_while_batches_are_added(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill
) -> None:
    address = tmp_path / "atlas.duckdb"
    with Store.open(str(address)) as store:
        model = fill_atlas(store, tmp_path / "stimuli")
    atlas = Atlas(Store.open(str(address)), home=tmp_path)
    try:
        with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server:
            before = set(range(300))
            seen: list[int] = []
            after = None
            for turn in range(20):
                page = server.data(VOXELS, concept="cake", first=40, after=after)["similarVoxels"]
                assert page["modelId"] == model
                seen += [edge["node"]["voxel"] for edge in page["edges"]]
                after = page["pageInfo"]["endCursor"]
                if turn < 3:
                    # A newer model of another subject is finished between two pages.
                    fill_atlas(atlas.store, tmp_path / "stimuli", subject=f"simulated/N{turn}", seed=turn + 1)
                if not page["pageInfo"]["hasNextPage"]:
                    break
            assert len(seen) == len(set(seen))
            assert set(seen) == before
            assert server.data("{ atlas { nModels generation } }")["atlas"] == {"nModels": 4, "generation": 4}
    finally:
        atlas.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, fill_atlas: Fill) -> Iterator[Atlas]:
    """An atlas of three subjects."""
    folder = tmp_path_factory.mktemp("many")
    store = Store.open(str(folder / "atlas.duckdb"))
    for seed in range(3):
        fill_atlas(store, folder / "stimuli", subject=f"simulated/M{seed}", seed=seed)
    with Atlas(store, home=folder) as opened:
        yield opened


def test_several_models_are_ranked_together_page_by_page(many: Atlas, serve: Serve, surfaces: LoadSurface) -> None:
    query = """query ($models: [String!]!, $after: String) {
      similarVoxels(concept: "cake", models: $models, significant: false, first: 90, after: $after) {
        totalCount modelIds pageInfo { endCursor hasNextPage } edges { node { modelId voxel similarity } } } }"""
    with serve(create_app(many, Settings(home=many.home), load=surfaces)) as server:
        found: list[tuple[float, str, int]] = []
        after = None
        while True:
            page = server.data(query, models=["simulated/M2", "simulated/M0"], after=after)["similarVoxels"]
            nodes = (edge["node"] for edge in page["edges"])
            found += [(-node["similarity"], node["modelId"], node["voxel"]) for node in nodes]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert found == sorted(found)
        assert len(set(found)) == len(found) == page["totalCount"] == 600
        assert [name[:12] for name in page["modelIds"]] == ["simulated/M0", "simulated/M2"]
        for models, words in ((["simulated/M0", "nobody"], "nobody"), ([], "1 to 40")):
            assert words in server.error(query, models=models)["message"]
        both = '{ similarVoxels(concept: "cake", model: "simulated/M0", models: ["simulated/M1"]) { totalCount } }'
        assert "not both" in server.error(both)["message"]


@settings(max_examples=3)
@given(data=st.data())
def test_pages_never_repeat_or_skip_a_row_while_rows_are_added(
    data: Any, tmp_path: Path, toy_rows: Grow, awaited: Any
) -> None:
    n, size = data.draw(st.integers(1, 60), "voxels at first"), data.draw(st.integers(7, 25), "page")
    address = tmp_path / f"{time.monotonic_ns()}.duckdb"
    with Store.open(str(address)) as store, Atlas(store, home=tmp_path) as opened:
        toy_rows(store, range(n))
        walks = {
            "voxels": Walk(awaited, opened, 'similarVoxels(concept: "cake", significant: false', "voxel"),
            "labels": Walk(awaited, opened, 'labels(search: ""', "text"),
        }
        there = {name: walk.everything() for name, walk in walks.items()}
        added = n
        while any(walk.more for walk in walks.values()):
            for walk in walks.values():
                walk.step(size)
            more = data.draw(st.integers(0, 30), "voxels added")
            toy_rows(store, range(added, added + more))
            added += more
        for name, walk in walks.items():
            assert len(walk.seen) == len(set(walk.seen))
            assert there[name] <= set(walk.seen)


class Walk:
    """Pages of one connection, one after the other, without a server."""

    def __init__(self, awaited: Any, opened: Atlas, field: str, key: str) -> None:
        self._awaited, self._opened, self._field, self._key = awaited, opened, field, key
        self._after: str | None = None
        self.seen: list[Any] = []
        self.more = True

    def step(self, first: int) -> None:
        if self.more:
            page = self._page(first, self._after)
            self.seen += [edge["node"][self._key] for edge in page["edges"]]
            self._after, self.more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    def everything(self) -> set[Any]:
        return {edge["node"][self._key] for edge in self._page(100, None)["edges"]}

    def _page(self, first: int, after: str | None) -> Any:
        query = f"""query ($first: Int!, $after: String) {{ found: {self._field}, first: $first, after: $after) {{
          pageInfo {{ endCursor hasNextPage }} edges {{ node {{ {self._key} }} }} }} }}"""
        request: Any = SimpleNamespace(scope={"type": "http"}, state=SimpleNamespace())
        context = RequestContext(self._opened, None, None, request, Loaders(self._opened), Watch(self._opened))  # type: ignore[arg-type]
        result = self._awaited(schema.execute(query, {"first": first, "after": after}, context_value=context))
        assert result.data, result.errors
        return result.data["found"]
