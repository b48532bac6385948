"""When a server says that it is ready, what it loads until then and after, and whom it answers meanwhile."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from toy_server import Fill, Grow, Serve

from voxel_atlas.api.http.app import Components, create_app
from voxel_atlas.api.http.warm_up import WarmUp
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.tables.indexed_voxels import IndexedVoxels
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import StoreError


def test_readiness_compares_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve, surfaces: LoadSurface, toy_rows: Grow
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        toy_rows(store, range(10))
        with Atlas(store, home=tmp_path, patience=60) as atlas:
            gate = threading.Event()
            load = IndexedVoxels.load

            def slow(*given: Any, **named: Any) -> Any:
                assert gate.wait(120)
                return load(*given, **named)

            with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as own:
                own.ready()
                monkeypatch.setattr(IndexedVoxels, "load", slow)
                toy_rows(store, range(10, 20))
                response = own.client.get("/readyz")
                (error,) = response.json()["errors"]
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                assert error["extensions"] == {"code": "NOT_READY", "generation": 2, "indexGeneration": 1}
                assert own.client.get("/healthz").status_code == 200
                gate.set()
                ready = own.ready()
                assert (ready["ready"], ready["generation"], ready["indexGeneration"]) == (True, 2, 2)


def test_a_server_is_not_ready_while_it_loads(
    atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface
) -> None:
    gate = threading.Event()
    with serve(create_app(atlas, settings, load=surfaces, loaded=lambda: gate.wait(120))) as own:
        response = own.client.get("/readyz")
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (503, "NOT_READY")
        assert own.client.get("/healthz").status_code == 200
        gate.set()
        own.ready()


def test_a_server_is_ready_before_its_text_towers_are_and_answers_for_labels(
    atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface
) -> None:
    gate = threading.Event()
    waiting = Atlas(
        atlas.store,
        home=atlas.home,
        load_backbone=lambda name, home: gate.wait(120) and atlas.text_towers.backbone(name),
    )
    with serve(create_app(waiting, settings, load=surfaces)) as own:
        assert own.ready()["textTowers"] is False
        assert own.data('{ similarVoxels(concept: "cake") { totalCount } }')["similarVoxels"]["totalCount"] > 0
        gate.set()
        own.ready(towers=True)


def test_a_database_that_does_not_answer_is_not_ready(
    atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> int:
        raise StoreError("The disk is gone; mount it again.")

    with serve(create_app(atlas, settings, load=surfaces)) as own:
        monkeypatch.setattr(atlas.store, "generation", gone)
        response = own.client.get("/readyz")
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (503, "STORE")
        assert own.client.get("/healthz").status_code == 200


def test_a_server_that_starts_before_its_database_is_ready_with_it(
    atlas: Atlas, settings: Settings, serve: Serve, surfaces: LoadSurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    models = atlas.models

    def late() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("The disk is not there yet; mount it.")
        return models()

    monkeypatch.setattr(atlas, "models", late)
    monkeypatch.setattr("voxel_atlas.api.http.warm_up.AGAIN_S", 0.01)
    with serve(create_app(atlas, settings, load=surfaces)) as own:
        own.ready()
    assert len(tries) >= 2


@pytest.fixture
def two_models(tmp_path: Path, fill_atlas: Fill) -> Iterator[tuple[Store, list[str]]]:
    """An atlas, and its models, newest first."""
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        older = [fill_atlas(store, tmp_path / f"{n}", subject=f"simulated/T{n}", seed=n) for n in range(2)]
        yield store, older[::-1]


def test_a_server_is_ready_while_models_are_still_loaded_and_says_which_an_answer_waited_for(
    two_models: tuple[Store, list[str]],
    tmp_path: Path,
    serve: Serve,
    surfaces: LoadSurface,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, asked, load, (store, models) = threading.Event(), threading.Event(), IndexedVoxels.load, two_models

    def slow(store: Store, model: Any, *rest: Any) -> Any:
        if model.model_id == models[1]:
            asked.set()
        assert gate.wait(120)
        return load(store, model, *rest)

    monkeypatch.setattr("voxel_atlas.api.http.warm_up.READY_S", 0.01)
    monkeypatch.setattr(IndexedVoxels, "load", slow)
    query = f'{{ similarVoxels(concept: "cake", model: "{models[1]}") {{ totalCount }} }}'
    with Atlas(store, home=tmp_path) as atlas, serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as own:
        own.ready()
        assert not gate.is_set()
        with ThreadPoolExecutor(1) as visitor:
            waiting = visitor.submit(own.client.post, "/graphql", json={"query": query})
            assert asked.wait(120)
            gate.set()
            answer = waiting.result().json()
        assert models[1] in answer["extensions"]["loaded"]
        again = own.client.post("/graphql", json={"query": query}).json()
        assert again == {"data": answer["data"]}


@pytest.fixture
def warmed(
    tmp_path: Path, surfaces: LoadSurface, awaited: Callable[[Coroutine[Any, Any, None]], None]
) -> Callable[[Atlas], WarmUp]:
    """Warms an atlas up as a server does, to its end."""

    def warm(atlas: Atlas) -> WarmUp:
        parts = Components(atlas, Settings(home=tmp_path), surfaces)
        awaited(parts.warm_up.run(lambda: None))
        parts.close()
        return parts.warm_up

    return warm


def test_a_server_loads_no_more_models_than_there_is_room_for(
    two_models: tuple[Store, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warmed: Callable[[Atlas], WarmUp],
) -> None:
    loaded, load, (store, models) = list[str](), IndexedVoxels.load, two_models
    monkeypatch.setattr(
        IndexedVoxels, "load", lambda store, model, *rest: loaded.append(model.model_id) or load(store, model, *rest)
    )
    with Atlas(store, home=tmp_path, model_memory="1KB") as atlas:
        warmed(atlas)
        assert set(loaded) == {models[0]}
        assert len(atlas.model(models[1]).similar("cake").frame) > 0


def test_a_model_that_memory_does_not_hold_keeps_no_other_from_being_loaded(
    two_models: tuple[Store, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warmed: Callable[[Atlas], WarmUp],
) -> None:
    loaded, load, (store, models) = list[str](), IndexedVoxels.load, two_models

    def short(store: Store, model: Any, *rest: Any) -> Any:
        if model.model_id == models[0]:
            raise MemoryError
        loaded.append(model.model_id)
        return load(store, model, *rest)

    monkeypatch.setattr(IndexedVoxels, "load", short)
    with Atlas(store, home=tmp_path) as atlas:
        warm_up = warmed(atlas)
        assert (warm_up.done, warm_up.reads_words, set(loaded)) == (True, True, {models[1]})
