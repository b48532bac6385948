"""Regions of interest as the two tables that name them: `roi` and `voxel_roi`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import NotFoundError

SELECTIVE = "selective"
"""The ROI that is the union of the category-selective ones (BrainLMM, "selective ROI")."""


Source = Literal["localiser", "drawn", "atlas", "user"]


@dataclass(frozen=True)
class Region:
    """One region of interest of a subject."""

    roi: str
    source: Source
    description: str
    inside: NDArray[np.bool_]
    """(n_voxels,)"""
    t: NDArray[np.float32] | None = None
    """Localiser t of every voxel, (n_voxels,); None where the region has none."""


def union(name: str, regions: Sequence[Region], description: str) -> Region:
    """The region that has all voxels of the given ones; its t is theirs where all share one."""
    first = regions[0]
    shared = all(region.t is first.t for region in regions)
    inside = np.logical_or.reduce([region.inside for region in regions])
    return Region(name, first.source, description, inside, first.t if shared else None)


def region_frames(regions: Sequence[Region]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The data set's `rois` (roi, source, description) and `voxel_rois` (voxel, roi, t); empty regions are left out."""
    regions = [region for region in regions if region.inside.any()]
    rois = pl.DataFrame(
        [(region.roi, region.source, region.description) for region in regions],
        schema={"roi": pl.String, "source": pl.String, "description": pl.String},
        orient="row",
    )
    schema = {"voxel": pl.Int32, "roi": pl.String, "t": pl.Float32}
    members = [pl.DataFrame(schema=schema)]
    for region in regions:
        voxels = np.flatnonzero(region.inside).astype(np.int32)
        t = None if region.t is None else region.t[voxels]
        members.append(pl.DataFrame({"voxel": voxels, "roi": region.roi, "t": t}, schema=schema).fill_nan(None))
    return rois, pl.concat(members)


def selected(regions: Sequence[Region], wanted: Sequence[str], n_voxels: int) -> NDArray[np.bool_]:
    """Which voxels are in any of the wanted regions, (n_voxels,); all of them where none is wanted.

    Raises:
        NotFoundError: An unknown region; the message lists the known ones.
    """
    if not wanted:
        return np.ones(n_voxels, np.bool_)
    known = {region.roi: region.inside for region in regions if region.inside.any()}
    if unknown := [roi for roi in wanted if roi not in known]:
        raise NotFoundError(f"there is no ROI {unknown[0]!r}; this subject has {', '.join(known) or 'none'}.")
    return np.asarray(np.logical_or.reduce([known[roi] for roi in wanted]))
