"""NSD's own way from volumes to surfaces: warps that it ships, which no matrix can replace.

`nsddata/ppdata/subj0s/transforms/{lh,rh}.func1pt8-to-layerB2.mgz` holds for each vertex of the native surface, half-way
between white matter and pia, where it lies in the volume: x, y, z in voxels from 1, 9999 for nowhere (NSD's manual;
nsdcode's transform_data.py reads it so). layerB1 and layerB3 are a quarter of the way from either side.
"""

from itertools import chain
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
    warps = {space: _warps(own / "transforms", name) for space, name in SPACES.items()}
    there = {space: layers for space, layers in warps.items() if layers}
    if not there:
        raise NotFoundError(
            f"{own / 'transforms'}: no lh.func1pt8-to-layerB2.mgz and rh.func1pt8-to-layerB2.mgz; get NSD's transforms."
        )
    meshes = freesurfer_meshes(root / "nsddata" / "freesurfer" / f"subj{subject:02}")
    for layers in there.values():
        for file, half in chain.from_iterable(layers):
            side = file.name[:2]
            points, _ = meshes["wm"][stores.SIDES.index(side)]
            if len(half) != len(points):
                raise SpaceMismatchError(f"{file}: {len(half)} vertices, but {side}.white has {len(points)}.")
    references = {space: _reference(own / space) for space in there}
    made = write_subject(f"nsd-subj{subject:02}", meshes, filestore, cache)
    wm, pia = (np.concatenate([points for points, _ in meshes[kind]]) for kind in ("wm", "pia"))
    middle = (wm + pia) / 2
    for space, layers in there.items():
        warp = np.stack([np.concatenate([half for _, half in halves]) for halves in layers])
        write_transform(made, space, nearest_matrix(middle, warp[len(warp) // 2]), references[space], warp)
    return made


def nearest_matrix(points: NDArray[np.float64], coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (4, 4) from mm (n, 3) to voxel coordinates (n, 3) with the least squares; NaN rows do not count."""
    known = np.isfinite(coordinates).all(1)
    design = np.column_stack([points[known], np.ones(known.sum())])
    solution, *_ = np.linalg.lstsq(design, coordinates[known], rcond=None)
    return np.vstack([solution.T, [0, 0, 0, 1]])


def _warps(folder: Path, name: str) -> list[list[tuple[Path, NDArray[np.float64]]]]:
    """Files of each layer's hemispheres and their voxel coordinates, from 0, NaN for nowhere.

    Three layers where all are there, else the middle one; none where that is not there.
    """
    files = [[folder / f"{side}.{name}-to-layerB{layer}.mgz" for side in stores.SIDES] for layer in (1, 2, 3)]
    there = [all(file.exists() for file in pair) for pair in files]
    chosen = files if all(there) else files[1:2] if there[1] else []
    return [[(file, _coordinates(file)) for file in pair] for pair in chosen]


def _coordinates(file: Path) -> NDArray[np.float64]:
    with readable(file):
        coordinates = np.asarray(nib.load(file).dataobj, np.float64).squeeze()
    if coordinates.ndim != 2 or coordinates.shape[1] != 3:
        raise SpaceMismatchError(f"{file}: shape {coordinates.shape}; three coordinates of each vertex expected.")
    return np.where(coordinates == _NOWHERE, np.nan, coordinates - 1)


def _reference(folder: Path) -> Path:
    for pattern in _REFERENCES:
        if files := sorted(folder.glob(pattern)):
            return files[0]
    raise NotFoundError(f"{folder}: no NIfTI image of this space; get one of NSD's, {folder.name}/mean.nii.gz.")
