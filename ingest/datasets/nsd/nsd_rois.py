"""Regions of interest of NSD: names of the labels, localiser thresholds, unions and a user's food region."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ..rois import SELECTIVE, Region, Source, union
from ..vertices import SurfaceVertices
from ..volumes import VolumeVoxels
from .subject_maps import NAMES, SubjectMaps

LOCALISERS = {"floc-faces": "faces", "floc-bodies": "bodies", "floc-places": "places", "floc-words": "word"}
"""Label file → category of the localiser contrast that its labels were drawn on."""
_DRAWN = ("prf-visualrois", "nsdgeneral")


def regions(maps: SubjectMaps, threshold: float | None, food: Path | None) -> list[Region]:
    """All regions of a subject.

    They are every label; unions of parts, as FFA of FFA-1 and FFA-2; every label file as a whole; and `selective`, the
    union of the localiser's regions and the food region.

    Args:
        maps: the subject's maps.
        threshold: t that a voxel must exceed to be in a localiser region; None means 0, at which they were drawn.
        food: the user's food region: a mask, or a list of voxels.

    Raises:
        NotFoundError: a threshold is given and a localiser map is missing, or there is no `food`.
        BadInputError: labels without a name, or no food region that makes sense.
    """
    every: list[Region] = []
    selective: list[Region] = []
    for name in maps.label_files():
        parts = _labelled(maps, name, threshold)
        every += parts
        if name in LOCALISERS or name in _DRAWN:
            every += _unions(parts, {region.roi for region in every})
        if parts and name not in {part.roi for part in parts}:
            every.append(union(name, parts, f"every label of {name}"))
        if name in LOCALISERS:
            selective += parts
    if food is not None:
        selective.append(food_region(maps.cells, food))
        every.append(selective[-1])
    if selective:
        every.append(union(SELECTIVE, selective, "union of " + ", ".join(dict.fromkeys(r.roi for r in selective))))
    return every


def _labelled(maps: SubjectMaps, name: str, threshold: float | None) -> list[Region]:
    values = maps.labels(name)
    t = maps.localiser(LOCALISERS[name]) if name in LOCALISERS else None
    if name in LOCALISERS and t is None and threshold is not None:
        raise NotFoundError(
            f"the localiser map of {LOCALISERS[name]} is not there, which --localizer-t {threshold} needs; download it "
            "from NSD or leave the setting out."
        )
    names = _names(maps.ctab(name), name, {int(v) for v in np.unique(values[values > 0])})
    # Atlases share names among themselves and with the subject's own regions: HCP_MMP1:V1, streams:early.
    prefix = "" if name in LOCALISERS or name in _DRAWN else f"{name}:"
    labelled = []
    for number, roi in names.items():
        inside, described = values == number, f"label {number} of {name}"
        if t is not None:
            inside &= t > (threshold or 0)
            described += f", localiser t > {threshold or 0:g}"
        elif name in LOCALISERS:
            described += ", as drawn at localiser t > 0"
        source: Source = "localiser" if name in LOCALISERS else "drawn" if name in _DRAWN else "atlas"
        labelled.append(Region(prefix + roi, source, described, inside, t))
    return labelled


def _names(ctab: Path, name: str, used: set[int]) -> dict[int, str]:
    """Label → name, from "number name …" a line, or from the manual."""
    if ctab.exists():
        rows = (line.split() for line in ctab.read_text(encoding="utf-8").splitlines())
        names = {int(row[0]): row[1] for row in rows if len(row) > 1 and row[0].isdigit() and row[0] != "0"}
    else:
        names = dict(enumerate(NAMES.get(name, ()), start=1))
    if unknown := used - set(names):
        raise BadInputError(f"{ctab}: label {min(unknown)} of {name} has no name there; download the file from NSD.")
    return {number: names[number] for number in sorted(used)}


def _unions(parts: list[Region], taken: set[str]) -> list[Region]:
    """FFA of FFA-1 and FFA-2, V1 of V1v and V1d."""
    wholes: dict[str, list[Region]] = {}
    for region in parts:
        if match := re.fullmatch(r"(.+)-\d+|(V\d)[vd]", region.roi):
            wholes.setdefault(match[1] or match[2], []).append(region)
    return [
        union(whole, members, "union of " + ", ".join(region.roi for region in members))
        for whole, members in wholes.items()
        if whole not in taken
    ]


def food_region(cells: VolumeVoxels | SurfaceVertices, path: Path) -> Region:
    """The user's food region (Jain et al. 2023 publish a method and no masks).

    Args:
        cells: the subject's voxels.
        path: a mask that is not 0 inside: NIfTI, or .npy of the shape of the NIfTI image or of all left and then all
            right vertices; or a text file with a voxel a line, "x y z" in a volume and "lh 123" on a surface, from 0.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: it is neither of the two.
        SpaceMismatchError: it belongs to another space.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: there is no such food region; give the path of a mask or of a list of voxels.")
    if path.name.endswith((".nii", ".nii.gz")) and isinstance(cells, VolumeVoxels):
        inside = cells.values(path) > 0
    elif path.suffix == ".npy":
        with readable(path):
            mask = np.load(path)
        expected = cells.shape[::-1] if isinstance(cells, VolumeVoxels) else (sum(cells.shape),)
        if mask.shape != expected:
            raise SpaceMismatchError(
                f"{path}: a mask of shape {mask.shape}, {expected} expected; use one of this space."
            )
        inside = mask.T.ravel()[cells.linear] > 0
    else:
        inside = np.isin(cells.linear, _listed(cells, path))
    if not inside.any():
        raise BadInputError(f"{path}: the food region has no voxel among the subject's; check its space and subject.")
    return Region("FOOD", "user", f"the user's mask {path.name}", inside)


def _listed(cells: VolumeVoxels | SurfaceVertices, path: Path) -> NDArray[np.intp]:
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if isinstance(cells, VolumeVoxels):
            x, y, z = np.array(rows, np.intp).T
            return np.asarray(np.ravel_multi_index((z, y, x), cells.shape), np.intp)
        offset = {"lh": 0, "rh": cells.shape[0]}
        return np.array([offset[side] + int(vertex) for side, vertex in rows], np.intp)
    except (ValueError, KeyError, UnicodeDecodeError):
        example = '"x y z"' if isinstance(cells, VolumeVoxels) else '"lh 123"'
        raise BadInputError(f"{path}: not a list of voxels; write {example}, from 0, one voxel a line.") from None
