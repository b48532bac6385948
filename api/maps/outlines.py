"""A subject's regions for the page: paths to draw, places of names, voxels inside."""

import json

from ...atlas.search.atlas import Atlas
from ..http.responses import Content
from . import page_geometry as page
from .cortex_places import PAGE_WIDTH, Place


def outlines(atlas: Atlas, place: Place) -> Content:
    """Every ROI of a subject that is drawn on its surface or has voxels, as JSON.

    Coordinates are fractions of the flat map's width and height from its top left corner.
    """
    subject_id = place.subject["subject_id"]
    members = atlas.sql(
        "SELECT r.roi, r.source, r.description, list(v.voxel ORDER BY v.voxel) FILTER (v.voxel IS NOT NULL) AS voxels "
        "FROM roi r LEFT JOIN voxel_roi v USING (subject_id, roi) WHERE r.subject_id = ? GROUP BY ALL",
        [subject_id],
    )
    known = {row["roi"]: row for row in members.iter_rows(named=True)}
    surface = place.surface
    # A subject without a flat map has regions all the same; its page shows them in 3-D.
    drawn = page.outlines_json(place.outlines, place.pixels(PAGE_WIDTH).shape) if surface.has_flat else {}
    regions = [
        {
            "name": name,
            "source": known[name]["source"] if name in known else "drawn",
            "description": known[name]["description"] if name in known else "",
            "voxels": (known[name]["voxels"] or []) if name in known else [],
            **drawn.get(name, {"paths": [], "names": []}),
        }
        for name in sorted({*known, *drawn})
    ]
    solid = sorted(surface.kinds - {"flat"}, key=lambda kind: (kind != "inflated", kind))
    parts = {"subject": subject_id, "flat": surface.has_flat, "surfaces": solid, "rois": regions}
    return Content(json.dumps(parts, separators=(",", ":"), allow_nan=False).encode(), "application/json").prepare()
