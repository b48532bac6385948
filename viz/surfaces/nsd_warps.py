"""NSD's own way from volumes to surfaces: warps that it ships, which no matrix can replace.

`nsddata/ppdata/subj0s/transforms/{lh,rh}.func1pt8-to-layerB2.mgz` holds for each vertex of the native surface, half-way
between white matter and pia, where it lies in the volume: x, y, z in voxels from 1, 9999 for nowhere (NSD's manual;
nsdcode's transform_data.py reads it so). layerB1 and layerB3 are a quarter of the way from either side.
`{lh,rh}.white-to-fsaverage.mgz` holds for each vertex of fsaverage the native vertex that lies there, from 1.
"""

from collections.abc import Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import NotFoundError, SpaceMismatchError
from . import filestore as stores
from .registration import layers
from .surface import Surface
from .surface_import import FSAVERAGE, flattened, freesurfer_meshes, require_new, write_subject, write_transform

SPACES = {"func1pt8mm": "func1pt8", "func1mm": "func1pt0"}
"""Space of betas, and name of the transform → what the warps' files call it."""
_NOWHERE = 9999
_LEAST = 0.5
"""Share of the weight that voxels with a value must have for there to be a value between them."""
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
    own, folder = root / "nsddata" / "ppdata" / f"subj{subject:02}", freesurfer_folder(root, subject)
    name = f"nsd-subj{subject:02}"
    require_new(name, filestore)
    warps = {space: _warps(own / "transforms", called) for space, called in SPACES.items()}
    there = {space: warp for space, warp in warps.items() if warp}
    if not there:
        raise NotFoundError(
            f"{own / 'transforms'}: no lh.func1pt8-to-layerB2.mgz and rh.func1pt8-to-layerB2.mgz; get NSD's transforms."
        )
    meshes = freesurfer_meshes(folder)
    for depths in there.values():
        for file, half in chain.from_iterable(depths):
            side = file.name[:2]
            points, _ = meshes["wm"][stores.SIDES.index(side)]
            if len(half) != len(points):
                raise SpaceMismatchError(f"{file}: {len(half)} vertices, but {side}.white has {len(points)}.")
    to_fsaverage = _to_fsaverage(own / "transforms", [len(points) for points, _ in meshes["wm"]])
    references = {space: _reference(own / space) for space in there}
    meshes = flattened(folder, meshes)
    made = write_subject(name, meshes, filestore, cache)
    wm, pia = (np.concatenate([points for points, _ in meshes[kind]]) for kind in ("wm", "pia"))
    middle = (wm + pia) / 2
    for space, depths in there.items():
        warp = np.stack([np.concatenate([half for _, half in halves]) for halves in depths])
        write_transform(made, space, nearest_matrix(middle, warp[len(warp) // 2]), references[space], warp)
    if to_fsaverage is not None:
        np.save(made / FSAVERAGE, to_fsaverage)
    return made


def freesurfer_folder(root: Path, subject: int) -> Path:
    """FreeSurfer's folder of an NSD subject; beside it lies fsaverage."""
    return root / "nsddata" / "freesurfer" / f"subj{subject:02}"


def on_fsaverage(values: NDArray[Any], surface: Surface) -> NDArray[Any]:
    """A subject's map at fsaverage's vertices, where a file of its own leads there: NSD's warps, or `sphere.reg`.

    Where warps say where the vertices lie, numbers are interpolated linearly between the voxels that have a value, as
    far as these have half of the weight, and averaged over the layers. Whole numbers are codes, and come from the
    nearest voxel half-way into the cortex, as all do where a matrix says it.

    Args:
        values: (n_cells,) floats, NaN for none, or integers, 0 for none.
        surface: the subject, by one of its transforms or its vertices.

    Returns:
        (2, n) of the left and the right hemisphere, of the same type.

    Raises:
        SpaceMismatchError: the subject has no way to fsaverage; the message names the files that would be one.
    """
    vertices = fsaverage_vertices(surface)
    warp = layers(surface.subject / "transforms" / surface.transform) if surface.transform else None
    whole = np.issubdtype(values.dtype, np.integer)
    if warp is None or whole:
        native = np.append(values, values.dtype.type(0) if whole else np.nan)[surface.vertex_cells()]
    else:
        depths = np.stack([_linear(values.reshape(surface.shape), at) for at in warp])
        known = ~np.isnan(depths)
        total = np.where(known, depths, 0).sum(0)
        native = np.divide(total, known.sum(0), out=np.full_like(total, np.nan), where=known.any(0))
    carried: NDArray[Any] = native.astype(values.dtype)[vertices]
    return carried


def fsaverage_vertices(surface: Surface) -> NDArray[np.int32]:
    """Which of a subject's vertices lies at each one of fsaverage, (2, n), counted as in pycortex.

    Raises:
        SpaceMismatchError: nothing says it; the message names the files that would.
    """
    file = surface.subject / FSAVERAGE
    if not file.exists():
        raise SpaceMismatchError(
            f"Nothing leads from {surface.name!r} to fsaverage. NSD's subjects have a way where `voxel-atlas surface "
            "nsd` finds white-to-fsaverage.mgz of both hemispheres, others where `voxel-atlas surface import "
            "--freesurfer` finds surf/lh.sphere.reg and rh.sphere.reg: make such a subject anew."
        )
    vertices: NDArray[np.int32] = np.load(file, allow_pickle=False)
    return vertices


def _linear(volume: NDArray[np.floating], coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a volume (z, y, x) between its voxels, at coordinates (n, 3) x, y, z in voxels; NaN where too few."""
    within = np.flatnonzero(((coordinates >= 0) & (coordinates < volume.shape[::-1])).all(1))
    low = np.floor(coordinates[within]).astype(np.int64)
    share = coordinates[within] - low
    padded = np.pad(volume, (0, 1), constant_values=np.nan)
    total, weight = np.zeros(len(within)), np.zeros(len(within))
    for corner in product((0, 1), repeat=3):
        x, y, z = (low + corner).T
        found = padded[z, y, x]
        own = np.where(np.isnan(found), 0, np.where(corner, share, 1 - share).prod(1))
        total += own * np.nan_to_num(found)
        weight += own
    values = np.full(len(coordinates), np.nan)
    enough = weight >= _LEAST
    values[within[enough]] = total[enough] / weight[enough]
    return values


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


def _to_fsaverage(folder: Path, n_vertices: Sequence[int]) -> NDArray[np.int32] | None:
    files = [folder / f"{side}.white-to-fsaverage.mgz" for side in stores.SIDES]
    if not all(file.exists() for file in files):
        return None
    halves = []
    for file, n in zip(files, n_vertices, strict=True):
        with readable(file):
            vertices = np.asarray(nib.load(file).dataobj, np.float64).ravel()
        if not ((vertices >= 1) & (vertices <= n) & (vertices == np.rint(vertices))).all():
            raise SpaceMismatchError(f"{file}: vertices from 1 to {n} expected, which {file.name[:2]}.white has.")
        halves.append(vertices.astype(np.int32) - 1)
    left, right = halves
    if len(left) != len(right):
        raise SpaceMismatchError(f"{files[1]}: {len(right)} vertices, but {files[0].name} has {len(left)}.")
    return np.stack([left, right + n_vertices[0]])


def _reference(folder: Path) -> Path:
    for pattern in _REFERENCES:
        if files := sorted(folder.glob(pattern)):
            return files[0]
    raise NotFoundError(f"{folder}: no NIfTI image of this space; get one of NSD's, {folder.name}/mean.nii.gz.")
