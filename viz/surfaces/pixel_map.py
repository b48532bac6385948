"""Pixel maps: for each pixel of a picture the voxel or vertex that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError

Outlines = Mapping[str, list[NDArray[np.float32]]]
"""ROI name → closed paths, (n, 2) float32: x and y as fractions of the picture's width and height, from top left."""
MIN_WIDTH, MAX_WIDTH = 16, 8192


def check_width(width: int) -> None:
    """Refuse a picture that nobody can see or that no memory holds.

    Raises:
        BadInputError: the width is not between 16 and 8,192 pixels.
    """
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise BadInputError(f"A picture {width} pixels wide was asked for; take a width from 16 to 8,192.")


@dataclass(frozen=True, eq=False)
class PixelMap:
    """What each pixel of a picture of the cortex shows; row 0 is the top."""

    index: NDArray[np.int32]
    """(h, w) int32, the cell (voxel of the volume or vertex) that the pixel shows, -1 for none."""
    curvature: NDArray[np.uint8]
    """(h, w) uint8, mean curvature from sulcus (0) to gyrus (255), 127 where flat."""
    inside: NDArray[np.bool_]
    """(h, w) bool, whether the pixel is cortex."""
    n_cells: int
    """What `index` counts: voxels of the volume, or vertices."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.index.shape
        return height, width

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    @cached_property
    def cells(self) -> NDArray[np.intp]:
        """The cells that some pixel shows, in order, (n,): what a page needs values of."""
        seen = np.zeros(self.n_cells + 1, np.bool_)
        seen[self.index] = True
        return np.flatnonzero(seen[:-1])

    def at(self, width: int) -> Self:
        """This map, or for another width the nearest pixels of it."""
        return self if width == self.width else cast("Self", _resampled(self, width))


@dataclass(frozen=True, eq=False, kw_only=True)
class View(PixelMap):
    """Both hemispheres of the solid cortex from some sides."""

    light: NDArray[np.uint8]
    """(h, w) uint8, how much light falls on each pixel."""
    vertex: NDArray[np.int32]
    """(h, w) int32, the nearest vertex that each pixel shows, -1 for none."""
    captions: tuple[tuple[str, float, float], ...]
    """(text, x, y): names of the panels and the middles of their upper edges, in pixels."""


@lru_cache(maxsize=8)
def _resampled(pixel_map: PixelMap, width: int) -> PixelMap:
    check_width(width)
    new = max(1, round(pixel_map.height * width / pixel_map.width)), width
    rows, columns = (
        ((np.arange(after) + 0.5) * before / after).astype(np.intp)
        for after, before in zip(new, pixel_map.shape, strict=True)
    )
    changed: dict[str, Any] = {
        field.name: array[rows[:, None], columns]
        for field in fields(pixel_map)
        if isinstance(array := getattr(pixel_map, field.name), np.ndarray)
    }
    if isinstance(pixel_map, View):
        scale = width / pixel_map.width
        changed["captions"] = tuple((text, x * scale, y * scale) for text, x, y in pixel_map.captions)
    return replace(pixel_map, **changed)
