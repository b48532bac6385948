"""A user's responses in an array: voxels of an image, or voxels whose places a table says."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, SpaceMismatchError
from ....schemas.spaces import MESHES
from ..csv_tables import LINE, read_persons_table, whole_numbers
from ..trials import Floats, Indices
from ..vertices import SurfaceVertices, npy_map
from ..volumes import VolumeVoxels, placed, series_shape, voxel_frame, wide
from .stored_arrays import in_order, read_array, said_of
from .user_responses import Responses, lost_trials, mask_of, require_some

_PLACES = (["i", "j", "k"], ["hemisphere", "vertex"])
"""What a table of voxels says of their places."""


def array_responses(path: Path, name: str, config: IngestConfig, n_trials: int) -> Responses:
    """Responses in an array: (trials, voxels), whose places voxels.csv says; or of an image, whose place its mask says.

    Args:
        path: .npy, .hdf5, .h5 or .mat.
        name: of the array in it; see `read_array`.
        config: root, where a mask may be; axes; space, the mesh that vertices belong to.
        n_trials: trials by the table that joins them to images.

    Raises:
        NotFoundError: there is no such array.
        BadInputError: another shape, a damaged file, or no voxel.
        SpaceMismatchError: the mask or the mesh has another shape.
    """
    array, mask = read_array(path, name), mask_of(path, Path(config.root))
    grid = series_shape(mask)[:3] if mask and array.values.ndim == 4 else None
    values, axes = in_order(path, array, n_trials, grid, config.axes)
    recognised = "" if config.axes else said_of(path, array, axes, n_trials)
    if values.ndim == 2:
        return _numbers(path, values, config.space, recognised)
    return _volumes(path, values, mask, recognised)


def _volumes(path: Path, values: NDArray[np.generic], mask: Path | None, recognised: str) -> Responses:
    """An array (trials, z, y, x), whose place its mask says."""
    shape = (values.shape[1], values.shape[2], values.shape[3])
    affine, code = placed(mask) if mask else (None, 0)
    used = np.flatnonzero(VolumeVoxels.whole(shape).values(mask) > 0) if mask else _varying(values)
    require_some(used, mask or path)
    cells = VolumeVoxels(shape, used, affine=affine)

    def read(voxels: Indices) -> NDArray[np.generic]:
        k, j, i = cells.kji(voxels)
        return values[:, k, j, i]

    return Responses(
        len(values),
        "volume",
        shape,
        lambda voxels: wide(read(voxels)),
        cells.values,
        cells.frame,
        lambda: lost_trials(read, len(used)),
        affine=affine,
        affine_code=code,
        recognised=recognised,
    )


def _varying(values: NDArray[np.generic]) -> Indices:
    """Linear indices of the voxels whose value changes; slice by slice, in the order of the file."""
    axis = 1 + int(np.argmax(values.strides[1:]))
    slices = []
    for part in np.moveaxis(values, axis, 0):
        there = part == part  # NaN is the background of some programs
        slices.append(((part != part[:1]) & there).any(axis=0))
    return np.flatnonzero(np.moveaxis(np.stack(slices), 0, axis - 1))


def _numbers(path: Path, array: NDArray[np.generic], space: str, recognised: str) -> Responses:
    """An array (trials, voxels), whose voxels' places a table says."""
    n_voxels = array.shape[1]

    def values(file: Path) -> Floats:
        if file.suffix != ".npy":
            raise SpaceMismatchError(f"{file}: .npy expected, with a number for each voxel of {path.name}.")
        return npy_map(file, (n_voxels,), f"give one for each voxel of {path.name}")

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
        len(array),
        "surface" if surface else "volume",
        shape,
        lambda voxels: wide(array[:, voxels]),
        values,
        frame,
        lambda: lost_trials(lambda voxels: array[:, voxels], n_voxels),
        listed=bool(places.width) and not (surface and n_vertices),
        recognised=recognised,
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
