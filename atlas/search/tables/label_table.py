"""The labels of a model's voxels by one method as arrays: which words describe a voxel, and what a region is called."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from cachetools import cachedmethod
from numpy.typing import NDArray

from ....schemas.config import FDR
from ...backbones.interface import Floats
from ...backbones.products import unit_rows
from ...store.store import Store
from ..baseline import Vocabulary
from ..index import VectorIndex
from .answer_html import WithPicture, answer_html
from .ledger import Batches, batches_of
from .model_row import ModelRow
from .voxel_table import VoxelTable

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class ScoredLabel(NamedTuple):
    """A label of a voxel, and its evidence on held-out responses; None where it was not tested."""

    label: str
    rank: int
    score: float
    probability: float
    stability: float | None
    """Share of resamples of the labels' pictures in which it comes first; None where the method has none."""
    n_images: int | None
    """Test images that show it."""
    auc: float | None
    label_q: float | None
    verified: bool | None


@dataclass(frozen=True, eq=False)
class LabelHits(WithPicture):
    """A page of labels, and the list that it comes from."""

    frame: pl.DataFrame
    """label, n_voxels, label_id; those of most voxels first, equal ones by label_id."""
    model_id: str
    simulated: bool
    """Whether the subject's responses were computed, not measured."""
    method: str
    generation: int
    total: int
    """Labels that contain what was searched for, on all pages."""

    def _repr_html_(self) -> str:
        title, shown = f"{len(self.frame)} of {self.total:,} labels", self.frame.select("label", "n_voxels")
        return answer_html(title, [self.model_id, self.method], shown, simulated=self.simulated)


