"""Regions of interest as the two tables that name them: `roi` and `voxel_roi`."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from .interface import Dataset

SELECTIVE = "selective"
"""The ROI that is the union of the paper's category-selective ones, those of them that a subject has."""
FLOC = "floc"
"""The ROI of the paper's released code: every voxel with a label of the localiser."""
FOOD = "FOOD"
_PAPERS = ("FFA", "EBA", "RSC", "VWFA", FOOD)


Source = Literal["localiser", "contrast", "drawn", "atlas", "user", "simulated"]


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


def unions(parts: Sequence[Region], taken: Container[str]) -> list[Region]:
    """FFA of FFA-1 and FFA-2, V1 of V1v and V1d, but for names that are taken."""
    wholes: dict[str, list[Region]] = {}
    for region in parts:
        if match := re.fullmatch(r"(.+)-\d+|(V\d)[vd]", region.roi):
            wholes.setdefault(match[1] or match[2], []).append(region)
    return [
        union(whole, members, "union of " + ", ".join(region.roi for region in members))
        for whole, members in wholes.items()
        if whole not in taken
    ]


def selective(regions: Sequence[Region]) -> list[Region]:
    """The region `selective` of a subject that has these regions; none where none of the paper's five is there."""
    members = [region for region in regions if region.roi in _PAPERS and region.inside.any()]
    if not members:
        return []
    names = [region.roi for region in members]
    lacking = "".join(f"; there is no {name}" for name in _PAPERS if name not in names)
    return [union(SELECTIVE, members, f"union of {', '.join(names)}{lacking}")]


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


def voxels_in(dataset: Dataset, rois: Sequence[str]) -> NDArray[np.int32]:
    """Numbers of the voxels that are in any of some regions, ascending; all of them where none is named.

    Raises:
        NotFoundError: an unknown region; the message lists the known ones.
        BadInputError: there is no such voxel.
    """
    require_rois(dataset, rois)
    inside = dataset.voxel_rois.filter(pl.col("roi").is_in(list(rois))) if rois else dataset.voxels
    if inside.is_empty():
        raise BadInputError(f"{dataset.subject.subject_id} has no voxel in {', '.join(rois) or 'its mask'}.")
    return inside["voxel"].unique().sort().to_numpy().astype(np.int32)


def require_rois(dataset: Dataset, rois: Sequence[str]) -> None:
    """Refuse regions that a subject has not.

    Raises:
        NotFoundError: one of them; the message lists the known ones.
    """
    known = dataset.rois["roi"].to_list()
    if unknown := [roi for roi in rois if roi not in known]:
        has = ", ".join(known) or "none"
        raise NotFoundError(f"{dataset.subject.subject_id} has no ROI {unknown[0]!r}; it has {has}.")
