"""Vertices of a cortical surface: which there are, and maps over them from CIFTI, FreeSurfer and NumPy files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
from nibabel import cifti2
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.openers import ImageOpener
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import BadInputError, SpaceMismatchError
from .trials import Floats, Indices
from .volumes import check_length, voxel_frame

_CORTEX = {"CIFTI_STRUCTURE_CORTEX_LEFT": 0, "CIFTI_STRUCTURE_CORTEX_RIGHT": 1}
_SIDES = np.array(["left", "right"])


@dataclass(frozen=True)
class SurfaceVertices:
    """The vertices of a subject: all of a surface's, or those that a file has values for."""

    shape: tuple[int, int]
    """Vertices of the left and of the right surface, with those that have no values."""
    side: NDArray[np.int8]
    """0 for the left, 1 for the right hemisphere, (n_voxels,)."""
    vertex: Indices
    """Vertex number within the hemisphere, (n_voxels,)."""

    def __len__(self) -> int:
        return len(self.vertex)

    @property
    def linear(self) -> Indices:
        """Place of each vertex when the left surface's vertices are followed by the right one's, (n_voxels,)."""
        return self.vertex + np.where(self.side == 1, self.shape[0], 0)

    def frame(self, noise_ceiling: Floats | None = None) -> pl.DataFrame:
        """The data set's `voxels`."""
        return voxel_frame(
            len(self),
            hemisphere=pl.Series(_SIDES[self.side], dtype=pl.String),
            vertex=self.vertex,
            noise_ceiling=noise_ceiling,
        )

    def values(self, path: Path) -> Floats:
        """A FreeSurfer map over both hemispheres at the vertices, (n_voxels,).

        Args:
            path: the left hemisphere's file, lh.NAME; rh.NAME is beside it.

        Raises:
            SpaceMismatchError: a hemisphere has another number of vertices.
        """
        halves = []
        for side, expected in zip(("lh", "rh"), self.shape, strict=True):
            half = path.with_name(f"{side}.{path.name.removeprefix('lh.')}")
            with readable(half):
                values = np.asarray(mgh_data(half), np.float32).ravel(order="F")
            if len(values) != expected:
                raise SpaceMismatchError(
                    f"{half}: the map has {len(values)} vertices, the responses have {expected}; use a map of the "
                    "same surface and hemisphere."
                )
            halves.append(values)
        return np.concatenate(halves)[self.linear]

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> "SurfaceVertices":
        """Every vertex of both hemispheres."""
        side = np.repeat(np.array([0, 1], np.int8), shape)
        return cls(shape, side, np.concatenate([np.arange(n) for n in shape]))


def mgh_data(path: Path) -> ArrayProxy:
    """The values of an .mgh or .mgz file, (vertices, 1, 1, …), which stay on disk until they are indexed.

    nibabel's own loading of this format leaves the file open.

    Raises:
        EOFError: the file is shorter than its header says.
    """
    with ImageOpener(str(path)) as file:
        data = ArrayProxy(str(path), MGHHeader.from_fileobj(file))
    check_length(path, data)
    return data


def npy_array(path: Path, advice: str = "get it again") -> NDArray[np.generic]:
    """An array in a .npy file, which stays on disk until it is indexed.

    Args:
        path: the file.
        advice: what to do where it holds pickled objects.

    Raises:
        NotFoundError: only a pointer of git-annex or Git LFS is there.
        BadInputError: the file is damaged, or holds pickled objects.
    """
    with readable(path):
        try:
            array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "Python objects" not in str(error):
                raise
            raise BadInputError(
                f"{path}: pickled Python objects, which are not read, as reading them runs what is in them; {advice}."
            ) from None
    return array


def npy_map(path: Path, shape: tuple[int, ...], advice: str = "get it again") -> Floats:
    """The numbers of a .npy file that has one for each voxel or vertex, `shape`.

    Args:
        path: the file.
        shape: what it must have.
        advice: what to do where it has another.

    Raises:
        NotFoundError, BadInputError: as `npy_array`.
        SpaceMismatchError: it has another shape, or no numbers.
    """
    values = npy_array(path)
    if values.shape != shape or values.dtype.kind not in "biuf":
        raise SpaceMismatchError(
            f"{path}: {values.dtype} of shape {values.shape}, numbers of shape {shape} expected; {advice}."
        )
    return values.astype(np.float32)


