"""Outlines that nobody drew: lines around the pixels that show a region's cells, and rings around one cell."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..surfaces.pixel_map import Outlines

_SMALLEST, _SLIVER = 12.0, 0.05
"""Square pixels, and share of the region's largest patch; patches below either, in a fold for one, get no line."""
_RING = 9 / 1024
"""Radius of a ring, in picture widths; the page's."""
_SMOOTHING = 1 / 400
"""Standard deviation of the blur that rounds the corners of voxels, in picture widths."""


def contours(index: NDArray[np.integer], regions: Mapping[str, NDArray[np.bool_]]) -> Outlines:
    """Draw regions around what a picture shows of them.

    Args:
        index: (h, w) the cell or vertex that each pixel shows, -1 for none.
        regions: region → (n,) bool, which cells or vertices belong to it.
    """
    import cv2

    height, width = index.shape
    outlines: dict[str, list[NDArray[np.float32]]] = {}
    for name, members in regions.items():
        inside = np.append(members, False)[index].astype(np.float32)
        rounded = (cv2.GaussianBlur(inside, (0, 0), width * _SMOOTHING) > 0.5).astype(np.uint8)
        lines, _ = cv2.findContours(rounded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        areas = [cv2.contourArea(line) for line in lines]
        least = max(_SMALLEST, _SLIVER * max(areas, default=0))
        paths = [line[:, 0] for line, area in zip(lines, areas, strict=True) if area > least]
        if paths:
            outlines[name] = [((path + 0.5) / (width, height)).astype(np.float32) for path in paths]
    return outlines


def rings(index: NDArray[np.integer], cell: int) -> list[NDArray[np.float32]]:
    """Circles around every patch that shows a cell (a fold can show one twice), as paths of `Outlines`.

    Args:
        index: (h, w) the cell that each pixel shows.
        cell: the one that is marked.
    """
    import cv2

    height, width = index.shape
    _, _, _, middles = cv2.connectedComponentsWithStats((index == cell).astype(np.uint8))
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = _RING * width * np.stack([np.cos(angles), np.sin(angles)], 1)
    return [((middle + 0.5 + circle) / (width, height)).astype(np.float32) for middle in middles[1:]]
