"""A real browser, pages that note what goes wrong on them, and what tests do on a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_page import CHROMIUM, Page, Pixel, Search, Visit
from toy_server import Fill, Serve, Server

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                reason = "needs Chromium: apt-get install chromium, or set CHROMIUM to its path"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def visit(browser: "Browser", server: Server) -> Iterator[Visit]:
    """Opens pages of the usual server; afterwards none may have failed or asked another host."""
    yield from _visiting(browser, server.url)


@pytest.fixture
def visit_at(browser: "Browser") -> Iterator[Visit]:
    """The same for a server of the test's own: visit_at(url)."""
    yield from _visiting(browser, None)


def _visiting(browser: "Browser", usual: str | None) -> Iterator[Visit]:
    pages: list[Page] = []

    def opened(url: str | None = None, **kwargs: Any) -> Page:
        pages.append(Page(browser, url or usual or "", **kwargs))
        return pages[-1]

    yield opened
    for page in pages:
        page.context.close()
        assert page.errors == []
        assert page.foreign == []


@pytest.fixture(scope="session")
def two_subjects(
    tmp_path_factory: pytest.TempPathFactory, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill
) -> Iterator[Server]:
    """A server with a model of simulated/T1 and one of simulated/T2."""
    home = tmp_path_factory.mktemp("two")
    with Store.open(str(home / "atlas.duckdb")) as store:
        fill_atlas(store, home / "stimuli")
        fill_atlas(store, home / "stimuli", subject="simulated/T2", seed=1)
        with Atlas(store, home=home) as atlas, serve(create_app(atlas, Settings(home=home), load=surfaces)) as server:
            yield server


@pytest.fixture(scope="session")
def search() -> Search:
    """Searches a concept and waits for the map and the list."""
    return _search


@pytest.fixture(scope="session")
def pixel() -> Pixel:
    """Where on the screen a voxel is shown, by the server's pixel map."""
    return _pixel


def _search(page: "Tab", concept: str) -> None:
    page.fill("#concept", concept)
    page.press("#concept", "Enter")
    page.wait_for_function("text => document.getElementById('figure-title').textContent.includes(text)", arg=concept)
    page.wait_for_selector("#top tbody tr")


def _pixel(page: "Tab", voxel: int) -> tuple[float, float]:
    place = page.evaluate(
        """async (voxel) => {
          const { getPixelMap } = await import("/assets/server.js");
          const { width, height, voxelAt } = await getPixelMap("/pixelmaps/simulated/T1.bin");
          const places = [...voxelAt.keys()].filter((at) => voxelAt[at] === voxel);
          const at = places[places.length >> 1];
          const box = document.getElementById("map").getBoundingClientRect();
          return [box.left + ((at % width) + 0.5) / width * box.width,
                  box.top + (Math.floor(at / width) + 0.5) / height * box.height];
        }""",
        voxel,
    )
    return place[0], place[1]
