"""A user's file of responses, whichever of the formats it has: its voxels, its values, and maps over its voxels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.affines import Affine
from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, SpaceMismatchError
from ....schemas.spaces import MESHES
from ..csv_tables import LINE, read_persons_table, whole_numbers
from ..trials import Floats, Indices, Trials
from ..vertices import Grayordinates, SurfaceVertices
from ..volumes import (
    VolumeVoxels,
    placed,
    read_volume,
    require_numbers,
    require_place,
    series_shape,
    volumes_of,
    voxel_frame,
    voxel_major,
    wide,
)

SUFFIXES = (".npy", ".nii.gz", ".nii", ".dscalar.nii", ".dlabel.nii")
HDF5 = (".hdf5", ".h5", ".mat")
"""Of files that hold responses only: GLMsingle writes its betas so."""
_PLACES = (["i", "j", "k"], ["hemisphere", "vertex"])
"""What a table of voxels says of their places."""
_BETAS = "betasmd"
"""GLMsingle's name of its single-trial betas."""
_LOOKED_AT = 32
"""Voxels that tell whether a trial was lost."""
_CIFTI = (".dscalar.nii", ".dlabel.nii", ".dtseries.nii")


@dataclass(frozen=True)
class Responses:
    """Responses of n_voxels voxels in n_rows trials; values stay on disk."""

    n_rows: int
    n_voxels: int
    space: Literal["volume", "surface"]
    shape: tuple[int, ...]
    """(z, y, x) or (left, right) vertices; (1, 1, n_voxels) where nothing is known of the voxels' places."""
    read: Callable[[Indices], Trials]
    """Responses of the voxels of these numbers, (n_rows, n)."""
    values: Callable[[Path], Floats]
    """A map's values at the voxels, (n_voxels,)."""
    frame: Callable[[Floats | None], pl.DataFrame]
    """The data set's `voxels`, given their noise ceiling."""
    copied_bytes: int = 0
    """Disk that the copy of a NIfTI series takes."""
    affine: Affine | None = None
    """(4, 4), from voxel indices (x, y, z) to mm; None where it is not known."""
    affine_code: int = 0
    """NIfTI's code of the space that the affine leads to."""
    lost: Callable[[], Indices] = lambda: np.empty(0, np.intp)
    """Trials without a number in any voxel, ascending: lost volumes."""
    listed: bool = False
    """Whether `shape` is only as large as the places that are listed."""


def open_responses(path: Path, cache: Path, space: str = "") -> Responses:
    """Open a file of responses.

    Args:
        path: .npy, .nii, .nii.gz, .dscalar.nii, .hdf5 or .mat.
        cache: folder for the copy of a NIfTI series that can be read by voxel; made when responses are first read.
        space: the mesh that the vertices of an array belong to, one of MESHES; "" where they are not said to.

    Raises:
        BadInputError: another format or shape, or a damaged file.
    """
    if path.name.endswith(_CIFTI):
        return _cifti(path)
    if path.suffix == ".npy":
        return _array(path, space)
    if path.suffix in HDF5:
        return _hdf5(path, space)
    if path.name.endswith((".nii", ".nii.gz")):
        return _series(path, cache)
    raise BadInputError(f"{path}: responses come as .npy, .nii, .nii.gz, .dscalar.nii, .hdf5 or .mat; convert it.")


