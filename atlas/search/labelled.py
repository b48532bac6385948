"""An encoding model as labels tell it: what words describe its voxels, and where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from ..backbones.interface import Image
from ..backbones.products import unit_rows
from .concepts import MAX_LETTERS, Baseline, TextTowers
from .tables.label_table import LabelHits, LabelIndex, LabelTable
from .tables.model_row import ModelRow
from .tables.model_tables import ModelTables

MOST_ROWS = 100_000

_COMPARED = """
    WITH first AS (SELECT voxel, method, label FROM top_label WHERE model_id = $1)
    SELECT a.voxel, a.label AS label_a, b.label AS label_b, a.label = b.label AS same FROM first a JOIN first b
      USING (voxel) WHERE a.method = $2 AND b.method = $3 ORDER BY a.voxel
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledModel(ModelRow):
    """What is asked of an encoding model's labels; `Model` is the whole."""

    tables: ModelTables = field(repr=False)
    text_towers: TextTowers = field(repr=False)

    def voxels(self, voxels: Sequence[int]) -> pl.DataFrame:
        """What is known of voxels, in the order of `voxels`.

        Columns: model_id, subject_id, simulated, voxel, rois, r2, r, q, semantic_r, semantic_q, semantic,
        noise_ceiling, i, j, k, hemisphere, vertex, and x_mm, y_mm and z_mm in the responses' own image, which are null
        for vertices. Voxels that the model has not fitted are left out.
        """
        table = self.tables.voxels()
        rows = table.rows(numbers(voxels))
        return table.describe(rows[rows >= 0])

    def nearest_concepts(self, image: Image, *, first: int = 10) -> pl.DataFrame:
        """The nouns of the vocabulary that are nearest to an image: concept, similarity (cosine); nearest first.

        The image's features less the mean of the training images' against each noun less the mean noun.

        Args:
            image: RGB, (height, width, 3).
            first: how many.

        Raises:
            BadInputError: the model has no text tower, or was fitted with other weights of its network.
            MissingWeightsError: the model's network is not on this machine.
        """
        if not self.has_text:
            raise BadInputError(f"{self.model_id} uses {self.backbone}, which has no text tower, so no noun is near.")
        vocabulary = self.text_towers.vocabulary(self.backbone)
        similarity = vocabulary.contrasts @ unit_rows(self.text_towers.centred(self, image))
        rows = np.argsort(-similarity, kind="stable")[: limited(first)]
        return pl.DataFrame({"concept": [vocabulary.words[row] for row in rows], "similarity": similarity[rows]})

    def voxel_labels(
        self, voxels: Sequence[int], *, method: str | None = None, first: int = 5, verified: bool = False
    ) -> pl.DataFrame:
        """The first labels of voxels by voxel: voxel, rank, label, score, probability, method, and how they hold.

        `stability` is NULL where the method has none; `n_images`, `auc`, `label_q` and `verified` are where a label was
        not held against responses.

        Args:
            voxels: numbers.
            method: the scorer; None for the model's first one.
            first: how many labels of each voxel.
            verified: only labels that hold on held-out responses, with a label_q of at most 0.05.
        """
        chosen = self.method(method)
        frame = self.label_table(chosen, semantic=False).frame(numbers(voxels), limited(first), verified=verified)
        return frame.with_columns(method=pl.lit(chosen))

    def labels(
        self,
        search: str = "",
        *,
        semantic: bool = True,
        verified: bool = False,
        first: int = 50,
        after: tuple[int, int] | None = None,
        generation: int | None = None,
    ) -> LabelHits:
        """A page of the words that describe voxels, by how many voxels have them.

        A word's number of voxels grows with an ingest, so its place moves: later pages are taken from the list that the
        first one was taken from, and none repeats or skips a word.

        Args:
            search: only words that contain this text, in any case.
            semantic: as in `Model.similar`; voxels that are left out do not count.
            verified: only voxels count in which the word holds on held-out responses.
            first: how many.
            after: (n_voxels, label_id) of the last row of the page before.
            generation: that of the page before.

        Raises:
            BadInputError: the search is longer than 200 letters, or the list of that generation is not kept any more.
        """
        if len(search) > MAX_LETTERS:
            raise BadInputError(f"A search has at most {MAX_LETTERS} letters, and this one has {len(search)}.")
        method = self.method()
        counts, made = self.tables.label_counts(method, generation, semantic=semantic, verified=verified)
        page = matching = counts.filter(pl.col("label").str.contains(search.lower(), literal=True))
        if after is not None:
            n, label_id = after
            behind = (pl.col("n_voxels") < n) | ((pl.col("n_voxels") == n) & (pl.col("label_id") > label_id))
            page = matching.filter(behind)
        return LabelHits(page.head(limited(first)), self.model_id, self.simulated, method, made, len(matching))

    def label(self, lemma: str, *, semantic: bool = True) -> LabelHits:
        """One word: its row of `labels`.

        Raises:
            NotFoundError: no voxel has that label; the message lists some that are spelt alike.
        """
        method = self.method()
        counts, made = self.tables.label_counts(method, semantic=semantic)
        row = counts.filter(pl.col("label") == lemma)
        if row.is_empty():
            raise self._no_label(lemma[:MAX_LETTERS])
        return LabelHits(row, self.model_id, self.simulated, method, made, 1)

    def label_voxels(self, lemma: str, *, semantic: bool = True, first: int = 20) -> pl.DataFrame:
        """The voxels that a word describes best: rank and probability of the label, and what `voxels` gives.

        Raises:
            NotFoundError: no voxel has that label.
        """
        labelled = self.label_table(semantic=semantic).voxels(lemma, limited(first))
        if labelled.is_empty():
            raise self._no_label(lemma)
        described = self.voxels(labelled["voxel"].to_list())
        return described.join(labelled, on="voxel", how="left", maintain_order="left")

    def label_neighbours(
        self, lemma: str, *, semantic: bool = True, first: int = 10, baseline: str = "vocabulary"
    ) -> pl.DataFrame:
        """The words nearest in meaning among the model's labels, itself left out: label, similarity, n_voxels.

        Args:
            lemma: the word.
            semantic: as in `labels`.
            first: how many.
            baseline: vocabulary compares words as contrasts to the mean of many nouns; none compares their vectors.

        Raises:
            NotFoundError: the word has no vector in this atlas.
        """
        index = self._label_index(baseline)
        labels, vectors = index.labels, index.vectors
        if lemma not in labels:
            raise self._no_label(lemma)
        used = self.label_table(semantic=semantic).counts.select("label", "n_voxels")
        mask = np.isin(labels, used["label"].to_numpy())
        mask[labels.index(lemma)] = False
        (scores,), (rows,) = vectors.search(vectors.vectors[labels.index(lemma)][None], limited(first), mask)
        near = pl.DataFrame({"label": [labels[row] for row in rows], "similarity": scores})
        return near.join(used, on="label", how="left", maintain_order="left")

    def label_rois(self, lemma: str, *, semantic: bool = True) -> pl.DataFrame:
        """Regions where a word is voxels' first label, most voxels first: roi, n_voxels, share of the labelled ones."""
        table = self.tables.voxels()
        regions = {roi: table.voxels[members] for roi, members in table.rois.items()}
        return self.label_table(semantic=semantic).regions(lemma, regions)

    def roi_top_labels(
        self, roi: str, *, method: str | None = None, semantic: bool = True, first: int = 10
    ) -> pl.DataFrame:
        """The commonest first labels in a region (figure 3 of the paper): label, n_voxels, share.

        Raises:
            NotFoundError: the model's subject has no such region.
        """
        table = self.tables.voxels()
        labels = self.label_table(method, semantic=semantic)
        return labels.first_labels(table.voxels[table.roi(roi)]).head(limited(first))

    def compare(
        self, method_a: str, method_b: str, *, semantic: bool = True, baseline: str = "vocabulary"
    ) -> pl.DataFrame:
        """First labels by two methods, of the voxels that both label: voxel, label_a, label_b, same, similarity.

        `similarity` is the cosine of the two labels, with `baseline` as in `label_neighbours`; NULL where one has no
        vector.
        """
        both = self.tables.store.frame(_COMPARED, [self.model_id, self.method(method_a), self.method(method_b)])
        both = both.filter(self.tables.voxels().are_shown(both["voxel"].to_numpy(), semantic=semantic))
        return both.with_columns(self.label_cosines(both["label_a"], both["label_b"], baseline=baseline))

    def label_cosines(self, one: pl.Series, other: pl.Series, *, baseline: str = "vocabulary") -> pl.Series:
        """Cosines of pairs of labels, with `baseline` as in `label_neighbours`; NULL where one has no vector."""
        return self._label_index(baseline).cosines(one, other)

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

    def label_table(self, method: str | None = None, *, semantic: bool = True) -> LabelTable:
        """All labels by one method, or those of semantic voxels only (see `Model.similar`)."""
        return self.tables.labels(self.method(method), semantic=semantic)[0]

    def _label_index(self, baseline: str) -> LabelIndex:
        index, against = self.tables.label_index(), baseline_of(baseline)
        return index if against == "none" else index.centred(self.text_towers.vocabulary(self.label_backbone))

    def _no_label(self, lemma: str) -> NotFoundError:
        if len(self.label_table(semantic=False).voxels(lemma, 1)):
            where = "only on voxels that contrast and edges may explain; ask for all voxels to see it"
            return NotFoundError(f"{self.model_id} has {lemma!r} {where}.")
        near = self.tables.store.arrow(
            "SELECT lemma FROM label ORDER BY jaro_winkler_similarity(lemma, ?) DESC, lemma LIMIT 5", [lemma]
        )["lemma"].to_pylist()
        return NotFoundError(f"{self.model_id} has no label {lemma!r}; near it are {', '.join(near) or 'none'}.")


def baseline_of(baseline: str) -> Baseline:
    if baseline not in ("vocabulary", "none"):
        raise BadInputError(f"A concept is held against the vocabulary or none, not against {baseline!r}.")
    return cast("Baseline", baseline)


def limited(first: int) -> int:
    """A number of rows, where so many may be asked for."""
    if not 1 <= first <= MOST_ROWS:
        raise BadInputError(f"{first} rows cannot be asked for; between 1 and {MOST_ROWS:,} can.")
    return first


def numbers(voxels: Sequence[int]) -> NDArray[np.int64]:
    wrong = "Voxels are numbered from 0 to 2,147,483,647."
    try:
        numbers = np.asarray(voxels, np.int64).reshape(-1)
    except OverflowError:
        raise BadInputError(wrong) from None
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= 2**31):
        raise BadInputError(wrong)
    return numbers
