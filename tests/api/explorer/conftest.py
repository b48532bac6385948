"""A real browser, pages that note what goes wrong on them, and what tests do on a page."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
SHOTS = Path(__file__).parents[2] / "screenshots"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                reason = "needs Chromium: apt-get install chromium, or set CHROMIUM to its path"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium asks its maker's servers by itself: no name but ours resolves.
        arguments = [
            "--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]  # fmt: skip
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


class Page:
    """A page that notes what goes wrong on it and what it asks of others."""

    def __init__(self, browser: Any, url: str, width: int = 1440, height: int = 900, scheme: str = "light") -> None:
        self.url = url
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self._listen(line.type, line.text))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(url)

    def _listen(self, kind: str, text: str) -> None:
        # WebGL in software complains of its own slowness.
        if kind in {"error", "warning"} and "GL Driver Message" not in text:
            self.errors.append(text)

    def open(self, path: str = "/") -> Any:
        self.page.goto(self.url + path)
        self.page.wait_for_selector("#legend:not([hidden])")
        return self.page

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visit(browser: Any, server: Any) -> Iterator[Any]:
    """Opens pages of the usual server; afterwards none may have failed or asked another host."""
    yield from _visiting(browser, server.url)


@pytest.fixture
def visit_at(browser: Any) -> Iterator[Any]:
    """The same for a server of the test's own: visit_at(url)."""
    yield from _visiting(browser, None)


def _visiting(browser: Any, usual: str | None) -> Iterator[Any]:
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
def search() -> Callable[[Any, str], None]:
    """Searches a concept and waits for the map and the list."""
    return _search


@pytest.fixture(scope="session")
def pixel() -> Callable[[Any, int], tuple[float, float]]:
    """Where on the screen a voxel is shown, by the server's pixel map."""
    return _pixel


def _search(page: Any, concept: str) -> None:
    page.fill("#concept", concept)
    page.press("#concept", "Enter")
    page.wait_for_function("text => document.getElementById('figure-title').textContent.includes(text)", arg=concept)
    page.wait_for_selector("#top tbody tr")


def _pixel(page: Any, voxel: int) -> tuple[float, float]:
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
