"""The explorer in a cell, in a real browser: anywidget's own channel between the page's modules and Python."""

import json
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from toy_server import Server

import voxel_atlas as va
from voxel_atlas.api.maps.packed_arrays import unpack
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.api.notebook.desk import LocalDesk
from voxel_atlas.api.notebook.explorer import CellExplorer
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas, ServedAtlas
from voxel_atlas.schemas.errors import BadInputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

Opened = NotebookAtlas | ServedAtlas
HOST = """
<!doctype html><body><div id="cell"></div><script type="module">
const { default: widget } = await import("/cell.js");
const style = document.createElement("style");
style.textContent = await tell("css");
document.head.append(style);
const state = JSON.parse(await tell("state"));
const heard = {};
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
globalThis.hear = (event, ...what) => (heard[event] ?? []).forEach((told) => told(...what));
globalThis.take = (name, value) => { state[name] = value; hear(`change:${name}`); };
await widget.render({ el: document.querySelector("#cell"), model: {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; hear(`change:${name}`); },
  save_changes: () => {
    const { selected, voxel, concept } = state;
    tell("save", JSON.stringify({ selected, voxel, concept }));
  },
  on: (event, told) => (heard[event] ??= []).push(told),
  send: async (content) => {
    const { message, body } = JSON.parse(await tell("send", JSON.stringify(content)));
    hear("msg:custom", message, [bytes(body)]);
  },
} });
document.body.dataset.ready = "";
</script>
"""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A page as a notebook's front end is, which has the widget's module."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_module = self.path == "/cell.js"
            body = (str(CellExplorer._esm) if is_module else HOST).encode()
            self.send_response(200)
            self.send_header("content-type", "text/javascript" if is_module else "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def opened(home: Path, server: Server, surfaces: LoadSurface) -> Iterator[dict[str, Opened]]:
    """The small atlas as a notebook opens it, from its file and over HTTP."""
    with va.open(str(home / "atlas.duckdb"), home=home) as here, va.open(server.url, home=home) as there:
        assert isinstance(here, NotebookAtlas)
        assert isinstance(there, ServedAtlas)
        here.desk = LocalDesk(here, here.desk.settings, surfaces)
        yield {"file": here, "http": there}


class Cell:
    """A widget in a browser's page; what anywidget sends over a comm goes over the page's binding."""

    def __init__(self, browser: "Browser", host: str, widget: CellExplorer) -> None:
        self.widget, self.errors = widget, list[str]()
        self.page: Tab = browser.new_page(viewport={"width": 900, "height": 700})
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on(
            "request",
            lambda asked: self.errors.append(asked.url) if not asked.url.startswith((host, "blob:")) else None,
        )
        self.page.expose_function("tell", self._told)
        self.page.goto(host)
        self.page.wait_for_selector("body[data-ready]", timeout=30_000)

    def _told(self, what: str, content: str = "") -> str | None:
        if what == "state":
            names = ("sources", "subject", "model", "concept", "selected", "voxel")
            return json.dumps({name: getattr(self.widget, name) for name in names})
        if what == "css":
            return str(self.widget._css)
        if what == "save":
            self.widget.set_state(json.loads(content))
            return None
        sent: list[Any] = []
        self.widget.send = lambda message, buffers: sent.append((message, buffers[0]))  # what a comm would carry
        self.widget._handle_custom_msg(json.loads(content), [])
        ((message, body),) = sent
        return json.dumps({"message": message, "body": b64encode(body).decode()})

    def becomes(self, told: Callable[[], bool]) -> bool:
        """Whether what the page does reaches the widget: it is sent after the click that a test awaited."""
        for _ in range(3000):
            if told():
                return True
            self.page.wait_for_timeout(10)
        return False

    def at(self, voxel: int) -> tuple[float, float]:
        """Where on the screen a voxel is shown."""
        box = self.page.locator(".stage canvas").bounding_box()
        assert box
        pixels = self.widget._desk.fetch(f"/pixelmaps/{self.widget.subject}.bin")
        header, arrays = unpack(pixels)
        rows, columns = np.nonzero(arrays["voxel"].reshape(header["height"], header["width"]) == voxel)
        middle = len(rows) // 2
        return (
            box["x"] + (columns[middle] + 0.5) / header["width"] * box["width"],
            box["y"] + (rows[middle] + 0.5) / header["height"] * box["height"],
        )


@pytest.fixture(params=["file", "http"])
def cell(request: pytest.FixtureRequest, opened: dict[str, Opened], browser: "Browser", host: str) -> Iterator[Cell]:
    made = Cell(browser, host, opened[request.param].model().explore("cake"))
    yield made
    made.page.close()
    assert made.errors == []


def test_a_cell_shows_a_map_and_gives_back_what_is_brushed_and_opened(cell: Cell) -> None:
    page, widget = cell.page, cell.widget
    assert "SIMULATED" in page.inner_text("[role=status]")
    assert "cake: cosine similarity" in page.inner_text("[role=status]")
    painted = page.evaluate("document.querySelector('.stage canvas').toDataURL()")
    assert page.locator(".stage svg text").count() > 0

    # From the page to Python: a brush's voxels, and one that is opened.
    x, y = cell.at(120)
    page.click("button:text('Brush')")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 6, y, steps=3)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.stage canvas').toDataURL() !== " + json.dumps(painted))
    assert cell.becomes(lambda: 120 in widget.selected)
    assert widget.voxels["voxel"].to_list() == widget.selected
    page.click("button:text('Brush')")
    page.mouse.click(x, y)
    assert cell.becomes(lambda: widget.voxel == 120)
    assert widget.opened is not None
    assert widget.opened.voxel == 120

    # From Python to the page: other voxels, another concept.
    before = page.evaluate("document.querySelector('.stage canvas').toDataURL()")
    page.evaluate("take('selected', [1, 2, 3])")
    assert page.evaluate("document.querySelector('.stage canvas').toDataURL()") != before
    page.evaluate("take('concept', 'face')")
    page.wait_for_selector("[role=status]:text('face: cosine similarity')")
    assert page.input_value("input[type=search]") == "face"

    # And back again: a concept that is typed, and one that makes no sense.
    page.fill("input[type=search]", "cake -")
    page.keyboard.press("Tab")
    page.wait_for_selector("[role=status]:text('needs a word on both of its sides')")
    assert cell.becomes(lambda: widget.concept == "cake -")
    page.click("button:text('Clear')")
    assert cell.becomes(lambda: widget.selected == [])


def test_only_what_the_map_needs_can_be_asked_of_the_kernel(opened: dict[str, Opened]) -> None:
    widget = opened["file"].model().explore()
    sent: list[Any] = []
    widget.send = lambda message, buffers: sent.append((message, buffers[0]))
    for path in (
        "tokens",
        "graphql?query={models{modelId}}",
        "../values?concept=cake",
        "values?concept=cake&model=none",
    ):
        widget._handle_custom_msg({"id": 1, "path": path}, [])
    assert [body for _, body in sent[:3]] == [b"", b"", b""]
    assert sent[3][0]["status"] == 404
    assert "no model 'none'" in json.loads(sent[3][1])["errors"][0]["message"]


def test_a_notebook_without_widgets_gets_a_sentence(opened: dict[str, Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "voxel_atlas.api.notebook.explorer")
    with pytest.raises(BadInputError, match=r"needs anywidget: pip install 'voxel-atlas\[notebook\]'"):
        opened["file"].model().explore()
