"""From a value or a colour per cell to the pixels of a picture."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...schemas.errors import SpaceMismatchError
from ..surfaces.pixel_map import PixelMap, View
from . import palette
from .colormaps import Scale, colours
from .lettering import font
from .overlay import overlay
from .picture import Picture

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
_SLOTS = np.arange(256, dtype=np.uint8)


def shown_values(values: Floats, pixels: PixelMap, *, columns: int = 0) -> Floats:
    """The values of the cells that the picture shows, (n,) or (n, columns) float32.

    Raises:
        SpaceMismatchError: there is not one value (or row) for each cell of the surface; the message says what is
            expected.
    """
    array = np.asarray(values, np.float32)
    expected = (pixels.n_cells, columns) if columns else (pixels.n_cells,)
    if array.shape != expected:
        raise SpaceMismatchError(
            f"The map has shape {array.shape}, but this surface and transform take {expected}; "
            "choose the surface and transform that the map was made on."
        )
    return array[pixels.cells]


def slots(picture: Picture, scale: Scale, pixels: PixelMap) -> Bytes:
    """A picture of opaque values as slots of `palette.palette(scale.colormap)`, (h, w)."""
    shown = shown_values(picture.values, pixels)
    colour = palette.colour_slots(scale.colormap)[scale.positions(shown, 256)]
    sources = _sources(pixels, np.packbits(~np.isnan(shown)).tobytes())
    # Every pixel in one gather: numpy writes to scattered places at half the speed. Clipping spares it a check.
    painted: Bytes = np.concatenate([colour, _SLOTS]).take(sources, mode="clip")
    if picture.outlines:
        palette.draw_lines(painted, overlay(picture.outlines, pixels.shape, names=picture.names))
    return painted


def true_colours(picture: Picture, pixels: PixelMap) -> Bytes:
    """A picture as (h, w, 4) RGBA: the cells' colours over the curvature, lit where it is solid, lines on top."""
    rgb, opacity = _paint(picture, pixels)
    image = palette.palette("viridis", picture.transparent)[_shades(pixels)]
    over = np.zeros((len(rgb) + 1, 4), np.float32)
    over[:-1, :3], over[:-1, 3] = rgb * opacity[:, None], opacity
    inside = pixels.inside
    blend = over[_places(pixels)[inside]]
    colour = blend[:, :3] + image[inside, :3] * (1 - blend[:, 3:])
    if isinstance(pixels, View):
        colour *= pixels.light[inside, None] / np.float32(255)
    image[inside, :3] = np.rint(colour).astype(np.uint8)
    if picture.outlines:
        drawn = overlay(picture.outlines, pixels.shape, names=picture.names)
        below = image[drawn.rows, drawn.columns].astype(np.float32)
        white, dark = drawn.white[:, None], drawn.dark[:, None]
        image[drawn.rows, drawn.columns, :3] = np.rint(below[:, :3] * (1 - dark) * (1 - white) + 255 * white)
        image[drawn.rows, drawn.columns, 3] = np.maximum(below[:, 3], 255 * np.maximum(drawn.white, drawn.dark))
    return _captioned(image, pixels) if isinstance(pixels, View) else image


def _captioned(image: Bytes, view: View) -> Bytes:
    drawn = Image.fromarray(image)
    size = max(7.0, 12 * view.width / 1024)
    for text, x, y in view.captions:
        ImageDraw.Draw(drawn).text((x, y), text, (95, 95, 95, 255), font(size, bold=False), "mm")
    return np.asarray(drawn)


def _paint(picture: Picture, pixels: PixelMap) -> tuple[Bytes, Floats]:
    """Colour (n, 3) and opacity (n,) of each of `pixels.cells`."""
    if picture.scale is None:
        shown = shown_values(picture.values, pixels, columns=3)
        painted = np.logical_and.reduce(np.isfinite(shown), axis=1)
        rgb = np.rint(np.where(painted[:, None], shown, 0).clip(0, 1) * 255).astype(np.uint8)
    else:
        shown = shown_values(picture.values, pixels)
        painted = ~np.isnan(shown)
        rgb = colours(picture.scale.colormap)[picture.scale.positions(shown, 256)]
    if picture.alpha is None:
        return rgb, painted.astype(np.float32)
    opacity = np.nan_to_num(shown_values(picture.alpha, pixels)).clip(0, 1)
    return rgb, np.where(painted, opacity, np.float32(0))


@lru_cache(maxsize=8)
def _sources(pixels: PixelMap, has_value: bytes) -> NDArray[np.intp]:
    """Where each pixel's slot comes from; the same in all maps with values at the same cells, as a model's are.

    Args:
        pixels: the picture.
        has_value: one bit for each of `pixels.cells`.

    Returns:
        (h, w) positions in the slots of `pixels.cells`, followed by all slots there are.
    """
    n, places = len(pixels.cells), _places(pixels)
    painted = np.unpackbits(np.frombuffer(has_value, np.uint8), count=n).astype(np.bool_)
    return np.where(np.append(painted, False)[places], places, n + _shades(pixels).astype(np.intp))


def _places(pixels: PixelMap) -> NDArray[np.intp]:
    """(h, w) position in `pixels.cells` of what each pixel shows; their number where it shows none."""
    places = np.full(pixels.n_cells + 1, len(pixels.cells), np.intp)
    places[pixels.cells] = np.arange(len(pixels.cells))
    return places[pixels.index]


def _shades(pixels: PixelMap) -> Bytes:
    """(h, w) palette slots of the curvature, background outside."""
    return np.where(pixels.inside, palette.shades(pixels.curvature), np.uint8(palette.BACKGROUND))
