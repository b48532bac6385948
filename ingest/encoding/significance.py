"""Which voxels are predicted better than chance.

`bootstrap_p` is the paper's test and the default. It is strict: a resample's R² is measured against the resample's own
mean, which a prediction that knows nothing cannot beat, so that far fewer such voxels than 5 % reach p < 0.05.
`correlation_p` is calibrated and offered beside it. Over 20 shuffles of the images, 1,000 voxels each, 512 features,
8,500 training and 1,500 test images (benchmarks/bootstrap.py), the shares of voxels with p < 0.05 were 0.015 % and
5.0 %, and the shares that passed a false discovery rate of 5 % were 0 and 0.01 %.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import false_discovery_control

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from .metrics import Responses, pearson

RESAMPLES_AT_ONCE = 512
"""Rows of the two products, which bounds their memory to 512 × n_voxels numbers each."""


def p_values(config: IngestConfig, measured: Responses, predicted: Responses) -> NDArray[np.float64]:
    """P values of all voxels by the test that the configuration names, (n_voxels,)."""
    if config.significance == "correlation":
        return correlation_p(measured, predicted)
    return bootstrap_p(measured, predicted, config.n_bootstrap, config.seed)


def bootstrap_p(measured: Responses, predicted: Responses, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Share of bootstrap resamples of the test images in which R² is below 0.

    In a resample with counts c, R² is below 0 exactly where the squared residuals e² outweigh the spread of the
    measured responses y: c·e² > c·y² − (c·y)²/n. So all resamples of all voxels are two matrix products. Every
    voxel meets the same resamples, so that chunks of voxels give what all of them at once would.

    Args:
        measured: test responses, (n_images, n_voxels).
        predicted: predicted responses, (n_images, n_voxels).
        n_resamples: number of resamples (paper: 2,000).
        seed: seed of the resamples; row b is numpy's `default_rng(seed).integers(0, n, (n_resamples, n))[b]`.

    Returns:
        p, (n_voxels,), multiples of 1 / n_resamples.
    """
    n_images = _checked(measured, predicted)
    counts = _resample_counts(n_images, n_resamples, seed)
    # R² does not change when a voxel's responses and predictions move together; centred numbers cancel less.
    y = np.subtract(measured, measured.mean(axis=0, dtype=np.float64), dtype=np.float64)
    residual = np.subtract(predicted, measured, dtype=np.float64)
    # e² − y², and y scaled such that the square of its sum is (c·y)²/n, both in place: fresh memory is slow memory.
    excess = np.square(residual, out=residual)
    excess -= np.square(y)
    y /= np.sqrt(n_images)
    below = np.zeros(y.shape[1], dtype=np.int64)
    weighed, spread = (np.empty((min(RESAMPLES_AT_ONCE, n_resamples), y.shape[1])) for _ in range(2))
    # The products are torch's, as ridge's are: the threads of a second BLAS wait for more work in ridge's way.
    for rows in torch.split(counts, RESAMPLES_AT_ONCE):
        heavier, sums = weighed[: len(rows)], spread[: len(rows)]
        torch.mm(rows, torch.from_numpy(excess), out=torch.from_numpy(heavier))
        torch.mm(rows, torch.from_numpy(y), out=torch.from_numpy(sums))
        heavier += np.square(sums, out=sums)
        below += (heavier > 0).sum(axis=0, dtype=np.int32)
    return below / n_resamples


def correlation_p(measured: Responses, predicted: Responses) -> NDArray[np.float64]:
    """One-sided p of the Pearson correlation: the chance of so large an r when predictions say nothing.

    r·√((n − 2)/(1 − r²)) follows Student's t with n − 2 degrees of freedom, which is also what permuting the test
    images tends to. It has no smallest step, so that it can pass a false discovery rate over any number of voxels.

    Args:
        measured: test responses, (n_images, n_voxels).
        predicted: predicted responses, (n_images, n_voxels).

    Returns:
        p, (n_voxels,); 0.5 where either does not vary.
    """
    return p_of_correlation(pearson(measured, predicted), _checked(measured, predicted))


def p_of_correlation(r: NDArray[np.floating], n_images: int) -> NDArray[np.float64]:
    """The same from the correlations, (n_voxels,), over so many test images."""
    freedom = n_images - 2
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
        BadInputError: a p value is NaN or not between 0 and 1.
    """
    p = np.asarray(p, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise BadInputError("p values must lie between 0 and 1, and some do not; drop the voxels without a p first.")
    q: NDArray[np.float64] = false_discovery_control(p)
    return q


@lru_cache(maxsize=2)
def _resample_counts(n_images: int, n_resamples: int, seed: int) -> torch.Tensor:
    """How often each image is drawn in each resample, (n_resamples, n_images). Kept, since every chunk needs it."""
    drawn = np.random.default_rng(seed).integers(0, n_images, (n_resamples, n_images))
    drawn += np.arange(n_resamples)[:, np.newaxis] * n_images
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_images)
    return torch.from_numpy(counts.reshape(n_resamples, n_images).astype(np.float64))


def _checked(measured: Responses, predicted: Responses) -> int:
    if measured.shape != predicted.shape or measured.ndim != 2 or len(measured) < 3:
        raise BadInputError(
            f"measured responses {measured.shape} and predictions {predicted.shape} must be two equal tables "
            "(images × voxels) of at least 3 images."
        )
    return len(measured)
