"""Triangles to pixels in numpy, with a depth buffer: flat maps and 3-D views alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Faces = NDArray[np.int64]

MOST_CANDIDATES = 4_000_000  # pixels that are tested at once; bounds memory at about half a gigabyte
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of both hemispheres: points (n, 3) float64 in mm, left vertices first; faces (m, 3) int32."""

    points: Points
    faces: NDArray[np.int32]


def rasterise(
    points: Points, faces: Faces, shape: tuple[int, int], depth: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp], Points]:
    """Find the triangle that each pixel centre lies in, the nearest one where several do.

    Args:
        points: (n, 2) x to the right and y downwards, in pixels; (0, 0) is the centre of the top left pixel.
        faces: (m, 3) corners.
        shape: (height, width) of the picture.
        depth: (n,) distance from the viewer; None where triangles do not overlap.

    Returns:
        pixels: (k,) positions, row · width + column, of the pixels that some triangle covers.
        found: (k,) the triangle.
        weights: (k, 3) barycentric coordinates of the pixel's centre in it.
    """
    height, width = shape
    corners = points[faces]
    low = np.maximum(np.ceil(corners.min(1) - _TOLERANCE), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1) + _TOLERANCE), (width - 1, height - 1)).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    n_candidates = size.prod(1)
    cuts = np.searchsorted(np.cumsum(n_candidates), np.arange(MOST_CANDIDATES, n_candidates.sum(), MOST_CANDIDATES))
    owner = np.full(height * width, -1, np.intp)
    best = np.full(height * width, np.inf)
    weights = np.zeros((height * width, 3))
    for chosen in np.split(np.arange(len(faces)), cuts):
        triangle, x, y, share = _covered(chosen, corners, low, size)
        pixel = y * width + x
        distance = np.zeros(len(pixel)) if depth is None else (share * depth[faces[triangle]]).sum(1)
        # The farthest first, so that the nearest is what remains; of equals the first triangle.
        order = np.lexsort((-triangle, -distance))
        order = order[distance[order] < best[pixel[order]]]
        owner[pixel[order]], best[pixel[order]], weights[pixel[order]] = triangle[order], distance[order], share[order]
    pixels = np.flatnonzero(owner >= 0)
    return pixels, owner[pixels], weights[pixels]


def between(points: Points, corners: NDArray[np.integer], weights: Points) -> Points:
    """Points (n, d) on triangles, from the positions (n, 3) of their corners in `points` and the corners' weights."""
    found: Points = np.einsum("nk,nkd->nd", weights, points[corners])
    return found


def _covered(
    chosen: NDArray[np.intp], corners: Points, low: NDArray[np.int64], size: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64], Points]:
    """Triangle, column and row of each pixel that lies in some of the triangles, and its weights in it."""
    count = size[chosen].prod(1)
    triangle = np.repeat(chosen, count)
    step = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    row, column = np.divmod(step, size[triangle, 0])
    x, y = low[triangle, 0] + column, low[triangle, 1] + row
    first, second, third = (corners[:, corner] for corner in range(3))
    edge_1, edge_2 = second - first, third - first
    area = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        dx, dy = x - first[triangle, 0], y - first[triangle, 1]
        w1 = (dx * edge_2[triangle, 1] - dy * edge_2[triangle, 0]) / area[triangle]
        w2 = (dy * edge_1[triangle, 0] - dx * edge_1[triangle, 1]) / area[triangle]
        inside = (w1 >= -_TOLERANCE) & (w2 >= -_TOLERANCE) & (w1 + w2 <= 1 + _TOLERANCE)
    w1, w2 = w1[inside], w2[inside]
    return triangle[inside], x[inside], y[inside], np.column_stack([1 - w1 - w2, w1, w2])
