"""Series of NIfTI images: one file of four dimensions, or a file of three for each trial."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ....schemas.affines import Affine
from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, SpaceMismatchError
from ..trials import Indices, Trials
from ..volumes import (
    VolumeVoxels,
    require_affine,
    require_place,
    series_shape,
    volumes_in,
    volumes_of,
    voxel_major,
    voxel_major_of,
)
from .user_responses import Responses, mask_of, require_some

_AFFINE_ADVICE = "write it with that of the functional image"


@dataclass(frozen=True)
class _Series:
    """Images of one grid."""

    path: Path
    """The file, or the first of them."""
    shape: tuple[int, ...]
    """(x, y, z)"""
    n_volumes: int
    affine: Affine
    code: int
    dtype: np.dtype[np.generic]
    """Of what is kept of them."""
    volumes: Callable[[], Iterator[NDArray[np.generic]]]
    """The images one after the other, flat."""
    by_voxel: Callable[[Indices, Path], Callable[[Indices], Trials]]
    """See `voxel_major`."""


def series_responses(paths: Sequence[Path], root: Path, cache: Path) -> Responses:
    """Responses in NIfTI images: those voxels that the mask has, or that vary.

    Args:
        paths: one file (x, y, z, trials), or a file (x, y, z) for each trial.
        root: folder of the study, where a mask may be.
        cache: folder for the copy that can be read by voxel; made when responses are first read.

    Raises:
        BadInputError: another shape, no affine, a damaged file, or no voxel.
        SpaceMismatchError: a file or the mask lies elsewhere than the first.
    """
    series = _of_files(paths) if len(paths) > 1 else _of_one(paths[0])
    x, y, z = series.shape
    whole = VolumeVoxels.whole((z, y, x), series.affine)
    used, lost = _used(series, whole, mask_of(series.path, root))
    cells = VolumeVoxels(whole.shape, used, affine=series.affine)
    return Responses(
        series.n_volumes,
        "volume",
        cells.shape,
        series.by_voxel(cells.linear, cache),
        cells.values,
        cells.frame,
        lambda: lost,
        copied_bytes=len(cells) * series.n_volumes * series.dtype.itemsize,
        affine=series.affine,
        affine_code=series.code,
    )


def _of_one(path: Path) -> _Series:
    shape = series_shape(path)
    if len(shape) != 4:
        raise BadInputError(
            f"{path}: an image of shape {shape}; (x, y, z, trials) expected, or a folder or pattern of files as this "
            "one, one a trial."
        )
    affine, code = require_affine(path, _AFFINE_ADVICE)
    with readable(path):
        dtype = nib.load(path).dataobj.dtype
    return _Series(
        path,
        shape[:3],
        shape[3],
        affine,
        code,
        dtype,
        lambda: volumes_of(path),
        lambda linear, cache: voxel_major(path, linear, cache),
    )


def _of_files(paths: Sequence[Path]) -> _Series:
    first = _shape_of_one(paths[0])
    affine, code = require_affine(paths[0], _AFFINE_ADVICE)
    dtype = np.dtype(np.float32)
    for path in paths:
        if (shape := _shape_of_one(path)) != first:
            raise SpaceMismatchError(
                f"{path}: the image has shape {shape}, {paths[0].name} has {first}; all must have one grid."
            )
        require_place(path, first, affine, f"the voxels of {paths[0].name}")
        with readable(path):
            stored = nib.load(path).dataobj.dtype
        dtype = np.result_type(dtype, np.float32 if np.can_cast(stored, np.float32) else np.float64)
    return _Series(
        paths[0],
        first,
        len(paths),
        affine,
        code,
        dtype,
        lambda: volumes_in(paths),
        lambda linear, cache: voxel_major_of(paths, linear, cache, dtype),
    )


def _shape_of_one(path: Path) -> tuple[int, ...]:
    """(x, y, z) of a file of one image."""
    shape = series_shape(path)
    if len(shape) < 3 or any(n > 1 for n in shape[3:]):
        raise BadInputError(f"{path}: an image of shape {shape}; where there are several files, each has one image.")
    return shape[:3]


def _used(series: _Series, whole: VolumeVoxels, mask: Path | None) -> tuple[Indices, Indices]:
    """Linear indices of the voxels to use, and the trials that have no number in any of them."""
    if mask:
        used = np.flatnonzero(whole.values(mask) > 0)
        lost = [not (volume[used] == volume[used]).any() for volume in series.volumes()]
    else:
        first: NDArray[np.generic] | None = None
        varies, lost = np.zeros(len(whole), np.bool_), list[bool]()
        for volume in series.volumes():
            there = volume == volume  # NaN is the background of some programs
            lost.append(not there.any())
            if first is None and not lost[-1]:
                first = volume
            elif first is not None:
                varies |= (volume != first) & there
        used = np.flatnonzero(varies)
    require_some(used, mask or series.path)
    return used, np.flatnonzero(lost)
