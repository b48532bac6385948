"""What a question compares voxels with, and the voxels that are nearest to it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..backbones.interface import Floats, Readout
from .readouts import IndexedVoxels
from .tables.label_table import LabelMixture

By = Literal["weights", "labels"]
Candidates = IndexedVoxels | LabelMixture
"""Voxels that can be searched: their numbers, and similarities to a unit vector."""


@dataclass(frozen=True, eq=False)
class Similarities:
    """Similarities of voxels, and how they were computed."""

    frame: pl.DataFrame
    model_id: str
    by: By
    readout: Readout | None
    """Which vector of a voxel was compared; None by labels."""
    method: str | None
    """Which labels were compared; None by weights."""
    generation: int


class ConceptMap(Similarities):
    """Every voxel of a model, by voxel: voxel, similarity."""


@dataclass(frozen=True, eq=False)
class VoxelHits(Similarities):
    """Voxels, best first: similarity, and what `Model.voxels` gives, as voxel, rois, r2 and q."""

    total: int
    """Voxels that pass the filters, on all pages."""


@dataclass(frozen=True, eq=False)
class Query:
    """A question that was understood: what is compared, with what."""

    by: By
    readout: Readout | None
    method: str | None
    vector: Floats
    """(dim,), unit."""
    candidates: Candidates
    generation: int

    def scores(self) -> Floats:
        """Similarity of every candidate, (n,)."""
        return self.candidates.scores(self.vector)

    def nearest(
        self, mask: NDArray[np.bool_], k: int, after: tuple[float, int] | None
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Similarities and rows of the k best candidates of a mask, equal ones by number.

        Args:
            mask: (n,) candidates that may be in the answer.
            k: how many; fewer come back where fewer are allowed.
            after: (similarity, voxel) of the last voxel of the page before: only those behind it.
        """
        if isinstance(self.candidates, IndexedVoxels) and after is None:
            (best_scores,), (best_rows,) = self.candidates.index.search(self.vector[None], k, mask)
            return best_scores, best_rows
        scores, voxels = self.scores(), self.candidates.voxels
        if after is not None:
            last = np.float32(after[0])
            mask = mask & ((scores < last) | ((scores == last) & (voxels > after[1])))
        rows = np.flatnonzero(mask)
        if k < len(rows):
            rows = rows[scores[rows] >= np.partition(scores[rows], len(rows) - k)[len(rows) - k]]
        best = rows[np.lexsort((voxels[rows], -scores[rows]))][:k]
        return scores[best], best
