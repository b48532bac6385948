"""How well predictions meet responses, voxel by voxel."""

import numpy as np
from numpy.typing import NDArray

Responses = NDArray[np.floating]
"""Measured or predicted responses, (n_images, n_voxels), z-scored betas."""


def r2(measured: Responses, predicted: Responses) -> NDArray[np.float64]:
    """Coefficient of determination, 1 − mean squared error / variance.

    Args:
        measured: (n_images, n_voxels).
        predicted: (n_images, n_voxels).

    Returns:
        (n_voxels,), at most 1; 0 where the measured response does not vary, since nothing can be explained there.
    """
    error = np.square(np.subtract(measured, predicted, dtype=np.float64)).mean(axis=0)
    variance = np.var(measured, axis=0, dtype=np.float64)
    unexplained = np.ones_like(error)
    np.divide(error, variance, out=unexplained, where=variance > 0)
    score: NDArray[np.float64] = 1.0 - unexplained
    return score


def pearson(measured: Responses, predicted: Responses) -> NDArray[np.float64]:
    """Pearson correlation of measured and predicted responses.

    Args:
        measured: (n_images, n_voxels).
        predicted: (n_images, n_voxels).

    Returns:
        (n_voxels,), −1 to 1; 0 where either does not vary.
    """
    a, b = _centred(measured), _centred(predicted)
    scale = np.sqrt(np.einsum("ij,ij->j", a, a) * np.einsum("ij,ij->j", b, b))
    r = np.zeros_like(scale)
    np.divide(np.einsum("ij,ij->j", a, b), scale, out=r, where=scale > 0)
    clipped: NDArray[np.float64] = np.clip(r, -1.0, 1.0)
    return clipped


def drop_reasons(responses: Responses) -> NDArray[np.str_]:
    """Why each voxel cannot be fitted: "nan" (NaN or infinite), "constant" (does not vary), or "" where it can.

    Args:
        responses: (n_images, n_voxels).

    Returns:
        (n_voxels,) strings.
    """
    low, high = responses.min(axis=0), responses.max(axis=0)
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(~finite, "nan", np.where(low == high, "constant", ""))


def _centred(responses: Responses) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = responses - responses.mean(axis=0, dtype=np.float64)
    return centred
