"""The explorer in headless Chromium, for pictures.py: speed, size, accessibility, requests to other hosts."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from voxel_atlas.api.http.assets import WEB

CONCEPTS = (
    "cake", "face", "kitchen", "a smiling man", "dog", "house", "text on a sign", "pizza", "tennis player", "street",
    "cake - kitchen", "food", "woman", "a red car", "letters", "beach", "cat", "bowl of fruit", "tower", "arm",
)  # fmt: skip
STATES = ("/", "/?concept=cake&voxel=100&roi=FFA", "/?concept=cake&view=3d", "/?show=r2&brush=350_440_30")

_AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
_PAINT = """(concept) => new Promise((resolve) => {
  const before = performance.getEntriesByName("painted").length;
  document.getElementById("concept").value = concept;
  const start = performance.now();
  document.getElementById("search").requestSubmit();
  const look = () => {
    const marks = performance.getEntriesByName("painted");
    if (marks.length > before) resolve(marks.at(-1).startTime - start);
    else requestAnimationFrame(look);
  };
  look();
})"""
_SIZE = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, one) => sum + one.encodedBodySize, 0) / 1024"""


def measure(home: Path) -> dict[str, float]:
    """The figures of the explorer on the atlas in a home folder."""
    from playwright.sync_api import sync_playwright

    with _served(home) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--enable-unsafe-swiftshader",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        foreign: list[str] = []

        def opened(path: str) -> Any:
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.on(
                "request",
                lambda asked: foreign.append(asked.url) if not asked.url.startswith((url, "blob:", "data:")) else None,
            )
            page.goto(url + path)
            page.wait_for_selector("#legend:not([hidden])", timeout=120_000)
            return page

        first, sizes = [], []
        for _ in range(5):
            page = opened("/")
            first.append(page.evaluate("performance.getEntriesByName('painted')[0].startTime"))
            page.wait_for_load_state("networkidle")
            sizes.append(page.evaluate(_SIZE))
            page.context.close()
        page = opened("/?concept=cake")
        # Each word once before: what is measured is the page's and the server's work, not the first words of a network.
        repaints = [[page.evaluate(_PAINT, concept) for concept in CONCEPTS] for _ in range(2)]
        serious = 0
        for path in STATES:
            page = opened(path)
            page.wait_for_timeout(1000)
            page.evaluate(_AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run().then((result) => result.violations.map((one) => one.impact))")
            serious += sum(impact in {"serious", "critical"} for impact in found)
        browser.close()
    return {
        "first_paint_ms": statistics.median(first),
        "concept_to_paint_ms_p50": statistics.median(repaints[1]),
        "new_concept_to_paint_ms_p50": statistics.median(repaints[0]),
        "page_kib": max(sizes),
        "axe_serious": serious,
        "external_requests": len(foreign),
    }


@contextmanager
def _served(home: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", "from voxel_atlas.api.cli.main import main; main()", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, "VOXEL_ATLAS_HOME": str(home), "VOXEL_ATLAS_ATLAS": ""})
    try:
        for _ in range(300):
            try:
                if urlopen(f"{url}/readyz").status == 200:
                    break
            except OSError:
                time.sleep(0.2)
        urlopen(f"{url}/values?concept=warm")  # loads the text tower, as the server does by itself soon after its start
        yield url
    finally:
        server.terminate()
        server.wait(30)
