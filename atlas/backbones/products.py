"""Unit vectors and inner products with the same digits on every machine, and weights applied at every position."""

import numpy as np
from numpy.typing import NDArray

from .interface import Floats

_ROWS = 2048
"""Rows that are held in float64 at once."""


def unit_rows(vectors: NDArray[np.floating], out: Floats | None = None) -> Floats:
    """Vectors (n, dim), or one (dim,), divided by their lengths in float64 and rounded once; those of zeros stay.

    Args:
        vectors: any real numbers.
        out: array of the same shape to write into, which may be `vectors` itself; None for a new one.
    """
    unit = np.empty(vectors.shape, np.float32) if out is None else out
    given, written = np.atleast_2d(vectors), np.atleast_2d(unit)
    for start in range(0, len(given), _ROWS):
        rows = slice(start, start + _ROWS)
        wide = given[rows].astype(np.float64)
        length = np.linalg.norm(wide, axis=1, keepdims=True)
        written[rows] = wide / np.where(length > 0, length, 1)
    return unit


def inner_products(left: Floats, right: Floats) -> Floats:
    """Inner products of all rows of two matrices, (n, d) and (m, d) -> (n, m), summed in float64 and rounded once.

    Sums in float32 differ in their last digits with the number of rows, of threads and with the processor, and what is
    ranked or cut by them then differs, too. Rounded sums do not.
    """
    products = np.empty((len(left), len(right)), np.float32)
    wide = left.astype(np.float64)
    for start in range(0, len(right), _ROWS):
        rows = slice(start, start + _ROWS)
        products[:, rows] = wide @ right[rows].T.astype(np.float64)
    return products


def weighted(local: Floats, weights: Floats) -> Floats:
    """Weights applied at every position.

    Args:
        local: (channels, height, width).
        weights: (n_voxels, channels), the same everywhere; or (n_voxels, channels · height · width), where a network's
            features are the flattened map and every position has its own (AlexNet).

    Returns:
        (n_voxels, height, width).
    """
    channels, height, width = local.shape
    if weights.shape[1] == channels:
        return inner_products(weights, local.reshape(channels, -1).T).reshape(-1, height, width)
    return np.asarray(np.einsum("nchw,chw->nhw", weights.reshape(-1, channels, height, width), local, optimize=True))