class LabelTable:
    """Every label of every voxel, by voxel and rank. Never changed once made."""

    def __init__(self, rows: pl.DataFrame, words: pl.DataFrame, batches: Batches) -> None:
        """Keep labels.

        Args:
            rows: voxel, rank, word (row of `words`), score, probability, stability, n_images, auc, label_q; by voxel
                and rank.
            words: label, label_id; the words that the rows have, and perhaps others.
            batches: what the rows were read at.
        """
        self.batches = batches
        self.words, self._rows = words, rows
        self._labels: list[str] = words["label"].to_list()
        self._voxel, self._rank = rows["voxel"].to_numpy(), rows["rank"].to_numpy()
        self._word = rows["word"].to_numpy()
        self._score, self._probability = rows["score"].to_numpy(), rows["probability"].to_numpy()
        # NaN stands for what is not known.
        self._stability, self._n_images, self._auc, self._q = (
            rows[name].cast(pl.Float32).to_numpy() for name in ("stability", "n_images", "auc", "label_q")
        )
        self._verified = self._q <= FDR
        last = int(self._voxel[-1]) if len(self._voxel) else -1
        # Where each voxel's rows begin, and where the last one's end.
        self._offsets = np.searchsorted(self._voxel, np.arange(last + 2))
        self._some: tuple[VoxelTable, LabelTable] | None = None

    @classmethod
    def load(cls, store: Store, model: ModelRow, method: str, old: "LabelTable | None") -> "LabelTable":
        """The present labels of a model; the old ones where nothing has changed."""
        batches = batches_of(store, model.model_id, model.subject_id)
        if old is not None and old.batches == batches:
            return old
        # Numbers, and each word once: a model of 300,000 voxels has millions of rows.
        rows = store.frame(
            "SELECT s.voxel, rank, label_id, score, probability, stability, n_images, auc, q AS label_q "
            "FROM label_score s LEFT JOIN label_evidence USING (model_id, voxel, method, label_id) "
            "WHERE model_id = ? AND method = ? AND rank IS NOT NULL ORDER BY s.voxel, rank, label_id",
            [model.model_id, method],
        )
        words = store.frame("SELECT any_value(lemma) AS label, label_id FROM label GROUP BY label_id ORDER BY label_id")
        words = words.filter(pl.col("label_id").is_in(rows["label_id"].unique().implode()))
        rows = rows.filter(pl.col("label_id").is_in(words["label_id"].implode()))
        word = np.searchsorted(words["label_id"].to_numpy(), rows["label_id"].to_numpy()).astype(np.int32)
        return cls(rows.drop("label_id").with_columns(word=word), words, batches)

    def of_semantic(self, voxels: VoxelTable) -> "LabelTable":
        """The labels of the voxels that are shown; kept while it is the same table that tells which are."""
        if voxels.semantic.all():
            return self
        if self._some is None or self._some[0] is not voxels:
            rows = self._rows.filter(voxels.are_shown(self._voxel, semantic=True))
            self._some = voxels, LabelTable(rows, self.words, self.batches)
        return self._some[1]

    def of(self, voxel: int, first: int, *, verified: bool = False) -> list[ScoredLabel]:
        """The first labels of a voxel, best first; see `frame`."""
        if not 0 <= voxel < len(self._offsets) - 1:
            return []
        span = slice(self._offsets[voxel], self._offsets[voxel + 1])
        wanted = self._verified[span] if verified else self._rank[span] <= first
        columns = (self._word, self._rank, self._score, self._probability, self._stability)
        tested = (self._n_images, self._auc, self._q, self._verified)
        rows = zip(*(column[span][wanted].tolist() for column in (*columns, *tested)), strict=True)
        return [
            ScoredLabel(
                self._labels[word],
                rank,
                score,
                probability,
                stability=None if math.isnan(stability) else stability,
                n_images=None if math.isnan(n_images) else int(n_images),
                auc=None if math.isnan(auc) else auc,
                label_q=None if math.isnan(q) else q,
                verified=None if math.isnan(q) else holds,
            )
            for word, rank, score, probability, stability, n_images, auc, q, holds in islice(rows, first)
        ]

    def frame(self, voxels: NDArray[np.int64], first: int, *, verified: bool = False) -> pl.DataFrame:
        """The first labels of some voxels, by voxel and rank.

        Columns: voxel, rank, label, score, probability, stability, n_images, auc, label_q, verified.

        Args:
            voxels: their numbers.
            first: how many labels of each.
            verified: only labels that hold on held-out responses.
        """
        wanted = np.unique(voxels)
        starts, stops = np.searchsorted(self._voxel, wanted), np.searchsorted(self._voxel, wanted, side="right")
        spans = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
        rows = np.concatenate(spans) if spans else np.empty(0, np.int64)
        rows = rows[self._verified[rows] if verified else self._rank[rows] <= first]
        frame = pl.DataFrame(
            {
                "voxel": self._voxel[rows],
                "rank": self._rank[rows],
                "label": pl.Series([self._labels[word] for word in self._word[rows].tolist()], dtype=pl.String),
                "score": self._score[rows],
                "probability": self._probability[rows],
                "stability": pl.Series(self._stability[rows], nan_to_null=True),
                "n_images": pl.Series(self._n_images[rows], nan_to_null=True).cast(pl.Int32),
                "auc": pl.Series(self._auc[rows], nan_to_null=True),
                "label_q": pl.Series(self._q[rows], nan_to_null=True),
            }
        ).with_columns(verified=pl.col("label_q") <= pl.lit(FDR, pl.Float32))
        return frame.filter(pl.int_range(pl.len()).over("voxel") < first) if verified else frame

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Words by how many voxels have them: label, n_voxels, label_id; words of equal number by label_id."""
        return self._counted(self._word)

    @cached_property
    def verified_counts(self) -> pl.DataFrame:
        """The same, of voxels in which they hold on held-out responses."""
        return self._counted(self._word[self._verified])

    def _counted(self, word: NDArray[np.int32]) -> pl.DataFrame:
        counted = np.bincount(word, minlength=len(self.words))
        frame = self.words.select("label", pl.Series("n_voxels", counted, pl.Int64), "label_id")
        return frame.filter(pl.col("n_voxels") > 0).sort(["n_voxels", "label_id"], descending=[True, False])

    def voxels(self, label: str, first: int | None = None) -> pl.DataFrame:
        """The voxels that a word describes best: voxel, rank, probability; most probable first, then by voxel."""
        rows = np.flatnonzero(self._word == self._number(label))
        rows = rows[np.lexsort((self._voxel[rows], -self._probability[rows]))][:first]
        columns = {"voxel": self._voxel, "rank": self._rank, "probability": self._probability}
        return pl.DataFrame({name: values[rows] for name, values in columns.items()})

    def first_labels(self, voxels: NDArray[np.int64]) -> pl.DataFrame:
        """The commonest first labels of some voxels (figure 3 of the paper): label, n_voxels, share of the labelled."""
        voxel, word = self._first
        first = word[np.isin(voxel, voxels)]
        counted = np.bincount(first, minlength=len(self.words))
        frame = self.words.select("label", pl.Series("n_voxels", counted, pl.Int64)).filter(pl.col("n_voxels") > 0)
        shared = frame.with_columns(share=pl.col("n_voxels") / max(1, len(first)))
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
        return self._labels.index(label) if label in self._labels else -1


class LabelMixture:
    """Voxels as mixtures of their labels' text vectors, to compare concepts with. Never changed once made."""

    def __init__(self, voxels: NDArray[np.int64], shares: "csr_array", vectors: Floats, fingerprint: object) -> None:
        self.voxels = voxels
        """(n_voxels,) ascending; each has a label with a vector."""
        self._shares, self._vectors = shares, vectors
        self.fingerprint = fingerprint
        self._contrasts: dict[Hashable, LabelMixture] = {}

    @classmethod
    def load(cls, store: Store, model: ModelRow, method: str, old: "LabelMixture | None") -> "LabelMixture":
        """The present labels of a model; the old ones where nothing has changed."""
        backbone = model.label_backbone
        n_embedded = store.arrow("SELECT count(*) AS n FROM label_embedding WHERE backbone = ?", [backbone])["n"][0]
        fingerprint = (batches_of(store, model.model_id, model.subject_id), n_embedded.as_py())
        if old is not None and old.fingerprint == fingerprint:
            return old
        scores = store.arrow(
            "SELECT voxel, label_id, probability FROM label_score "
            "WHERE model_id = ? AND method = ? AND rank IS NOT NULL",
            [model.model_id, method],
        )
        labels = scores["label_id"].to_numpy()
        words, vectors = label_vectors(store, backbone)
        order = words["label_id"].arg_sort().to_numpy()
        order = order[np.isin(words["label_id"].to_numpy()[order], labels)]
        ids, vectors = words["label_id"].to_numpy()[order], vectors[order]
        # Labels without a vector yet do not count; the others share out their probability.
        known = np.isin(labels, ids)
        columns = np.searchsorted(ids, labels[known])
        voxels, rows = np.unique(scores["voxel"].to_numpy()[known].astype(np.int64), return_inverse=True)
        probabilities = scores["probability"].to_numpy()[known].astype(np.float64)
        totals = np.bincount(rows, probabilities, len(voxels))
        from scipy.sparse import csr_array  # takes longer than a search, and only labels need it

        shares = csr_array((probabilities / totals[rows], (rows, columns)), shape=(len(voxels), len(ids)))
        return cls(voxels, shares, vectors, fingerprint)

    @cachedmethod(lambda self: self._contrasts)
    def centred(self, vocabulary: Vocabulary) -> "LabelMixture":
        """The same voxels as mixtures of their labels as contrasts to a vocabulary."""
        if not len(self.voxels):
            return self
        return LabelMixture(self.voxels, self._shares, vocabulary.centred(unit_rows(self._vectors)), self.fingerprint)

    def scores(self, query: Floats) -> Floats:
        """Mean cosine of a unit query (dim,) with each voxel's labels, weighted by their probabilities, (n_voxels,)."""
        if not len(self.voxels):
            return np.empty(0, np.float32)
        scores: Floats = (self._shares @ (self._vectors @ query).astype(np.float64)).astype(np.float32)
        return scores

    def vector(self, voxel: int) -> Floats | None:
        """Unit vector of a voxel's labels together, (dim,); None where it has none."""
        row = int(np.searchsorted(self.voxels, voxel))
        if row == len(self.voxels) or self.voxels[row] != voxel:
            return None
        mean = (self._shares[[row]] @ self._vectors)[0]
        return unit_rows(mean) if mean.any() else None


