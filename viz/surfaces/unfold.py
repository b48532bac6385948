"""The slow part of surface.py, run once per subject: meshes, flat maps to pixels, overlays to outlines and voxels."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon, make_valid, unary_union  # type: ignore[import-untyped]

from . import filestore as stores
from .raster import rasterise

if TYPE_CHECKING:
    from .surface import Outlines, Surface

Arrays = dict[str, NDArray[Any]]
Points = NDArray[np.float64]

_CURVATURE_SMOOTHING = 20.0
_CURVATURE_LIMIT = 0.5  # per mm; pycortex draws curvature between minus and plus this
_SLIVER = 0.1  # smaller pieces of an outline that the cortex's edge cuts off are left out


def mesh(surface: "Surface", kind: str) -> Arrays:
    """Arrays points (n, 3) float64 in mm and faces (m, 3) int32: both hemispheres of one kind of surface, left first.

    Flat maps lie side by side, as pycortex nudges them.
    """
    database = stores.database(surface.subject, surface.cache)
    points, faces = database.get_surf(surface.name, kind, merge=True, nudge=kind == "flat")
    return {"points": np.asarray(points, np.float64), "faces": np.asarray(faces, np.int32)}


def transform(surface: "Surface") -> Arrays:
    """The array matrix (4, 4): from mm on the surface to voxel indices (x, y, z)."""
    database = stores.database(surface.subject, surface.cache)
    return {"matrix": np.asarray(database.get_xfm(surface.name, surface.transform, "coord").xfm, np.float64)}


def curvature(surface: "Surface") -> Arrays:
    """The array `curvature`: mean curvature at each vertex, half-way between white matter and pia."""
    cortex = stores.pycortex(surface.cache)
    database = stores.database(surface.subject, surface.cache)
    hemispheres = []
    for points, faces in database.get_surf(surface.name, "fiducial"):
        hemisphere = cortex.polyutils.Surface(points, faces)
        with warnings.catch_warnings():
            # It hands scipy a matrix in a layout that scipy likes less, and divides by vertices without edges.
            warnings.simplefilter("ignore")
            hemispheres.append(hemisphere.smooth(hemisphere.mean_curvature(), _CURVATURE_SMOOTHING))
    scaled = np.concatenate(hemispheres) / (2 * _CURVATURE_LIMIT) + 0.5
    return {"curvature": np.rint(np.nan_to_num(scaled, nan=0.5).clip(0, 1) * 255).astype(np.uint8)}


def flat_layout(surface: "Surface") -> Arrays:
    """What every width of flat map shares.

    Returns:
        picture: (n_vertices, 2) places, as fractions of the picture's width and height, from bottom left.
        size: (2,) its width and height in mm.
        used: Vertices that the flat map has.
        simplices: (m, 3) positions in `used`: Delaunay triangles of the flat map, between which pycortex interpolates.
        edge:0, edge:1: the outline of each hemisphere, as places.
    """
    from scipy.spatial import Delaunay

    flat = surface.mesh("flat")
    # pycortex takes the extent of all vertices, also of those that the flat map leaves out; overlays.svg does, too.
    low, high = flat.points[:, :2].min(0), flat.points[:, :2].max(0)
    picture = (flat.points[:, :2] - low) / (high - low)
    used = np.unique(flat.faces)
    edges = np.sort(flat.faces[:, [0, 1, 1, 2, 0, 2]].reshape(-1, 2), axis=1)
    edges, times = np.unique(edges, axis=0, return_counts=True)
    outlines = stores.pycortex(surface.cache).polyutils.trace_poly(edges[times == 1].tolist())
    return {
        "picture": picture,
        "size": high - low,
        "used": used,
        "simplices": Delaunay(flat.points[used, :2]).simplices.astype(np.int32),
        **{f"edge:{number}": picture[outline] for number, outline in enumerate(outlines)},
    }


def pixel_map(surface: "Surface", width: int) -> Arrays:
    """index, curvature and inside of `surface.PixelMap`, on the grid that pycortex's quickflat has."""
    from scipy.spatial import cKDTree

    layout = surface.flat_layout()
    inside = _inside(layout, _shape(layout, width))
    height, _ = inside.shape
    rows, columns = np.nonzero(inside)
    span = np.array([width - 1, height - 1])
    aspect = layout["size"] / span
    places = _places(layout, inside.shape)
    vertices = layout["used"][cKDTree(places * aspect).query(np.column_stack([columns, rows]) * aspect)[1]]
    cells = vertices
    if surface.transform:
        pixels, corners, weights = _under_pixels(layout, inside.shape)
        cells = np.full(inside.size, -1, np.int64)
        cells[pixels] = voxels_at(surface, _between(surface.mesh("fiducial").points, corners, weights))
        cells = cells[inside.ravel()]
    index = np.full(inside.shape, -1, np.int32)
    index[inside] = cells
    shade = np.full(inside.shape, 127, np.uint8)
    shade[inside] = surface.vertex_curvature()[vertices]
    return {"index": index, "curvature": shade, "inside": inside}


