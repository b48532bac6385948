"""NSD's own way from volumes to surfaces: warps that it ships, which no matrix can replace.

`nsddata/ppdata/subj0s/transforms/{lh,rh}.func1pt8-to-layerB2.mgz` holds for each vertex of the native surface, half-way
between white matter and pia, where it lies in the volume: x, y, z in voxels from 1, 9999 for nowhere (NSD's manual;
nsdcode's transform_data.py reads it so).
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import NotFoundError, SpaceMismatchError
from . import filestore as stores
from .surface_import import freesurfer_meshes, write_subject, write_transform

SPACES = {"func1pt8mm": "func1pt8", "func1mm": "func1pt0"}
"""Space of betas, and name of the transform → what the warps' files call it."""
_NOWHERE = 9999
_REFERENCES = ("mean.nii.gz", "brainmask.nii.gz", "R2.nii.gz", "roi/*.nii.gz", "*.nii.gz")


def from_nsd(root: Path, subject: int, filestore: Path, cache: Path) -> Path:
    """Make a pycortex subject of NSD's surfaces, with a transform for each functional space whose warps are there.

    It is called nsd-subj05, as the reader of NSD asks for it. A transform also has the matrix that comes nearest to its
    warp, for pycortex itself.

    Args:
        root: the data set's folder.
        subject: 1 to 8.
        filestore: pycortex store that it is written to; made when it is not there.
        cache: folder of the caches.

    Returns:
        The new subject's folder.

    Raises:
        NotFoundError: surfaces, warps or an image of the functional space are missing; the message names them.
        SpaceMismatchError: a warp is of another mesh.
        BadInputError: there is such a subject already, or a file is damaged.
    """
    own = root / "nsddata" / "ppdata" / f"subj{subject:02}"
    warps = {space: _warp(own / "transforms", name) for space, name in SPACES.items()}
    there = {space: warp for space, warp in warps.items() if warp is not None}
    if not there:
        raise NotFoundError(
            f"{own / 'transforms'}: no lh.func1pt8-to-layerB2.mgz and rh.func1pt8-to-layerB2.mgz; get NSD's transforms."
        )
    meshes = freesurfer_meshes(root / "nsddata" / "freesurfer" / f"subj{subject:02}")
    for space, halves in there.items():
        for side, half, (points, _) in zip(stores.SIDES, halves, meshes["wm"], strict=True):
            if len(half) != len(points):
                raise SpaceMismatchError(
                    f"{side}.{SPACES[space]}-to-layerB2.mgz: {len(half)} vertices, but {side}.white has {len(points)}."
                )
    references = {space: _reference(own / space) for space in there}
    made = write_subject(f"nsd-subj{subject:02}", meshes, filestore, cache)
    wm, pia = (np.concatenate([points for points, _ in meshes[kind]]) for kind in ("wm", "pia"))
    middle = (wm + pia) / 2
    for space, halves in there.items():
        warp = np.concatenate(halves)
        write_transform(made, space, nearest_matrix(middle, warp), references[space], warp)
    return made


def nearest_matrix(points: NDArray[np.float64], coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (4, 4) from mm (n, 3) to voxel coordinates (n, 3) with the least squares; NaN rows do not count."""
    known = np.isfinite(coordinates).all(1)
    design = np.column_stack([points[known], np.ones(known.sum())])
    solution, *_ = np.linalg.lstsq(design, coordinates[known], rcond=None)
    return np.vstack([solution.T, [0, 0, 0, 1]])


def _warp(folder: Path, name: str) -> list[NDArray[np.float64]] | None:
    """Voxel coordinates of each hemisphere's vertices, from 0, NaN for nowhere; None where there are no files."""
    files = [folder / f"{side}.{name}-to-layerB2.mgz" for side in stores.SIDES]
    if not all(file.exists() for file in files):
        return None
    halves = []
    for file in files:
        with readable(file):
            coordinates = np.asarray(nib.load(file).dataobj, np.float64).squeeze()
        if coordinates.ndim != 2 or coordinates.shape[1] != 3:
            raise SpaceMismatchError(f"{file}: shape {coordinates.shape}; three coordinates of each vertex expected.")
        halves.append(np.where(coordinates == _NOWHERE, np.nan, coordinates - 1))
    return halves


def _reference(folder: Path) -> Path:
    for pattern in _REFERENCES:
        if files := sorted(folder.glob(pattern)):
            return files[0]
    raise NotFoundError(f"{folder}: no NIfTI image of this space; get one of NSD's, {folder.name}/mean.nii.gz.")
