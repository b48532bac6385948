"""How well a label describes a voxel: the ranks of its generated images among those of all the voxel's labels.

METHOD §2, step 3, as the paper has it and as the released code does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ...atlas.backbones.interface import Floats
from ...atlas.backbones.positions import inner_products
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from ...schemas.tables import label_id
from .activation import FittedVoxels, top_images
from .interface import Batch, Pictures, Scorer, Scores

_TOP = 10
"""The released scorer looks at the images of a label that are among so many best of the voxel."""
_BLOCK = 512
"""Voxels that are ranked at once."""
_RESAMPLES = 100


@dataclass(frozen=True)
class Similarity:
    """Vectors of CLIP ViT-B/16 (or another space) that the released scorer compares images in."""

    probes: Floats
    """Mean of the unit vectors of each voxel's top probe images, (n_voxels, n) float32; see `probe_mean`."""
    pictures: Floats
    """Unit vectors of the generated images, (n_pictures, n) float32."""

    @classmethod
    def of(cls, images: Floats, top: NDArray[np.int32], pictures: Floats) -> "Similarity":
        """Make it from the vectors, of any length, of probe images (n_images, n) and generated ones (n_pictures, n).

        Args:
            images: Vectors of all probe images.
            top: Indices of each voxel's top images, (n_voxels, k); an index below 0 stands for no image.
            pictures: Vectors of the generated images.
        """
        return cls(probe_mean(images, top), _unit(pictures))


class Eq2Scorer(Scorer):
    """The paper's score, Eq. 2; see `score`."""

    def score(self, batch: Batch) -> Scores:
        """See `Scorer`."""
        material, voxels, labels = self.material, batch.read(), batch.labels
        if material.pictures is None or labels is None:
            raise BadInputError("BrainLMM scores candidate labels by pictures of them, and there are none.")
        return score(
            voxels.weights,
            np.repeat(np.arange(len(labels)), [len(of_voxel) for of_voxel in labels]),
            np.array([label_id(label) for of_voxel in labels for label in of_voxel], np.int64),
            material.pictures,
            best_ranked=material.config.best_ranked,
            temperature=material.config.temperature,
            similarity=self._similarity(voxels),
            text=self._text(voxels),
        )

    def _similarity(self, voxels: FittedVoxels) -> Similarity | None:  # noqa: ARG002 - of no voxel
        return None

    def _text(self, voxels: FittedVoxels) -> tuple[Pictures, Floats] | None:  # noqa: ARG002 - of no voxel
        return None


class FusedScorer(Eq2Scorer):
    """The sum of the ranks by Eq. 2 and by the similarity of text and voxel; see `score`."""

    reads_text = True

    def _text(self, voxels: FittedVoxels) -> tuple[Pictures, Floats]:
        queries, half = self.material.queries, self.material.half
        if queries is None or half is None:
            raise BadInputError("The scorer brainlmm-fused needs the labels as text in the model's own space.")
        return queries, voxels.weights @ half


class ReleasedScorer(Eq2Scorer):
    """The released code's score; see `score`."""

    @staticmethod
    def space(config: IngestConfig) -> str:
        """See `Scorer`."""
        return config.similarity_backbone or config.label_backbone

    def _similarity(self, voxels: FittedVoxels) -> Similarity:
        material = self.material
        if material.images is None or material.pictures_in_space is None:
            raise BadInputError("The scorer brainlmm-released needs images and pictures in its space.")
        top, _ = top_images(material.features, voxels, material.config.top_images)
        return Similarity.of(material.images, top, material.pictures_in_space)


def probe_mean(features: Floats, top: NDArray[np.int32]) -> Floats:
    """Mean of the unit vectors of each voxel's top images, so that one product gives their mean cosine.

    Args:
        features: Vectors of all probe images, (n_images, n) float32.
        top: Indices of each voxel's top images, (n_voxels, k); an index below 0 stands for no image.

    Returns:
        (n_voxels, n) float32.
    """
    unit = _unit(features)
    total = np.zeros((len(top), features.shape[1]), np.float32)
    for column in top.T:
        total += np.where((column >= 0)[:, None], unit[column], 0)
    total /= np.maximum((top >= 0).sum(axis=1, keepdims=True), 1)
    return total


