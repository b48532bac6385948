"""Voxels of a functional image: where they are, maps over them, and series of images read voxel by voxel.

A voxel's place in the image is its linear index k·Y·X + j·X + i: C order of a (Z, Y, X) array, which is also the order
of the values in a NIfTI file.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
from nibabel.arrayproxy import ArrayProxy
from nibabel.openers import ImageOpener
from numpy.typing import NDArray

from ...schemas.affines import Affine, misfit
from ...schemas.damaged_files import readable
from ...schemas.errors import BadInputError, SpaceMismatchError
from ...schemas.files import write_atomically
from .fingerprint import combined_sha256, data_sha256
from .trials import Floats, Indices, Trials

_VOLUMES_AT_ONCE = 64
_FOOTER_BYTES, _READ_BYTES = 2**20, 2**24
"""What may follow the values of a file at most, and what is read of a file at once."""
_TOLERANCE = 0.01
"""Distance in voxels by which corners of a map may miss those of the responses' image."""


@dataclass(frozen=True)
class VolumeVoxels:
    """The voxels of a subject within an image."""

    shape: tuple[int, int, int]
    """(z, y, x)"""
    linear: Indices
    """Linear index of each voxel, ascending, (n_voxels,)."""
    hemisphere: NDArray[np.str_] | None = None
    """left, right or "" where it is not known, (n_voxels,)."""
    affine: Affine | None = None
    """Of the image; None where it is not known, and maps are taken to lie where it does."""

    @classmethod
    def whole(cls, shape: tuple[int, int, int], affine: Affine | None = None) -> "VolumeVoxels":
        """Every voxel of an image."""
        return cls(shape, np.arange(int(np.prod(shape))), affine=affine)

    def __len__(self) -> int:
        return len(self.linear)

    def kji(self, voxels: Indices) -> tuple[Indices, Indices, Indices]:
        """Indices (z, y, x) of the voxels of these numbers."""
        k, j, i = np.unravel_index(self.linear[voxels], self.shape)
        return k, j, i

    def frame(self, noise_ceiling: Floats | None = None) -> pl.DataFrame:
        """The data set's `voxels`."""
        k, j, i = self.kji(np.arange(len(self)))
        side = pl.Series(self.hemisphere, dtype=pl.String) if self.hemisphere is not None else None
        return voxel_frame(len(self), i=i, j=j, k=k, hemisphere=side, noise_ceiling=noise_ceiling)

    def values(self, path: Path) -> Floats:
        """A map's values at the voxels, (n_voxels,).

        Raises:
            BadInputError: the file is damaged.
            SpaceMismatchError: the map has another shape, or lies elsewhere.
        """
        volume = read_volume(path)
        if volume.shape != self.shape:
            raise SpaceMismatchError(
                f"{path}: the image is {_by(volume.shape[::-1])} voxels, the responses are {_by(self.shape[::-1])}; "
                "use a map of the same space."
            )
        if self.affine is not None:
            require_place(path, self.shape[::-1], self.affine)
        return volume.ravel()[self.linear]


def voxel_frame(n_voxels: int, **columns: pl.Series | NDArray[np.generic] | None) -> pl.DataFrame:
    """A `voxels` frame; a column that is not given is null, and so are NaN and ""."""
    schema = {"i": pl.Int32, "j": pl.Int32, "k": pl.Int32, "hemisphere": pl.String, "vertex": pl.Int32}
    schema |= {"noise_ceiling": pl.Float32}
    series = [pl.Series("voxel", range(n_voxels), dtype=pl.Int32)]
    for name, kind in schema.items():
        given = columns.get(name)
        values = pl.Series(name, given, dtype=kind) if given is not None else pl.Series(name, [None], dtype=kind)
        series.append(values if given is not None else values.new_from_index(0, n_voxels))
    return pl.DataFrame(series).with_columns(
        pl.col("noise_ceiling").fill_nan(None), pl.col("hemisphere").replace("", None)
    )


def read_volume(path: Path) -> Floats:
    """A three-dimensional NIfTI image as (z, y, x).

    Raises:
        BadInputError: the file is damaged, or no three-dimensional image.
    """
    if path.suffix == ".npy":
        raise BadInputError(f"{path}: an array without a place; maps of voxels of an image are NIfTI.")
    with readable(path):
        image = nib.load(path)
        require_numbers(path, image.dataobj.dtype)
        data = np.asarray(image.dataobj, np.float32)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise BadInputError(f"{path}: an image of {_by(data.shape)} values; a map has three dimensions.")
    return np.ascontiguousarray(data.T)


