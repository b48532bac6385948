"""Flat maps as SVG and PDF for papers: the cells are an image, outlines, names, title and legend are vectors.

Text stays text in SVG (DejaVu Sans or another sans-serif font of the reader), and is embedded in PDF.
"""

import io
import threading
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...schemas.errors import BadInputError
from ..surfaces.surface import PixelMap
from . import legend
from .colormaps import Scale, colours, fit_scale
from .lettering import fitted
from .overlay import Outlines, label_places
from .paint import Floats, Paint, shown_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.text import Text

Form = Literal["svg", "pdf"]
_UNITS = 1024.0
"""Width of the figure in its own units; 100 of them are an inch."""
_INK, _HALO = "#262626", "#404040"
_drawing = threading.Lock()
"""matplotlib's settings and font caches are shared by all threads."""


def render(
    values: Floats,
    pixel_map: PixelMap,
    *,
    form: Form,
    colormap: str = "auto",
    vmin: float | None = None,
    vmax: float | None = None,
    alpha: Floats | None = None,
    outlines: Outlines | None = None,
    names: bool = True,
    title: str = "",
    colorbar: str = "",
    note: str = "",
) -> bytes:
    """Draw one value per voxel or vertex on the flat map, as SVG or PDF; equal arguments give equal bytes.

    Args:
        values: As for `flatmap.render`, and so are the other arguments.
        pixel_map: Its width is the resolution of the image in the figure.
        form: "svg" or "pdf".
        colormap: A colormap of matplotlib, or "auto".
        vmin: Value of the first colour; None to choose.
        vmax: Value of the last colour; None to choose.
        alpha: (n_cells,) opacity.
        outlines: ROIs to draw.
        names: Whether they bear their names.
        title: Text above.
        colorbar: Quantity and unit at the colour bar; "" for none.
        note: Text at the right of the colour bar.

    Raises:
        SpaceMismatchError: As many values as this surface and transform have not.
        BadInputError: vmin is not below vmax, or another form.
    """
    shown = shown_values(values, pixel_map)
    scale = fit_scale(shown, colormap, vmin, vmax)
    paint = Paint.of_values(shown, scale, alpha, pixel_map)

    def foot(axes: "Axes", top: float) -> None:
        _draw_scale(axes, scale, colorbar, note, top)

    drawn = foot if colorbar else None
    return _figure(paint, pixel_map, form, outlines, names, title, drawn, legend.SCALE_UNITS if colorbar else 0)


def render_colours(
    rgb: Floats,
    pixel_map: PixelMap,
    *,
    form: Form,
    alpha: Floats | None = None,
    outlines: Outlines | None = None,
    names: bool = True,
    title: str = "",
    legend_names: legend.Names = (),
    note: str = "",
) -> bytes:
    """Draw one colour per voxel or vertex on the flat map, as SVG or PDF; equal arguments give equal bytes.

    Args:
        rgb: As for `flatmap.render_colours`, and so are the other arguments.
        pixel_map: Its width is the resolution of the image in the figure.
        form: "svg" or "pdf".
        alpha: (n_cells,) opacity.
        outlines: ROIs to draw.
        names: Whether they bear their names.
        title: Text above.
        legend_names: Names and their colours, drawn below.
        note: Text at the right, below the names.

    Raises:
        SpaceMismatchError: As many colours as this surface and transform have not.
        BadInputError: Another form.
    """
    paint = Paint.of_colours(rgb, alpha, pixel_map)
    there = bool(legend_names or note)
    below = legend.names_height(len(legend_names), round(_UNITS), note=bool(note)) if there else 0

    def foot(axes: "Axes", top: float) -> None:
        _draw_names(axes, legend_names, note, top, top + below)

    return _figure(paint, pixel_map, form, outlines, names, title, foot if there else None, below)


