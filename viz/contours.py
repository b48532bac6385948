"""Outlines of regions that nobody drew: lines around the pixels that show their cells."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from viz.overlay import Outlines

_SMALLEST = 12.0
"""Square pixels; smaller patches, single pixels of a fold for one, get no line."""


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
        inside = np.append(members, False)[shown].astype(np.uint8)
        lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        paths = [line[:, 0] for line in lines if cv2.contourArea(line) > _SMALLEST]
        if paths:
            found[name] = [((path + 0.5) / (width, height)).astype(np.float32) for path in paths]
    return found
