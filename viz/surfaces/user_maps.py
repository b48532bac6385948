"""Maps of a user's own (NIfTI volumes, GIFTI and FreeSurfer hemispheres, CIFTI), refused when of another space."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.affines import misfit
from ...schemas.damaged_files import readable
from ...schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from .surface import Grid, Surface

Floats = NDArray[np.float32]
Side = Literal["left", "right"]

_TOLERANCE = 0.1
"""Distance in voxels by which corners of a volume may miss those of the transform's reference image."""
_STRUCTURE = "AnatomicalStructurePrimary"
_SIDE_IN_NAME = {
    "left": re.compile(r"(^|[._-])(lh|left|l|hemi-l)([._-]|$)", re.IGNORECASE),
    "right": re.compile(r"(^|[._-])(rh|right|r|hemi-r)([._-]|$)", re.IGNORECASE),
}


def read_map(files: Sequence[Path], surface: Surface) -> Floats:
    """Read one value per voxel or vertex.

    Args:
        files: one NIfTI or CIFTI file, or the left and the right hemisphere's GIFTI, MGH or MGZ file.
        surface: what the map is to be shown on.

    Returns:
        (n_cells,) float32, for `flatmap.render`; NaN where a CIFTI file has no value.

    Raises:
        SpaceMismatchError: the map is of another volume, turned, mirrored, of another mesh, or its hemispheres are
            swapped; the message says which.
        BadInputError: another number of files, several maps in one file, or not a format that is read here.
        NotFoundError: a file is not there.
    """
    for file in files:
        if not file.exists():
            raise NotFoundError(f"There is no file {file}.")
    images = []
    for file in files:
        with readable(file):
            images.append(nib.load(file))
    match images:
        case [nib.Cifti2Image() as image]:
            return _cifti(image, files[0], surface)
        case [nib.Nifti1Image() as image]:
            return _volume(image, files[0], surface)
        case [left, right]:
            return join(_hemisphere(left, files[0], "left"), _hemisphere(right, files[1], "right"), surface)
        case _:
            raise BadInputError(
                f"{_names(files)}: give one NIfTI or CIFTI file, or a left and a right GIFTI or MGH file."
            )


def grid_of(file: Path) -> Grid:
    """Where the voxels of a NIfTI image are.

    Raises:
        NotFoundError: the file is not there.
        BadInputError: it is damaged.
    """
    if not file.exists():
        raise NotFoundError(f"There is no file {file}.")
    with readable(file):
        image = nib.load(file)
    placed = isinstance(image, nib.Nifti1Image) and (image.header["sform_code"] or image.header["qform_code"])
    return Grid(tuple(image.shape[2::-1]), tuple(image.affine.ravel().tolist()) if placed else None)


def join(left: Floats, right: Floats, surface: Surface) -> Floats:
    """Values of the left and of the right hemisphere's vertices as one array, left ones first.

    Raises:
        SpaceMismatchError: the surface is one of voxels, or has other numbers of vertices.
    """
    if surface.transform is not None:
        raise SpaceMismatchError(
            f"The map is one of vertices, but {surface.name!r} was loaded with transform {surface.transform!r}; "
            "load it without one."
        )
    given = (len(left), len(right))
    if given == surface.shape:
        return np.concatenate([left, right]).astype(np.float32)
    swapped = " The hemispheres are swapped." if given[::-1] == surface.shape else ""
    raise SpaceMismatchError(
        f"The map has {given[0]} left and {given[1]} right vertices, but {surface.name!r} has "
        f"{surface.shape[0]} and {surface.shape[1]}.{swapped}"
    )


def _volume(image: Any, file: Path, surface: Surface) -> Floats:
    if surface.transform is None:
        raise SpaceMismatchError(
            f"{file.name} is a volume, but {surface.name!r} was loaded for vertices; name the transform from the "
            "volume to the surface."
        )
    shape = tuple(image.shape[:3])
    if image.ndim > 3 and any(n != 1 for n in image.shape[3:]):
        raise BadInputError(f"{file.name} holds {image.shape[3]} maps; give a file with one.")
    expected, affine = surface.shape[::-1], surface.volume_affine()
    if shape != expected:
        turned = " Its axes are in another order." if sorted(shape) == sorted(expected) else ""
        raise SpaceMismatchError(
            f"{file.name} has shape {shape}, but transform {surface.transform!r} of {surface.name!r} belongs to "
            f"volumes of {expected}.{turned} Resample it to that transform's reference image."
        )
    if how := misfit(shape, image.affine, affine, _TOLERANCE):
        where = how.format(f"the reference image of transform {surface.transform!r}")
        raise SpaceMismatchError(f"{file.name} is {where}; resample it to that image.")
    return _data(image, file).reshape(shape).T.ravel()


def _hemisphere(image: Any, file: Path, side: Side) -> Floats:
    if isinstance(image, nib.GiftiImage):
        arrays = image.darrays
        metas = [image.meta or {}, *(array.meta for array in arrays)]
        structure = next((meta[_STRUCTURE] for meta in metas if _STRUCTURE in meta), "")
        with readable(file):
            values = [np.asarray(array.data, np.float32) for array in arrays]
    else:
        structure, values = "", [_data(image, file).squeeze()]
    if len(values) != 1 or values[0].ndim != 1:
        shapes = ", ".join(str(each.shape) for each in values) or "none"
        raise BadInputError(f"{file.name} holds {len(values)} arrays (shapes: {shapes}); give one map a file.")
    other: Side = "right" if side == "left" else "left"
    named = file.name if not structure else f"-{structure.lower().removeprefix('cortex')}-"
    if _SIDE_IN_NAME[other].search(named) and not _SIDE_IN_NAME[side].search(named):
        said = f"says that it is {structure}" if structure else "is named so"
        raise SpaceMismatchError(f"{file.name} was given as the {side} hemisphere, but it {said}; swap the two files.")
    return values[0]


def _cifti(image: Any, file: Path, surface: Surface) -> Floats:
    axes = [image.header.get_axis(number) for number in range(image.ndim)]
    brain = next((axis for axis in axes if isinstance(axis, nib.cifti2.BrainModelAxis)), None)
    if brain is None or image.ndim != 2 or image.shape[0] != 1:
        raise BadInputError(f"{file.name} has shape {image.shape}; give a dscalar file with one map.")
    data = _data(image, file)[0]
    sides: dict[str, Floats] = {}
    for structure, rows, model in brain.iter_structures():
        side = structure.removeprefix("CIFTI_STRUCTURE_CORTEX_").lower()
        if side in ("left", "right") and structure in model.nvertices:
            sides[side] = np.full(model.nvertices[structure], np.nan, np.float32)
            sides[side][model.vertex] = data[rows]
    if not sides:
        raise SpaceMismatchError(f"{file.name} has no values on the cortex.")
    left, right = (
        sides.get(side, np.full(n, np.nan, np.float32))
        for side, n in zip(("left", "right"), surface.n_vertices, strict=True)
    )
    return join(left, right, surface)


def _data(image: Any, file: Path) -> Floats:
    """All values of an image, as they are stored."""
    with readable(file):
        return np.asarray(image.dataobj, np.float32)


def _names(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files) or "no file"