@dataclass(frozen=True)
class Grayordinates:
    """A CIFTI-2 file of maps or series over grayordinates, whose cortical vertices are read."""

    path: Path
    names: tuple[str, ...]
    """Names of the rows, where the file has them."""
    labels: tuple[dict[int, str], ...]
    """Key → name of each row of a .dlabel.nii file; empty for other files."""
    surface: SurfaceVertices
    columns: Indices
    """Column of the file for each vertex of `surface`."""
    _data: ArrayProxy

    @classmethod
    def open(cls, path: Path) -> "Grayordinates":
        """Read the axes of a .dscalar.nii, .dtseries.nii or .dlabel.nii file; values stay on disk.

        Raises:
            BadInputError: the file is damaged, or has no cortical vertices.
        """
        with readable(path):
            image = nib.load(path)
            check_length(path, image.dataobj)
        if not isinstance(image, cifti2.Cifti2Image) or len(image.shape) != 2:
            raise BadInputError(f"{path}: not a CIFTI-2 file of maps over grayordinates.")
        rows, axis = (image.header.get_axis(i) for i in range(2))
        if not isinstance(axis, cifti2.BrainModelAxis) or not any(name in _CORTEX for name in axis.nvertices):
            raise BadInputError(f"{path}: the file has no cortical vertices; a file in fs_LR space has them.")
        # Subcortical grayordinates may lie between the hemispheres, and a file need not have both.
        side = np.full(len(axis), -1, np.int8)
        for name, number in _CORTEX.items():
            side[axis.name == name] = number
        columns = np.flatnonzero(side >= 0)
        shape = (
            axis.nvertices.get("CIFTI_STRUCTURE_CORTEX_LEFT", 0),
            axis.nvertices.get("CIFTI_STRUCTURE_CORTEX_RIGHT", 0),
        )
        labels: tuple[dict[int, str], ...] = ()
        if isinstance(rows, cifti2.LabelAxis):
            labels = tuple({int(key): str(name) for key, (name, _) in table.items()} for table in rows.label)
        names = tuple(str(name) for name in rows.name) if hasattr(rows, "name") else ()
        surface = SurfaceVertices(shape, side[columns], axis.vertex[columns].astype(np.intp))
        return cls(path, names, labels, surface, columns, image.dataobj)

    @property
    def n_rows(self) -> int:
        """Maps or time points of the file."""
        return int(self._data.shape[0])

    def columns_of(self, surface: SurfaceVertices) -> Indices:
        """The file's column of each vertex of another surface, (n_voxels,); −1 where the file has no value.

        A file of one hemisphere has no values on the other.

        Raises:
            SpaceMismatchError: the surfaces have other numbers of vertices, or no hemisphere is of both.
        """
        sides = [number for number in (0, 1) if self.surface.shape[number] and surface.shape[number]]
        if not sides or any(self.surface.shape[side] != surface.shape[side] for side in sides):
            raise SpaceMismatchError(
                f"{self.path}: surfaces of {self.surface.shape} vertices, but the responses are on {surface.shape}; "
                "use a file of the same space."
            )
        place = np.full((2, max(self.surface.shape + surface.shape)), -1, np.intp)
        place[self.surface.side, self.surface.vertex] = self.columns
        columns: Indices = place[surface.side, surface.vertex]
        return columns

    def read(self, columns: Indices) -> Floats:
        """Values of all rows at columns of the file, (n_rows, n); NaN for column −1."""
        known = columns >= 0
        values = np.full((self.n_rows, len(columns)), np.nan, np.float32)
        if known.any():
            # A grayordinate's values lie together in the file: the range that holds the wanted ones is one read.
            first, last = int(columns[known].min()), int(columns[known].max())
            with readable(self.path):
                block = np.asarray(self._data[:, first : last + 1], np.float32)
            values[:, known] = block[:, columns[known] - first]
        return values

    def reader(self, surface: SurfaceVertices) -> Callable[[Indices], Floats]:
        """A function from numbers of vertices of `surface` to their values, (n_rows, n)."""
        columns = self.columns_of(surface)
        return lambda voxels: self.read(columns[voxels])
