"""From a value or a colour per cell to the pixels of a picture."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import SpaceMismatchError
from ..surfaces.surface import PixelMap
from . import palette
from .colormaps import Scale, colours
from .overlay import Outlines, overlay

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
_SLOTS = np.arange(256, dtype=np.uint8)


def shown_values(values: Floats, pixel_map: PixelMap, *, columns: int = 0) -> Floats:
    """The values of the cells that the picture shows, (n,) or (n, columns) float32.

    Raises:
        SpaceMismatchError: There is not one value (or row) for each cell of the surface; the message says what is
            expected.
    """
    array = np.asarray(values, np.float32)
    expected = (pixel_map.n_values, columns) if columns else (pixel_map.n_values,)
    if array.shape != expected:
        raise SpaceMismatchError(
            f"The map has shape {array.shape}, but this surface and transform take {expected}; "
            "choose the surface and transform that the map was made on."
        )
    if pixel_map.mix is None:
        return array[pixel_map.cells]
    # The mean over the voxels that have a value, as pycortex's.
    there = np.isfinite(array)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (pixel_map.mix @ np.where(there, array, 0)) / (pixel_map.mix @ there.astype(np.float32))
    return np.asarray(means, np.float32)[pixel_map.cells]


def slots(shown: Floats, scale: Scale, pixel_map: PixelMap, outlines: Outlines | None, names: bool) -> Bytes:
    """The picture as slots of `palette.palette(scale.colormap)`, (h, 1 + w); column 0 is PNG's filter byte."""
    colour = palette.colour_slots(scale.colormap)[scale.positions(shown, 256)]
    sources = _sources(pixel_map, np.packbits(~np.isnan(shown)).tobytes())
    # Every pixel in one gather: numpy writes to scattered places at half the speed. Clipping spares it a check.
    lines: Bytes = np.concatenate([colour, _SLOTS]).take(sources, mode="clip")
    if outlines:
        palette.draw_lines(lines, overlay(outlines, pixel_map.shape, names=names))
    return lines


@lru_cache(maxsize=8)
def _sources(pixel_map: PixelMap, has_value: bytes) -> NDArray[np.intp]:
    """Where each pixel's slot comes from; the same in all maps with values at the same cells, as a model's are.

    Args:
        pixel_map: The picture.
        has_value: One bit for each of `pixel_map.cells`.

    Returns:
        (h, 1 + w) positions in the slots of `pixel_map.cells`, followed by all slots there are.
    """
    n = len(pixel_map.cells)
    painted = np.zeros(n + 2, np.bool_)
    painted[:n] = np.unpackbits(np.frombuffer(has_value, np.uint8), count=n)
    return np.where(painted[pixel_map.lines], pixel_map.lines, n + pixel_map.shade_lines.astype(np.intp))


@dataclass(frozen=True, eq=False)
class Paint:
    """A colour and an opacity for each cell that a picture shows.

    Attributes:
        rgb: (n, 3) uint8.
        opacity: (n,) float32, 0 to 1.
    """

    rgb: Bytes
    opacity: Floats

    @classmethod
    def of_values(cls, shown: Floats, scale: Scale, alpha: Floats | None, pixel_map: PixelMap) -> "Paint":
        """Colours of a colormap; nothing where the value is NaN."""
        rgb = colours(scale.colormap)[scale.positions(shown, 256)]
        return cls(rgb, _opacity(alpha, pixel_map, ~np.isnan(shown)))

    @classmethod
    def of_colours(cls, rgb: Floats, alpha: Floats | None, pixel_map: PixelMap) -> "Paint":
        """Colours as they are, (n_cells, 3) from 0 to 1; nothing where one is not finite."""
        shown = shown_values(rgb, pixel_map, columns=3)
        painted = np.logical_and.reduce(np.isfinite(shown), axis=1)
        return cls(
            np.rint(np.where(painted[:, None], shown, 0).clip(0, 1) * 255).astype(np.uint8),
            _opacity(alpha, pixel_map, painted),
        )

    def pixels(self, pixel_map: PixelMap, outlines: Outlines | None, names: bool, *, transparent: bool) -> Bytes:
        """The picture, (h, w, 4) RGBA: the cells' colours over the curvature, lit where it is 3-D, lines on top."""
        picture = palette.palette("viridis", transparent)[pixel_map.shade_lines[:, 1:]]
        over = np.zeros((len(self.rgb) + 2, 4), np.float32)
        over[:-2, :3], over[:-2, 3] = self.rgb * self.opacity[:, None], self.opacity
        inside = pixel_map.inside
        blend = over[pixel_map.lines[:, 1:][inside]]
        colour = blend[:, :3] + picture[inside, :3] * (1 - blend[:, 3:])
        if pixel_map.light is not None:
            colour *= pixel_map.light[inside, None] / np.float32(255)
        picture[inside, :3] = np.rint(colour).astype(np.uint8)
        if outlines:
            drawn = overlay(outlines, pixel_map.shape, names=names)
            below = picture[drawn.rows, drawn.columns].astype(np.float32)
            white, dark = drawn.white[:, None], drawn.dark[:, None]
            picture[drawn.rows, drawn.columns, :3] = np.rint(below[:, :3] * (1 - dark) * (1 - white) + 255 * white)
            picture[drawn.rows, drawn.columns, 3] = np.maximum(below[:, 3], 255 * np.maximum(drawn.white, drawn.dark))
        return picture


def _opacity(alpha: Floats | None, pixel_map: PixelMap, painted: NDArray[np.bool_]) -> Floats:
    if alpha is None:
        return painted.astype(np.float32)
    return np.where(painted, np.nan_to_num(shown_values(alpha, pixel_map)).clip(0, 1), np.float32(0))
