"""Regions of interest of LAION-fMRI: masks under one name, unions, and the paper's selective ones."""

from collections.abc import Mapping
from pathlib import Path

from ....schemas.errors import NotFoundError
from ..rois import FLOC, Region, Source, selective, union, unions
from ..trials import Floats
from ..volumes import VolumeVoxels
from .laion_files import LOCALISERS

_LOCALISED = {
    "face": ("OFA", "FFA-1", "FFA-2", "pSTS-faces"),
    "body": ("EBA", "FBA"),
    "place": ("PPA", "OPA", "MPA", "RSC", "SPL"),
    "character": ("VWFA-1", "VWFA-2", "mfs-words"),
    "object": ("l-objects", "v-objects"),
}
"""Category of a localiser → its regions, at t > 0."""
_CATEGORIES = {name: category for category, names in _LOCALISED.items() for name in names}
_DRAWN = ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "LO1", "LO2", "TO1", "TO2", "VO1", "VO2")
"""Of retinotopy."""
_OTHERS = ("laion-general", "laion-dorsal", "laion-ventral", "laion-lateral")
_NAMES = {name.replace("-", "").lower(): name for name in (*_CATEGORIES, *_DRAWN, *_OTHERS)}
"""The data set's package leaves hyphens out of names (FFA1), the files themselves have them (FFA-1)."""


def regions(
    masks: dict[str, Path], cells: VolumeVoxels, localisers: Mapping[str, Floats], threshold: float | None
) -> list[Region]:
    """All regions of a subject: every mask; unions of parts, as FFA of FFA-1 and FFA-2; `floc`; `selective`.

    MPA is the paper's RSC, and is found by that name, too. `floc` is every voxel of a category's region.

    Args:
        masks: name of a region → its mask.
        cells: the subject's voxels.
        localisers: category → z of every voxel, (n_voxels,), for those whose maps are there.
        threshold: z that a voxel must exceed to be in a localiser's region; None leaves the masks as they were drawn.

    Raises:
        NotFoundError: a threshold is given and the map of a region's localiser is missing.
        BadInputError: a mask is damaged.
        SpaceMismatchError: a mask has another grid than the betas.
    """
    read = [_region(name, path, cells, localisers, threshold) for name, path in masks.items()]
    every = {region.roi: region for region in read}
    if "MPA" in every and "RSC" not in every:
        every["RSC"] = union("RSC", [every["MPA"]], "MPA, which is also called RSC")
    parts = list(every.values())
    wholes = [*parts, *unions(parts, every)]
    floc = [region for region in parts if region.source == "localiser"]
    if floc:
        wholes.append(union(FLOC, floc, "every region of the category localisers"))
    return [*wholes, *selective(wholes)]


def _region(
    name: str, path: Path, cells: VolumeVoxels, localisers: Mapping[str, Floats], threshold: float | None
) -> Region:
    roi = _NAMES.get(name.replace("-", "").lower(), name)
    # Newer files lie in a folder of their category.
    category = path.parent.name if path.parent.name in LOCALISERS else _CATEGORIES.get(roi)
    inside, described = cells.values(path) > 0, f"the mask {path.name}"
    if category is None:
        source: Source = "drawn" if roi in _DRAWN else "atlas"
        return Region(roi, source, described, inside)
    z = localisers.get(category)
    if threshold is None:
        return Region(roi, "localiser", f"{described}, localiser t > 0", inside, z)
    if z is None:
        raise NotFoundError(
            f"the localiser map of {category} is not there, which --localizer-t {threshold:g} needs for {roi}; get it "
            "by laion_fmri.download.download(…, include_localizers=True), or leave the setting out."
        )
    return Region(roi, "localiser", f"{described}, localiser z > {threshold:g}", inside & (z > threshold), z)
