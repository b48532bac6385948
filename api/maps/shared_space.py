"""The space in which a subject's cortex meets that of others: fsaverage or fs_LR, and the way there."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...schemas.spaces import MESHES, MNI152
from ...viz.surfaces.nsd_warps import fsaverage_vertices, on_fsaverage
from ...viz.surfaces.surface import Surface

Carry = Callable[[NDArray[Any]], NDArray[Any]]
"""From values of a surface's cells, (n_cells,), to those of the vertices of both hemispheres, (2, n); NaN for none, or
0 where values are whole numbers."""


class SharedSpace(NamedTuple):
    """A mesh that is the same for every subject."""

    family: str
    """fsaverage, whose denser meshes begin with the vertices of the coarser ones, or fs_LR."""
    n: int
    """Vertices of a hemisphere."""
    carry: Carry

    def carried(self, values: NDArray[Any], n: int) -> NDArray[Any]:
        """Values at the first `n` vertices of each hemisphere, (2 · n,), the right ones after the left."""
        return self.carry(values)[:, :n].reshape(-1)


def mesh_name(family: str, n: int) -> str:
    """The name of a mesh of so many vertices, as `load_surface` takes it."""
    return next(name for name, count in MESHES.items() if name.startswith(family) and count == n)


def shared_space(surface: Surface) -> SharedSpace:
    """Where a subject's surface meets others.

    Raises:
        SpaceMismatchError: nowhere; the message names the files that would lead there.
    """
    family = "fsaverage" if surface.name.startswith("fsaverage") else surface.name
    if surface.transform is None and family in MESHES and surface.shape[0] in MESHES.values():
        return SharedSpace(family, surface.shape[0], lambda values: values.reshape(2, -1))
    if surface.transform == MNI152:
        return SharedSpace(family, surface.n_vertices[0], partial(_sampled, surface))
    return SharedSpace("fsaverage", fsaverage_vertices(surface).shape[1], partial(on_fsaverage, surface=surface))


def _sampled(surface: Surface, values: NDArray[Any]) -> NDArray[Any]:
    none = 0 if np.issubdtype(values.dtype, np.integer) else np.nan
    return np.append(values, values.dtype.type(none))[surface.vertex_cells()].reshape(2, -1)
