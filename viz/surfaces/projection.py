"""Views of the solid cortex, worked out once: meshes turned, laid out in panels and rasterised."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .raster import Mesh, between, rasterise
from .unfold import VoxelsBetween

Points = NDArray[np.float64]

VIEWS = ("lateral", "medial", "ventral", "posterior", "dorsal", "anterior")
"""Sides that a hemisphere can be seen from."""
DEFAULT_VIEWS = ("lateral", "medial", "ventral", "posterior")
_UP = {"lateral": 2, "medial": 2, "ventral": 1, "posterior": 2, "dorsal": 1, "anterior": 2}
"""View → the axis that points up in it: anterior (1) or superior (2), of x right, y anterior, z superior."""
_TOWARDS = {"ventral": (0, 0, -1), "posterior": (0, -1, 0), "dorsal": (0, 0, 1), "anterior": (0, 1, 0)}
_AMBIENT = 0.42
_GAP, _CAPTION = 0.012, 0.022  # of the picture's width


def view(
    mesh: Mesh,
    n_left: int,
    curvature: NDArray[np.uint8],
    width: int,
    views: tuple[str, ...],
    voxels: VoxelsBetween | None,
) -> dict[str, NDArray[Any]]:
    """index, curvature, vertex and light (h, w) of a `PixelMap`, and its captions; index is vertex where no voxels."""
    left = mesh.faces[:, 0] < n_left
    panels: list[tuple[str, str, Points, NDArray[np.int32]]] = []
    for name in views:
        sides = [("left", mesh.faces[left]), ("right", mesh.faces[~left])]
        for side, own in sides[::-1] if name in ("ventral", "anterior") else sides:
            panels.append((name, side, _turned(mesh.points, name, side), own))
    places, height, scale = _layout(panels, width)
    shape = (height, width)
    vertex, index = np.full(height * width, -1, np.int32), np.full(height * width, -1, np.int32)
    light = np.zeros(height * width, np.uint8)
    for (_, _, turned, own), (x, y) in zip(panels, places, strict=True):
        used = np.unique(own)
        low, high = turned[used].min(0), turned[used].max(0)
        screen = np.column_stack([x + (turned[:, 0] - low[0]) * scale, y + (high[1] - turned[:, 1]) * scale])
        pixels, triangles, weights = rasterise(screen, own.astype(np.int64), shape, depth=-turned[:, 2])
        corners = own[triangles]
        vertex[pixels] = corners[np.arange(len(corners)), weights.argmax(1)]
        if voxels is not None:
            index[pixels] = voxels(corners, weights)
        normals = between(_normals(turned, own), corners, weights)
        facing = np.abs(normals[:, 2]) / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
        light[pixels] = np.rint(255 * (_AMBIENT + (1 - _AMBIENT) * facing)).astype(np.uint8)
    middles = [
        x + np.ptp(turned[np.unique(own), 0]) * scale / 2
        for (_, _, turned, own), (x, _) in zip(panels, places, strict=True)
    ]
    return {
        "index": (vertex if voxels is None else index).reshape(shape),
        "curvature": np.append(curvature, np.uint8(127))[vertex].reshape(shape),
        "vertex": vertex.reshape(shape),
        "light": light.reshape(shape),
        "captions": np.array([f"{side} {name}" for name, side, _, _ in panels]),
        "caption_x": np.array(middles),
        "caption_y": np.array([y - _CAPTION * width / 2 for _, y in places]),
    }


def _turned(points: Points, view: str, side: str) -> Points:
    """The points seen from one side: x to the right, y upwards, z towards the viewer."""
    outwards = -1 if side == "left" else 1
    towards = np.array(_TOWARDS.get(view, (outwards if view == "lateral" else -outwards, 0, 0)), float)
    up = np.eye(3)[_UP[view]]
    turned: Points = points @ np.column_stack([np.cross(up, towards), up, towards])
    return turned


def _layout(
    panels: list[tuple[str, str, Points, NDArray[np.int32]]], width: int
) -> tuple[list[tuple[float, float]], int, float]:
    """Top left corners of the panels in pixels, the picture's height, and pixels per mm.

    Panels of one view stand side by side; views stand in one column, or from three on in two.
    """
    sizes = [np.ptp(turned[np.unique(faces), :2], axis=0) for _, _, turned, faces in panels]
    pairs = [(first, first + 1) for first in range(0, len(panels), 2)]
    n_columns = 1 if len(pairs) <= 2 else 2
    n_rows = -(-len(pairs) // n_columns)
    columns = [pairs[start : start + n_rows] for start in range(0, len(pairs), n_rows)]
    gap, caption = _GAP * width, _CAPTION * width
    widths = [max(sizes[a][0] + sizes[b][0] for a, b in column) for column in columns]
    scale = (width - gap * (3 * len(columns))) / sum(widths)
    heights = [
        gap + sum(caption + max(sizes[a][1], sizes[b][1]) * scale + gap for a, b in column) for column in columns
    ]
    places: dict[int, tuple[float, float]] = {}
    left = gap
    for column, column_width, column_height in zip(columns, widths, heights, strict=True):
        top = gap + (max(heights) - column_height) / 2
        for a, b in column:
            spare = (column_width - sizes[a][0] - sizes[b][0]) * scale / 2
            places[a] = (left + spare, top + caption)
            places[b] = (left + spare + sizes[a][0] * scale + gap, top + caption)
            top += caption + max(sizes[a][1], sizes[b][1]) * scale + gap
        left += column_width * scale + 3 * gap
    return [places[number] for number in range(len(panels))], int(np.ceil(max(heights))), scale


def _normals(points: Points, faces: NDArray[np.int32]) -> Points:
    """Normals of the vertices, weighted by the area of their triangles; not of unit length."""
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    normal = np.cross(second - first, third - first)
    return np.column_stack(
        [np.bincount(faces.ravel(), np.repeat(normal[:, axis], 3), minlength=len(points)) for axis in range(3)]
    )