@dataclass(frozen=True, eq=False)
class LabelIndex:
    """Labels and their vectors in the space of a backbone, indexed for searching."""

    labels: list[str]
    vectors: VectorIndex
    _contrasts: dict[Hashable, "LabelIndex"] = field(default_factory=dict)

    @classmethod
    def load(cls, store: Store, backbone: str, old: "LabelIndex | None") -> "LabelIndex":
        """All labels that have a vector; the old ones where there are no others."""
        names = "SELECT l.lemma FROM label_embedding JOIN label l USING (label_id) WHERE backbone = ? ORDER BY l.lemma"
        if old is not None and old.labels == store.arrow(names, [backbone])["lemma"].to_pylist():
            return old
        words, vectors = label_vectors(store, backbone)
        return cls(words["label"].to_list(), VectorIndex.build(unit_rows(vectors), words["label_id"].to_numpy()))

    @cachedmethod(lambda self: self._contrasts)
    def centred(self, vocabulary: Vocabulary) -> "LabelIndex":
        """The same labels as contrasts to a vocabulary."""
        vectors = vocabulary.centred(self.vectors.vectors) if self.labels else self.vectors.vectors
        return LabelIndex(self.labels, VectorIndex.build(vectors, self.vectors.keys))

    def cosines(self, one: pl.Series, other: pl.Series) -> pl.Series:
        """Cosines of pairs of labels, as a column `similarity`; NULL where one has no vector."""
        place = {label: row for row, label in enumerate(self.labels)}
        a, b = (np.array([place.get(label, -1) for label in labels], np.int64) for labels in (one, other))
        cosines = np.full(len(a), np.nan, np.float32)
        known = np.flatnonzero((a >= 0) & (b >= 0))
        cosines[known] = np.vecdot(self.vectors.vectors[a[known]], self.vectors.vectors[b[known]])
        return pl.Series("similarity", cosines).fill_nan(None)


def label_vectors(store: Store, backbone: str, model_id: str | None = None) -> tuple[pl.DataFrame, Floats]:
    """The labels that have a vector of a backbone's text tower, by name: label, label_id; and the vectors, (n, dim).

    Args:
        store: the atlas.
        backbone: name.
        model_id: only labels of this model's voxels.
    """
    sql = (
        " FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = $backbone AND "
        "($model::VARCHAR IS NULL OR label_id IN "
        "(SELECT label_id FROM label_score WHERE model_id = $model AND rank IS NOT NULL)) "
        "ORDER BY l.lemma, label_id"
    )
    values = {"backbone": backbone, "model": model_id}
    words = store.frame("SELECT l.lemma AS label, label_id, len(e.vector) AS dim" + sql, values)
    if words.is_empty():
        return words.drop("dim"), np.empty((0, 0), np.float32)
    return words.drop("dim"), store.vectors("SELECT e.vector" + sql, values, words["dim"][0])
