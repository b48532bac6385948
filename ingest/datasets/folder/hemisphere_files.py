"""GIFTI files of values, one for each hemisphere; their names differ in L and R, lh and rh, left and right."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np

from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ..trials import Floats, Indices
from ..vertices import Grayordinates, SurfaceVertices
from .user_responses import Responses, lost_trials, require_some

GIFTI = (".func.gii", ".shape.gii", ".label.gii")
_SIDE = re.compile(r"(?<![A-Za-z0-9])(lh|rh|L|R|left|right)(?![A-Za-z0-9])")
_OTHER = {"lh": "rh", "L": "R", "left": "right", "rh": "lh", "R": "L", "right": "left"}
_LEFT = ("lh", "L", "left")
_POINTS, _TRIANGLES = 1008, 1009
"""NIfTI's intents of the arrays of a mesh."""
_STRUCTURES = {"CortexLeft": 0, "CortexRight": 1}


def side_of(path: Path) -> int | None:
    """0 for the left, 1 for the right hemisphere, by the file's name; None where it does not say."""
    found = _SIDE.search(path.name)
    return None if found is None else int(found[1] not in _LEFT)


def without_side(name: str) -> str:
    """What two hemispheres' names have in common: V1 of lh.V1."""
    return re.sub(rf"(hemi-)?{_SIDE.pattern}[._-]?", "", name, count=1).strip("._-")


def other_side(path: Path) -> Path:
    """The file of the other hemisphere."""
    return path.with_name(_SIDE.sub(lambda found: _OTHER[found[1]], path.name, count=1))


def hemisphere_responses(path: Path, *, allow_missing: bool) -> Responses:
    """Responses in a GIFTI file for each hemisphere: the vertices whose values vary, as medial walls have none.

    Args:
        path: the file of one hemisphere, whose arrays are the trials; the other one's is beside it.
        allow_missing: take one hemisphere where the other is not there.

    Raises:
        BadInputError: a damaged file, one whose name does not say its hemisphere, or no vertex.
        NotFoundError: the other hemisphere's file is not there.
        SpaceMismatchError: the hemispheres have other numbers of trials, or a file says that it is the other one's.
    """
    files = _hemispheres(path)
    if len(files) == 1 and not allow_missing:
        raise NotFoundError(
            f"{other_side(path)}: the other hemisphere is not there; put it there, or pass --allow-missing."
        )
    halves = {side: _values(file, side) for side, file in files.items()}
    if len({len(half) for half in halves.values()}) > 1:
        counts = " and ".join(f"{file.name} has {len(halves[side])}" for side, file in files.items())
        raise SpaceMismatchError(f"{path}: the hemispheres have other numbers of trials: {counts}.")
    n_left, n_right = (halves[side].shape[1] if side in halves else 0 for side in (0, 1))
    whole = SurfaceVertices.whole((n_left, n_right))
    values = np.concatenate(list(halves.values()), axis=1)
    used = np.flatnonzero(((values != values[:1]) & (values == values)).any(axis=0))
    require_some(used, path)
    cells = SurfaceVertices(whole.shape, whole.side[used], whole.vertex[used])

    def read(voxels: Indices) -> Floats:
        return values[:, used[voxels]]

    return Responses(
        len(values),
        "surface",
        cells.shape,
        read,
        lambda file: map_on(cells, file),
        cells.frame,
        lambda: lost_trials(read, len(cells)),
    )


def map_on(cells: SurfaceVertices, path: Path) -> Floats:
    """The values at vertices of a map in CIFTI, or in GIFTI with the other hemisphere's file beside it, (n_voxels,).

    A hemisphere that has no file is NaN.

    Raises:
        BadInputError: a damaged file, or one whose name does not say its hemisphere.
        SpaceMismatchError: a map of another surface.
    """
    if not path.name.endswith(GIFTI):
        return np.asarray(Grayordinates.open(path).reader(cells)(np.arange(len(cells)))[0])
    values = np.full(len(cells), np.nan, np.float32)
    for side, file in _hemispheres(path).items():
        half = _values(file, side)[0]
        if len(half) != cells.shape[side]:
            raise SpaceMismatchError(
                f"{file}: the map has {len(half)} vertices, the responses have {cells.shape[side]}; use a map of the "
                "same surface and hemisphere."
            )
        inside = cells.side == side
        values[inside] = half[cells.vertex[inside]]
    return values


def _hemispheres(path: Path) -> dict[int, Path]:
    """The file and the other hemisphere's where it is there, by side, the left one first.

    Raises:
        BadInputError: the file's name does not say its hemisphere.
    """
    if (side := side_of(path)) is None:
        raise BadInputError(
            f"{path}: the name does not say which hemisphere it is; put lh or rh, or hemi-L or hemi-R, into it."
        )
    files = {side: path, 1 - side: other_side(path)}
    return {side: files[side] for side in (0, 1) if files[side].exists()}


def _values(path: Path, side: int) -> Floats:
    """Values of all arrays, (n_arrays, n_vertices)."""
    with readable(path):
        image = nib.load(path)
        arrays = [np.atleast_2d(array.data.T) for array in image.darrays]
    metas = (image.meta, *(array.meta for array in image.darrays))
    said = next((meta["AnatomicalStructurePrimary"] for meta in metas if "AnatomicalStructurePrimary" in meta), "")
    if said in _STRUCTURES and _STRUCTURES[said] != side:
        raise SpaceMismatchError(f"{path}: the file says that it is of {said}, and its name that it is of the other.")
    meshes = any(array.intent in (_POINTS, _TRIANGLES) for array in image.darrays)
    if not arrays or meshes or any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise BadInputError(f"{path}: a GIFTI file with a value for each vertex in each of its arrays expected.")
    return np.concatenate(arrays).astype(np.float32)