def _hdf5(path: Path, space: str) -> Responses:
    """The betas of GLMsingle, or the one array of a file: numbers, or volumes whose voxels `mask.nii.gz` names."""
    with readable(path), h5py.File(path) as file:
        arrays = {name: data for name, data in file.items() if isinstance(data, h5py.Dataset) and data.ndim in (2, 4)}
        name = _BETAS if _BETAS in arrays else next(iter(arrays), "")
        if not name or (name != _BETAS and len(arrays) > 1):
            raise BadInputError(
                f"{path}: one array of responses expected, or GLMsingle's {_BETAS}; it has "
                f"{', '.join(arrays) or 'no array of two or four dimensions'}."
            )
        values, of_matlab = np.asarray(arrays[name]), "MATLAB_class" in arrays[name].attrs
    # MATLAB's axes come out reversed, trials first; Python's GLMsingle has trials last.
    if not of_matlab and (values.ndim == 4 or name == _BETAS):
        values = values.T
    if values.ndim == 2:
        return _numbers(path, values, space)
    require_numbers(path, values.dtype)
    shape = (values.shape[1], values.shape[2], values.shape[3])
    mask, affine, code = _mask_beside(path), None, 0
    if mask is None:
        # NaN is the background of some programs
        used = np.flatnonzero(((values != values[:1]) & (values == values)).any(axis=0).ravel())
    else:
        used = np.flatnonzero(VolumeVoxels(shape, np.arange(values[0].size)).values(mask) > 0)
        affine, code = placed(mask)
    _require_some(used, mask or path)
    cells = VolumeVoxels(shape, used, affine=affine)
    flat = values.reshape(len(values), -1)[:, used]
    return Responses(
        len(values),
        len(used),
        "volume",
        shape,
        lambda voxels: wide(flat[:, voxels]),
        cells.values,
        cells.frame,
        affine=affine,
        affine_code=code,
        lost=lambda: _lost(lambda voxels: flat[:, voxels], len(used)),
    )


def _array(path: Path, space: str) -> Responses:
    with readable(path):
        try:
            array = np.load(path, mmap_mode="r")
        except ValueError as error:
            if "Python objects" not in str(error):
                raise
            raise BadInputError(
                f"{path}: pickled Python objects, which are not read, as reading them runs what is in them; of "
                "GLMsingle give the .hdf5 or .mat file instead, of your own save numbers."
            ) from None
    return _numbers(path, array, space)


def _numbers(path: Path, array: NDArray[np.generic], space: str) -> Responses:
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise BadInputError(
            f"{path}: {array.dtype} of shape {array.shape}; numbers of shape (trials, voxels) expected."
        )
    n_rows, n_voxels = array.shape

    def values(file: Path) -> Floats:
        with readable(file):
            loaded = np.load(file) if file.suffix == ".npy" else np.empty(0)
        if loaded.shape != (n_voxels,):
            raise SpaceMismatchError(
                f"{file}: .npy of shape ({n_voxels},) expected, a value for each voxel of {path.name}."
            )
        return loaded.astype(np.float32)

    places = _places(path.with_name("voxels.csv"), n_voxels)
    n_vertices = MESHES.get(space, 0)
    if n_vertices and not places.width:
        if n_voxels != 2 * n_vertices:
            raise SpaceMismatchError(
                f"{path}: {n_voxels} voxels, but {space} has {2 * n_vertices} vertices; a table voxels.csv of "
                "hemisphere, vertex says which ones they are."
            )
        places = SurfaceVertices.whole((n_vertices, n_vertices)).frame().select("hemisphere", "vertex")
    surface = "vertex" in places.columns
    # The largest place that is listed says little of the grid; a mesh that is named says all.
    shape = (n_vertices, n_vertices) if surface and n_vertices else _extent(places, n_voxels)

    def frame(noise_ceiling: Floats | None) -> pl.DataFrame:
        return voxel_frame(n_voxels, **{name: places[name] for name in places.columns}, noise_ceiling=noise_ceiling)

    return Responses(
        n_rows,
        n_voxels,
        "surface" if surface else "volume",
        shape,
        lambda voxels: wide(array[:, voxels]),
        values,
        frame,
        lost=lambda: _lost(lambda voxels: array[:, voxels], n_voxels),
        listed=bool(places.width) and not (surface and n_vertices),
    )


def _places(path: Path, n_voxels: int) -> pl.DataFrame:
    """Places of the voxels of an array: i, j, k or hemisphere, vertex; no columns where there is no table."""
    if not path.exists():
        return pl.DataFrame()
    table = read_persons_table(path, (*_PLACES[0], *_PLACES[1]))
    columns = next((names for names in _PLACES if set(names) <= set(table.columns)), None)
    if columns is None or table.height != n_voxels:
        raise BadInputError(f"{path}: i, j, k or hemisphere, vertex of {n_voxels} voxels expected, a row for each.")
    if "hemisphere" in columns and not table["hemisphere"].is_in(["left", "right"]).all():
        raise BadInputError(f"{path}: the column hemisphere must hold left or right.")
    table = table.with_columns(whole_numbers(table, name, path) for name in columns if name != "hemisphere")
    for name in columns:
        if name != "hemisphere" and (negative := table.filter(pl.col(name) < 0)).height:
            line, place = negative.select(LINE, name).row(0)
            raise BadInputError(f"{path}, line {line}: {name} is {place}; places are counted from 0.")
    if (twice := table.filter(table.select(columns).is_duplicated())).height:
        one, other = twice.sort(*columns, LINE)[LINE][:2]
        raise BadInputError(f"{path}: lines {one} and {other} give two voxels the same place.")
    return table.select(columns)


