"""Flat maps as SVG and PDF for papers: the cells are an image, outlines, names, title and legend are vectors.

Text stays text in SVG (DejaVu Sans or another sans-serif font of the reader), and is embedded in PDF.
"""

import io
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import BadInputError
from ..surfaces.pixel_map import Outlines, PixelMap
from .colormaps import colours
from .legend import Strip, Text
from .lettering import fitted
from .overlay import region_names
from .paint import true_colours
from .picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text as Drawn

_UNITS = 1024
"""Width of the figure in its own units; 100 of them are an inch."""
_INK, _HALO = "#262626", "#404040"
_drawing = threading.Lock()
"""matplotlib's settings and font caches are shared by all threads."""


def render(picture: Picture, pixels: PixelMap, form: str) -> bytes:
    """Draw a picture on the flat map; equal arguments give equal bytes.

    Args:
        picture: what is shown, and how; around the cortex it is always clear.
        pixels: its width is the resolution of the image in the figure.
        form: "svg" or "pdf".

    Raises:
        SpaceMismatchError: as many values as this surface and transform have not.
        BadInputError: another form.
    """
    if form not in ("svg", "pdf"):
        raise BadInputError(f"A figure can be svg or pdf, not {form!r}.")
    cells = true_colours(replace(picture, outlines=None, transparent=True), pixels)
    above, below = picture.above(_UNITS), picture.below(_UNITS)
    top = sum(strip.height for strip in above)
    bottom = top + _UNITS * pixels.height / pixels.width
    height = bottom + sum(strip.height for strip in below)
    with _drawing, warnings.catch_warnings():
        # Scripts without a glyph in DejaVu Sans, emoji for one, are boxes in PDF; in SVG they stay text.
        warnings.simplefilter("ignore", UserWarning)
        import matplotlib as mpl
        from matplotlib.figure import Figure

        with mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "voxel-atlas"}):
            figure = Figure((_UNITS / 100, height / 100), dpi=100)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.imshow(cells, extent=(0, _UNITS, bottom, top), interpolation="none")
            if picture.outlines:
                _draw_outlines(axes, picture.outlines, top, bottom - top, picture.names)
            for start, strips in ((0.0, above), (bottom, below)):
                for strip in strips:
                    _draw_strip(axes, strip, start)
                    start += strip.height
            axes.set(xlim=(0, _UNITS), ylim=(height, 0), aspect="equal")
            file = io.BytesIO()
            # Without a date, equal requests give equal files.
            dates = {"Date": None} if form == "svg" else {"CreationDate": None, "ModDate": None}
            figure.savefig(file, format=form, transparent=True, metadata=dates)
    return file.getvalue()


def _draw_outlines(axes: "Axes", outlines: Outlines, top: float, height: float, names: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.patheffects import Stroke

    for name, paths in outlines.items():
        for number, path in enumerate(paths):
            shape = Path(path * (float(_UNITS), height) + (0, top), closed=True)
            for colour, width in ((_HALO, 2.6), ("white", 1.1)):
                line = PathPatch(shape, fill=False, edgecolor=colour, linewidth=width, joinstyle="round")
                line.set_gid(f"{name}-{number}" if colour == "white" else None)
                axes.add_patch(line)
    if names:
        for one in region_names(outlines, (round(height), _UNITS), 12):
            if one.leader:
                x0, y0, x1, y1 = one.leader
                for colour, width in ((_HALO, 2.2), ("white", 0.9)):
                    axes.plot((x0, x1), (top + y0, top + y1), color=colour, linewidth=width, solid_capstyle="round")
            # A halo makes shapes of letters; the letters above it stay text.
            for halo in (True, False):
                text = _write(axes, Text(one.x, top + one.y, one.text, 12, "center", _UNITS, bold=True), color="white")
                text.set_path_effects([Stroke(linewidth=2, foreground=_HALO)] if halo else [])


def _draw_strip(axes: "Axes", strip: Strip, top: float) -> None:
    from matplotlib.patches import Rectangle

    for box in strip.boxes:
        if isinstance(box.filled, str):
            extent = (box.left, box.right, top + box.bottom, top + box.top)
            axes.imshow(colours(box.filled)[None], extent=extent, interpolation="none")
        else:
            corner, size = (box.left, top + box.top), (box.right - box.left, box.bottom - box.top)
            axes.add_patch(Rectangle(corner, *size, linewidth=0, facecolor=np.divide(box.filled, 255).tolist()))
    for text in strip.texts:
        _write(axes, replace(text, y=top + text.y))


def _write(axes: "Axes", text: Text, *, color: str = _INK) -> "Drawn":
    return axes.text(
        text.x,
        text.y,
        fitted(text.text, text.size, text.room, bold=text.bold),
        fontsize=text.size * 0.72,  # points; 100 units are an inch of 72 points
        ha=text.align,
        va="center",
        weight="bold" if text.bold else "normal",
        color=color,
        fontfamily=["DejaVu Sans", "sans-serif"],
        parse_math=False,
    )