def _figure(
    paint: Paint,
    pixel_map: PixelMap,
    form: Form,
    outlines: Outlines | None,
    names: bool,
    title: str,
    foot: "Callable[[Axes, float], None] | None",
    below: float,
) -> bytes:
    """The file; `foot` draws what stands in the `below` units under the map, given where they begin."""
    if form not in ("svg", "pdf"):
        raise BadInputError(f"A figure can be svg or pdf, not {form!r}.")
    picture = paint.pixels(pixel_map, None, False, transparent=True)
    above, height = legend.TITLE_UNITS * bool(title), _UNITS * pixel_map.height / pixel_map.width
    with _drawing, warnings.catch_warnings():
        # Scripts without a glyph in DejaVu Sans, emoji for one, are boxes in PDF; in SVG they stay text.
        warnings.simplefilter("ignore", UserWarning)
        import matplotlib as mpl
        from matplotlib.figure import Figure

        with mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "voxel-atlas"}):
            figure = Figure((_UNITS / 100, (above + height + below) / 100), dpi=100)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.imshow(picture, extent=(0, _UNITS, above + height, above), interpolation="none")
            if outlines:
                _draw_outlines(axes, outlines, above, height, names)
            if title:
                _write(axes, _UNITS / 2, above / 2, title, 17, "center", _UNITS - 24, weight="bold")
            if foot:
                foot(axes, above + height)
            axes.set(xlim=(0, _UNITS), ylim=(above + height + below, 0), aspect="equal")
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
            shape = Path(path * (_UNITS, height) + (0, top), closed=True)
            for colour, width in ((_HALO, 2.6), ("white", 1.1)):
                line = PathPatch(shape, fill=False, edgecolor=colour, linewidth=width, joinstyle="round")
                line.set_gid(f"{name}-{number}" if colour == "white" else None)
                axes.add_patch(line)
    if names:
        for name, x, y in label_places(outlines, (round(height), round(_UNITS)), 12):
            # A halo makes shapes of letters; the letters above it stay text.
            for halo in (True, False):
                text = _write(axes, x, top + y, name, 12, "center", 0.15 * _UNITS, weight="bold", color="white")
                text.set_path_effects([Stroke(linewidth=2, foreground=_HALO)] if halo else [])


def _draw_scale(axes: "Axes", scale: Scale, quantity: str, note: str, top: float) -> None:
    left, right = 24.0, 324.0
    room = _UNITS / 2 - left if note else _UNITS - 2 * left
    _write(axes, left, top + 11, quantity, 13, "left", room)
    _write(axes, _UNITS - left, top + 11, note, 12, "right", _UNITS / 2 - left)
    axes.imshow(colours(scale.colormap)[None], extent=(left, right, top + 38, top + 24), interpolation="none")
    middle = (scale.vmin + scale.vmax) / 2
    for value, x, align in (
        (scale.vmin, left, "left"),
        (middle, (left + right) / 2, "center"),
        (scale.vmax, right, "right"),
    ):
        _write(axes, x, top + 48, legend.number(value, scale.vmax - scale.vmin), 12, align, np.inf)


def _draw_names(axes: "Axes", names: legend.Names, note: str, top: float, bottom: float) -> None:
    from matplotlib.patches import Rectangle

    places, room = legend.name_places(len(names), round(_UNITS))
    for (name, colour), (x, y) in zip(names, places, strict=True):
        axes.add_patch(Rectangle((x, top + y - 6), 12, 12, linewidth=0, facecolor=np.divide(colour, 255).tolist()))
        _write(axes, x + 18, top + y, name, 12, "left", room)
    _write(axes, _UNITS - 24, bottom - 14, note, 12, "right", _UNITS - 48)


def _write(
    axes: "Axes",
    x: float,
    y: float,
    text: str,
    size: float,
    align: str,
    room: float,
    *,
    weight: str = "normal",
    color: str = _INK,
) -> "Text":
    return axes.text(
        x,
        y,
        fitted(text, size, room, bold=weight == "bold"),
        fontsize=size * 0.72,  # points; 100 units are an inch of 72 points
        ha=align,
        va="center",
        weight=weight,
        color=color,
        fontfamily=["DejaVu Sans", "sans-serif"],
        parse_math=False,
    )
