"""An encoding model and all that is asked of it: which voxels are most similar to a concept, what voxels care about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ..backbones import default_readout
from ..backbones.interface import Floats, Image, Readout
from .concepts import Baseline, TextTowers
from .readouts import EXPONENTS
from .similarity import Compared, ConceptMap, Query, VoxelHits
from .tables.label_table import LabelHits, LabelTable, compared_labels
from .tables.model_row import ModelRow
from .tables.model_tables import ModelTables
from .tables.voxel_table import top_images

METRICS = ("r2", "r", "q", "noise_ceiling", "r2_of_ceiling")
MOST_ROWS = 100_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(ModelRow):
    """An encoding model of an open atlas. Its methods answer from the present state, in several threads at once.

    >>> with Atlas.open("atlas.duckdb") as atlas:
    ...     atlas.model().similar("cake", first=5).frame
    """

    tables: ModelTables = field(repr=False)
    text_towers: TextTowers = field(repr=False)

    def similar(
        self,
        concept: str | None = None,
        *,
        image: Image | None = None,
        voxel: int | None = None,
        rois: Sequence[str] = (),
        significant: bool = True,
        min_r2: float | None = None,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        min_z: float | None = None,
        max_q: float | None = None,
        specific: bool = False,
        first: int = 20,
        after: tuple[float, int] | None = None,
    ) -> VoxelHits:
        """Voxels by their similarity to a concept, an image or another voxel; give exactly one of these.

        Args:
            concept: words, which "+" and "-" between spaces add and take away: "cake - kitchen".
            image: RGB, (height, width, 3).
            voxel: a voxel of the same model.
            rois: only voxels in at least one of these regions.
            significant: only voxels whose encoding model is significant, with q at most 0.05.
            min_r2: only voxels with at least this R² on the test images.
            by: weights (cosine with the voxel's readout vector) or labels (mean cosine with its labels, weighted by
                their probabilities).
            readout: weights (the paper's), half or pattern; None for the backbone's own.
            baseline: vocabulary makes a concept a contrast to the mean of many nouns; none is the paper's way.
            min_z: only voxels at least so many standard errors from no association.
            max_q: only voxels with at most this false discovery rate of the association.
            specific: only voxels to which the concept is specific, see `Evidence`.
            first: how many voxels.
            after: (similarity, voxel) of the last voxel of the page before.

        Returns:
            The voxels by descending similarity, equal ones by number. Filters come before the `first` are taken, and
            similarities are exact.

        Raises:
            BadInputError: a question that makes no sense for this model.
            NotFoundError: no such region or voxel.
        """
        query = self._query(Compared(concept, image, voxel), by, readout, baseline)
        table = self.tables.voxels()
        rows, mask = table.among(query.candidates.voxels, rois, significant=significant, min_r2=min_r2)
        evidence = query.evidence()
        if min_z is not None or max_q is not None or specific:
            mask = mask & evidence.passes(min_z, max_q, specific=specific)
        scores, best = query.nearest(mask, _limited(first), after)
        frame = table.describe(rows[best])
        place = frame.columns.index("voxel") + 1
        columns = evidence.columns(best) | {"percentile": query.percentiles(best, scores)}
        for name, column in reversed(({"similarity": pl.Series(scores, dtype=pl.Float32)} | columns).items()):
            frame.insert_column(place, column.alias(name))
        return VoxelHits(frame, self.model_id, total=int(np.count_nonzero(mask)), **query.told)

    def map(
        self,
        concept: str,
        *,
        by: str = "weights",
        readout: str | None = None,
        baseline: str = "vocabulary",
        method: str | None = None,
    ) -> ConceptMap:
        """The similarity of every voxel to a concept: voxel, similarity, z, concept_q, specific; as in `similar`.

        `method` says whose labels are compared, where it is by labels; None for the model's first method.
        """
        query = self._query(Compared(concept), by, readout, baseline, method)
        columns = {"voxel": query.candidates.voxels.astype(np.int32), "similarity": query.scores}
        frame = pl.DataFrame({**columns, **query.evidence().columns()}).sort("voxel")
        return ConceptMap(frame, self.model_id, **query.told)

    def neighbours(self, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """The voxels whose vectors point the same way as each of some voxels', which are searched together.

        Args:
            voxels: numbers; those that the model has not fitted are left out.
            first: how many for each, itself not counted.

        Returns:
            of (the voxel asked for), similarity, and what `voxels` gives; by `of`, most similar first.
        """
        index = self.tables.indexed(self.readout())[0].index
        keys, vectors, table = index.keys, index.vectors, self.tables.voxels()
        placed, fitted = table.among(keys, significant=False)
        own = np.flatnonzero(np.isin(keys, np.asarray(voxels, np.int64)))
        own = own[np.argsort(keys[own])]
        nearest = zip(own, *index.search(vectors[own], _limited(first) + 1, fitted), strict=True)
        others = [(row, scores[rows != row][:first], rows[rows != row][:first]) for row, scores, rows in nearest]
        rows = np.concatenate([np.empty(0, np.int64), *(rows for _, _, rows in others)])
        of = np.concatenate([np.empty(0, np.int64), *(np.full(len(rows), keys[row]) for row, _, rows in others)])
        similarity = np.concatenate([np.empty(0, np.float32), *(scores for _, scores, _ in others)])
        frame = table.describe(placed[rows])
        return frame.with_columns(pl.Series("of", of, pl.Int32), pl.Series("similarity", similarity, pl.Float32))

    def unit_vectors(self, readout: str | None = None) -> tuple[NDArray[np.int64], Floats]:
        """What concepts are compared with: voxels (n,) and their unit vectors (n, dim), which are not to be changed.

        Args:
            readout: weights, half or pattern; None for the backbone's own.
        """
        index = self.tables.indexed(self.readout(readout))[0].index
        return index.keys, index.vectors

    def metric_map(self, metric: str) -> pl.DataFrame:
        """A number for every fitted voxel: voxel, value (NULL where there is none); by voxel.

        Args:
            metric: r2, r, q, noise_ceiling, r2_of_ceiling, or label_probability:LEMMA.

        Raises:
            BadInputError: no such metric.
            NotFoundError: no voxel has that label.
        """
        frame = self.tables.voxels().frame
        name, _, lemma = metric.partition(":")
        if name in METRICS and not lemma:
            return frame.select("voxel", pl.col(name).alias("value"))
        if name != "label_probability" or not lemma:
            raise BadInputError(
                f"There is no metric {metric!r}; there are {', '.join(METRICS)}, label_probability:WORD."
            )
        labelled = self.tables.store.frame(
            "SELECT s.voxel, s.probability AS value FROM label_score s JOIN label l USING (label_id) "
            "WHERE s.model_id = ? AND s.method = ? AND l.lemma = ?",
            [self.model_id, self.method(), lemma],
        )
        if labelled.is_empty():
            raise self._no_label(lemma)
        return frame.select("voxel").join(labelled, on="voxel", how="left", maintain_order="left")

    def predict(self, image: Image, voxels: Sequence[int] | None = None, *, rois: Sequence[str] = ()) -> pl.DataFrame:
        """What the model predicts for an image: voxel, response (z-scored beta); by voxel.

        Args:
            image: RGB, (height, width, 3).
            voxels: only these.
            rois: only voxels in at least one of these regions.

        Raises:
            BadInputError: the model was fitted with other weights of its network.
            MissingWeightsError: the model's network is not on this machine.
            NotFoundError: no such region.
        """
        table = self.tables.voxels()
        wanted = table.mask(rois, significant=False, min_r2=None)
        if voxels is not None:
            wanted &= np.isin(table.voxels, [int(voxel) for voxel in voxels])
        centred = self.text_towers.centred(self, image)
        sql = " FROM encoding WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel"
        parameters = [self.model_id, table.voxels[wanted].tolist()]
        weights = self.tables.store.vectors("SELECT weights" + sql, parameters, self.dim)
        frame = self.tables.store.frame("SELECT voxel, bias" + sql, parameters)
        return frame.select("voxel", (pl.Series("response", weights @ centred) + pl.col("bias")).alias("response"))

    def voxels(self, voxels: Sequence[int]) -> pl.DataFrame:
        """What is known of voxels, in the order of `voxels`.

        Columns: model_id, subject_id, simulated, voxel, rois, r2, r, q, noise_ceiling, i, j, k, hemisphere, vertex.
        Voxels that the model has not fitted are left out.
        """
        table = self.tables.voxels()
        rows = table.rows(_numbers(voxels))
        return table.describe(rows[rows >= 0])

    def voxel_labels(
        self, voxels: Sequence[int], *, method: str | None = None, first: int = 5, verified: bool = False
    ) -> pl.DataFrame:
        """The first labels of voxels: voxel, rank, label, score, probability, method, and how they hold; by voxel.

        `n_images`, `auc`, `label_q` and `verified` are NULL where a label was not held against responses.

        Args:
            voxels: numbers.
            method: the scorer; None for the model's first one.
            first: how many labels of each voxel.
            verified: only labels that hold on held-out responses, with a label_q of at most 0.05.
        """
        chosen = self.method(method)
        frame = self.label_table(chosen).frame(_numbers(voxels), _limited(first), verified=verified)
        return frame.with_columns(method=pl.lit(chosen))

    def top_images(self, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """Images and crops that voxels answer to most: voxel, rank, stimulus_id, uri, box, response, caption.

        Where several captioners described an image, the caption is the one of the model's own. `uri` is a path on the
        machine that ingested.
        """
        return top_images(self.tables.store, self, _numbers(voxels), _limited(first))

    def labels(
        self,
        search: str = "",
        *,
        first: int = 50,
        after: tuple[int, int] | None = None,
        generation: int | None = None,
    ) -> LabelHits:
        """A page of the words that describe voxels, by how many voxels have them.

        A word's number of voxels grows with an ingest, so its place moves: later pages are taken from the list that the
        first one was taken from, and none repeats or skips a word.

        Args:
            search: only words that contain this text, in any case.
            first: how many.
            after: (n_voxels, label_id) of the last row of the page before.
            generation: that of the page before.

        Raises:
            BadInputError: the list of that generation is not kept any more.
        """
        method = self.method()
        counts, made = self.tables.label_counts(method, generation)
        page = matching = counts.filter(pl.col("label").str.contains(search.lower(), literal=True))
        if after is not None:
            n, label_id = after
            behind = (pl.col("n_voxels") < n) | ((pl.col("n_voxels") == n) & (pl.col("label_id") > label_id))
            page = matching.filter(behind)
        return LabelHits(page.head(_limited(first)), self.model_id, method, made, len(matching))

    def label(self, lemma: str) -> LabelHits:
        """One word: its row of `labels`.

        Raises:
            NotFoundError: no voxel has that label; the message lists some that are spelt alike.
        """
        method = self.method()
        counts, made = self.tables.label_counts(method)
        row = counts.filter(pl.col("label") == lemma)
        if row.is_empty():
            raise self._no_label(lemma)
        return LabelHits(row, self.model_id, method, made, 1)

    def label_voxels(self, lemma: str, *, first: int = 20) -> pl.DataFrame:
        """The voxels that a word describes best: rank and probability of the label, and what `voxels` gives.

        Raises:
            NotFoundError: no voxel has that label.
        """
        labelled = self.label_table().voxels(lemma, _limited(first))
        if labelled.is_empty():
            raise self._no_label(lemma)
        described = self.voxels(labelled["voxel"].to_list())
        return described.join(labelled, on="voxel", how="left", maintain_order="left")

    def label_neighbours(self, lemma: str, *, first: int = 10) -> pl.DataFrame:
        """The words nearest in meaning among the model's labels, itself left out: label, similarity, n_voxels.

        Raises:
            NotFoundError: the word has no vector in this atlas.
        """
        labels, vectors = self.tables.label_index()
        if lemma not in labels:
            raise self._no_label(lemma)
        used = self.label_table().counts.select("label", "n_voxels")
        mask = np.isin(labels, used["label"].to_numpy())
        mask[labels.index(lemma)] = False
        (scores,), (rows,) = vectors.search(vectors.vectors[labels.index(lemma)][None], _limited(first), mask)
        near = pl.DataFrame({"label": [labels[row] for row in rows], "similarity": scores})
        return near.join(used, on="label", how="left", maintain_order="left")

    def label_rois(self, lemma: str) -> pl.DataFrame:
        """Regions where a word is voxels' first label, most voxels first: roi, n_voxels, share of the labelled ones."""
        table = self.tables.voxels()
        regions = {roi: table.voxels[members] for roi, members in table.rois.items()}
        return self.label_table().regions(lemma, regions)

    def roi_top_labels(self, roi: str, *, method: str | None = None, first: int = 10) -> pl.DataFrame:
        """The commonest first labels in a region (figure 3 of the paper): label, n_voxels, share.

        Raises:
            NotFoundError: the model's subject has no such region.
        """
        table = self.tables.voxels()
        return self.label_table(method).first_labels(table.voxels[table.roi(roi)]).head(_limited(first))

    def compare(self, method_a: str, method_b: str) -> pl.DataFrame:
        """First labels by two methods, of the voxels that both label: voxel, label_a, label_b, same, similarity.

        `similarity` is the cosine of the two labels' vectors; NULL where one has none.
        """
        return compared_labels(self.tables.store, self, self.method(method_a), self.method(method_b))

    def method(self, method: str | None = None) -> str:
        """The method of labelling that is meant: the model's first one by default.

        Raises:
            BadInputError: the model was not labelled by that method; the message lists those it was labelled by.
        """
        configured: list[str] = self.settings.get("methods") or ["brainlmm-eq2"]
        if method is None or method in configured:
            return method or configured[0]
        if method not in (known := self.methods()):
            listed = ", ".join(known or configured)
            raise BadInputError(f"{self.model_id} has no labels by {method!r}; it has {listed}.")
        return method

    def methods(self) -> list[str]:
        """The methods that have labelled its voxels, by name."""
        sql = "SELECT DISTINCT method FROM label_score WHERE model_id = ? ORDER BY method"
        return list(self.tables.store.frame(sql, [self.model_id])["method"])

    def readout(self, readout: str | None = None) -> Readout:
        """Which vector of a voxel is meant: the one that the backbone prefers by default.

        Raises:
            BadInputError: there is no such readout, or the model has not what it is worked out from.
        """
        chosen = readout or (default_readout(self.backbone) if self.has_text else "weights")
        if chosen not in EXPONENTS:
            raise BadInputError(f"A voxel is read out by {', '.join(EXPONENTS)}, not by {chosen!r}.")
        if chosen != "weights" and not self.has_text:
            raise BadInputError(f"{self.model_id} has no feature covariance, so it has only weights; use those.")
        return cast("Readout", chosen)

    def label_table(self, method: str | None = None) -> LabelTable:
        """All labels by one method, for who asks for many voxels one by one."""
        return self.tables.labels(self.method(method))[0]

    def _query(
        self,
        compared: Compared,
        by: str,
        readout: str | None,
        baseline: str,
        method: str | None = None,
    ) -> Query:
        if by not in ("weights", "labels"):
            raise BadInputError(f"Voxels are compared by weights or by labels, not by {by!r}.")
        if baseline not in ("vocabulary", "none"):
            raise BadInputError(f"A concept is held against the vocabulary or none, not against {baseline!r}.")
        chosen, scorer = (self.readout(readout), None) if by == "weights" else (None, self.method(method))
        return Query.of(self, self.tables, self.text_towers, compared, chosen, scorer, cast("Baseline", baseline))

    def _no_label(self, lemma: str) -> NotFoundError:
        near = self.tables.store.arrow(
            "SELECT lemma FROM label ORDER BY jaro_winkler_similarity(lemma, ?) DESC, lemma LIMIT 5", [lemma]
        )["lemma"].to_pylist()
        return NotFoundError(f"{self.model_id} has no label {lemma!r}; near it are {', '.join(near) or 'none'}.")


def _limited(first: int) -> int:
    """A number of rows, where so many may be asked for."""
    if not 1 <= first <= MOST_ROWS:
        raise BadInputError(f"{first} rows cannot be asked for; between 1 and {MOST_ROWS:,} can.")
    return first


def _numbers(voxels: Sequence[int]) -> NDArray[np.int64]:
    numbers = np.asarray(voxels, np.int64).reshape(-1)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= 2**31):
        raise BadInputError("Voxels are numbered from 0.")
    return numbers
