"""Regions of interest of NSD: names of the labels, localiser thresholds, unions and a user's food region."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..rois import FLOC, Region, Source, selective, union, unions
from ..trials import Floats
from ..vertices import SurfaceVertices, npy_map
from ..volumes import VolumeVoxels

LOCALISERS = {"floc-faces": "faces", "floc-bodies": "bodies", "floc-places": "places", "floc-words": "word"}
"""Label file → category of the localiser contrast that its labels were drawn on."""
_DRAWN = ("prf-visualrois", "nsdgeneral")


class LabelMaps(Protocol):
    """Label files of a subject of NSD, at the subject's voxels."""

    def label_files(self) -> list[str]:
        """Names of those that are there, as in `NAMES` and others."""
        ...

    def labels(self, name: str) -> Floats:
        """Values of one, (n_voxels,): > 0 a label, 0 none, -1 (in volumes) not cortex."""
        ...

    def localiser(self, category: str) -> Floats | None:
        """Localiser t of a category, (n_voxels,); None where the map is not there."""
        ...

    def names(self, name: str, used: set[int]) -> dict[int, str]:
        """Names of a file's labels.

        Raises:
            BadInputError: one of those that are used has none.
        """
        ...


def regions(maps: LabelMaps, threshold: float | None, food: Region | None) -> list[Region]:
    """All regions of a subject.

    They are every label; unions of parts, as FFA of FFA-1 and FFA-2; every label file as a whole; `floc`, every voxel
    with a label of the localiser, which is the released code's; the food region; and `selective`, the paper's.

    Args:
        maps: the subject's maps.
        threshold: t that a voxel must exceed to be in a localiser region; None leaves the labels as they were drawn, at
            t > 0, whether the maps of t are there or not.
        food: the food region, where there is one.

    Raises:
        NotFoundError: a threshold is given and a localiser map is missing.
        BadInputError: labels without a name, or a map of t that is all NaN.
    """
    every: list[Region] = []
    floc: list[Region] = []
    for name in maps.label_files():
        parts = _labelled(maps, name, threshold)
        every += parts
        if name in LOCALISERS or name in _DRAWN:
            every += unions(parts, {region.roi for region in every})
        if parts and name not in {part.roi for part in parts}:
            every.append(union(name, parts, f"every label of {name}"))
        if name in LOCALISERS:
            floc += parts
    if floc:
        every.append(union(FLOC, floc, "every label of the localiser"))
    if food is not None:
        every.append(food)
    return [*every, *selective(every)]


def _labelled(maps: LabelMaps, name: str, threshold: float | None) -> list[Region]:
    values = maps.labels(name)
    t = maps.localiser(LOCALISERS[name]) if name in LOCALISERS else None
    if name in LOCALISERS and t is None and threshold is not None:
        raise NotFoundError(
            f"the localiser map of {LOCALISERS[name]} is not there, which --localizer-t {threshold} needs; download it "
            "from NSD or leave the setting out."
        )
    used = {int(v) for v in np.unique(values[values > 0])}
    names = maps.names(name, used)
    labels: dict[str, list[int]] = {}
    for number in sorted(used):
        labels.setdefault(names[number], []).append(number)
    # Atlases share names among themselves and with the subject's own regions: HCP_MMP1:V1, streams:early.
    prefix = "" if name in LOCALISERS or name in _DRAWN else f"{name}:"
    labelled = []
    for roi, numbers in labels.items():
        inside, described = np.isin(values, numbers), f"label {' and '.join(map(str, numbers))} of {name}"
        if name in LOCALISERS:
            described += f", localiser t > {threshold or 0:g}"
        if t is not None and threshold is not None:
            inside &= t > threshold
        source: Source = "localiser" if name in LOCALISERS else "drawn" if name in _DRAWN else "atlas"
        labelled.append(Region(prefix + roi, source, described, inside, t))
    return labelled


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
        expected = cells.shape[::-1] if isinstance(cells, VolumeVoxels) else (sum(cells.shape),)
        mask = npy_map(path, expected, "use a mask of this space")
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
