"""How well a label describes a voxel: the ranks of its generated images among those of all the voxel's labels.

METHOD §2, step 3, as the paper has it and as the released code does.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ...atlas.backbones.interface import Floats
from ...atlas.backbones.products import inner_products, unit_rows
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from ...schemas.tables import label_id
from .activation import FittedVoxels
from .interface import Batch, Material, Scorer, Scores

_TOP = 10
"""The released scorer looks at the images of a label that are among so many best of the voxel."""
_BLOCK = 512
"""Voxels that are ranked at once."""
_RESAMPLES = 100


class Rating(NamedTuple):
    """What a scorer makes of the ranks of some voxels' pictures; anything where a voxel has fewer labels."""

    raw: NDArray[np.float64]
    """Raw scores, (voxels, labels)."""
    scale: NDArray[np.int64]
    """What a voxel's raw scores are divided by, beside the temperature, before the softmax, (voxels,)."""
    stability: Floats | None = None
    """(voxels, labels)."""


class PictureScorer(Scorer):
    """Scores labels by the ranks of their pictures (METHOD §2, step 3); what ranks are worth is a subclass's matter.

    All pictures of a voxel's labels are ranked by the voxel's response, 1 for the strongest, ties by their mean rank.
    A label with fewer pictures than `best_ranked` (a) is averaged over those it has; one without pictures gets no row.
    Equal scores are ranked by label.

    Stability is the share of 100 resamples in which the label is first: of each label, as many of its pictures as it
    has are drawn with replacement, with the ranks that they have among all. Draws are seeded by the label, so that they
    are the same wherever it is met.

    Raises:
        BadInputError: there are no pictures, or they are not in the order of their labels.
    """

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:
        super().__init__(material, batches)
        if material.pictures is None:
            raise BadInputError("BrainLMM scores candidate labels by pictures of them, and there are none.")
        if np.any(np.diff(material.pictures.label) < 0):
            raise BadInputError("The generated pictures are not in the order of their labels; sort them by label.")
        self._pictures = material.pictures

    def vectors(self, voxels: FittedVoxels, described_by: Sequence[NDArray[np.intp]]) -> Floats:  # noqa: ARG002 - ranks are all
        """What a scorer compares labels with beside their ranks: a vector of each voxel, (n_voxels, n)."""
        return np.empty((len(voxels.weights), 0), np.float32)

    @abstractmethod
    def rate(self, ranks: "PictureRanks", vectors: Floats) -> Rating:
        """Rate the labels of some voxels, whose vectors are (voxels, n)."""

    def score(self, batch: Batch) -> Scores:
        """See `Scorer`."""
        labels = batch.labels or ()
        voxel = np.repeat(np.arange(len(labels)), [len(of_voxel) for of_voxel in labels])
        label = np.array([label_id(label) for of_voxel in labels for label in of_voxel], np.int64)
        return self.score_pairs(batch.read(), voxel, label, batch.described_by)

    def score_pairs(
        self,
        voxels: FittedVoxels,
        voxel: NDArray[np.int64],
        label: NDArray[np.int64],
        described_by: Sequence[NDArray[np.intp]] = (),
    ) -> Scores:
        """Score candidate labels of voxels.

        Args:
            voxels: the voxels; their means and biases change no rank.
            voxel: row of the voxel of each candidate, (n_pairs,).
            label: the candidate, (n_pairs,); each pair of voxel and label once.
            described_by: see `Batch`.

        Returns:
            Scores of all candidates that have pictures.
        """
        first = np.searchsorted(self._pictures.label, label, "left")
        count = np.searchsorted(self._pictures.label, label, "right") - first
        keep = count > 0
        order = np.lexsort((label[keep], voxel[keep]))
        voxel, label, first, count = (array[keep][order] for array in (voxel, label, first, count))
        values = _responses(voxels.weights, self._pictures.features, voxel, label, first, count)
        vectors = self.vectors(voxels, described_by)
        raw, scaled = np.empty(len(voxel)), np.empty(len(voxel))
        stability = np.full(len(voxel), np.nan, np.float32)
        block_of = np.searchsorted(np.unique(voxel), voxel) // _BLOCK
        for rows in np.split(np.arange(len(voxel)), np.flatnonzero(np.diff(block_of)) + 1):
            if not len(rows):
                continue
            ranks = PictureRanks.of(voxel[rows], label[rows], first[rows], values[rows])
            rating = self.rate(ranks, vectors[ranks.voxels])
            raw[rows] = rating.raw[ranks.place]
            scaled[rows] = raw[rows] / rating.scale[ranks.place[0]]
            if rating.stability is not None:
                stability[rows] = rating.stability[ranks.place]
        return _ranked(voxel, label, raw, scaled / self.material.config.temperature, stability)


