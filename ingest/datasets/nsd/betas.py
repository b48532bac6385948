"""Single-trial betas of NSD in the formats that the data set comes in, as percent signal change.

| space | file of a session | stored as |
|---|---|---|
| func1pt8mm, func1mm | betas_session01.hdf5 | /betas, (750, Z, Y, X) int16, one chunk a voxel; ÷ 300 |
| func1pt8mm, func1mm | betas_session01.nii.gz | (X, Y, Z, 750) int16; ÷ 300 |
| nativesurface | {lh,rh}.betas_session01.hdf5 | /betas, (750, vertices) int16; ÷ 300 |
| fsaverage | {lh,rh}.betas_session01.mgh | (163842, 1, 1, 750) float32, already percent |
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, SpaceMismatchError
from ..trials import Floats, Indices, Trials
from ..vertices import SurfaceVertices, mgh_data
from ..volumes import VolumeVoxels, series_shape, voxel_major
from .design import TRIALS

SPACES = ("func1pt8mm", "func1mm", "nativesurface", "fsaverage")
_PER_PERCENT = np.float32(300)
_GAP = 8
"""Voxels of a row that are read and thrown away rather than starting another read."""

Reader = Callable[[Indices], Trials]


def session_files(folder: Path, space: str, session: int) -> list[Path]:
    """The file or files of a session that are there, or where none is, those that are expected.

    HDF5 is read where both formats are there: it can be read voxel by voxel.
    """
    stem = f"betas_session{session:02d}"
    if space == "fsaverage":
        return [folder / f"{side}.{stem}.mgh" for side in ("lh", "rh")]
    if space == "nativesurface":
        return [folder / f"{side}.{stem}.hdf5" for side in ("lh", "rh")]
    compressed = folder / f"{stem}.nii.gz"
    hdf5 = folder / f"{stem}.hdf5"
    return [compressed] if compressed.exists() and not hdf5.exists() else [hdf5]


def cells_shape(files: list[Path], session: int) -> tuple[int, ...]:
    """(z, y, x) of a volume's session, or the numbers of vertices of a surface's.

    Raises:
        BadInputError: a file is damaged, or has another number of trials.
    """
    shapes = [_shape(path, session) for path in files]
    for path, (n_trials, _) in zip(files, shapes, strict=True):
        if n_trials != TRIALS:
            raise BadInputError(f"{path}: {n_trials} trials, {TRIALS} expected; get it again{_advice(session)}.")
    cells = [shape for _, shape in shapes]
    return cells[0] if len(cells) == 1 else tuple(shape[0] for shape in cells)


def _shape(path: Path, session: int) -> tuple[int, tuple[int, ...]]:
    """Number of trials, and (z, y, x) or (vertices,)."""
    if path.suffix == ".hdf5":
        with readable(path, _advice(session)), h5py.File(path) as file:
            if "betas" not in file:
                raise BadInputError(f"{path}: the file has no data set /betas; get it again{_advice(session)}.")
            n_trials, *cells = file["betas"].shape
            return n_trials, tuple(cells)
    with readable(path, _advice(session)):
        shape = mgh_data(path).shape if path.suffix == ".mgh" else series_shape(path, _advice(session))
        if len(shape) != 4:
            raise EOFError(f"{len(shape)} dimensions, 4 expected")
        return (shape[3], shape[:1]) if path.suffix == ".mgh" else (shape[3], shape[2::-1])


def session_reader(files: list[Path], cells: VolumeVoxels | SurfaceVertices, session: int, cache: Path) -> Reader:
    """A function from numbers of voxels to their betas in a session, (750, n), in percent signal change.

    Raises:
        BadInputError: a file is damaged, or has another number of trials.
        SpaceMismatchError: the session has another shape than `cells`.
    """
    if (shape := cells_shape(files, session)) != cells.shape:
        raise SpaceMismatchError(
            f"{files[0]}: the session has shape {shape}, others have {cells.shape}; get it again{_advice(session)}."
        )
    if isinstance(cells, SurfaceVertices):
        return lambda voxels: _surface_betas(files, cells, voxels, session)
    (path,) = files
    if path.suffix == ".hdf5":
        return lambda voxels: _volume_betas(path, cells, voxels, session)
    read = voxel_major(path, cells.linear, cache, _advice(session))
    return lambda voxels: read(voxels) / _PER_PERCENT


def copied_bytes(files: list[Path], cells: VolumeVoxels | SurfaceVertices) -> int:
    """Disk that a copy of a session takes which can be read by voxel; 0 where the session itself can."""
    return len(cells) * TRIALS * 2 if files[0].suffix == ".gz" else 0


def _volume_betas(path: Path, volume: VolumeVoxels, voxels: Indices, session: int) -> Floats:
    """Rows of voxels that are neighbours along x are one read: a chunk of the file is one voxel's trials."""
    values = np.empty((TRIALS, len(voxels)), np.float32)
    order = np.argsort(volume.linear[voxels], kind="stable")
    k, j, i = (index[order] for index in volume.kji(voxels))
    breaks = np.flatnonzero((np.diff(k) != 0) | (np.diff(j) != 0) | (np.diff(i) > _GAP)) + 1
    with readable(path, _advice(session)), h5py.File(path) as file:
        betas = file["betas"]
        for run in np.split(np.arange(len(order)), breaks):
            first, last = run[0], run[-1]
            row = betas[:, k[first], j[first], i[first] : i[last] + 1]
            values[:, order[run]] = row[:, i[run] - i[first]]
    return values / _PER_PERCENT


def _surface_betas(files: list[Path], surface: SurfaceVertices, voxels: Indices, session: int) -> Floats:
    values = np.empty((TRIALS, len(voxels)), np.float32)
    for side, path in enumerate(files):
        where = np.flatnonzero(surface.side[voxels] == side)
        if len(where) == 0:
            continue
        vertices = surface.vertex[voxels[where]]
        first, last = int(vertices.min()), int(vertices.max())
        with readable(path, _advice(session)):
            if path.suffix == ".hdf5":
                with h5py.File(path) as file:
                    block = file["betas"][:, first : last + 1].astype(np.float32) / _PER_PERCENT
            else:
                block = np.asarray(mgh_data(path)[first : last + 1, 0, 0, :], np.float32).T
        values[:, where] = block[:, vertices - first]
    return values


def _advice(session: int) -> str:
    return f" or pass --skip-session {session}"
