"""Which voxels are predicted better than chance.

`bootstrap_p` is the paper's test and the default. `correlation_p` is offered beside it because the bootstrap is not
exact under the null hypothesis: docs/METHODS.md gives both error rates on shuffled responses.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ingest.encoding.metrics import Responses, pearson
from schemas.errors import BadInputError

RESAMPLES_AT_ONCE = 512
"""Rows of the two products, which bounds their memory to 512 × n_voxels numbers each."""


def bootstrap_p(measured: Responses, predicted: Responses, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Share of bootstrap resamples of the test images in which R² is below 0.

    In a resample with counts c, R² is below 0 exactly where the squared residuals e² outweigh the spread of the
    measured responses y: c·e² > c·y² − (c·y)²/n. So all resamples of all voxels are two matrix products. Every
    voxel meets the same resamples, so that chunks of voxels give what all of them at once would.

    Args:
        measured: Test responses, (n_images, n_voxels).
        predicted: Predicted responses, (n_images, n_voxels).
        n_resamples: Number of resamples (paper: 2,000).
        seed: Seed of the resamples; row b is numpy's `default_rng(seed).integers(0, n, (n_resamples, n))[b]`.

    Returns:
        p, (n_voxels,), multiples of 1 / n_resamples.
    """
    n_images = _checked(measured, predicted)
    counts = _resample_counts(n_images, n_resamples, seed)
    # R² does not change when a voxel's responses and predictions move together; centred numbers cancel less.
    y = measured - measured.mean(axis=0, dtype=np.float64)
    excess = np.square(np.subtract(measured, predicted, dtype=np.float64)) - np.square(y)
    below = np.zeros(y.shape[1], dtype=np.int64)
    for start in range(0, n_resamples, RESAMPLES_AT_ONCE):
        rows = counts[start : start + RESAMPLES_AT_ONCE]
        shift = rows @ y
        np.square(shift, out=shift)
        shift /= n_images
        shift += rows @ excess
        below += np.count_nonzero(shift > 0, axis=0)
    return below / n_resamples


def correlation_p(measured: Responses, predicted: Responses) -> NDArray[np.float64]:
    """One-sided p of the Pearson correlation: the chance of so large an r when predictions say nothing.

    r·√((n − 2)/(1 − r²)) follows Student's t with n − 2 degrees of freedom, which is also what permuting the test
    images tends to. It has no smallest step, so that it can pass a false discovery rate over any number of voxels.

    Args:
        measured: Test responses, (n_images, n_voxels).
        predicted: Predicted responses, (n_images, n_voxels).

    Returns:
        p, (n_voxels,); 0.5 where either does not vary.
    """
    freedom = _checked(measured, predicted) - 2
    r = pearson(measured, predicted)
    with np.errstate(divide="ignore"):  # r = 1 is t = ∞, and p = 0
        t = r * np.sqrt(freedom / (1.0 - np.square(r)))
    p: NDArray[np.float64] = stdtr(freedom, -t)
    return p


def benjamini_hochberg(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """False discovery rates: the smallest rate at which each test would pass (Benjamini and Hochberg 1995).

    Args:
        p: p values of all voxels of a model, (n_voxels,).

    Returns:
        q, (n_voxels,), 0 to 1.

    Raises:
        BadInputError: A p value is NaN or not between 0 and 1.
    """
    p = np.asarray(p, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise BadInputError("p values must lie between 0 and 1, and some do not; drop the voxels without a p first.")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (len(p) / np.arange(1, len(p) + 1))
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


@lru_cache(maxsize=2)
def _resample_counts(n_images: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each image is drawn in each resample, (n_resamples, n_images). Kept, since every chunk needs it."""
    drawn = np.random.default_rng(seed).integers(0, n_images, (n_resamples, n_images))
    drawn += np.arange(n_resamples)[:, np.newaxis] * n_images
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_images)
    result = counts.reshape(n_resamples, n_images).astype(np.float64)
    result.flags.writeable = False
    return result


def _checked(measured: Responses, predicted: Responses) -> int:
    if measured.shape != predicted.shape or measured.ndim != 2 or len(measured) < 3:
        raise BadInputError(
            f"measured responses {measured.shape} and predictions {predicted.shape} must be two equal tables "
            "(images × voxels) of at least 3 images."
        )
    return len(measured)
