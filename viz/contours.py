"""Outlines of regions that nobody drew: lines around the pixels that show their cells."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from viz.overlay import Outlines

_SMALLEST, _SLIVER = 12.0, 0.05
"""Square pixels, and share of the region's largest patch; patches below either, in a fold for one, get no line."""
_SMOOTHING = 1 / 400
"""Standard deviation of the blur that rounds the corners of voxels, in picture widths."""


def contours(shown: NDArray[np.integer], regions: Mapping[str, NDArray[np.bool_]]) -> Outlines:
    """Draw regions around what a picture shows of them.

    Args:
        shown: (h, w) the cell or vertex that each pixel shows, -1 for none.
        regions: Region → (n,) bool, which cells or vertices belong to it.
    """
    import cv2

    height, width = shown.shape
    found: dict[str, list[NDArray[np.float32]]] = {}
    for name, members in regions.items():
        inside = np.append(members, False)[shown].astype(np.float32)
        rounded = (cv2.GaussianBlur(inside, (0, 0), width * _SMOOTHING) > 0.5).astype(np.uint8)
        lines, _ = cv2.findContours(rounded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        areas = [cv2.contourArea(line) for line in lines]
        least = max(_SMALLEST, _SLIVER * max(areas, default=0))
        paths = [line[:, 0] for line, area in zip(lines, areas, strict=True) if area > least]
        if paths:
            found[name] = [((path + 0.5) / (width, height)).astype(np.float32) for path in paths]
    return found
