"""Still pictures of the folded or inflated cortex from several sides, made without a display.

A view is a pixel map like a flat one, with light: what each pixel shows is found once by a depth buffer and kept in the
cache, so that another map on the same view is a gather.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...schemas.errors import NotFoundError
from ..surfaces.locked_files import cached
from ..surfaces.pixel_map import PixelMap, check_width, nearest
from ..surfaces.surface import Surface
from . import legend, palette
from .colormaps import fit_scale
from .contours import contours
from .lettering import font
from .paint import Floats, Paint, shown_values
from .png import rgba_png

VIEWS = ("lateral", "medial", "ventral", "posterior", "dorsal", "anterior")
"""Sides that a hemisphere can be seen from."""
DEFAULT_VIEWS = ("lateral", "medial", "ventral", "posterior")


@dataclass(frozen=True, eq=False)
class View:
    """A picture's pixels and what stands beside them.

    Attributes:
        pixels: The cell and the light of each pixel.
        vertex: (h, w) int32, the nearest vertex that each pixel shows, -1 for none.
        captions: (text, x, y): names of the panels and the middles of their upper edges, in pixels.
    """

    pixels: PixelMap
    vertex: NDArray[np.int32]
    captions: tuple[tuple[str, float, float], ...]

    def at(self, width: int) -> "View":
        """This view, or for another width the nearest pixels of it."""
        pixels, scale = self.pixels.at(width), width / self.pixels.width
        vertex = self.vertex[nearest(self.vertex.shape, pixels.shape)]
        return View(pixels, vertex, tuple((text, x * scale, y * scale) for text, x, y in self.captions))


def view(surface: Surface, *, width: int = 1024, kind: str = "inflated", views: Sequence[str] = DEFAULT_VIEWS) -> View:
    """Both hemispheres from some sides, all at one scale.

    Args:
        surface: The subject.
        width: Pixels.
        kind: A kind of surface that the subject has: inflated, pia, wm, fiducial …
        views: Some of `VIEWS`. The left hemisphere stands left, except from below and in front, where it is right.

    Raises:
        NotFoundError: No such kind or view.
        BadInputError: The width is not between 16 and 8,192 pixels.
    """
    check_width(width)
    unknown = [name for name in views if name not in VIEWS]
    if unknown or not views:
        raise NotFoundError(f"There is no view {', '.join(unknown) or '(none given)'}; known are {', '.join(VIEWS)}.")
    if kind not in surface.kinds or kind == "flat":
        solid = ", ".join(sorted(surface.kinds - {"flat"}))
        raise NotFoundError(
            f"Subject {surface.name!r} has no {kind!r} surface to look at from all sides; it has {solid}."
        )
    return _view(surface, width, kind, tuple(dict.fromkeys(views)))


def render(
    values: Floats,
    seen: View,
    *,
    colormap: str = "auto",
    vmin: float | None = None,
    vmax: float | None = None,
    alpha: Floats | None = None,
    rois: Mapping[str, NDArray[np.bool_]] | None = None,
    names: bool = True,
    title: str = "",
    colorbar: str = "",
    note: str = "",
    transparent: bool = False,
) -> bytes:
    """Draw one value per voxel or vertex on a view, as a PNG; see `flatmap.render` for the arguments.

    Args:
        values: (n_cells,) float32; curvature is shown where it is NaN.
        seen: From `view`.
        colormap: A colormap of matplotlib, or "auto".
        vmin: Value of the first colour; None to choose.
        vmax: Value of the last colour; None to choose.
        alpha: (n_cells,) opacity.
        rois: ROI name → (n_vertices,) bool, from `surface.regions(name, None, …)`; None for no outlines.
        names: Whether the ROIs bear their names.
        title: Text above.
        colorbar: Quantity and unit at the colour bar; "" for none.
        note: Text at the right of the colour bar.
        transparent: Clear instead of white around the cortex.

    Raises:
        SpaceMismatchError: As many values as this surface and transform have not.
        BadInputError: vmin is not below vmax.
    """
    pixels = seen.pixels
    shown = shown_values(values, pixels)
    scale = fit_scale(shown, colormap, vmin, vmax)
    picture = _painted(Paint.of_values(shown, scale, alpha, pixels), seen, rois, names, transparent)
    table = palette.palette(scale.colormap, transparent)
    above = [table[legend.title_strip(title, pixels.width)]] if title else []
    below = [table[legend.scale_strip(scale, colorbar, note, pixels.width)]] if colorbar else []
    return rgba_png(np.concatenate([*above, picture, *below]))


def render_colours(
    rgb: Floats,
    seen: View,
    *,
    alpha: Floats | None = None,
    rois: Mapping[str, NDArray[np.bool_]] | None = None,
    names: bool = True,
    title: str = "",
    legend_names: legend.Names = (),
    note: str = "",
    transparent: bool = False,
) -> bytes:
    """Draw one colour per voxel or vertex on a view, as a PNG; see `flatmap.render_colours` for the arguments.

    Args:
        rgb: (n_cells, 3) float32, 0 to 1; curvature is shown where one is NaN.
        seen: From `view`.
        alpha: (n_cells,) opacity.
        rois: As for `render`.
        names: As for `render`.
        title: Text above.
        legend_names: Names and their colours, drawn below.
        note: Text at the right, below the names.
        transparent: Clear instead of white around the cortex.

    Raises:
        SpaceMismatchError: As many colours as this surface and transform have not.
    """
    width = seen.pixels.width
    picture = _painted(Paint.of_colours(rgb, alpha, seen.pixels), seen, rois, names, transparent)
    above = [palette.palette("viridis", transparent)[legend.title_strip(title, width)]] if title else []
    below = [legend.names_strip(legend_names, note, width)] if legend_names or note else []
    return rgba_png(np.concatenate([*above, picture, *below]))


def _painted(
    paint: Paint, seen: View, rois: Mapping[str, NDArray[np.bool_]] | None, names: bool, transparent: bool
) -> NDArray[np.uint8]:
    lines = contours(seen.vertex, rois) if rois else None
    picture = paint.pixels(seen.pixels, lines, names, transparent=transparent)
    return _with_captions(picture, seen.captions)


@lru_cache(maxsize=6)
def _view(surface: Surface, width: int, kind: str, views: tuple[str, ...]) -> View:
    path = surface.folder / f"view-{kind}-{'-'.join(views)}-{surface.transform or 'vertices'}-{width}.npz"

    def build() -> dict[str, NDArray[np.generic]]:
        from ..surfaces import projection

        return projection.view(surface, width, kind, views)

    arrays = cached(path, build)
    pixels = PixelMap(arrays["index"], arrays["curvature"], arrays["vertex"] >= 0, surface.n_cells, arrays["light"])
    captions = zip(arrays["captions"].tolist(), arrays["caption_x"].tolist(), arrays["caption_y"].tolist(), strict=True)
    return View(pixels, arrays["vertex"], tuple(captions))


def _with_captions(picture: NDArray[np.uint8], captions: Sequence[tuple[str, float, float]]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(7.0, 12 * picture.shape[1] / 1024)
    for text, x, y in captions:
        draw.text((x, y), text, (95, 95, 95, 255), font(size, bold=False), "mm")
    return np.asarray(image)
