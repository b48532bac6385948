"""What a picture of the cortex shows and how: the one request that files of every kind are drawn from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..surfaces.pixel_map import Outlines, PixelMap
from .colormaps import Scale
from .legend import Names, Strip, colour_bar, named_colours, title_line

RENDERER_VERSION = 5
"""Goes up when the same request gives another picture, so that old addresses are not taken for new ones."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One value, or one colour, per voxel or vertex, and what stands around it."""

    values: NDArray[np.float32]
    """(n_cells,) float32, one value per cell: curvature is shown where it is NaN, infinite values get the colours of
    the ends. Or (n_cells, 3) red, green and blue from 0 to 1: curvature where one is NaN.
    """
    scale: Scale | None = None
    """Colormap and range of values; None where they are colours."""
    alpha: NDArray[np.float32] | None = None
    """(n_cells,) opacity, 0 to 1, for example R² divided by its maximum; None for opaque."""
    outlines: Outlines | None = None
    """ROIs to draw, from `Surface.roi_outlines` or `contours`; None for no lines."""
    names: bool = True
    """Whether ROIs bear their names, where there is room."""
    title: str = ""
    """Text above; "" for none."""
    unit: str = ""
    """Quantity and unit at the colour bar, for example "similarity to cake (cosine)"; "" for no colour bar."""
    note: str = ""
    """Text at the right below, for example "simulated subject"."""
    left_out: str = ""
    """Text below the note, or before it where values are colours, of what is not shown."""
    held_to: str = ""
    """Text below that, or before it, of what voxels must pass to be shown."""
    legend: Names = ()
    """Names and the colours that they stand for, drawn below where values are colours."""
    transparent: bool = False
    """Clear instead of white around the cortex."""

    def above(self, width: int) -> list[Strip]:
        """What stands over the cortex in a picture of this width."""
        return [title_line(self.title, width)] if self.title else []

    def below(self, width: int) -> list[Strip]:
        """What stands under the cortex in a picture of this width."""
        if self.scale:
            notes = (self.note, self.left_out, self.held_to)
            return [colour_bar(self.scale, self.unit, notes, width)] if self.unit else []
        note = " · ".join(said for said in (self.held_to, self.left_out, self.note) if said)
        return [named_colours(self.legend, note, width)] if self.legend or note else []

    def height(self, pixels: PixelMap) -> int:
        """Height in pixels of this picture on a pixel map."""
        strips = self.above(pixels.width) + self.below(pixels.width)
        return pixels.height + sum(strip.height for strip in strips)
