"""What the explorer page paints with: the pixel map, meshes and regions of a subject, made small."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...atlas.search.atlas import Atlas
from ...viz.render import palette
from ...viz.render.overlay import name_anchors
from .packed_arrays import pack
from .subject_cortex import PAGE_WIDTH, SubjectCortex

EMPTY, OUTSIDE = -1, -2
"""In place of a voxel: cortex that shows none of the subject's voxels, and no cortex."""

_STEPS = 65535


def pixel_map(cortex: SubjectCortex, width: int = PAGE_WIDTH) -> bytes:
    """The flat map of the page as packed arrays.

    Header: width, height. Arrays: voxel, int32[h · w], the number of the voxel that each pixel shows, or EMPTY or
    OUTSIDE; curvature, uint8[h · w] from sulcus (0) to gyrus (255), in as few steps as the pictures show.

    Raises:
        NotFoundError: the subject has no flat map.
    """
    pixels = cortex.pixels(width)
    voxel = np.where(pixels.inside, _voxels(cortex)[pixels.index], np.int32(OUTSIDE))
    steps = (palette.shades(pixels.curvature) - palette.FIRST_SHADE) * (255 / (palette.SHADES - 1))
    size = {"width": pixels.width, "height": pixels.height}
    return pack(size, {"voxel": voxel, "curvature": steps.astype(np.uint8)})


def mesh(cortex: SubjectCortex, kind: str) -> bytes:
    """One kind of surface of both hemispheres, left vertices first, for a 3-D view, as packed arrays.

    Header: n_left (vertices), n_faces[4] (those of the left hemisphere that the flat map has, its other ones, the same
    of the right hemisphere), flat_mm[2] (width and height of the flat map), low[3], step[3]. Arrays: position,
    uint16[n · 3] (low + step · number is in mm: x right, y anterior, z superior); curvature, uint8[n]; voxel, int32[n],
    the number of the voxel that each vertex shows, or EMPTY; corner, uint32[n_faces · 3], in that order; flat,
    uint16[n · 2], where each vertex lies in the page's `pixel_map`: 65535ths of its width and height from top left,
    without meaning for vertices that the flat map leaves out; empty without a flat map.

    Args:
        cortex: the subject.
        kind: inflated, pia, wm, fiducial or flat.

    Raises:
        NotFoundError: no such kind of surface.
    """
    surface = cortex.surface
    shape = surface.mesh(kind)
    used = shape.points[np.unique(shape.faces)]
    low, high = used.min(0), used.max(0)
    step = np.maximum(high - low, 1e-6) / _STEPS
    right = shape.faces[:, 0] >= surface.n_vertices[0]
    flat, flat_mm, in_flat = np.empty((0, 2)), (0.0, 0.0), np.zeros(len(right), np.bool_)
    if surface.has_flat:
        layout = surface.flat_layout()
        span = np.array(cortex.pixels(PAGE_WIDTH).shape[::-1])
        # Fractions of the layout end at the middles of the outermost pixels.
        flat = ((layout["picture"] * (1, -1) + (0, 1)) * (span - 1) + 0.5) / span
        flat_mm = (layout["size"] * span / (span - 1)).tolist()
        in_flat = np.isin(_face_keys(shape.faces), _face_keys(surface.mesh("flat").faces))
    header = {
        "n_left": surface.n_vertices[0],
        "n_faces": [int(((right == side) & (in_flat == on)).sum()) for side in (False, True) for on in (True, False)],
        "flat_mm": flat_mm,
        "low": low.astype(np.float32).tolist(),
        "step": step.astype(np.float32).tolist(),
    }
    arrays = {
        "position": np.rint((shape.points - low) / step).clip(0, _STEPS).astype(np.uint16),
        "curvature": surface.vertex_curvature(),
        "voxel": _voxels(cortex)[surface.vertex_cells()],
        "corner": shape.faces[np.lexsort((~in_flat, right))].astype(np.uint32),
        "flat": np.rint(flat * _STEPS).clip(0, _STEPS).astype(np.uint16),
    }
    return pack(header, arrays)


def _face_keys(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number for each face, whatever corner it begins with."""
    first, second, third = np.sort(faces, axis=1).astype(np.int64).T
    keys: NDArray[np.int64] = (first << 42) + (second << 21) + third
    return keys


def regions(atlas: Atlas, cortex: SubjectCortex) -> bytes:
    """Every ROI of a subject that is drawn on its surface or has voxels, as JSON.

    Paths are x, y, x, y …; they and the places that names belong to are fractions of the flat map's width and height
    from its top left corner. Third beside such a place is its rank: which name chooses its room first.
    """
    known = atlas.sql(
        "SELECT r.roi, r.source, r.description, list(v.voxel ORDER BY v.voxel) FILTER (v.voxel IS NOT NULL) AS voxels "
        "FROM roi r LEFT JOIN voxel_roi v USING (subject_id, roi) WHERE r.subject_id = ? GROUP BY ALL",
        [cortex.subject_id],
    )
    stored = {row["roi"]: row for row in known.iter_rows(named=True)}
    surface = cortex.surface
    # A subject without a flat map has regions all the same; its page shows them in 3-D.
    outlines, (height, width) = (
        (cortex.outlines, cortex.pixels(PAGE_WIDTH).shape) if surface.has_flat else ({}, (PAGE_WIDTH, PAGE_WIDTH))
    )
    places: dict[str, list[list[float]]] = {name: [] for name in outlines}
    for rank, (name, x, y) in enumerate(name_anchors(outlines, (height, width))):
        places[name].append([round(x / width, 5), round(y / height, 5), rank])
    rois = [
        {
            "name": name,
            "source": row["source"],
            "description": row["description"],
            "voxels": row["voxels"] or [],
            "paths": [np.round(path.astype(float), 5).ravel().tolist() for path in outlines.get(name, ())],
            "names": places.get(name, []),
        }
        for name, row in (
            (name, stored.get(name) or _not_stored(cortex, name)) for name in sorted({*stored, *outlines, *cortex.rois})
        )
    ]
    solid = sorted(surface.kinds - {"flat"}, key=lambda kind: (kind != "inflated", kind))
    answer = {"subject": cortex.subject_id, "flat": surface.has_flat, "surfaces": solid, "rois": rois}
    return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()


def _not_stored(cortex: SubjectCortex, name: str) -> Mapping[str, object]:
    """What is known of a region that is not in the atlas: it is drawn on the surface, or is a group's."""
    if name not in cortex.rois:
        return {"source": "drawn", "description": "", "voxels": []}
    voxels = np.flatnonzero(cortex.rois[name][cortex.cells]).tolist()
    return {
        "source": "group",
        "description": "At least half of the subjects who have it have it here.",
        "voxels": voxels,
    }


def _voxels(cortex: SubjectCortex) -> NDArray[np.int32]:
    """The number of the voxel that each cell is, or EMPTY; one more entry at the end, so that cell -1 is EMPTY, too."""
    voxels = np.full(cortex.surface.n_cells + 1, EMPTY, np.int32)
    voxels[cortex.cells] = np.arange(cortex.n_voxels, dtype=np.int32)
    return voxels
