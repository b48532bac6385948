"""Flat maps as PNG: a gather through the pixel map, a palette, lines on top. A millisecond or two when warm.

Pictures of scalars are palette images (200 colours of the colormap). Pictures whose voxels have an opacity or a colour
each are true-colour ones, made more slowly by the same steps.
"""

import numpy as np

from ..surfaces.surface import PixelMap
from . import legend, palette
from .colormaps import fit_scale
from .overlay import Outlines
from .paint import Bytes, Floats, Paint, shown_values, slots
from .png import palette_png, rgba_png

RENDERER_VERSION = 1
"""Goes up when the same request gives another picture, so that old addresses are not taken for new ones."""


def picture_height(pixel_map: PixelMap, *, title: bool, colorbar: bool) -> int:
    """Height in pixels of what `render` makes, with or without a title and a colour bar."""
    strips = (legend.TITLE_UNITS, title), (legend.SCALE_UNITS, colorbar)
    return pixel_map.height + sum(legend.strip_height(units, pixel_map.width) for units, there in strips if there)


def render(
    values: Floats,
    pixel_map: PixelMap,
    *,
    width: int | None = None,
    colormap: str = "auto",
    vmin: float | None = None,
    vmax: float | None = None,
    alpha: Floats | None = None,
    outlines: Outlines | None = None,
    names: bool = True,
    title: str = "",
    colorbar: str = "",
    note: str = "",
    transparent: bool = False,
) -> bytes:
    """Draw one value per voxel or vertex on the flat map, as a PNG.

    Args:
        values: (n_cells,) float32; curvature is shown where it is NaN. Infinite values get the colours of the ends.
        pixel_map: From `Surface.pixel_map`.
        width: Pixels; None for the pixel map's own width. Another width is made from it by the nearest pixel.
        colormap: A colormap of matplotlib; "auto" takes RdBu_r when values have both signs, else viridis.
        vmin: Value of the first colour; None to choose from the values (about 0 for diverging colormaps).
        vmax: Value of the last colour; None to choose.
        alpha: (n_cells,) opacity, 0 to 1, for example R² divided by its maximum; None for opaque.
        outlines: From `Surface.roi_outlines`, all or some of them; None for no lines.
        names: Whether ROIs bear their names, where there is room.
        title: Text above; "" for none.
        colorbar: Quantity and unit at the colour bar, for example "similarity to cake (cosine)"; "" for no colour bar.
        note: Text at the right of the colour bar, for example "simulated subject".
        transparent: Clear instead of white around the cortex.

    Raises:
        SpaceMismatchError: As many values as this surface and transform have not.
        BadInputError: vmin is not below vmax.
    """
    pixel_map = pixel_map.at(width)
    shown = shown_values(values, pixel_map)
    scale = fit_scale(shown, colormap, vmin, vmax)
    table = palette.palette(scale.colormap, transparent)
    above = legend.title_strip(title, pixel_map.width) if title else None
    below = legend.scale_strip(scale, colorbar, note, pixel_map.width) if colorbar else None
    if alpha is None and pixel_map.light is None:
        lines = slots(shown, scale, pixel_map, outlines, names)
        return palette_png(_stacked(_with_filter_byte(above), lines, _with_filter_byte(below)), table)
    paint = Paint.of_values(shown, scale, alpha, pixel_map)
    picture = paint.pixels(pixel_map, outlines, names, transparent=transparent)
    return rgba_png(_stacked(_coloured(above, table), picture, _coloured(below, table)))


def render_colours(
    rgb: Floats,
    pixel_map: PixelMap,
    *,
    width: int | None = None,
    alpha: Floats | None = None,
    outlines: Outlines | None = None,
    names: bool = True,
    title: str = "",
    legend_names: legend.Names = (),
    note: str = "",
    transparent: bool = False,
) -> bytes:
    """Draw one colour per voxel or vertex on the flat map, as a PNG: UMAP colours of labels, for one.

    Args:
        rgb: (n_cells, 3) float32, red, green and blue from 0 to 1; curvature is shown where one is NaN.
        legend_names: Names and their colours, drawn below.
        pixel_map: From `Surface.pixel_map`.
        width: As for `render`.
        alpha: As for `render`.
        outlines: As for `render`.
        names: As for `render`.
        title: As for `render`.
        note: Text at the right, below the names.
        transparent: As for `render`.

    Raises:
        SpaceMismatchError: As many colours as this surface and transform have not.
    """
    pixel_map = pixel_map.at(width)
    paint = Paint.of_colours(rgb, alpha, pixel_map)
    picture = paint.pixels(pixel_map, outlines, names, transparent=transparent)
    above = legend.title_strip(title, pixel_map.width) if title else None
    below = legend.names_strip(legend_names, note, pixel_map.width) if legend_names or note else None
    return rgba_png(_stacked(_coloured(above, palette.palette("viridis", transparent)), picture, below))


def _with_filter_byte(strip: Bytes | None) -> Bytes | None:
    return None if strip is None else np.pad(strip, ((0, 0), (1, 0)))


def _coloured(strip: Bytes | None, table: Bytes) -> Bytes | None:
    return None if strip is None else table[strip]


def _stacked(*parts: Bytes | None) -> Bytes:
    there = [part for part in parts if part is not None]
    return there[0] if len(there) == 1 else np.concatenate(there)
