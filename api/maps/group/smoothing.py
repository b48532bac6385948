"""Smoothing along the cortex by the heat equation, so that regions which lie a little apart in subjects meet."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import factorized

from ....viz.surfaces.raster import Mesh
from .over_subjects import Doubles

_STEPS = 4
"""Implicit steps of time; more make the kernel's tails thinner, and no difference to a map."""
_LEAST = 0.5
"""Weight that vertices with a value must have for there to be a value between them."""
MOST_MM = 30.0


def smoothed(values: NDArray[np.floating], mesh: Mesh, mm: float) -> Doubles:
    """Maps convolved with a Gaussian of so many mm (full width at half maximum) along a surface.

    The Gaussian is heat's, which after a time t has a variance of 2t along each axis; the operator is the cotangent
    Laplacian with lumped masses (Meyer et al. 2003, sec. 3). A vertex without a value gets none, and lends none.

    Args:
        values: (n_maps, n_vertices); NaN for none.
        mesh: the surface, in mm.
        mm: full width at half maximum, above 0.
    """
    step = _step(mesh, mm**2 / (16 * math.log(2)))
    known = np.isfinite(values)
    smooth = np.full(values.shape, np.nan)
    for row, (own, here) in enumerate(zip(values, known, strict=True)):
        total, weight = np.where(here, own, 0.0).astype(np.float64), here.astype(np.float64)
        for _ in range(_STEPS):
            total, weight = step(total), step(weight)
        np.divide(total, weight, out=smooth[row], where=here & (weight >= _LEAST))
    return smooth


def _step(mesh: Mesh, time: float) -> Callable[[Doubles], Doubles]:
    """One implicit step of the heat equation, (M + time/steps · L) x' = M x."""
    points, faces, n = mesh.points, mesh.faces, len(mesh.points)
    rows, columns, weights, mass = [], [], [], np.zeros(n)
    for at, one, other in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = points[faces[:, one]] - points[faces[:, at]], points[faces[:, other]] - points[faces[:, at]]
        twice_area = np.linalg.norm(np.cross(u, v), axis=1).clip(1e-9)
        rows += [faces[:, one], faces[:, other]]
        columns += [faces[:, other], faces[:, one]]
        weights += [(u * v).sum(axis=1) / twice_area / 2] * 2
        np.add.at(mass, faces[:, at], twice_area / 6)
    mass = mass.clip(1e-6)  # of vertices that no face has
    places = np.concatenate(rows), np.concatenate(columns)
    between = sparse.coo_matrix((np.concatenate(weights), places), (n, n)).tocsc()
    laplacian = sparse.diags_array(np.asarray(between.sum(axis=1)).ravel()) - between
    solve = factorized((sparse.diags_array(mass) + time / _STEPS * laplacian).tocsc())
    return lambda x: np.asarray(solve(mass * x))
