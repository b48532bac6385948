"""How many of some declared categories a voxel answers to, from measured responses (METHOD §6.7)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ....atlas.backbones.interface import Floats

CATEGORIES = ("face", "body", "place", "food", "word")
"""The paper's selective regions' own."""
SHARE_OF_STRONGEST = 0.17
"""The t that a further category needs, as a share of the strongest one's: 5 % of the voxels of the simulated subject S2
that are tuned to one category reach it for another."""
CHANCE = 0.05
"""At most this share of the voxels that answer to nothing have a category."""
ABOUT_DECLARED = (
    "Measured responses are regressed on the categories' detectors together; a category counts whose t is significant "
    f"(one-sided p at most {CHANCE}, and the strongest one's at most that divided by the number of categories, so that "
    f"at most {100 * CHANCE:.0f} % of the voxels that answer to nothing have any) and at least {SHARE_OF_STRONGEST} of "
    "the strongest one's. 0: none counts. What looks like a category to the network counts for it. The share was set "
    "on the simulated subject S2, where at most 5 % of the voxels that are tuned to one category pass for several, and "
    "65 % of those that are tuned to several are found to be. No category counts that was not declared, and fewer "
    "where responses are weak, categories many or all voxels share a confound."
)


def category_t(responses: NDArray[np.floating], features: Floats, contrasts: Floats) -> NDArray[np.float64]:
    """Student's t of each category in a joint regression of responses on all categories' detectors.

    A detector is how much more an image has of the category than the median image, and 0 where it has less: what shows
    less of it than most does not show it at all.

    Args:
        responses: measured, (n_images, n_voxels).
        features: of the images, (n_images, dim).
        contrasts: of the categories to the vocabulary, (n_categories, dim).

    Returns:
        (n_categories, n_voxels).
    """
    detected = np.asarray(features, np.float64) @ contrasts.T
    detected = np.maximum(detected - np.median(detected, axis=0), 0)
    detected -= detected.mean(axis=0)
    centred = responses - responses.mean(axis=0, dtype=np.float64)
    inverse = np.linalg.inv(detected.T @ detected)
    slopes = inverse @ (detected.T @ centred)
    residual = np.square(centred - detected @ slopes).sum(axis=0) / (len(features) - len(contrasts) - 1)
    return np.asarray(slopes / np.sqrt(np.outer(np.diag(inverse), residual)))


def n_declared(t: NDArray[np.float64], n_images: int) -> NDArray[np.int64]:
    """How many categories count in each voxel; 0 where none is significant.

    Args:
        t: of `category_t`, (n_categories, n_voxels).
        n_images: that it was worked out from.

    Returns:
        (n_voxels,).
    """
    strongest = t.max(axis=0)
    least, least_strongest = stdtrit(n_images - len(t) - 1, 1 - CHANCE / np.array([1, len(t)]))
    counts = (t >= np.maximum(SHARE_OF_STRONGEST * strongest, least)) & (strongest >= least_strongest)
    return np.asarray(counts.sum(axis=0), np.int64)