def depth_mix(surface: "Surface", width: int, depths: int) -> Arrays:
    """Weights of the voxels between white matter and pia under each cortical pixel, as a sparse matrix's arrays."""
    from scipy.sparse import coo_array

    layout = surface.flat_layout()
    inside = _inside(layout, _shape(layout, width))
    pixels, corners, weights = _under_pixels(layout, inside.shape)
    row_of = np.cumsum(inside.ravel()) - 1
    kept = inside.ravel()[pixels]
    rows, corners, weights = row_of[pixels[kept]], corners[kept], weights[kept]
    white, pial = (_between(surface.mesh(kind).points, corners, weights) for kind in ("wm", "pia"))
    within = (voxels_at(surface, white) >= 0) & (voxels_at(surface, pial) >= 0)
    rows, white, pial = rows[within], white[within], pial[within]
    voxels = [voxels_at(surface, pial * t + white * (1 - t)) for t in np.linspace(0, 1, depths + 2)[1:-1]]
    share = np.full(depths * len(rows), 1 / depths, np.float32)
    places = np.tile(rows, depths), np.concatenate(voxels)
    mix = coo_array((share, places), shape=(int(inside.sum()), surface.n_cells)).tocsr()
    return {"data": mix.data, "indices": mix.indices.astype(np.int32), "indptr": mix.indptr.astype(np.int32)}


def vertex_cells(surface: "Surface") -> Arrays:
    """The array `cells`: the voxel that each vertex lies in, half-way between white matter and pia."""
    return {"cells": voxels_at(surface, surface.mesh("fiducial").points).astype(np.int32)}


def outlines(surface: "Surface") -> Arrays:
    """The closed paths of each ROI in overlays.svg, named "ROI|0", "ROI|1" …, as fractions of the picture."""
    file = surface.subject / "overlays.svg"
    if not file.exists():
        return {}
    layout = surface.flat_layout()
    edges = [layout[f"edge:{number}"] * (1, -1) + (0, 1) for number in range(2)]
    cortex = unary_union([make_valid(Polygon(edge)) for edge in edges]).buffer(0.0005)
    overlay = stores.overlay(file, surface.cache)
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


def regions(surface: "Surface", outlines: "Outlines") -> Arrays:
    """Arrays `cortex` and `roi:NAME` : the cells that belong to it, as positions."""
    from matplotlib.path import Path

    cells = surface.vertex_cells()
    on_surface = cells[np.unique(surface.mesh("fiducial").faces)]
    found: Arrays = {"cortex": np.unique(on_surface[on_surface >= 0])}
    if outlines:
        layout = surface.flat_layout()
        used = layout["used"]
        places = layout["picture"][used] * (1, -1) + (0, 1)
        for name, paths in outlines.items():
            members = cells[used[np.any([Path(path).contains_points(places) for path in paths], axis=0)]]
            found[f"roi:{name}"] = np.unique(members[members >= 0])
    return found


def voxels_at(surface: "Surface", points: Points) -> NDArray[np.int64]:
    """The voxel nearest to each point (n, 3) in mm, as a position in the volume; -1 outside of it."""
    matrix = surface.transform_matrix()
    coordinates = points @ matrix[:3, :3].T + matrix[:3, 3]
    within = ((coordinates >= 0) & (coordinates < surface.shape[::-1])).all(1)
    voxels = np.full(len(points), -1, np.int64)
    x, y, z = np.rint(coordinates[within]).astype(np.int64).T
    voxels[within] = np.ravel_multi_index((z, y, x), surface.shape, mode="clip")
    return voxels


def _shape(layout: Arrays, width: int) -> tuple[int, int]:
    """The picture's height and width; the height is the one for which pycortex comes to this width."""
    return int(np.ceil(width * layout["size"][1] / layout["size"][0])), width


def _places(layout: Arrays, shape: tuple[int, int]) -> Points:
    """Where the flat map's vertices lie, (n_used, 2) pixels from top left."""
    height, width = shape
    places: Points = layout["picture"][layout["used"]] * (width - 1, height - 1)
    places[:, 1] = height - 1 - places[:, 1]
    return places


def _under_pixels(layout: Arrays, shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp], Points]:
    """Pixels that a triangle of the flat map covers, the vertices at its corners (n, 3), and their weights (n, 3)."""
    pixels, triangles, weights = rasterise(_places(layout, shape), layout["simplices"], shape)
    return pixels, layout["used"][layout["simplices"][triangles]], weights


def _between(points: Points, corners: NDArray[np.intp], weights: Points) -> Points:
    """Points (n, 3) on triangles, from the weights of their corners."""
    between: Points = np.einsum("nk,nkd->nd", weights, points[corners])
    return between


def _inside(layout: Arrays, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels within the outline of either hemisphere."""
    height, width = shape
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    scale = layout["size"] * (height / layout["size"][1])  # pycortex scales both axes by the height
    for number in range(2):
        draw.polygon((layout[f"edge:{number}"] * scale).ravel().tolist(), fill=255)
    return np.array(picture)[::-1] > 0
