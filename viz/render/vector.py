"""Flat maps as SVG and PDF for papers, and figures of the page as PDF: cells are an image, all else is vectors.

Text stays text in SVG (DejaVu Sans or another sans-serif font of the reader), and is embedded in PDF.
"""

import io
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
_ALIGNED: dict[str, Literal["left", "center", "right"]] = {"start": "left", "middle": "center", "end": "right"}
_drawing = threading.Lock()
"""matplotlib's settings and font caches are shared by all threads."""

_Place = Annotated[float, Field(ge=-20_000, le=20_000)]
_Length = Annotated[float, Field(gt=0, le=20_000)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
_AT = r"-?\d{1,5}(?:\.\d{1,4})? -?\d{1,5}(?:\.\d{1,4})?"
_Path = Annotated[str, Field(pattern=f"^M{_AT}(?:[ML]{_AT}|Z)*$")]


@dataclass(frozen=True)
class ImageMark:
    """A picture as base64 or a data URL, stretched over a box."""

    image: str
    x: _Place
    y: _Place
    width: _Length
    height: _Length


@dataclass(frozen=True)
class PathMark:
    """Straight lines: SVG's M, L and Z with absolute places."""

    path: _Path
    stroke: _Colour | None = None
    fill: _Colour | None = None
    thick: _Length = 1
    opacity: _Share = 1
    clip: tuple[_Place, _Place, _Length, _Length] | None = None
    """Left, top, width and height of the box that it is seen in."""


@dataclass(frozen=True)
class TextMark:
    """One line; y is its middle."""

    text: Annotated[str, Field(max_length=1000)]
    x: _Place
    y: _Place
    size: Annotated[float, Field(gt=0, le=200)]
    align: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    fill: _Colour = _INK
    halo: _Colour | None = None
    opacity: _Share = 1


@dataclass(frozen=True)
class Composed:
    """A figure that was composed elsewhere: marks over each other, y downwards; 100 units are an inch."""

    width: _Length
    height: _Length
    title: Annotated[str, Field(max_length=1000)]
    marks: Annotated[list[ImageMark | PathMark | TextMark], Field(max_length=20_000)]


def draw(drawing: Composed, decode: Callable[[str], NDArray[np.uint8]]) -> bytes:
    """A composed figure as PDF, with its letters' fonts in it; equal arguments give equal bytes.

    Args:
        drawing: the figure.
        decode: gives the pixels of an image, (h, w, 3) uint8.
    """

    def paint(axes: "Axes") -> None:
        for mark in drawing.marks:
            if isinstance(mark, ImageMark):
                extent = (mark.x, mark.x + mark.width, mark.y + mark.height, mark.y)
                axes.imshow(decode(mark.image), extent=extent, interpolation="none")
            elif isinstance(mark, PathMark):
                _draw_path(axes, mark)
            else:
                line = Text(mark.x, mark.y, mark.text, mark.size, _ALIGNED[mark.align], bold=mark.bold)
                for halo in (mark.halo, None) if mark.halo else (None,):
                    _haloed(_write(axes, line, color=mark.fill), halo, mark.size / 5 * 0.72).set_alpha(mark.opacity)

    return _saved(drawing.width, drawing.height, "pdf", paint, drawing.title)


def _draw_path(axes: "Axes", mark: PathMark) -> None:
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path

    codes, points = list[int](), list[tuple[float, float]]()
    for command, x, y in re.findall(r"([MLZ])(?:(\S+?) ([^MLZ]+))?", mark.path):
        codes.append(int({"M": Path.MOVETO, "L": Path.LINETO, "Z": Path.CLOSEPOLY}[command]))
        points.append((float(x), float(y)) if x else (0.0, 0.0))
    line = PathPatch(
        Path(points, codes),
        facecolor=mark.fill or "none",
        edgecolor=mark.stroke or "none",
        linewidth=mark.thick * 0.72,
        joinstyle="round",
        alpha=mark.opacity,
    )
    axes.add_patch(line)
    if mark.clip:
        x, y, width, height = mark.clip
        line.set_clip_path(Rectangle((x, y), width, height, transform=axes.transData))


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

    def paint(axes: "Axes") -> None:
        axes.imshow(cells, extent=(0, _UNITS, bottom, top), interpolation="none")
        if picture.outlines:
            _draw_outlines(axes, picture.outlines, top, bottom - top, picture.names)
        for start, strips in ((0.0, above), (bottom, below)):
            for strip in strips:
                _draw_strip(axes, strip, start)
                start += strip.height

    return _saved(_UNITS, height, form, paint)


def _saved(width: float, height: float, form: str, paint: Callable[["Axes"], None], title: str | None = None) -> bytes:
    """A file of what is painted on axes in units of a hundredth of an inch, y downwards from the top."""
    with _drawing, warnings.catch_warnings():
        # Scripts without a glyph in DejaVu Sans, emoji for one, are boxes in PDF; in SVG they stay text.
        warnings.simplefilter("ignore", UserWarning)
        import matplotlib as mpl
        from matplotlib.figure import Figure

        with mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "voxel-atlas"}):
            figure = Figure((width / 100, height / 100), dpi=100)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            paint(axes)
            axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
            file = io.BytesIO()
            # Without a date, equal requests give equal files.
            dates = {"Date": None} if form == "svg" else {"CreationDate": None, "ModDate": None}
            figure.savefig(
                file, format=form, transparent=True, metadata={**dates, **({"Title": title} if title else {})}
            )
    return file.getvalue()


def _draw_outlines(axes: "Axes", outlines: Outlines, top: float, height: float, names: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

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
                _haloed(text, _HALO if halo else None, 2)


def _haloed(text: "Drawn", colour: str | None, width: float) -> "Drawn":
    """Text as lines around its letters; as it was without a colour."""
    from matplotlib.patheffects import Stroke

    if colour:
        text.set_path_effects([Stroke(linewidth=width, foreground=colour)])
    return text


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
