"""The slow part of surface.py, run once per subject: flat maps to pixels, overlays to outlines and regions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon, make_valid, unary_union  # type: ignore[import-untyped]

from . import filestore
from .pixel_map import Outlines
from .raster import Mesh, rasterise

Arrays = dict[str, NDArray[Any]]
Points = NDArray[np.float64]
VoxelsBetween = Callable[[NDArray[np.integer], Points], NDArray[np.int64]]
"""From corners of triangles (n, 3) and their weights (n, 3) to the voxels that these points of the cortex lie in."""
Under = tuple[NDArray[np.intp], NDArray[np.integer], Points]
"""Pixels, the corners of the triangles under them and their weights, as `under_pixels` gives them."""

_SLIVER = 0.1  # smaller pieces of an outline that the cortex's edge cuts off are left out


def flat_layout(flat: Mesh, cache: Path) -> Arrays:
    """What every width of flat map shares.

    Args:
        flat: the flat surface.
        cache: folder of the caches.

    Returns:
        picture: (n_vertices, 2) places, as fractions of the picture's width and height, from bottom left.
        size: (2,) its width and height in mm.
        used: Vertices that the flat map has.
        simplices: (m, 3) positions in `used`: Delaunay triangles of the flat map, between which pycortex interpolates.
        edge:0, edge:1: the outline of each hemisphere, as places.
    """
    from scipy.spatial import Delaunay

    # pycortex takes the extent of all vertices, also of those that the flat map leaves out; overlays.svg does, too.
    low, high = flat.points[:, :2].min(0), flat.points[:, :2].max(0)
    picture = (flat.points[:, :2] - low) / (high - low)
    used = np.unique(flat.faces)
    edges = np.sort(flat.faces[:, [0, 1, 1, 2, 0, 2]].reshape(-1, 2), axis=1)
    edges, times = np.unique(edges, axis=0, return_counts=True)
    outlines = filestore.pycortex(cache).polyutils.trace_poly(edges[times == 1].tolist())
    return {
        "picture": picture,
        "size": high - low,
        "used": used,
        "simplices": Delaunay(flat.points[used, :2]).simplices.astype(np.int32),
        **{f"edge:{number}": picture[outline] for number, outline in enumerate(outlines)},
    }


def pixel_map(layout: Arrays, curvature: NDArray[np.uint8], width: int, voxels: VoxelsBetween | None) -> Arrays:
    """index, curvature and inside of a `PixelMap` on the grid of pycortex's quickflat; of vertices where no voxels."""
    from scipy.spatial import cKDTree

    # The one for which pycortex comes to this width.
    height = int(np.ceil(width * layout["size"][1] / layout["size"][0]))
    inside = _inside(layout, (height, width))
    rows, columns = np.nonzero(inside)
    span = np.array([width - 1, height - 1])
    aspect = layout["size"] / span
    places = _places(layout, inside.shape)
    vertices = layout["used"][cKDTree(places * aspect).query(np.column_stack([columns, rows]) * aspect)[1]]
    cells = vertices
    if voxels is not None:
        pixels, corners, weights = under_pixels(layout, inside)
        cells = np.full(inside.size, -1, np.int64)
        cells[pixels] = voxels(corners, weights)
        cells = cells[inside.ravel()]
    index = np.full(inside.shape, -1, np.int32)
    index[inside] = cells
    shade = np.full(inside.shape, 127, np.uint8)
    shade[inside] = curvature[vertices]
    return {"index": index, "curvature": shade, "inside": inside}


def blend(
    values: NDArray[np.float32], n_pixels: int, under: Under, depths: Sequence[VoxelsBetween]
) -> NDArray[np.float32]:
    """Means (n_pixels, k) of values (n_cells, k) over depths; what is NaN does not count, and is left where all is."""
    pixels, corners, weights = under
    padded = np.concatenate([values, np.full_like(values[:1], np.nan)])
    total, known = (np.zeros((len(pixels), values.shape[1])) for _ in range(2))
    for voxels in depths:
        found = padded[voxels(corners, weights)]
        there = ~np.isnan(found)
        total += np.where(there, found, 0)
        known += there
    means = np.full((n_pixels, values.shape[1]), np.nan, np.float32)
    means[pixels] = np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
    return means


def under_pixels(layout: Arrays, inside: NDArray[np.bool_]) -> Under:
    """What part of the cortex each pixel of a flat map shows.

    Args:
        layout: what `flat_layout` gives.
        inside: (h, w) which pixels are cortex.

    Returns:
        pixels: (k,) positions, row · width + column, of those that a triangle of the flat map covers.
        corners: (k, 3) the vertices at the triangle's corners.
        weights: (k, 3) barycentric coordinates of the pixel's centre in it.
    """
    simplices = layout["simplices"]
    pixels, triangles, weights = rasterise(_places(layout, inside.shape), simplices, inside.shape)
    kept = inside.ravel()[pixels]
    return pixels[kept], layout["used"][simplices[triangles[kept]]], weights[kept]


def outlines(layout: Arrays, file: Path, cache: Path) -> Arrays:
    """The closed paths of each ROI in an overlays.svg, named "ROI|0", "ROI|1" …, as fractions of the picture."""
    edges = [layout[f"edge:{number}"] * (1, -1) + (0, 1) for number in range(2)]
    cortex = unary_union([make_valid(Polygon(edge)) for edge in edges]).buffer(0.0005)
    overlay = filestore.overlay(file, cache)
    paths: Arrays = {}
    for name, shape in overlay.rois.shapes.items():
        polygons = [polygon for spline in shape.splines for polygon in spline.to_polygons(closed_only=True)]
        number = 0
        for polygon in polygons:
            # People draw over the edge of the cortex; pycortex clips their lines to it, and so do we.
            drawn = make_valid(Polygon(polygon / overlay.svgshape)).intersection(cortex)
            parts = [part for part in getattr(drawn, "geoms", [drawn]) if isinstance(part, Polygon)]
            largest = max((part.area for part in parts), default=0)
            for part in parts:
                if part.area > _SLIVER * largest:
                    paths[f"{name}|{number}"] = np.asarray(part.exterior.coords, np.float32)
                    number += 1
    return paths


def members(layout: Arrays, outlines: Outlines, cells: NDArray[np.int32]) -> Arrays:
    """Arrays `roi:NAME`: the cells that vertices within the outlines show, as positions."""
    from matplotlib.path import Path as Polyline

    used = layout["used"]
    places = layout["picture"][used] * (1, -1) + (0, 1)
    arrays: Arrays = {}
    for name, paths in outlines.items():
        inside = cells[used[np.any([Polyline(path).contains_points(places) for path in paths], axis=0)]]
        arrays[f"roi:{name}"] = np.unique(inside[inside >= 0])
    return arrays


def _places(layout: Arrays, shape: tuple[int, ...]) -> Points:
    """Where the flat map's vertices lie, (n_used, 2) pixels from top left."""
    height, width = shape
    places: Points = layout["picture"][layout["used"]] * (width - 1, height - 1)
    places[:, 1] = height - 1 - places[:, 1]
    return places


def _inside(layout: Arrays, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels within the outline of either hemisphere."""
    height, width = shape
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    scale = layout["size"] * (height / layout["size"][1])  # pycortex scales both axes by the height
    for number in range(2):
        draw.polygon((layout[f"edge:{number}"] * scale).ravel().tolist(), fill=255)
    return np.array(picture)[::-1] > 0
