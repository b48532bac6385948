"""The explorer while things change under it: an ingest that runs, a server that is started again."""

from pathlib import Path

from browser_page import Search, Visit
from toy_server import Fill, Serve

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings


def test_an_ingest_that_runs_is_followed_and_its_model_appears(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill, visit_at: Visit
) -> None:
    with (
        Store.open(str(tmp_path / "atlas.duckdb")) as store,
        Atlas(store, home=tmp_path) as atlas,
        serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server,
    ):
        view = visit_at(server.url)
        page = view.page
        page.goto(server.url)
        page.wait_for_selector("#trouble:not([hidden])")
        fill_atlas(store, tmp_path / "stimuli")
        page.wait_for_selector("#legend:not([hidden])")
        assert page.is_hidden("#trouble")
        fill_atlas(store, tmp_path / "stimuli", subject="simulated/T2", seed=1, finished=False)
        page.wait_for_selector("#growing:not([hidden])")
        assert "ingest running: toy, 2 batches" in page.inner_text("#growing")
        view.shoot("growing")
        page.wait_for_function("() => document.querySelectorAll('#model option').length === 2")
        assert page.input_value("#model").startswith("simulated/T1")
        page.close()


def test_the_page_survives_a_server_that_is_started_again(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface, visit_at: Visit, search: Search
) -> None:
    settings = Settings(home=home)
    with serve(create_app(atlas, settings, load=surfaces)) as first:
        view = visit_at(first.url)
        page = view.open("/?concept=cake")
    page.fill("#concept", "face")
    page.press("#concept", "Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "does not answer" in page.inner_text("#trouble")
    view.shoot("server-gone")
    with serve(create_app(atlas, settings, load=surfaces), port=int(first.url.rpartition(":")[2])):
        search(page, "face")
        page.wait_for_selector("#trouble", state="hidden")
        assert page.locator("#top tbody tr").count() == 20
        view.errors.clear()
        page.close()


def test_a_page_says_when_it_cannot_follow_ingests(visit: Visit) -> None:
    refused = visit()
    refused.page.route_web_socket("**/graphql", lambda socket: socket.close(code=4400, reason="refused"))
    page = refused.open("/?concept=cake")
    page.wait_for_function("() => document.getElementById('trouble').textContent.includes('no longer follows ingests')")
    unbuilt = visit()
    unbuilt.page.route("**/vendor/graphql-ws.js", lambda route: route.fulfill(status=404))
    page = unbuilt.open("/?concept=cake")
    page.wait_for_function("() => document.getElementById('trouble').textContent.includes('does not follow ingests')")
    assert page.locator("#top tbody tr").count() == 20
    unbuilt.errors.clear()
