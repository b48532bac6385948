"""The labels of a model's voxels by one method as arrays: which words describe a voxel, and what a region is called."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..store.ledger import Batches, batches_of
from ..store.store import Store


class Scored(NamedTuple):
    """A label of a voxel."""

    label: str
    rank: int
    score: float
    probability: float


class LabelTable:
    """Every label of every voxel, by voxel and rank. Never changed once made."""

    def __init__(self, rows: pl.DataFrame, words: pl.DataFrame, batches: Batches) -> None:
        """Keep labels.

        Args:
            rows: voxel, rank, word (row of `words`), score, probability; by voxel and rank.
            words: label, label_id; the words that the rows have.
            batches: what the rows were read at.
        """
        self.batches = batches
        self.words = words
        self._labels: list[str] = words["label"].to_list()
        self._voxel, self._rank = rows["voxel"].to_numpy(), rows["rank"].to_numpy()
        self._word = rows["word"].to_numpy()
        self._score, self._probability = rows["score"].to_numpy(), rows["probability"].to_numpy()
        last = int(self._voxel[-1]) if len(self._voxel) else -1
        # Where each voxel's rows begin, and where the last one's end.
        self._offsets = np.searchsorted(self._voxel, np.arange(last + 2))

    @classmethod
    def load(cls, store: Store, model: Mapping[str, Any], method: str, old: "LabelTable | None") -> "LabelTable":
        """The present labels of a model; the old ones where nothing has changed."""
        batches = batches_of(store, model)
        if old is not None and old.batches == batches:
            return old
        # Numbers, and each word once: a model of 300,000 voxels has millions of rows.
        rows = store.frame(
            "SELECT voxel, rank, label_id, score, probability FROM label_score "
            "WHERE model_id = ? AND method = ? ORDER BY voxel, rank, label_id",
            [model["model_id"], method],
        )
        words = store.frame("SELECT any_value(lemma) AS label, label_id FROM label GROUP BY label_id ORDER BY label_id")
        words = words.filter(pl.col("label_id").is_in(rows["label_id"].unique().implode()))
        rows = rows.filter(pl.col("label_id").is_in(words["label_id"].implode()))
        word = np.searchsorted(words["label_id"].to_numpy(), rows["label_id"].to_numpy()).astype(np.int32)
        return cls(rows.drop("label_id").with_columns(word=word), words, batches)

    def of(self, voxel: int, first: int) -> list[Scored]:
        """The labels of a voxel that have a rank of at most `first`, best first."""
        if not 0 <= voxel < len(self._offsets) - 1:
            return []
        span = slice(self._offsets[voxel], self._offsets[voxel + 1])
        return [
            Scored(self._labels[word], rank, score, probability)
            for word, rank, score, probability in zip(
                self._word[span].tolist(),
                self._rank[span].tolist(),
                self._score[span].tolist(),
                self._probability[span].tolist(),
                strict=True,
            )
            if rank <= first
        ]

    def frame(self, voxels: NDArray[np.int64], first: int) -> pl.DataFrame:
        """Labels of some voxels: voxel, rank, label, score, probability; by voxel and rank."""
        wanted = np.unique(voxels)
        starts, stops = np.searchsorted(self._voxel, wanted), np.searchsorted(self._voxel, wanted, side="right")
        spans = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
        rows = np.concatenate(spans) if spans else np.empty(0, np.int64)
        rows = rows[self._rank[rows] <= first]
        return pl.DataFrame(
            {
                "voxel": self._voxel[rows],
                "rank": self._rank[rows],
                "label": pl.Series([self._labels[word] for word in self._word[rows].tolist()], dtype=pl.String),
                "score": self._score[rows],
                "probability": self._probability[rows],
            }
        )

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Words by how many voxels have them: label, n_voxels, label_id; words of equal number by label_id."""
        counted = np.bincount(self._word, minlength=len(self.words))
        frame = self.words.select("label", pl.Series("n_voxels", counted, pl.Int64), "label_id")
        return frame.sort(["n_voxels", "label_id"], descending=[True, False])

    def voxels(self, label: str, first: int) -> pl.DataFrame:
        """The voxels that a word describes best: voxel, rank, probability; most probable first, then by voxel."""
        rows = np.flatnonzero(self._word == self._number(label))
        rows = rows[np.lexsort((self._voxel[rows], -self._probability[rows]))][:first]
        columns = {"voxel": self._voxel, "rank": self._rank, "probability": self._probability}
        return pl.DataFrame({name: values[rows] for name, values in columns.items()})

    def first_labels(self, voxels: NDArray[np.int64]) -> pl.DataFrame:
        """The commonest first labels of some voxels (figure 3 of the paper): label, n_voxels, share of the labelled."""
        voxel, word = self._first
        found = word[np.isin(voxel, voxels)]
        counted = np.bincount(found, minlength=len(self.words))
        frame = self.words.select("label", pl.Series("n_voxels", counted, pl.Int64)).filter(pl.col("n_voxels") > 0)
        shared = frame.with_columns(share=pl.col("n_voxels") / max(1, len(found)))
        return shared.sort(["n_voxels", "label"], descending=[True, False])

    def regions(self, label: str, regions: Mapping[str, NDArray[np.int64]]) -> pl.DataFrame:
        """Where a word is voxels' first label: roi, n_voxels, share of the region's labelled voxels; most first.

        Args:
            label: the word.
            regions: region → its voxels.
        """
        voxel, word = self._first
        its = word == self._number(label)
        rows = []
        for roi, voxels in regions.items():
            inside = np.isin(voxel, voxels)
            if n := int(np.count_nonzero(its & inside)):
                rows.append((roi, n, n / int(np.count_nonzero(inside))))
        schema = {"roi": pl.String, "n_voxels": pl.Int64, "share": pl.Float64}
        return pl.DataFrame(rows, schema, orient="row").sort(["n_voxels", "roi"], descending=[True, False])

    @cached_property
    def _first(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Voxels that have a first label, and its word."""
        top = self._rank == 1
        return self._voxel[top], self._word[top]

    def _number(self, label: str) -> int:
        """Row of a word; one that no row has where there is no such word."""
        return self._numbers.get(label, -1)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self._labels)}
