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