def score(
    weights: Floats,
    voxel: NDArray[np.int64],
    label: NDArray[np.int64],
    pictures: Pictures,
    *,
    best_ranked: int = 5,
    temperature: float = 0.05,
    similarity: Similarity | None = None,
    text: tuple[Pictures, Floats] | None = None,
) -> Scores:
    """Score the candidate labels of voxels (METHOD §2, step 3).

    All pictures of a voxel's labels are ranked by the voxel's response, 1 for the strongest, ties by their mean rank.

    - brainlmm-eq2 (paper, Eq. 2): V = -(1/a) · Σ of the squared ranks of the label's a best-ranked pictures; the
      softmax is over V / N² / temperature, N being all pictures of the voxel's labels.
    - brainlmm-released (the released code): c · w, where c = n - position of the label by V (n labels, position 0 for
      the best, ties by their mean position) and w is the mean cosine between the voxel's top probe images and those of
      the label's pictures that are among the voxel's 10 best, -1 where none is; the softmax is over
      c · w / n / temperature.
    - brainlmm-fused: minus the sum of the label's rank by V and its rank by the similarity of its text to the voxel,
      both among the voxel's labels that have pictures, from 1, ties by their mean rank; the softmax is over that / 2n /
      temperature.

    Equal scores are ranked by label. The stability of brainlmm-eq2 and brainlmm-fused is the share of 100 resamples in
    which the label is first: of each label, as many of its pictures as it has are drawn with replacement, with the
    ranks that they have among all. Draws are seeded by the label, so that they are the same wherever it is met.

    A label with fewer pictures than a is averaged over those it has; one without pictures gets no row.

    Args:
        weights: (n_voxels, dim) float32. Means and biases change no rank, so they are not asked for.
        voxel: Row of the weights of each candidate, (n_pairs,).
        label: The candidate, (n_pairs,); each pair of voxel and label once.
        pictures: The generated images of the labels.
        best_ranked: a, the pictures of a label that count.
        temperature: Of the softmax, above 0.
        similarity: What brainlmm-released compares images by; None for the others.
        text: What brainlmm-fused compares: each label as a concept, and half readouts (n_voxels, dim); None for others.

    Returns:
        Scores of all candidates that have pictures.

    Raises:
        BadInputError: Pictures that are not in the order of their labels.
    """
    if np.any(np.diff(pictures.label) < 0):
        raise BadInputError("The generated pictures are not in the order of their labels; sort them by label.")
    first = np.searchsorted(pictures.label, label, "left")
    count = np.searchsorted(pictures.label, label, "right") - first
    keep = count > 0
    order = np.lexsort((label[keep], voxel[keep]))
    voxel, label, first, count = (array[keep][order] for array in (voxel, label, first, count))
    values = _responses(weights, pictures.features, voxel, label, first, count)
    near = None
    if text is not None:
        queries, readouts = text
        place, one = np.searchsorted(queries.label, label), np.ones_like(label)
        near = _responses(readouts, queries.features, voxel, label, place, one).ravel()

    raw, scaled = np.empty(len(voxel)), np.empty(len(voxel))
    stability = np.full(len(voxel), np.nan, np.float32)
    block_of = np.searchsorted(np.unique(voxel), voxel) // _BLOCK
    for rows in np.split(np.arange(len(voxel)), np.flatnonzero(np.diff(block_of)) + 1):
        if not len(rows):
            continue
        block = _Block.of(voxel[rows], values[rows])
        mean_square = block.mean_square_rank(best_ranked)
        if similarity is not None:
            raw[rows] = block.released(mean_square, similarity, first[rows])
            scaled[rows] = raw[rows] / block.n_labels[block.place[0]]
            continue
        resampled = block.resampled(label[rows], best_ranked)
        if near is None:
            raw[rows] = -mean_square[block.place]
            scaled[rows] = raw[rows] / block.n_pictures[block.place[0]] ** 2
        else:
            by_text = rankdata(-block.laid_out(near[rows]), axis=1)
            raw[rows] = -(rankdata(mean_square, axis=1) + by_text)[block.place]
            scaled[rows] = raw[rows] / (2 * block.n_labels[block.place[0]])
            resampled = rankdata(resampled, axis=1) + by_text[..., None]
        stability[rows] = block.share_first(resampled)
    return _ranked(voxel, label, raw, scaled / temperature, stability)


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
class _Block:
    """The pairs of some voxels, laid out as (voxels, labels, pictures), padded with -inf."""

    voxels: NDArray[np.int64]
    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Where each pair is: its row and its column."""
    ranks: NDArray[np.float64]
    """Mean rank of each picture, from 1, (voxels, labels, pictures); inf where there is none."""
    n_labels: NDArray[np.int64]
    n_pictures: NDArray[np.int64]

    @classmethod
    def of(cls, voxel: NDArray[np.int64], values: Floats) -> "_Block":
        voxels, row, n_labels = np.unique(voxel, return_inverse=True, return_counts=True)
        column = np.arange(len(voxel)) - (np.cumsum(n_labels) - n_labels)[row]
        padded = np.full((len(voxels), int(n_labels.max()), values.shape[1]), -np.inf, np.float32)
        padded[row, column] = values
        flat = padded.reshape(len(voxels), -1)
        exists = flat > -np.inf
        ranks = np.where(exists, rankdata(-flat, axis=1), np.inf).reshape(padded.shape)
        return cls(voxels, (row, column), ranks, n_labels, exists.sum(axis=1))

    def mean_square_rank(self, best: int) -> NDArray[np.float64]:
        """Mean squared rank of each label's best pictures, (voxels, labels); inf where there is no label."""
        ordered = np.sort(self.ranks, axis=2)[:, :, :best]
        exists = np.isfinite(ordered)
        total = np.where(exists, ordered, 0) ** 2
        sizes = exists.sum(axis=2)
        return np.where(sizes > 0, total.sum(axis=2) / np.maximum(sizes, 1), np.inf)

    def laid_out(self, values: Floats) -> Floats:
        """A number for each pair as (voxels, labels); -inf where there is no label."""
        laid_out = np.full(self.ranks.shape[:2], -np.inf, np.float32)
        laid_out[self.place] = values
        return laid_out

    def resampled(self, label: NDArray[np.int64], best: int) -> NDArray[np.float64]:
        """Mean squared rank of each label's best pictures of each resample, (voxels, labels, resamples); inf likewise.

        Args:
            label: Of each pair.
            best: Pictures that count.
        """
        ordered = np.sort(self.ranks, axis=2)[self.place]
        n_pictures = np.isfinite(ordered).sum(axis=1)
        found = np.full((*self.ranks.shape[:2], _RESAMPLES), np.inf)
        for one in np.unique(label):
            pairs = np.flatnonzero(label == one)
            # All voxels have the same pictures of a label, so that one set of draws does for them.
            n = int(n_pictures[pairs[0]])
            drawn = np.sort(np.random.default_rng(one).integers(n, size=(_RESAMPLES, n)), axis=1)[:, :best]
            row, column = (axis[pairs] for axis in self.place)
            found[row, column] = (ordered[pairs][:, drawn] ** 2).mean(axis=2)
        return found

    def share_first(self, resampled: NDArray[np.float64]) -> Floats:
        """Share of the resamples in which each pair's label has the least value; of equal labels the first has."""
        first = resampled.argmin(axis=1)[:, None] == np.arange(resampled.shape[1])[:, None]
        return np.asarray(first.mean(axis=2)[self.place], np.float32)

    def released(
        self, mean_square: NDArray[np.float64], similarity: Similarity, first: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The product c · w of each pair."""
        row, column = self.place
        position = rankdata(mean_square, axis=1)[row, column] - 1
        best = self.ranks[row, column] <= _TOP
        cosines = np.zeros(best.shape)
        pair, picture = np.nonzero(best)
        vectors = similarity.pictures[first[pair] + picture]
        cosines[pair, picture] = np.einsum("ij,ij->i", vectors, similarity.probes[self.voxels[row[pair]]])
        sizes = best.sum(axis=1)
        w = np.where(sizes > 0, cosines.sum(axis=1) / np.maximum(sizes, 1), -1.0)
        released: NDArray[np.float64] = (self.n_labels[row] - position) * w
        return released


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


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