class Eq2Scorer(PictureScorer):
    """The paper's Eq. 2: V = -(1/a) · Σ of the squared ranks of the label's a best-ranked pictures.

    The softmax is over V / N² / temperature, N being all pictures of the voxel's labels.
    """

    def rate(self, ranks: "PictureRanks", vectors: Floats) -> Rating:  # noqa: ARG002 - ranks are all
        """See `PictureScorer`."""
        best = self.material.config.best_ranked
        return Rating(-ranks.mean_square(best), ranks.n_pictures**2, _share_first(ranks.resampled(best)))


class FusedScorer(PictureScorer):
    """Minus the sum of the label's rank by Eq. 2 and its rank by the similarity of its text to the voxel's readout.

    Both are ranks among the voxel's labels that have pictures, from 1, ties by their mean rank; the softmax is over
    that / 2n / temperature, with n labels.
    """

    reads_text = True

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:
        super().__init__(material, batches)
        if material.text is None:
            raise BadInputError("The scorer brainlmm-fused needs the labels as text in the model's own space.")
        self._text = material.text

    def vectors(self, voxels: FittedVoxels, described_by: Sequence[NDArray[np.intp]]) -> Floats:  # noqa: ARG002
        """Half readouts."""
        return np.asarray(voxels.weights @ self._text.half)

    def rate(self, ranks: "PictureRanks", vectors: Floats) -> Rating:
        """See `PictureScorer`."""
        best, label = self.material.config.best_ranked, ranks.label
        query, one = np.searchsorted(self._text.label, label), np.ones_like(label)
        near = np.full(ranks.shape, -np.inf, np.float32)
        near[ranks.place] = _responses(vectors, self._text.contrasts, ranks.place[0], label, query, one).ravel()
        by_text = rankdata(-near, axis=1)
        resampled = rankdata(ranks.resampled(best), axis=1) + by_text[..., None]
        raw = -(rankdata(ranks.mean_square(best), axis=1) + by_text)
        return Rating(raw, 2 * ranks.n_labels, _share_first(resampled))


class ReleasedScorer(PictureScorer):
    """The released code's c · w.

    c = n - position of the label by V of Eq. 2 with ranks from 0 (n labels, position 0 for the best, ties by their mean
    position); w is the mean cosine between the images and crops that the voxel is described by and those of the label's
    pictures that are among the voxel's 10 best, -1 where none is. The softmax is over c · w / n / temperature. It has
    no stability.
    """

    compares_crops = True

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:
        super().__init__(material, batches)
        if material.described_by is None or material.pictures_in_space is None:
            raise BadInputError("The scorer brainlmm-released needs images and pictures in its space.")
        self._regions = unit_rows(material.described_by)
        self._unit_pictures = unit_rows(material.pictures_in_space)

    @staticmethod
    def space(config: IngestConfig) -> str:
        """See `Scorer`."""
        return config.similarity_backbone or config.label_backbone

    def vectors(self, voxels: FittedVoxels, described_by: Sequence[NDArray[np.intp]]) -> Floats:  # noqa: ARG002
        """Means of the unit vectors of what describes each voxel, so that one product gives its mean cosine."""
        return np.stack([self._regions[rows].mean(axis=0) for rows in described_by])

    def rate(self, ranks: "PictureRanks", vectors: Floats) -> Rating:
        """See `PictureScorer`."""
        best = ranks.ranks <= _TOP
        row, column, picture = np.nonzero(best)
        cosines = np.zeros(best.shape)
        pictures = self._unit_pictures[ranks.first[row, column] + picture]
        cosines[row, column, picture] = np.einsum("ij,ij->i", pictures, vectors[row])
        sizes = best.sum(axis=2)
        w = np.where(sizes > 0, cosines.sum(axis=2) / np.maximum(sizes, 1), -1.0)
        from_zero = replace(ranks, ranks=ranks.ranks - 1)
        position = rankdata(from_zero.mean_square(self.material.config.best_ranked), axis=1) - 1
        return Rating((ranks.n_labels[:, None] - position) * w, ranks.n_labels)


