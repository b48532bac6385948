"""A real browser, pages that note what goes wrong on them, and what tests do on a page."""

from collections.abc import Callable, Iterator
from functools import cache
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
    from playwright.sync_api import Browser, BrowserContext
    from playwright.sync_api import Page as Tab

Window = Callable[..., "BrowserContext"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                reason = "needs Chromium: apt-get install chromium, or set CHROMIUM to its path"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def window(browser: "Browser") -> Window:
    """A window of each size and scheme, in which what one page has fetched and compiled is there for the next."""

    @cache
    def opened(width: int = 1440, height: int = 900, scheme: str = "light") -> "BrowserContext":
        return browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, ignore_https_errors=True
        )

    return opened


@pytest.fixture
def visit(window: Window, server: Server) -> Iterator[Visit]:
    """Opens pages of the usual server; afterwards none may have failed or asked another host."""
    yield from _visiting(window, server.url)


@pytest.fixture
def visit_at(window: Window) -> Iterator[Visit]:
    """The same for a server of the test's own: visit_at(url)."""
    yield from _visiting(window, None)


def _visiting(window: Window, usual: str | None) -> Iterator[Visit]:
    pages: list[Page] = []

    def opened(url: str | None = None, **kwargs: Any) -> Page:
        pages.append(Page(window(**kwargs), url or usual or ""))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()
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
