"""What a user's responses are, in whichever format they came: voxels, values, and maps over the voxels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.affines import Affine
from ....schemas.errors import BadInputError
from ..trials import Floats, Indices, Trials

NIFTI = (".nii.gz", ".nii")
MASKS = tuple(f"mask{suffix}" for suffix in NIFTI)
"""Names of the file that says which voxels are used."""
_LOOKED_AT = 32
"""Voxels that tell whether a trial was lost."""


@dataclass(frozen=True)
class Responses:
    """Responses of voxels in n_rows trials; those of .npy, NIfTI and CIFTI files stay on disk."""

    n_rows: int
    space: Literal["volume", "surface"]
    shape: tuple[int, ...]
    """(z, y, x) or (left, right) vertices; (1, 1, n) where nothing is known of the voxels' places."""
    read: Callable[[Indices], Trials]
    """Responses of the voxels of these numbers, (n_rows, n)."""
    values: Callable[[Path], Floats]
    """A map's values at the voxels, (n_voxels,)."""
    frame: Callable[[Floats | None], pl.DataFrame]
    """The data set's `voxels`, given their noise ceiling."""
    lost: Callable[[], Indices]
    """Trials without a number in any voxel, ascending: lost volumes."""
    copied_bytes: int = 0
    """Disk that the copy of a NIfTI series takes."""
    affine: Affine | None = None
    """(4, 4), from voxel indices (x, y, z) to mm; None where it is not known."""
    affine_code: int = 0
    """NIfTI's code of the space that the affine leads to."""
    listed: bool = False
    """Whether `shape` is only as large as the places that are listed."""
    recognised: str = ""
    """How the file was understood, where that is not as its format has it; a sentence."""


def lost_trials(read: Callable[[Indices], NDArray[np.generic]], n_voxels: int) -> Indices:
    """Trials without a number, seen from some voxels all over the file, of those that have numbers at all."""
    numbers = read(np.unique(np.linspace(0, n_voxels - 1, _LOOKED_AT).astype(np.intp)))
    there = numbers == numbers
    there = there[:, there.any(axis=0)]
    return np.flatnonzero(~there.any(axis=1)) if there.shape[1] else np.empty(0, np.intp)


def require_some(used: Indices, path: Path) -> None:
    """Refuse responses without a voxel.

    Raises:
        BadInputError: there is none.
    """
    if len(used) == 0:
        raise BadInputError(f"{path}: no voxel is left; check the mask and the responses.")


def mask_of(path: Path, root: Path) -> Path | None:
    """The mask in the folder of the responses, else in that of the study; None where there is none."""
    masks = (folder / name for folder in (path.parent, root) for name in MASKS)
    return next((mask for mask in masks if mask.exists()), None)