def _responses(
    weights: Floats,
    features: Floats,
    voxel: NDArray[np.int64],
    label: NDArray[np.int64],
    first: NDArray[np.int64],
    count: NDArray[np.int64],
) -> Floats:
    """Responses of each pair's voxel to its label's pictures, (n_pairs, most pictures); -inf where a label has fewer.

    One product for each label, with the voxels that have it: no voxel meets a picture that it has no use for.
    """
    values = np.full((len(voxel), int(count.max(initial=0))), -np.inf, np.float32)
    order = np.argsort(label, kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        if len(pairs):
            start, size = first[pairs[0]], count[pairs[0]]
            values[pairs, :size] = inner_products(weights[voxel[pairs]], features[start : start + size])
    return values


@dataclass(frozen=True)
class PictureRanks:
    """Ranks of the pictures of some voxels' labels among those of all labels of the voxel."""

    voxels: NDArray[np.int64]
    """Rows of the voxels in their batch."""
    label: NDArray[np.int64]
    """Of each pair of voxel and label, (n_pairs,)."""
    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Where each pair is: its row and its column."""
    ranks: NDArray[np.float64]
    """Mean rank of each picture, from 1, (voxels, labels, pictures); inf where there is none."""
    first: NDArray[np.int64]
    """Row of each label's first picture, (voxels, labels)."""
    n_labels: NDArray[np.int64]
    n_pictures: NDArray[np.int64]
    """(voxels,)."""

    @classmethod
    def of(
        cls, voxel: NDArray[np.int64], label: NDArray[np.int64], first: NDArray[np.int64], values: Floats
    ) -> "PictureRanks":
        """Rank responses.

        Args:
            voxel: of each pair, ascending, (n_pairs,).
            label: of each pair.
            first: row of the first picture of each pair's label.
            values: responses to the pictures, (n_pairs, most pictures); -inf where a label has fewer.
        """
        voxels, row, n_labels = np.unique(voxel, return_inverse=True, return_counts=True)
        place = row, np.arange(len(voxel)) - (np.cumsum(n_labels) - n_labels)[row]
        padded = np.full((len(voxels), int(n_labels.max()), values.shape[1]), -np.inf, np.float32)
        padded[place] = values
        firsts = np.zeros(padded.shape[:2], np.int64)
        firsts[place] = first
        flat = padded.reshape(len(voxels), -1)
        exists = flat > -np.inf
        ranks = np.where(exists, rankdata(-flat, axis=1), np.inf).reshape(padded.shape)
        return cls(voxels, label, place, ranks, firsts, n_labels, exists.sum(axis=1))

    @property
    def shape(self) -> tuple[int, ...]:
        """(voxels, labels), of the voxel with the most labels."""
        return self.ranks.shape[:2]

    def mean_square(self, best: int) -> NDArray[np.float64]:
        """Mean squared rank of each label's best pictures, (voxels, labels); inf where there is no label."""
        ordered = np.sort(self.ranks, axis=2)[:, :, :best]
        exists = np.isfinite(ordered)
        total = np.where(exists, ordered, 0) ** 2
        sizes = exists.sum(axis=2)
        return np.where(sizes > 0, total.sum(axis=2) / np.maximum(sizes, 1), np.inf)

    def resampled(self, best: int) -> NDArray[np.float64]:
        """The same of each resample of the pictures, (voxels, labels, resamples)."""
        ordered = np.sort(self.ranks, axis=2)[self.place]
        n_pictures = np.isfinite(ordered).sum(axis=1)
        found = np.full((*self.shape, _RESAMPLES), np.inf)
        for one in np.unique(self.label):
            pairs = np.flatnonzero(self.label == one)
            # All voxels have the same pictures of a label, so that one set of draws does for them.
            n = int(n_pictures[pairs[0]])
            drawn = np.sort(np.random.default_rng(one).integers(n, size=(_RESAMPLES, n)), axis=1)[:, :best]
            row, column = (axis[pairs] for axis in self.place)
            found[row, column] = (ordered[pairs][:, drawn] ** 2).mean(axis=2)
        return found


def _share_first(resampled: NDArray[np.float64]) -> Floats:
    """Share of resamples (voxels, labels, resamples) in which each label has the least value; of equals the first."""
    first = resampled.argmin(axis=1)[:, None] == np.arange(resampled.shape[1])[:, None]
    return np.asarray(first.mean(axis=2), np.float32)


def _ranked(
    voxel: NDArray[np.int64],
    label: NDArray[np.int64],
    raw: NDArray[np.float64],
    scaled: NDArray[np.float64],
    stability: Floats,
) -> Scores:
    """Sort each voxel's labels by score, number them, and take the softmax; `voxel` is ascending."""
    order = np.lexsort((label, -raw, voxel))
    voxel, label, raw, scaled, stability = voxel[order], label[order], raw[order], scaled[order], stability[order]
    _, starts, sizes = np.unique(voxel, return_index=True, return_counts=True)
    rank = np.arange(len(voxel)) - np.repeat(starts, sizes) + 1
    if not len(voxel):
        return Scores(voxel, label, raw, rank.astype(np.int32), scaled.astype(np.float32), stability)
    shares = np.exp(scaled - np.repeat(np.maximum.reduceat(scaled, starts), sizes))
    shares /= np.repeat(np.add.reduceat(shares, starts), sizes)
    return Scores(voxel, label, raw, rank.astype(np.int32), shares.astype(np.float32), stability)
