"""Arrays of numbers in .npy files, HDF5 and MATLAB's: found by their names, with their axes in one order.

An axis is a letter: t for trials, v for voxels; x, y and z of an image.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from ....schemas.damaged_files import readable
from ....schemas.errors import AtlasError, BadInputError, NotFoundError
from ..vertices import npy_array

HDF5 = (".hdf5", ".h5", ".mat")
"""Files of several arrays, which have names; .mat files before v7.3 are none of HDF5."""
_BETAS = "betasmd"
"""GLMsingle's name of its single-trial betas."""
_IN_WORDS = {"t": "trials", "v": "voxels"}
_MATLAB_NUMBERS = ("single", "double", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class StoredArray(NamedTuple):
    """An array as its file has it."""

    values: NDArray[np.generic]
    by_glmsingle: bool = False
    """Whether its name says who wrote it, and so in which order."""

    @property
    def usual(self) -> str:
        """Its axes where nothing says more."""
        if self.values.ndim == 4:
            return "xyzt"
        return "vt" if self.by_glmsingle else "tv"


def read_array(path: Path, name: str = "") -> StoredArray:
    """The array of responses in a file; that of an .npy file stays on disk.

    Args:
        path: .npy, .hdf5, .h5 or .mat of any version.
        name: of the array; "" for GLMsingle's betas, or the only array that can be responses.

    Raises:
        NotFoundError: there is no such array; the message lists those that there are.
        BadInputError: a damaged file, or none or several arrays that can be responses.
    """
    if path.suffix == ".npy":
        if name:
            raise BadInputError(f"{path}: an .npy file has one array, without a name; leave out :{name}.")
        return StoredArray(
            npy_array(path, "of GLMsingle give the .hdf5 or .mat file instead, of your own save numbers")
        )
    if path.suffix == ".mat" and not h5py.is_hdf5(path):
        return _of_old_matlab(path, name)
    with _whole(path), h5py.File(path) as file:
        arrays: dict[str, h5py.Dataset] = {}

        def found(key: str, item: object) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and not key.startswith("#refs#"):
                arrays[key] = item

        file.visititems(found)
        name = _chosen(path, {key: data.shape for key, data in arrays.items()}, name)
        # MATLAB's axes come out of HDF5 reversed.
        of_matlab = "MATLAB_class" in arrays[name].attrs
        values = np.asarray(arrays[name]).T if of_matlab else np.asarray(arrays[name])
    return StoredArray(values, name == _BETAS)


def in_order(
    path: Path, array: StoredArray, n_trials: int, grid: tuple[int, ...] | None, axes: str
) -> tuple[NDArray[np.generic], str]:
    """An array with trials first, and its axes as they were found to be.

    Args:
        path: its file.
        array: the array.
        n_trials: trials by the table that joins them to images.
        grid: (x, y, z) of the mask, where there is one.
        axes: what the user says of the axes; "" where nothing.

    Returns:
        A view, (trials, voxels) or (trials, z, y, x), and the axes: the user's, else those of the format, unless the
        sizes say that they are others.

    Raises:
        BadInputError: no such array, or one whose sizes fit two ways.
    """
    values, shape = array.values, array.values.shape
    if values.ndim not in (2, 4) or values.dtype.kind not in "fiu":
        raise BadInputError(
            f"{path}: {values.dtype} of shape {shape}; numbers of shape (trials, voxels) expected, or (x, y, z, "
            "trials)."
        )
    if axes and len(axes) != values.ndim:
        raise BadInputError(f"{path}: --axes {axes} names {len(axes)} axes, but the array has shape {shape}.")
    found = axes or _recognised(path, array, n_trials, grid)
    return values.transpose([found.index(axis) for axis in ("tv" if values.ndim == 2 else "tzyx")]), found


def said_of(path: Path, array: StoredArray, axes: str, n_trials: int) -> str:
    """What is said of an array whose axes were recognised; "" where they are as its format has them."""
    if axes == array.usual:
        return ""
    words = ", ".join(_IN_WORDS.get(axis, axis) for axis in axes)
    return f"{path.name}: its {array.values.shape} are taken for ({words}), as there are {n_trials} trials."


def _recognised(path: Path, array: StoredArray, n_trials: int, grid: tuple[int, ...] | None) -> str:
    """The axes that fit the number of trials and the mask's grid; the usual ones where none do."""
    shape, usual = array.values.shape, array.usual
    orders = ("tv", "vt") if len(shape) == 2 else ("xyzt", "txyz", "tzyx", "zyxt")

    def fits(axes: str) -> bool:
        sizes = dict(zip(axes, shape, strict=True))
        return sizes["t"] == n_trials and (grid is None or len(shape) == 2 or grid == tuple(sizes[a] for a in "xyz"))

    fitting = [axes for axes in orders if fits(axes)]
    # Where trials are last for sure, x before z is the rule and no guess.
    sure = array.by_glmsingle or all(axes.index("t") == usual.index("t") for axes in fitting)
    if usual in fitting and sure:
        return usual
    if len(fitting) > 1:
        mask = "" if len(shape) == 2 or grid else ", or put mask.nii.gz beside it"
        raise BadInputError(
            f"{path}: shape {shape} may be {' or '.join(fitting)} (t trials, v voxels) by its {n_trials} trials; say "
            f"which by --axes{mask}."
        )
    return fitting[0] if fitting else usual


def _of_old_matlab(path: Path, name: str) -> StoredArray:
    with _whole(path):
        shapes = {key: shape for key, shape, kind in scipy.io.whosmat(path) if kind in _MATLAB_NUMBERS}
        name = _chosen(path, shapes, name)
        values: NDArray[np.generic] = scipy.io.loadmat(path, variable_names=[name])[name]
    return StoredArray(values, name == _BETAS)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """`readable`, of what h5py and scipy make of damage, too."""
    with readable(path):
        try:
            yield
        except AtlasError:
            raise
        except (IndexError, KeyError, MatReadError, RuntimeError, TypeError) as error:
            raise ValueError(str(error)) from None


def _chosen(path: Path, shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    """The name of the array of responses among all."""
    listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "no array of numbers"
    if name:
        if name not in shapes:
            raise NotFoundError(f"{path}: there is no array {name!r}; it has {listed}.")
        return name
    # MATLAB's scalars and vectors have two axes, too.
    likely = [key for key, shape in shapes.items() if len(shape) in (2, 4) and sum(n > 1 for n in shape) > 1]
    if _BETAS in likely:
        return _BETAS
    if len(likely) != 1:
        raise BadInputError(
            f"{path}: one array of responses or GLMsingle's {_BETAS} expected; it has {listed}; --responses "
            f"{path.name}:NAME says which."
        )
    return likely[0]
