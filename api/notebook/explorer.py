"""The explorer in a notebook's cell: the page's own flat map, whose brushed and opened voxels come back to Python."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import polars as pl
import traitlets

from ...schemas.errors import AtlasError
from .desk import Desk
from .voxel_page import VoxelPage

_PAGE = Path(__file__).parents[1] / "web"
_STARTS = ("dom.js", "flatmap.js", "viewport.js", "brush.js", "tip.js", "subject.js", "shown.js", "legend.js")
"""Modules of the page that a cell is made of; with what they import."""
_ASKED = re.compile(r"(values\?|outlines/|pixelmaps/)[^#]*")
"""What the page's modules may ask of the kernel."""
_OF_THE_MAP = (".stage", ".lens", ".tip")
_CSS = """
.voxel-atlas { --ink: #1c1e22; --paper: #fff; max-width: 60rem }
.voxel-atlas form { display: flex; gap: .5rem; margin-bottom: .4rem } .voxel-atlas input { flex: 1; font: inherit }
.voxel-atlas button[aria-pressed="true"] { outline: 2px solid #0072b2 }
.voxel-atlas .lens { overflow: hidden; position: relative } .voxel-atlas p { margin: .3rem 0; opacity: .8 }
.voxel-atlas .ramp { width: 16rem; height: .7rem; display: block }
.voxel-atlas .unseen { position: absolute; clip-path: inset(50%) }
"""


def _sources() -> dict[str, str]:
    """The page's modules that a cell needs, by their names."""
    found: dict[str, str] = {}
    wanted = list(_STARTS)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = (_PAGE / name).read_text(encoding="utf-8")
            wanted += re.findall(r'(?:from|import)\s*"\./([\w-]+\.js)"', found[name])
    return found


def _styles() -> str:
    """The rules of the page's style sheet that are of the map, and the cell's own."""
    rules = (_PAGE / "explorer.css").read_text(encoding="utf-8").splitlines()
    return "\n".join([f".voxel-atlas {rule}" for rule in rules if rule.startswith(_OF_THE_MAP)] + [_CSS])


class CellExplorer(anywidget.AnyWidget):
    """A flat map in a cell. Set `concept` to show another one; brush voxels, and find them in `selected`.

    >>> explorer = model.explore("face")
    >>> explorer
    >>> explorer.voxels  # what is known of the brushed voxels
    """

    _esm = _PAGE / "cell.js"
    _css = _styles()
    sources = traitlets.Dict().tag(sync=True)
    subject = traitlets.Unicode().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    concept = traitlets.Unicode("").tag(sync=True)
    """What is shown; "" for how well voxels are predicted."""
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    """Numbers of the brushed voxels; set it to show voxels of your own."""
    voxel = traitlets.Int(None, allow_none=True).tag(sync=True)
    """Number of the voxel that was opened; None for none."""

    def __init__(self, desk: Desk, model_id: str, subject_id: str, concept: str = "") -> None:
        super().__init__(model=model_id, subject=subject_id, concept=concept, sources=_sources())
        self._desk = desk
        self.on_msg(self._answer)

    @property
    def voxels(self) -> pl.DataFrame:
        """What `Model.voxels` tells of the selected ones."""
        return self._desk.model(self.model).voxels(self.selected)

    @property
    def opened(self) -> VoxelPage | None:
        """The card of the voxel that was opened; None for none."""
        return None if self.voxel is None else VoxelPage.of(self._desk, self.model, self.voxel)

    @traitlets.validate("selected")
    def _known(self, proposal: Any) -> Sequence[int]:
        return [int(voxel) for voxel in proposal["value"]]

    def _answer(self, _: object, content: Any, __: object) -> None:
        path, status = str(content.get("path", "")), 200
        try:
            body = self._desk.fetch(f"/{path}") if _ASKED.fullmatch(path) else b""
        except AtlasError as error:
            told = {"errors": [{"message": str(error), "extensions": {"code": error.code}}]}
            body, status = json.dumps(told).encode(), error.http_status
        self.send({"id": content.get("id"), "status": status}, [body])