def _extent(places: pl.DataFrame, n_voxels: int) -> tuple[int, ...]:
    if "k" in places.columns:
        return tuple(int(str(places[name].max())) + 1 for name in ("k", "j", "i"))
    if "vertex" in places.columns:
        counts = [places.filter(places["hemisphere"] == side)["vertex"].max() for side in ("left", "right")]
        return tuple(0 if last is None else int(str(last)) + 1 for last in counts)
    return (1, 1, n_voxels)


def _series(path: Path, cache: Path) -> Responses:
    shape = series_shape(path)
    if len(shape) != 4:
        raise BadInputError(f"{path}: an image of shape {shape}; (x, y, z, trials) expected.")
    affine, code = placed(path)
    if affine is None:
        raise BadInputError(
            f"{path}: the image has no affine (its sform and qform codes are 0), so nothing says where its voxels lie; "
            "write it with that of the functional image."
        )
    used, lost = _masked(path, shape, affine)
    cells = VolumeVoxels((shape[2], shape[1], shape[0]), used, affine=affine)
    with readable(path):
        stored_bytes = nib.load(path).dataobj.dtype.itemsize
    return Responses(
        shape[3],
        len(cells),
        "volume",
        cells.shape,
        voxel_major(path, cells.linear, cache),
        cells.values,
        cells.frame,
        copied_bytes=len(cells) * shape[3] * stored_bytes,
        affine=affine,
        affine_code=code,
        lost=lambda: lost,
    )


def _masked(path: Path, shape: tuple[int, ...], affine: Affine) -> tuple[Indices, Indices]:
    """Linear indices of the voxels to use, and the trials that have no number in any of them."""
    if file := _mask_beside(path):
        mask = read_volume(file)
        if mask.shape != shape[2::-1]:
            raise SpaceMismatchError(f"{file}: the mask has shape {mask.shape[::-1]}, {path.name} has {shape[:3]}.")
        require_place(file, shape[:3], affine)
        used = np.flatnonzero(mask > 0)
        lost = [not (volume[used] == volume[used]).any() for volume in volumes_of(path)]
    else:
        volumes = volumes_of(path)
        first = next(volumes)
        lost = [not (first == first).any()]
        varies = np.zeros(len(first), np.bool_)
        for volume in volumes:
            varies |= (volume != first) & (volume == volume)  # NaN is the background of some programs
            lost.append(not (volume == volume).any())
        used = np.flatnonzero(varies)
    _require_some(used, file or path)
    return used, np.flatnonzero(lost)


def _mask_beside(path: Path) -> Path | None:
    masks = (path.with_name(f"mask{suffix}") for suffix in (".nii.gz", ".nii"))
    return next((mask for mask in masks if mask.exists()), None)


def _require_some(used: Indices, path: Path) -> None:
    if len(used) == 0:
        raise BadInputError(f"{path}: no voxel is left; check the mask and the responses.")


def _cifti(path: Path) -> Responses:
    file = Grayordinates.open(path)
    cells = file.surface

    def values(map_file: Path) -> Floats:
        maps = Grayordinates.open(map_file).reader(cells)(np.arange(len(cells)))
        return np.asarray(maps[0])

    read = file.reader(cells)
    return Responses(
        file.n_rows,
        len(cells),
        "surface",
        cells.shape,
        read,
        values,
        cells.frame,
        lost=lambda: _lost(read, len(cells)),
    )


def _lost(read: Callable[[Indices], NDArray[np.generic]], n_voxels: int) -> Indices:
    """Trials without a number, seen from some voxels all over the file, of those that have numbers at all."""
    numbers = read(np.unique(np.linspace(0, n_voxels - 1, _LOOKED_AT).astype(np.intp)))
    there = numbers == numbers
    there = there[:, there.any(axis=0)]
    return np.flatnonzero(~there.any(axis=1)) if there.shape[1] else np.empty(0, np.intp)
