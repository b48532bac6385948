"""Which voxels answer more to images of one category than to those of the others: a contrast by least squares."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ...schemas.errors import BadInputError
from .significance import benjamini_hochberg

FEWEST_OF_CATEGORY = 5
"""Images that must show each category, and that must not."""


def category_contrast(
    responses: NDArray[np.floating], shows: NDArray[np.bool_], categories: Sequence[str], target: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least squares, with intercept, of responses on what images show, and the contrast of one category to the others.

    The target weighs +1 and each of the k − 1 other categories −1/(k − 1); p is one-sided, by Student's t with
    n − k − 1 degrees of freedom, and q Benjamini and Hochberg's over the voxels (as Jain et al. 2023 find food).

    Args:
        responses: (n_images, n_voxels).
        shows: (n_images, k) whether each image shows each category.
        categories: their k names.
        target: one of them.

    Returns:
        t and q, (n_voxels,); NaN for voxels with NaN or that do not vary.

    Raises:
        BadInputError: there is no such category, one of them is shown by too few images or by nearly all, or images do
            not tell some of them apart.
    """
    n, k = shows.shape
    if target not in categories or k == 1:
        raise BadInputError(
            f"Labels of images name no {target} beside other categories; they name {_list(categories)}."
        )
    counts = np.count_nonzero(shows, axis=0)
    least = int(np.minimum(counts, n - counts).argmin())
    if min(counts[least], n - counts[least]) < FEWEST_OF_CATEGORY:
        raise BadInputError(
            f"{counts[least]} of the {n} images show {categories[least]}; at least {FEWEST_OF_CATEGORY} must show each "
            "category, and as many not: give labels of more images, or leave the category out."
        )
    design = np.column_stack([np.ones(n), shows])
    if n <= k + 1 or np.linalg.matrix_rank(design) <= k:
        raise BadInputError(
            f"{n} images do not tell {_list(categories)} apart; give labels of more images, or of fewer categories."
        )
    weights = np.array([0.0, *(1.0 if name == target else -1 / (k - 1) for name in categories)])
    usable = np.isfinite(responses).all(axis=0)
    y = np.asarray(responses[:, usable], np.float64)
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = np.square(y - design @ beta).sum(axis=0) / (n - k - 1)
    spread = weights @ np.linalg.inv(design.T @ design) @ weights
    t, q = (np.full(responses.shape[1], np.nan, np.float32) for _ in range(2))
    varies = np.ptp(y, axis=0) > 0
    tested = np.flatnonzero(usable)[varies]
    exact = (weights @ beta)[varies] / np.sqrt(variance[varies] * spread)
    t[tested] = exact
    if len(tested):
        q[tested] = benjamini_hochberg(stdtr(n - k - 1, -exact))
    return t, q


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
