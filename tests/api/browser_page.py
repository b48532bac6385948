"""A page in a real browser that notes what goes wrong on it, and what the fixtures around it are."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voxel_atlas.api.http.assets import WEB, Assets

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext
    from playwright.sync_api import Page as Tab


def _is_built() -> bool:
    """Whether the bundled code is there and was made from the files that are here: an older one lacks parts."""
    if not Assets().has_vendor:
        return False
    sources = json.loads((WEB / "vendor" / "sources.json").read_text(encoding="utf-8"))
    return all(hashlib.sha256((WEB / name).read_bytes()).hexdigest() == digest for name, digest in sources.items())


needs_vendor = pytest.mark.skipif(not _is_built(), reason="needs api/web/vendor of these sources: `node build.mjs`")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
SHOTS = Path(__file__).parents[1] / "screenshots"


class Page:
    """A page that notes what goes wrong on it and what it asks of others."""

    def __init__(self, window: "BrowserContext", url: str) -> None:
        self.url = url
        self.page = window.new_page()
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
        # WebGL in software complains of its own slowness; what a busy server answers, for which the page waits, is an
        # error to the browser.
        if kind in {"error", "warning"} and "GL Driver Message" not in text and "a status of 503" not in text:
            self.errors.append(text)

    def open(self, path: str = "/") -> "Tab":
        self.page.goto(self.url + path)
        self.page.wait_for_selector("#legend:not([hidden])")
        return self.page

    def close(self) -> None:
        """Leave nothing behind for the next page of this window but what the browser has fetched."""
        if not self.page.is_closed() and self.page.url.startswith(self.url):
            self.page.evaluate("localStorage.clear()")
        self.page.close()
        self.page.context.clear_cookies()
        self.page.context.clear_permissions()

    def shoot(self, name: str) -> None:
        """Keep what is seen, where somebody has made the folder for it: it takes as long as many a test."""
        if SHOTS.is_dir():
            self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def downloaded(page: "Tab", suffix: str) -> tuple[str, bytes]:
    """A file of the page's download menu: its name and what it holds."""
    page.click("#download summary")
    with page.expect_download() as download:
        page.click(f"#download-{suffix}")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def snippets(page: "Tab") -> dict[str, str]:
    """The code below the map, by the door's title."""
    page.click("#code summary")
    page.wait_for_selector("#code pre")
    titles = [text.removesuffix("Copy").strip() for text in page.locator("#code h3").all_inner_texts()]
    return dict(zip(titles, page.locator("#code pre").all_inner_texts(), strict=True))


Visit = Callable[..., Page]
"""Opens a page: of the usual server, or of the one whose address is given first."""
Search = Callable[["Tab", str], None]
"""Searches a concept and waits for the map and the list."""
Pixel = Callable[["Tab", int], tuple[float, float]]
"""Where on the screen a voxel is shown."""
