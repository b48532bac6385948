"""Where the challenge's vertices lie on fsaverage, and the labels of their regions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ....schemas.spaces import MESHES
from ..nsd.subject_maps import NAMES
from ..trials import Floats
from ..vertices import SurfaceVertices, npy_map

SIDES = ("lh", "rh")
N_VERTICES = MESHES["fsaverage"]
LABELS = ("prf-visualrois", "floc-bodies", "floc-faces", "floc-places", "floc-words", "streams")
"""Label files of NSD that the challenge has. Their names are those of NSD's manual: the challenge's own file of names,
mapping_*.npy, is a pickled dict, and reading such a file runs what is in it."""


@dataclass(frozen=True)
class ChallengeMaps:
    """A subject's roi_masks folder; see `LabelMaps`."""

    folder: Path
    cells: SurfaceVertices
    """The challenge's vertices: column i of a hemisphere's responses is its i-th one."""

    @classmethod
    def of(cls, folder: Path, n_columns: tuple[int, int]) -> "ChallengeMaps":
        """The maps of a subject whose responses have so many columns, left and right.

        Raises:
            NotFoundError: a file that places the vertices is missing.
            BadInputError: it is damaged.
            SpaceMismatchError: it has another number of vertices.
        """
        vertex = []
        for path, expected in zip(places(folder), n_columns, strict=True):
            if not path.exists():
                raise NotFoundError(f"{path}: not there, and nothing else says which vertices these are; get it again.")
            inside = _of_hemisphere(path, N_VERTICES)
            if int((inside > 0).sum()) != expected:
                raise SpaceMismatchError(
                    f"{path}: {int((inside > 0).sum())} vertices, but the responses have {expected}; get both from the "
                    "same subject."
                )
            vertex.append(np.flatnonzero(inside > 0))
        side = np.repeat(np.array([0, 1], np.int8), n_columns)
        return cls(folder, SurfaceVertices((N_VERTICES, N_VERTICES), side, np.concatenate(vertex)))

    def label_files(self) -> list[str]:
        """See `LabelMaps`."""
        return [name for name in LABELS if any(path.exists() for path in label_paths(self.folder, name))]

    def labels(self, name: str) -> Floats:
        """See `LabelMaps`; from files of the challenge's vertices, else from those of all of fsaverage."""
        halves = []
        for number, side in enumerate(SIDES):
            own = self.cells.vertex[self.cells.side == number]
            short, whole = label_paths(self.folder, name, side)
            values = _of_hemisphere(short, len(own)) if short.exists() else _of_hemisphere(whole, N_VERTICES)[own]
            halves.append(values)
        return np.concatenate(halves)

    def localiser(self, category: str) -> Floats | None:  # noqa: ARG002 - the challenge has no maps of t
        """See `LabelMaps`."""
        return None

    def names(self, name: str, used: set[int]) -> dict[int, str]:
        """See `LabelMaps`."""
        known = dict(enumerate(NAMES[name], start=1))
        if unknown := used - set(known):
            raise BadInputError(
                f"{self.folder}: {name} has the label {min(unknown)}, and NSD knows 1 … {len(known)}; get it again."
            )
        return known


def places(folder: Path) -> list[Path]:
    """Files that place the columns of the responses on fsaverage, left and right."""
    return [folder / f"{side}.all-vertices_fsaverage_space.npy" for side in SIDES]


def label_paths(folder: Path, name: str, side: str = "lh") -> tuple[Path, Path]:
    """A label file of the challenge's vertices, and of all of fsaverage's."""
    return folder / f"{side}.{name}_challenge_space.npy", folder / f"{side}.{name}_fsaverage_space.npy"


def _of_hemisphere(path: Path, n: int) -> Floats:
    if not path.exists():
        raise NotFoundError(f"{path}: not there, and the other hemisphere's is; get it again.")
    return npy_map(path, (n,))
