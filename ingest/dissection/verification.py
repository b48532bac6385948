"""Whether a label holds on held-out responses: what a voxel measured for the test images that show it (METHOD §6.5).

Scores say which of a voxel's labels is best, and every voxel has a best one. Here each label is held against responses
that neither the fit nor the labels have seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr
from scipy.stats import rankdata

from ...atlas.backbones.interface import Floats
from ...atlas.backbones.products import inner_products, unit_rows
from ...atlas.search.baseline import Vocabulary
from ..encoding.metrics import Responses
from ..encoding.significance import benjamini_hochberg
from .nouns import NounExtractor

TOP_SHARE = 0.1
"""A detector says that so many of the test images, those that it answers to most, show its label."""
FEWEST = 5
"""Images that a label must have, and leave, to be compared."""


@dataclass(frozen=True)
class LabelTests:
    """One test for each pair of a voxel and a label; NaN where too few images show the label, or all do.

    Single precision, as the atlas keeps them: whatever is worked out from them does not depend on which were stored.
    """

    n_images: NDArray[np.int32]
    """Test images that show the label, (n_pairs,)."""
    auc: Floats
    """Chance that the response to an image with the label exceeds that to one without, (n_pairs,)."""
    t: Floats
    """Welch's t, (n_pairs,)."""
    p: Floats
    """One-sided, (n_pairs,): the larger of Welch's and Mann and Whitney's, normal and corrected for
    ties and continuity. Welch's alone is far too small in the tail where few images show a label."""


def detected(detections: Floats) -> NDArray[np.bool_]:
    """Which test images show each label: the tenth that its detector answers to most.

    Args:
        detections: a detector's answer to each image, (n_images, n_labels); of equal answers the earlier images count.

    Returns:
        (n_images, n_labels).
    """
    n_shown = int(np.ceil(TOP_SHARE * len(detections)))
    order = np.argsort(-detections, axis=0, kind="stable")[:n_shown]
    shows = np.zeros(detections.shape, np.bool_)
    np.put_along_axis(shows, order, values=True, axis=0)
    return shows


def shown_by_detector(images: Floats, labels: Floats, vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Which images show each label: the tenth that its contrast to the vocabulary answers to most.

    Args:
        images: features, (n_images, dim); less their mean they would move a detector's answers to all images alike.
        labels: the labels' text vectors, (n_labels, dim).
        vocabulary: of the same network.

    Returns:
        (n_images, n_labels).
    """
    return detected(inner_products(images, vocabulary.centred(unit_rows(labels))))


def shown_by_captions(captions: Sequence[str], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which images show each label: those whose caption names it, (n_images, n_labels)."""
    nouns = map(set, NounExtractor().nouns(captions))
    return np.array([[label in of_image for label in labels] for of_image in nouns], np.bool_)


def compare_labels(
    responses: Responses, shows: NDArray[np.bool_], voxel: NDArray[np.integer], label: NDArray[np.integer]
) -> LabelTests:
    """Compare the responses to images with a label and to those without, for some pairs of voxels and labels.

    Sums are taken label by label, and not as products of matrices: they do not depend on what else is in the batch.

    Args:
        responses: measured responses to the test images, (n_images, n_voxels), finite.
        shows: whether an image shows a label, (n_images, n_labels).
        voxel: column of `responses` of each pair, (n_pairs,).
        label: column of `shows` of each pair, (n_pairs,).
    """
    centred = responses - responses.mean(axis=0, dtype=np.float64)
    values = np.stack([centred, centred**2, rankdata(responses, axis=0)])
    inside = np.empty((len(values), len(voxel)))
    order = np.argsort(label, kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        for of_label in label[pairs[:1]]:
            images = np.flatnonzero(shows[:, of_label])
            inside[:, pairs] = values[:, images[:, None], voxel[pairs]].sum(axis=1)
    outside = values.sum(axis=1)[:, voxel] - inside
    n = np.count_nonzero(shows, axis=0)[label]
    rest = len(responses) - n
    with np.errstate(invalid="ignore", divide="ignore"):
        variance, other = (
            (squares - total**2 / n_of) / (n_of - 1) / n_of
            for (total, squares, _), n_of in ((inside, n), (outside, rest))
        )
        t = (inside[0] / n - outside[0] / rest) / np.sqrt(variance + other)
        freedom = (variance + other) ** 2 / (variance**2 / (n - 1) + other**2 / (rest - 1))
        above = inside[2] - n * (n + 1) / 2
        auc = above / (n * rest)
        z = (above - n * rest / 2 - 0.5) / np.sqrt(n * rest / len(responses) * values[2].var(axis=0, ddof=1)[voxel])
        p = np.maximum(stdtr(freedom, -t), ndtr(-z))
    tested = (n >= FEWEST) & (rest >= FEWEST) & np.isfinite(t)

    def known(values: NDArray[np.float64]) -> Floats:
        return np.where(tested, values, np.nan).astype(np.float32)

    return LabelTests(n.astype(np.int32), known(auc), known(t), known(p))


def false_discovery_rates(p: Floats) -> Floats:
    """False discovery rates (Benjamini and Hochberg) over the pairs that were tested, (n_pairs,); NaN where p is."""
    q = np.full(len(p), np.nan, np.float32)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = benjamini_hochberg(p[tested])
    return q
