"""The explorer in headless Chromium, for pictures.py: speed, size, accessibility, requests to other hosts."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from voxel_atlas.api.http.assets import WEB

CONCEPTS = (
    "cake", "face", "kitchen", "a smiling man", "dog", "house", "text on a sign", "pizza", "tennis player", "street",
    "cake - kitchen", "food", "woman", "a red car", "letters", "beach", "cat", "bowl of fruit", "tower", "arm",
)  # fmt: skip
STATES = (
    "/", "/?concept=cake&voxel=100&roi=FFA", "/?concept=cake&view=3d", "/?show=r2&brush=350_440_30",
    "/?concept=cake&with=concept:house&prefers=a",
)  # fmt: skip

_AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
_PAINTED = """globalThis.painted = (act) => new Promise((resolve) => {
  const before = performance.getEntriesByName("painted").length;
  const start = performance.now();
  act();
  const look = () => {
    const marks = performance.getEntriesByName("painted");
    if (marks.length > before) resolve(marks.at(-1).startTime - start);
    else requestAnimationFrame(look);
  };
  look();
});"""
"""Milliseconds from what a person does to the map that it paints."""
_SEARCH = """(concept) => {
  document.getElementById("concept").value = concept;
  return painted(() => document.getElementById("search").requestSubmit());
}"""
_COMPARE = """async (concept) => {
  document.getElementById("versus-none").click();
  while (document.body.classList.contains("busy")) await new Promise(requestAnimationFrame);
  document.getElementById("versus-concept").value = concept;
  return painted(() => document.getElementById("versus-form").requestSubmit());
}"""
_FRAMES = """globalThis.timed = async (act) => {
  const frame = () => new Promise(requestAnimationFrame);
  const times = [];
  await frame();
  let before = performance.now();
  for (let step = 0; step < 80; step++) {
    act(step);
    await frame();
    const now = performance.now();
    times.push(now - before);
    before = now;
  }
  return times;
};"""
"""Milliseconds of each of 80 frames, in each of which a person does something."""
_ZOOM = """() => {
  const map = document.getElementById("lens");
  const box = map.getBoundingClientRect();
  return timed((step) => {
    const place = { clientX: box.left + box.width * 0.42, clientY: box.top + box.height * 0.65 };
    map.dispatchEvent(new WheelEvent("wheel", { ...place, deltaY: step % 40 < 20 ? -60 : 60, cancelable: true }));
  });
}"""
_MORPH = """() => {
  const unfold = document.getElementById("unfold");
  return timed((step) => {
    unfold.value = String(step < 40 ? 200 - 5 * step : 5 * (step - 40));
    unfold.dispatchEvent(new Event("input"));
  });
}"""
"""From flat over inflated to folded and back."""
_OVERLAPPING = """() => {
  const names = [...document.querySelectorAll("#overlay text:not([visibility]), #solid-names text")];
  const boxes = names.map((one) => one.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => meet(one, other))).length;
}"""
_NAMES = "performance.getEntriesByName('named-3d').length"
_NAMED = f"(before) => {_NAMES} > before"
_UNFOLD = """(percent) => {
  const unfold = document.getElementById("unfold");
  unfold.value = String(percent);
  unfold.dispatchEvent(new Event("input"));
}"""
_SIZE = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, one) => sum + one.encodedBodySize, 0) / 1024"""


def measure(home: Path) -> dict[str, float]:
    """The figures of the explorer on the atlas in a home folder."""
    with served(home) as url, chromium() as browser:
        foreign: list[str] = []

        def opened(path: str) -> Any:
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.add_init_script(_PAINTED + _FRAMES)
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
        repaints = [[page.evaluate(_SEARCH, concept) for concept in CONCEPTS] for _ in range(2)]
        compared = [[page.evaluate(_COMPARE, concept) for concept in CONCEPTS[1:]] for _ in range(2)]
        page = opened("/?concept=cake")
        page.evaluate(_ZOOM)
        frames = page.evaluate(_ZOOM)
        page = opened("/?concept=cake&view=3d")
        page.wait_for_function(_NAMED, arg=0)
        page.evaluate(_MORPH)  # loads the shapes and works out the smaller mesh
        page.wait_for_function(_NAMED, arg=page.evaluate(_NAMES))
        morphs = page.evaluate(_MORPH)
        overlapping = 0
        for unfolded in (0, 100, 150, 200):
            named = page.evaluate(_NAMES)
            page.evaluate(_UNFOLD, unfolded)
            page.wait_for_function(_NAMED, arg=named)
            overlapping += page.evaluate(_OVERLAPPING)
        page = opened("/?concept=cake")
        for width in (375, 1440, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            for button in ("reset", "whole", "in", "in", "in"):
                page.evaluate(f"document.getElementById('zoom-{button}').click()")
                page.wait_for_timeout(400)
                overlapping += page.evaluate(_OVERLAPPING)
        serious = 0
        for path in STATES:
            page = opened(path)
            page.wait_for_timeout(1000)
            page.evaluate(_AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run().then((result) => result.violations.map((one) => one.impact))")
            serious += sum(impact in {"serious", "critical"} for impact in found)
    return {
        "first_paint_ms": statistics.median(first),
        "concept_to_paint_ms_p50": statistics.median(repaints[1]),
        "new_concept_to_paint_ms_p50": statistics.median(repaints[0]),
        "compare_to_paint_ms_p50": statistics.median(compared[1]),
        "zoom_frame_ms_p95": statistics.quantiles(frames, n=20)[-1],
        "morph_frame_ms_p95": statistics.quantiles(morphs, n=20)[-1],
        "names_overlapping": overlapping,
        "page_kib": max(sizes),
        "axe_serious": serious,
        "external_requests": len(foreign),
    }


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window, which reaches this machine only and draws 3-D in software."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--enable-unsafe-swiftshader",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


def ask(url: str, query: str) -> Any:
    """What a server answers to a GraphQL query."""
    body = json.dumps({"query": query}).encode()
    return json.load(urlopen(Request(f"{url}/graphql", body, {"content-type": "application/json"})))["data"]


@contextmanager
def served(home: Path) -> Iterator[str]:
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
        # The text tower is loaded, as the server does by itself soon after its start; a world of a benchmark has none.
        with suppress(HTTPError):
            urlopen(f"{url}/values?concept=warm")
        yield url
    finally:
        server.terminate()
        server.wait(30)
