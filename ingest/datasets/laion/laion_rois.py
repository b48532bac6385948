"""Regions of interest of LAION-fMRI: masks under one name, unions, and the paper's selective ones."""

from pathlib import Path

from ..rois import FLOC, Region, Source, selective, union, unions
from ..volumes import VolumeVoxels

_LOCALISED = (
    *("OFA", "FFA-1", "FFA-2", "pSTS-faces", "EBA", "FBA", "PPA", "OPA", "MPA", "RSC"),
    *("VWFA-1", "VWFA-2", "mfs-words", "l-objects", "v-objects"),
)
"""Of the localisers of categories, at t > 0."""
_DRAWN = ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "LO1", "LO2", "TO1", "TO2", "VO1", "VO2")
"""Of retinotopy."""
_OTHERS = ("laion-general", "laion-dorsal", "laion-ventral", "laion-lateral")
_NAMES = {name.replace("-", "").lower(): name for name in (*_LOCALISED, *_DRAWN, *_OTHERS)}
"""The data set's package leaves hyphens out of names (FFA1), the files themselves have them (FFA-1)."""


def regions(masks: dict[str, Path], cells: VolumeVoxels) -> list[Region]:
    """All regions of a subject: every mask; unions of parts, as FFA of FFA-1 and FFA-2; `floc`; `selective`.

    MPA is the paper's RSC, and is found by that name, too. `floc` is every voxel of a category's region.

    Args:
        masks: name of a region → its mask.
        cells: the subject's voxels.

    Raises:
        BadInputError: a mask is damaged.
        SpaceMismatchError: a mask has another grid than the betas.
    """
    every = {region.roi: region for region in (_region(name, path, cells) for name, path in masks.items())}
    if "MPA" in every and "RSC" not in every:
        every["RSC"] = union("RSC", [every["MPA"]], "MPA, which is also called RSC")
    parts = list(every.values())
    wholes = [*parts, *unions(parts, every)]
    floc = [region for region in parts if region.source == "localiser"]
    if floc:
        wholes.append(union(FLOC, floc, "every region of the category localisers"))
    return [*wholes, *selective(wholes)]


def _region(name: str, path: Path, cells: VolumeVoxels) -> Region:
    roi = _NAMES.get(name.replace("-", "").lower(), name)
    source: Source = "localiser" if roi in _LOCALISED else "drawn" if roi in _DRAWN else "atlas"
    described = f"the mask {path.name}" + (", localiser t > 0" if source == "localiser" else "")
    return Region(roi, source, described, cells.values(path) > 0)
