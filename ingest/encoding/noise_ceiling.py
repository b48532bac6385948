"""How much of a voxel's response any model could explain (Allen et al. 2022, Methods, "Noise ceiling estimation")."""

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import BadInputError


def noise_ceiling(ncsnr: NDArray[np.floating], repeats: NDArray[np.integer]) -> NDArray[np.float32]:
    """Share of the variance of responses averaged over repeats that is signal.

    s² / (s² + (A/3 + B/2 + C) / (A + B + C)), where s is the noise-ceiling signal-to-noise ratio and A, B, C count
    the images with three, two and one repeat: the noise that is left after averaging is the mean of 1/repeats.

    Args:
        ncsnr: signal's standard deviation in units of single-trial noise's, (n_voxels,); NaN where unknown.
        repeats: number of repeats of each evaluated image, (n_images,).

    Returns:
        (n_voxels,), 0 to 1 (the paper's percentage divided by 100); NaN where ncsnr is.

    Raises:
        BadInputError: no images, an image without a repeat, or a negative ncsnr.
    """
    if len(repeats) == 0 or np.min(repeats) < 1:
        raise BadInputError("the noise ceiling needs at least one image, and one repeat of each image or more.")
    if np.any(ncsnr < 0):
        raise BadInputError("ncsnr has negative values, but it is a ratio of standard deviations; check the file.")
    signal = np.square(ncsnr, dtype=np.float64)
    ceiling: NDArray[np.float32] = (signal / (signal + np.mean(1.0 / repeats))).astype(np.float32)
    return ceiling


def ceiling_at(ceiling: NDArray[np.floating], mean_inverse: float, repeats: NDArray[np.integer]) -> NDArray[np.float32]:
    """A noise ceiling that was told for one number of repeats, for another.

    Args:
        ceiling: 0 to 1, (n_voxels,); NaN where unknown.
        mean_inverse: mean of 1/repeats over the images that it was told for.
        repeats: number of repeats of each image, (n_images,).

    Returns:
        (n_voxels,), 0 to 1, by the formula of `noise_ceiling`; NaN where `ceiling` is.
    """
    signal, own = np.asarray(ceiling, np.float64) * mean_inverse, float(np.mean(1.0 / repeats))
    # Multiplied by 1 - ceiling, so that a ceiling of 1 is one.
    return (signal / (signal + (1 - ceiling) * own)).astype(np.float32)


FEWEST_REPEATS = 20
"""Trials beyond the first of their images that it takes to say what noise is."""


def ncsnr_of_repeats(
    totals: NDArray[np.floating], squares: NDArray[np.float64], repeats: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Signal's standard deviation in units of single-trial noise's, from images that were shown again.

    Noise is what trials of one image differ by, pooled over images by degrees of freedom; signal is the variance of all
    trials beyond that (Allen et al. 2022, where trials are z-scored and each image has three).

    Args:
        totals: sums of the trials of each image, (n_images, n_voxels).
        squares: sums of the squares of all trials, (n_voxels,).
        repeats: trials of each image, (n_images,).

    Returns:
        (n_voxels,); NaN with fewer than 20 trials beyond the first of their images, or where a response is NaN.
    """
    n, freedom = int(repeats.sum()), int(repeats.sum()) - len(repeats)
    if freedom < FEWEST_REPEATS:
        return np.full(len(squares), np.nan)
    totals = totals.astype(np.float64)
    noise = (squares - (totals**2 / repeats[:, None]).sum(axis=0)) / freedom
    noise = np.maximum(noise, np.finfo(np.float32).eps)  # equal trials have none
    signal = squares / n - (totals.sum(axis=0) / n) ** 2 - noise
    ncsnr: NDArray[np.float64] = np.sqrt(np.maximum(signal, 0) / noise)
    return ncsnr