def require_numbers(path: Path, stored: np.dtype[np.generic]) -> None:
    """Refuse images of colours or of complex numbers, whose parts would be lost.

    Raises:
        BadInputError: it is one.
    """
    if stored.kind not in "biuf":
        kind = "complex numbers" if stored.kind == "c" else "colours" if stored.kind == "V" else str(stored)
        raise BadInputError(f"{path}: an image of {kind}; save it with one real number a voxel.")


def placed(path: Path) -> tuple[Affine | None, int]:
    """A NIfTI image's affine, and the code that says which space it leads to; None and 0 where the file has none."""
    with readable(path):
        image = nib.load(path)
    code = next((int(image.header[name]) for name in ("sform_code", "qform_code") if image.header[name] > 0), 0)
    return (np.asarray(image.affine, np.float64) if code else None), code


def require_affine(path: Path, advice: str) -> tuple[Affine, int]:
    """The affine and code of an image by which voxels are placed; see `placed`.

    Raises:
        BadInputError: it has none; `advice` ends the message.
    """
    affine, code = placed(path)
    if affine is None:
        raise BadInputError(
            f"{path}: the image has no affine (its sform and qform codes are 0), so nothing says where its voxels lie; "
            f"{advice}."
        )
    return affine, code


def require_place(path: Path, shape: tuple[int, ...], affine: Affine, others: str = "the responses") -> None:
    """Refuse a map, mask or image that does not lie where the responses do, or those that are called so.

    Raises:
        SpaceMismatchError: it has no affine, or another.
    """
    own, _ = placed(path)
    if own is None:
        raise SpaceMismatchError(
            f"{path}: the image has no affine (its sform and qform codes are 0), so nothing says whether it lies where "
            f"{others} do; write it with theirs."
        )
    if how := misfit(shape, own, affine, _TOLERANCE):
        raise SpaceMismatchError(f"{path} is {how.format(others)}; resample it to their image.")


def not_all_nan(values: Floats, path: Path) -> Floats:
    """The values of a map.

    Raises:
        BadInputError: all of them are NaN.
    """
    if np.isnan(values).all():
        raise BadInputError(f"{path}: the map is NaN everywhere; get it again, or leave it out.")
    return values


def series_shape(path: Path, advice: str = "") -> tuple[int, ...]:
    """Shape (x, y, z, n_volumes) of a NIfTI series, from its header.

    Raises:
        BadInputError: the file is damaged.
    """
    with readable(path, advice):
        image = nib.load(path)
        require_numbers(path, image.dataobj.dtype)
        check_length(path, image.dataobj)
    shape: tuple[int, ...] = image.shape
    return shape


def check_length(path: Path, data: ArrayProxy) -> None:
    """Raises EOFError when a file is shorter than its header says."""
    expected = data.offset + int(np.prod(data.shape)) * data.dtype.itemsize
    length = _unpacked_bytes(path, expected) if path.suffix in (".gz", ".mgz") else path.stat().st_size
    if length < expected:
        raise EOFError(f"{length} bytes, {expected} expected")


def _unpacked_bytes(path: Path, expected: int) -> int:
    """Bytes that a gzip file holds.

    It ends with their number, modulo 2³² (RFC 1952). Where that is not near to what is expected, the file is cut or has
    several members, whose last one alone tells its number there: then it is read.
    """
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        more = (int.from_bytes(file.read(4), "little") - expected) % 2**32
    if more < _FOOTER_BYTES:
        return expected + more
    with ImageOpener(str(path)) as file:
        return sum(map(len, iter(lambda: file.read(_READ_BYTES), b"")))


def volumes_of(path: Path, advice: str = "") -> Iterator[NDArray[np.generic]]:
    """The images of a NIfTI series one after the other, flat, as they are stored (unscaled).

    Reading in the file's order decompresses it once, and one image is in memory at a time.

    Raises:
        BadInputError: the file ends early or is damaged.
    """
    with readable(path, advice):
        image = nib.load(path)
        proxy, n = image.dataobj, int(np.prod(image.shape[:3]))
        with ImageOpener(str(path)) as file:
            file.seek(proxy.offset)
            for _ in range(int(np.prod(image.shape[3:]))):
                stored = file.read(n * proxy.dtype.itemsize)
                if len(stored) < n * proxy.dtype.itemsize:
                    raise EOFError("it ends early")
                yield np.frombuffer(stored, proxy.dtype)


