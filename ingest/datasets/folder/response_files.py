"""A user's responses: which files they are in, and how each format is read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.damaged_files import readable
from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ....schemas.spaces import MESHES
from ..csv_tables import LINE, read_persons_table, whole_numbers
from ..fingerprint import combined_sha256, data_sha256
from ..trials import Floats, Indices
from ..vertices import Grayordinates, SurfaceVertices
from ..volumes import VolumeVoxels, placed, read_volume, voxel_frame, wide
from .hemisphere_files import GIFTI, hemisphere_responses, map_on, other_side, side_of
from .stored_arrays import HDF5, in_order, read_array, said_of
from .user_responses import Responses, lost_trials, mask_of, require_some
from .volume_series import series_responses

_NIFTI = (".nii.gz", ".nii")
_CIFTI = (".dscalar.nii", ".dlabel.nii", ".dtseries.nii")
SUFFIXES = (".npy", *_NIFTI, *_CIFTI, *GIFTI)
"""Of maps over voxels, and of responses."""
_PLACES = (["i", "j", "k"], ["hemisphere", "vertex"])
"""What a table of voxels says of their places."""


class ResponseFiles(NamedTuple):
    """Where a user's responses are."""

    paths: Sequence[Path]
    """One file; or one of each trial, in the trials' order."""
    array: str = ""
    """Name of the array in it."""

    def sha256s(self) -> list[str]:
        """What says that they are others."""
        paths = [*self.paths]
        if len(paths) == 1 and paths[0].name.endswith(GIFTI) and other_side(paths[0]).exists():
            paths.append(other_side(paths[0]))
        name = [self.array] if self.array else []
        return [data_sha256(paths[0]) if len(paths) == 1 else combined_sha256(map(data_sha256, paths)), *name]


def response_files(config: IngestConfig, named: Iterable[Path] = ()) -> ResponseFiles:
    """The files of responses: those that the setting names, or the table of trials, or responses.* of the folder.

    Args:
        config: root and responses: a file, FILE:ARRAY, a folder or a pattern of files.
        named: files, one a trial, that the table of trials names.

    Raises:
        NotFoundError: there is none.
        BadInputError: there are several.
    """
    root = Path(config.root)
    if not config.responses:
        files = list(named)
        if gone := [file for file in files if not file.exists()]:
            raise NotFoundError(
                f"{gone[0]}: there is no such file of responses ({len(gone)} of {len(files)} are gone)."
            )
        return ResponseFiles(files or [_of_folder(root)])
    path = root / config.responses
    if path.is_dir():
        return ResponseFiles(_in_order_of_names(path.iterdir(), path))
    if path.exists():
        return ResponseFiles([path])
    file, _, array = config.responses.rpartition(":")
    if file and (root / file).is_file():
        return ResponseFiles([root / file], array)
    if re.search(r"[*?\[]", config.responses):
        return ResponseFiles(_in_order_of_names(_matching(root, config.responses), path))
    raise NotFoundError(f"{path}: there is no such file of responses; --responses names it within --root.")


def _matching(root: Path, pattern: str) -> Iterable[Path]:
    parts = Path(pattern)
    if parts.is_absolute():
        return Path(parts.anchor).glob(str(parts.relative_to(parts.anchor)))
    return root.glob(pattern)


def _in_order_of_names(found: Iterable[Path], where: Path) -> list[Path]:
    """The NIfTI images among files, but for masks; beta_2 comes before beta_10."""
    images = [file for file in found if file.name.endswith(_NIFTI) and not file.name.endswith(_CIFTI)]
    images = [file for file in images if file.name.removesuffix(".gz") != "mask.nii"]
    if not images:
        raise NotFoundError(f"{where}: no NIfTI image is there; --responses names a file, a folder or a pattern.")

    def key(file: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(file))]

    return sorted(images, key=key)


