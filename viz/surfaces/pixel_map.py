"""Pixel maps: for each pixel of a picture the voxel or vertex that it shows."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError
from ..render import palette

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MIN_WIDTH, MAX_WIDTH = 16, 8192


def check_width(width: int) -> None:
    """Refuse a picture that nobody can see or that no memory holds.

    Raises:
        BadInputError: The width is not between 16 and 8,192 pixels.
    """
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise BadInputError(f"A picture {width} pixels wide was asked for; take a width from 16 to 8,192.")


@dataclass(frozen=True, eq=False)
class PixelMap:
    """What each pixel of a picture of the cortex shows; row 0 is the top.

    Attributes:
        index: (h, w) int32, the cell (voxel of the volume or vertex) that the pixel shows, -1 for none.
        curvature: (h, w) uint8, mean curvature from sulcus (0) to gyrus (255), 127 where flat.
        inside: (h, w) bool, whether the pixel is cortex.
        n_cells: What `index` counts: voxels of the volume, or vertices.
        light: (h, w) uint8, how much light falls on the pixel, for 3-D views; None for flat maps.
        mix: Where pixels show means over depths: (n_cells, n_values) weights of the voxels in each, and `index` counts
            the pixels; None where a pixel shows one cell.
    """

    index: NDArray[np.int32]
    curvature: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    n_cells: int
    light: NDArray[np.uint8] | None = None
    mix: "csr_array | None" = None

    @property
    def n_values(self) -> int:
        """Values that a map has: voxels in the volume, or vertices."""
        return self.n_cells if self.mix is None else int(self.mix.shape[1])

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

    @cached_property
    def cells(self) -> NDArray[np.intp]:
        """The cells that some pixel shows, in order, (n,): what a page needs values of."""
        seen = np.zeros(self.n_cells + 1, np.bool_)
        seen[self.index] = True
        return np.flatnonzero(seen[:-1])

    @cached_property
    def lines(self) -> NDArray[np.intp]:
        """(h, 1 + w) positions in `cells`; n = len(cells) where cortex shows none, n + 1 outside and in column 0.

        Column 0 stands for the filter byte that a line of a PNG begins with.
        """
        n = len(self.cells)
        places = np.full(self.n_cells + 1, n, np.intp)
        places[self.cells] = np.arange(n)
        lines = np.full((self.height, 1 + self.width), n + 1, np.intp)
        lines[:, 1:][self.inside] = places[self.index[self.inside]]
        return lines

    @cached_property
    def shade_lines(self) -> NDArray[np.uint8]:
        """(h, 1 + w) palette slots of the curvature, background outside and in column 0."""
        lines = np.full((self.height, 1 + self.width), palette.BACKGROUND, np.uint8)
        lines[:, 1:][self.inside] = palette.shades(self.curvature[self.inside])
        return lines

    def at(self, width: int | None) -> "PixelMap":
        """This map, or for another width the nearest pixels of it."""
        return self if width is None or width == self.width else _resampled(self, width)


def nearest(old: tuple[int, int], new: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index that takes a picture of shape `old` to one of shape `new` by the nearest pixels."""
    rows, columns = (
        ((np.arange(after) + 0.5) * before / after).astype(np.intp) for after, before in zip(new, old, strict=True)
    )
    return rows[:, None], columns[None]


@lru_cache(maxsize=8)
def _resampled(pixel_map: PixelMap, width: int) -> PixelMap:
    check_width(width)
    height = max(1, round(pixel_map.height * width / pixel_map.width))
    take = nearest(pixel_map.shape, (height, width))
    return PixelMap(
        pixel_map.index[take],
        pixel_map.curvature[take],
        pixel_map.inside[take],
        pixel_map.n_cells,
        None if pixel_map.light is None else pixel_map.light[take],
        pixel_map.mix,
    )
