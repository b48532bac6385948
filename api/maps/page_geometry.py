"""What the explorer page paints with: the pixel map, ROI outlines and meshes, small and in fixed binary layouts.

All numbers are little-endian. Every answer is gzip with no date in it, so that equal content has equal bytes.
"""

import gzip
import struct

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError
from ...viz.render import palette
from ...viz.render.overlay import label_places
from ...viz.surfaces.pixel_map import Outlines
from ...viz.surfaces.surface import Surface

EMPTY, OUTSIDE = -1, -2
"""In place of a row: cortex that shows no cell that was asked for, and no cortex."""

_STEPS = 65535


def pixel_map_bytes(surface: Surface, width: int, cells: NDArray[np.integer]) -> bytes:
    """The flat map as rows of the page's own values.

    Layout: uint32 width, height; int32[h · w] row in `cells` of what the pixel shows, or EMPTY or OUTSIDE;
    uint8[h · w] curvature from sulcus (0) to gyrus (255), in as few steps as the pictures show.

    Args:
        surface: The subject.
        width: Pixels.
        cells: (n,) cells (positions in the volume, or vertices) in the order of the values that the page gets.

    Raises:
        BadInputError: A cell is not on this surface.
        NotFoundError: The subject has no flat map.
    """
    pixels = surface.pixel_map(width)
    rows = np.where(pixels.inside, _rows(surface, cells)[pixels.index], OUTSIDE).astype("<i4")
    header = struct.pack("<II", pixels.width, pixels.height)
    steps = (palette.shades(pixels.curvature) - palette.FIRST_SHADE) * (255 / (palette.SHADES - 1))
    return _gzip(header + rows.tobytes() + steps.astype(np.uint8).tobytes())


def outlines_json(outlines: Outlines, shape: tuple[int, int]) -> dict[str, dict[str, list[list[float]]]]:
    """ROI name → `paths`, each x, y, x, y …, and `names`, the places of its name; fractions of width and height.

    Args:
        outlines: From `Surface.roi_outlines`.
        shape: (height, width) of the flat map, so that names do not overlap at about this size.
    """
    height, width = shape
    found: dict[str, dict[str, list[list[float]]]] = {
        name: {"paths": [np.round(path.astype(float), 5).ravel().tolist() for path in paths], "names": []}
        for name, paths in outlines.items()
    }
    for name, x, y in label_places(outlines, shape, 12 * width / 1024):
        found[name]["names"].append([round(x / width, 5), round(y / height, 5)])
    return found


def mesh_bytes(surface: Surface, kind: str, cells: NDArray[np.integer]) -> bytes:
    """One kind of surface of both hemispheres, for a 3-D view.

    Layout: uint32 n_left, n_vertices, n_faces, 0; float32 low[3], step[3] (position = low + step · number, mm: x right,
    y anterior, z superior); uint16[n_vertices · 3] positions; uint8[n_vertices] curvature, then zeros up to a multiple
    of 4; int32[n_vertices] row in `cells` of what the vertex shows, or EMPTY; uint32[n_faces · 3] corners.

    Args:
        surface: The subject.
        kind: inflated, pia, wm, fiducial or flat.
        cells: As for `pixel_map_bytes`.

    Raises:
        BadInputError: A cell is not on this surface.
        NotFoundError: No such kind of surface.
    """
    mesh = surface.mesh(kind)
    used = mesh.points[np.unique(mesh.faces)]
    low, high = used.min(0), used.max(0)
    step = np.maximum(high - low, 1e-6) / _STEPS
    positions = np.rint((mesh.points - low) / step).clip(0, _STEPS).astype("<u2")
    curvature = surface.vertex_curvature()
    header = struct.pack("<IIII", surface.n_vertices[0], len(mesh.points), len(mesh.faces), 0)
    return _gzip(
        b"".join(
            (
                header,
                low.astype("<f4").tobytes(),
                step.astype("<f4").tobytes(),
                positions.tobytes(),
                b"\0" * (-positions.nbytes % 4),
                curvature.tobytes(),
                b"\0" * (-len(curvature) % 4),
                _rows(surface, cells)[surface.vertex_cells()].astype("<i4").tobytes(),
                mesh.faces.astype("<u4").tobytes(),
            )
        )
    )


def _rows(surface: Surface, cells: NDArray[np.integer]) -> NDArray[np.int32]:
    """Cell → its row in `cells`, or EMPTY; one more entry at the end, so that cell -1 is EMPTY, too."""
    cells = np.asarray(cells, np.int64)
    if cells.ndim != 1 or (len(cells) and not (cells.min() >= 0 and cells.max() < surface.n_cells)):
        raise BadInputError(
            f"Cells of surface {surface.name!r} are numbers from 0 to {surface.n_cells - 1} in one row."
        )
    rows = np.full(surface.n_cells + 1, EMPTY, np.int32)
    rows[cells] = np.arange(len(cells), dtype=np.int32)
    return rows


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=6, mtime=0)