def _of_folder(root: Path) -> Path:
    files = [root / f"responses{suffix}" for suffix in (*SUFFIXES, *HDF5) if (root / f"responses{suffix}").exists()]
    pairs = [file for file in root.glob("*.func.gii") if "responses" in file.name and side_of(file) == 0]
    files = files + pairs or sorted(file for suffix in HDF5 for file in root.glob(f"TYPED_*{suffix}"))
    if not files:
        raise NotFoundError(
            f"{root}: no responses.npy, .nii, .nii.gz, .dscalar.nii, .func.gii, .hdf5 or .mat is there; --responses "
            "names another."
        )
    if len(files) > 1:
        raise BadInputError(f"{root}: both {files[0].name} and {files[1].name} are there; say which by --responses.")
    return files[0]


def open_responses(files: ResponseFiles, cache: Path, config: IngestConfig, n_trials: int) -> Responses:
    """Open files of responses.

    Args:
        files: .npy, .nii, .nii.gz, .dscalar.nii, .dtseries.nii, .func.gii, .hdf5 or .mat.
        cache: folder for the copy of a NIfTI series that can be read by voxel; made when responses are first read.
        config: root; axes; allow_missing; space, the mesh that the vertices of an array belong to.
        n_trials: trials by the table that joins them to images.

    Raises:
        NotFoundError: there is no such array, or no other hemisphere.
        BadInputError: another format or shape, or a damaged file.
        SpaceMismatchError: files that belong together lie in other places.
    """
    path = files.paths[0]
    if files.array and not path.name.endswith((".npy", *HDF5)):
        raise BadInputError(f"{path}: only .hdf5, .h5 and .mat files have named arrays; leave out :{files.array}.")
    if path.name.endswith(_CIFTI):
        return _cifti(path)
    if path.name.endswith(GIFTI):
        return hemisphere_responses(path, allow_missing=config.allow_missing)
    if path.name.endswith(_NIFTI):
        return series_responses(files.paths, Path(config.root), cache)
    if path.suffix not in (".npy", *HDF5):
        raise BadInputError(
            f"{path}: responses come as .npy, .nii, .nii.gz, .dscalar.nii, .func.gii, .hdf5 or .mat; convert it."
        )
    array, mask = read_array(path, files.array), mask_of(path, Path(config.root))
    grid = read_volume(mask).shape[::-1] if mask and array.values.ndim == 4 else None
    values, axes = in_order(path, array, n_trials, grid, config.axes)
    recognised = "" if config.axes else said_of(path, array, axes, n_trials)
    if values.ndim == 2:
        return _numbers(path, values, config.space, recognised)
    return _volumes(path, values, mask, recognised)


def _volumes(path: Path, values: NDArray[np.generic], mask: Path | None, recognised: str) -> Responses:
    """An array (trials, z, y, x), whose place its mask says."""
    shape, affine, code = (values.shape[1], values.shape[2], values.shape[3]), None, 0
    if mask is None:
        used = _varying(values)
    else:
        used = np.flatnonzero(VolumeVoxels(shape, np.arange(values[0].size)).values(mask) > 0)
        affine, code = placed(mask)
    require_some(used, mask or path)
    cells = VolumeVoxels(shape, used, affine=affine)

    def read(voxels: Indices) -> NDArray[np.generic]:
        k, j, i = cells.kji(voxels)
        return values[:, k, j, i]

    return Responses(
        len(values),
        len(used),
        "volume",
        shape,
        lambda voxels: wide(read(voxels)),
        cells.values,
        cells.frame,
        affine=affine,
        affine_code=code,
        lost=lambda: lost_trials(read, len(used)),
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
        lost=lambda: lost_trials(lambda voxels: array[:, voxels], n_voxels),
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


def _cifti(path: Path) -> Responses:
    file = Grayordinates.open(path)
    cells = file.surface
    read = file.reader(cells)
    return Responses(
        file.n_rows,
        len(cells),
        "surface",
        cells.shape,
        read,
        lambda map_file: map_on(cells, map_file),
        cells.frame,
        lost=lambda: lost_trials(read, len(cells)),
    )
