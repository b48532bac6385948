"""Which labels together make up a voxel: a greedy non-negative fit of its half readout (METHOD §6.7)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ...atlas.backbones.products import unit_rows
from ...schemas.errors import BadInputError
from ...schemas.tables import label_id
from .interface import Batch, Material, Scorer, Scores

MOST = 5
"""Labels of a voxel at most."""
LEAST_GAIN = 0.03
"""What a label must add to the squared cosine of the readout and the labels' sum."""


class JointScorer(Scorer):
    """Labels whose weighted sum is nearest to the voxel's half readout; `score` is the weight; see `fitted_labels`."""

    reads_text = True
    left_out = "adds too little to the labels that are chosen"

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:
        super().__init__(material, batches)
        if material.text is None:
            raise BadInputError("The scorer brainlmm-joint needs the labels as text in the model's own space.")
        self._text = material.text

    def score(self, batch: Batch) -> Scores:
        """See `Scorer`; only the chosen labels have a score, and they share the probability by their weights."""
        if batch.labels is None:
            raise BadInputError("The scorer brainlmm-joint chooses among labels of captions, and there are none.")
        readouts = unit_rows(batch.read().weights @ self._text.half)
        rows: list[tuple[int, int, float, int, float]] = []
        for voxel, own in enumerate(batch.labels):
            labels = np.sort(np.array([label_id(label) for label in own], np.int64))
            vectors = self._text.contrasts[np.searchsorted(self._text.label, labels)]
            chosen, weights = fitted_labels(readouts[voxel], vectors)
            for rank, place in enumerate(np.lexsort((labels[chosen], -weights)), 1):
                share = weights[place] / weights.sum()
                rows.append((voxel, int(labels[chosen[place]]), float(weights[place]), rank, float(share)))
        columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0)] * 5
        kinds = (np.int64, np.int64, np.float64, np.int32, np.float32)
        return Scores(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))


def fitted_labels(
    readout: NDArray[np.floating], vectors: NDArray[np.floating]
) -> tuple[list[int], NDArray[np.float64]]:
    """Choose vectors one by one, each the one that brings their non-negative sum nearest to a readout.

    Args:
        readout: a unit vector, (dim,).
        vectors: unit vectors, (n, dim); of equally good ones the first is chosen.

    Returns:
        Rows of at most 5 vectors, in the order of choice, each of which added 0.03 or more to the squared cosine of
        readout and sum; and their weights, positive.
    """
    along = np.asarray(vectors, np.float64) @ readout
    gram = np.asarray(vectors, np.float64) @ vectors.T
    chosen: list[int] = []
    weights, explained = np.empty(0), 0.0
    while len(chosen) < min(MOST, len(along)):
        others = [row for row in range(len(along)) if row not in chosen]
        tried = [_fit(along[[*chosen, row]], gram[np.ix_([*chosen, row], [*chosen, row])]) for row in others]
        best = int(np.argmax([value for _, value in tried]))
        if tried[best][1] < explained + LEAST_GAIN:
            break
        weights, explained = tried[best]
        # One that others have made needless leaves its place to another.
        chosen = [row for row, weight in zip([*chosen, others[best]], weights, strict=True) if weight > 0]
        weights = weights[weights > 0]
    return chosen, weights


def _fit(along: NDArray[np.float64], gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Non-negative weights of least squares from inner products alone, and the squared cosine that they reach."""
    lower = np.linalg.cholesky(gram + 1e-9 * np.eye(len(gram)))
    weights, _ = nnls(lower.T, np.linalg.solve(lower, along))
    length = float(weights @ gram @ weights)
    return weights, float(weights @ along) ** 2 / length if length > 0 else 0.0