def voxel_major(path: Path, linear: Indices, cache: Path, advice: str = "") -> Callable[[Indices], Trials]:
    """Read a NIfTI series voxel by voxel.

    A compressed series can only be read image by image. So the wanted voxels are copied once to a file in `cache`
    that holds each voxel's values together, when the first of them are read; afterwards nothing else is read.

    Args:
        path: the .nii or .nii.gz file, (x, y, z, n_volumes).
        linear: linear indices of the voxels that are ever read, (n_voxels,).
        cache: folder of the copy, which is as large as the stored values of these voxels.
        advice: ends the message about a damaged file.

    Returns:
        A function from numbers of voxels (positions in `linear`) to their values, (n_volumes, n), scaled as the
        header says.
    """
    copy = _copy_of([path], linear, cache)
    with readable(path, advice):
        proxy = nib.load(path).dataobj

    def read(voxels: Indices) -> Trials:
        if not copy.exists():
            _write_by_voxel(copy, volumes_of(path, advice), proxy.shape[3], proxy.dtype, linear)
        stored = wide(np.load(copy, mmap_mode="r")[voxels].T)
        # A slope of 1 and an intercept of 0 change nothing, and need not be computed.
        if (proxy.slope, proxy.inter) != (1, 0):
            stored = stored * stored.dtype.type(proxy.slope) + stored.dtype.type(proxy.inter)
        return stored

    return read


def volumes_in(paths: Sequence[Path]) -> Iterator[Trials]:
    """The values of three-dimensional images, one a file, flat, each scaled as its own header says.

    Raises:
        BadInputError: a file ends early or is damaged.
    """
    for path in paths:
        with readable(path):
            yield wide(np.asarray(nib.load(path).dataobj)).ravel(order="F")


def voxel_major_of(
    paths: Sequence[Path], linear: Indices, cache: Path, dtype: np.dtype[np.generic]
) -> Callable[[Indices], Trials]:
    """Read three-dimensional images, one a file, voxel by voxel; see `voxel_major`.

    Args:
        paths: files of one grid.
        linear: linear indices of the voxels that are ever read, (n_voxels,).
        cache: folder of the copy.
        dtype: of the copy.
    """
    copy = _copy_of(paths, linear, cache)

    def read(voxels: Indices) -> Trials:
        if not copy.exists():
            _write_by_voxel(copy, volumes_in(paths), len(paths), dtype, linear)
        return wide(np.load(copy, mmap_mode="r")[voxels].T)

    return read


def copied_bytes(path: Path, n_voxels: int) -> int:
    """Disk that the copy of some voxels of a NIfTI series takes.

    Raises:
        BadInputError: the file is damaged.
    """
    with readable(path):
        data = nib.load(path).dataobj
    return int(n_voxels * np.prod(data.shape[3:]) * data.dtype.itemsize)


def wide(stored: NDArray[np.generic]) -> Trials:
    """Numbers in single precision, or in double where that would round them."""
    exact = np.can_cast(stored.dtype, np.float32)
    return np.asarray(stored, np.float32) if exact else np.asarray(stored, np.float64)


def _copy_of(paths: Sequence[Path], linear: Indices, cache: Path) -> Path:
    sha256s = [*map(data_sha256, paths), hashlib.sha256(linear.tobytes()).hexdigest()]
    return cache / f"{combined_sha256(sha256s)}.npy"


def _write_by_voxel(
    copy: Path, volumes: Iterator[NDArray[np.generic]], n_volumes: int, dtype: np.dtype[np.generic], linear: Indices
) -> None:
    """Write values of the voxels, (n_voxels, n_volumes)."""
    values = np.empty((len(linear), n_volumes), dtype)
    buffer = np.empty((min(_VOLUMES_AT_ONCE, n_volumes), len(linear)), dtype)
    for number, volume in enumerate(volumes):
        row = number % len(buffer)
        buffer[row] = volume[linear]
        if row == len(buffer) - 1 or number == n_volumes - 1:
            values[:, number - row : number + 1] = buffer[: row + 1].T
    write_atomically(copy, lambda file: np.save(file, values))


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
