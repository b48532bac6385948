"""Labels: which words describe a voxel, and which voxels a word describes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, NotFoundError
from .catalogue import Catalogue
from .fresh import Fresh
from .index import VectorIndex
from .label_table import LabelTable
from .recent import Recent
from .voxel_table import VoxelTable

MOST_ROWS = 100_000
_KEPT_LISTS = 64
"""Lists of labels, one a model and generation, that later pages can still be taken from."""

# A ? for each voxel: DuckDB then filters while it scans. A list it would join, and before that all captions.
_TOP_IMAGES = """
    SELECT t.voxel, t.rank, t.stimulus_id, s.uri, t.box, t.response,
      arg_min(c.text, (NOT starts_with(c.captioner, ? || '@'), c.captioner)) AS caption
    FROM top_image t LEFT JOIN stimulus s USING (stimulus_id)
      LEFT JOIN caption c ON c.stimulus_id = t.stimulus_id AND c.box = t.box
    WHERE t.model_id = ? AND t.rank <= ? AND t.voxel IN ({voxels})
    GROUP BY ALL ORDER BY t.voxel, t.rank
"""


@dataclass(frozen=True, eq=False)
class LabelHits:
    """A page of labels, and the list that it comes from."""

    frame: pl.DataFrame
    """label, n_voxels, label_id; those of most voxels first, equal ones by label_id."""
    model_id: str
    method: str
    generation: int
    total: int
    """Labels that contain what was searched for, on all pages."""


class Words(Catalogue):
    """An atlas that is asked about labels."""

    def voxels(self, model: str | None, voxels: Sequence[int]) -> pl.DataFrame:
        """What is known of voxels, in the order of `voxels`.

        Columns: model_id, subject_id, simulated, voxel, rois, r2, r, q, noise_ceiling, i, j, k, hemisphere, vertex.
        Voxels that the model has not fitted are left out.
        """
        table = self._table(self.model(model)["model_id"])
        rows = table.rows(_numbers(voxels))
        return table.describe(rows[rows >= 0])

    def voxel_labels(
        self, model: str | None, voxels: Sequence[int], *, method: str | None = None, first: int = 5
    ) -> pl.DataFrame:
        """The first labels of voxels: voxel, rank, label, score, probability, method; by voxel and rank."""
        row = self.model(model)
        chosen = self.method(row, method)
        table, _ = self._label_table(row["model_id"], chosen)
        return table.frame(_numbers(voxels), limited(first)).with_columns(method=pl.lit(chosen))

    def label_table(self, model: str | None, method: str | None = None) -> LabelTable:
        """All labels of a model by one method, for who asks for many voxels one by one."""
        row = self.model(model)
        return self._label_table(row["model_id"], self.method(row, method))[0]

    def voxel_rois(self, model: str | None, voxels: Sequence[int]) -> pl.DataFrame:
        """The regions of voxels: voxel, roi, t; by voxel and name."""
        return self.store.frame(
            "SELECT voxel, roi, t FROM voxel_roi WHERE subject_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) "
            "ORDER BY voxel, roi",
            [self.model(model)["subject_id"], _numbers(voxels).tolist()],
        )

    def voxel_quality(self, model: str | None, voxels: Sequence[int]) -> pl.DataFrame:
        """The `voxel_quality` view of voxels, by voxel."""
        return self.store.frame(
            "SELECT * FROM voxel_quality WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel",
            [self.model(model)["model_id"], _numbers(voxels).tolist()],
        )

    def top_images(self, model: str | None, voxels: Sequence[int], *, first: int = 10) -> pl.DataFrame:
        """Images and crops that voxels answer to most: voxel, rank, stimulus_id, uri, box, response, caption.

        Where several captioners described an image, the caption is the one of the model's own.
        """
        row = self.model(model)
        captioner = PurePath(json.loads(row["config"]).get("captioner", "")).name
        numbers = _numbers(voxels).tolist()
        sql = _TOP_IMAGES.format(voxels=", ".join("?" * len(numbers)) or "NULL")
        return self.store.frame(sql, [captioner, row["model_id"], limited(first), *numbers])

    def labels(self, search: str = "", model: str | None = None, first: int = 50) -> pl.DataFrame:
        """Words by how many voxels have them among their labels: label, n_voxels, label_id.

        Args:
            search: only words that contain this text, in any case.
            model: the model.
            first: how many.
        """
        return self.label_page(search, model, first=first).frame

    def label_page(
        self,
        search: str = "",
        model: str | None = None,
        *,
        first: int = 50,
        after: tuple[int, int] | None = None,
        generation: int | None = None,
    ) -> LabelHits:
        """A page of the words, as `labels` lists them.

        A word's number of voxels grows with an ingest, so its place moves: later pages are taken from the list that the
        first one was taken from, and none repeats or skips a word.

        Args:
            search: only words that contain this text, in any case.
            model: the model.
            first: how many.
            after: (n_voxels, label_id) of the last row of the page before.
            generation: that of the page before.

        Raises:
            BadInputError: the list of that generation is not kept any more.
        """
        row = self.model(model)
        chosen = self.method(row)
        counts, made = self._list(row["model_id"], chosen, generation)
        found = counts.filter(pl.col("label").str.contains(search.lower(), literal=True))
        page = found
        if after is not None:
            n, label_id = after
            behind = (pl.col("n_voxels") < n) | ((pl.col("n_voxels") == n) & (pl.col("label_id") > label_id))
            page = found.filter(behind)
        return LabelHits(page.head(limited(first)), row["model_id"], chosen, made, len(found))

    def label(self, lemma: str, model: str | None = None) -> LabelHits:
        """One word: its row of `labels`.

        Raises:
            NotFoundError: no voxel has that label; the message lists some that are spelt alike.
        """
        row = self.model(model)
        chosen = self.method(row)
        counts, made = self._list(row["model_id"], chosen, None)
        found = counts.filter(pl.col("label") == lemma)
        if found.is_empty():
            raise self._no_label(lemma, row["model_id"])
        return LabelHits(found, row["model_id"], chosen, made, 1)

    def label_voxels(self, lemma: str, model: str | None = None, *, first: int = 20) -> pl.DataFrame:
        """The voxels that a word describes best: rank and probability of the label, and what `voxels` gives.

        Raises:
            NotFoundError: no voxel has that label.
        """
        row = self.model(model)
        found = self.label_table(row["model_id"]).voxels(lemma, limited(first))
        if found.is_empty():
            raise self._no_label(lemma, row["model_id"])
        described = self.voxels(row["model_id"], found["voxel"].to_list())
        return described.join(found, on="voxel", how="left", maintain_order="left")

    def label_neighbours(self, lemma: str, model: str | None = None, *, first: int = 10) -> pl.DataFrame:
        """The words nearest in meaning among the model's labels, itself left out: label, similarity, n_voxels.

        Raises:
            NotFoundError: the word has no vector in this atlas.
        """
        row = self.model(model)
        names, index = self._label_index(row["label_backbone"])
        if lemma not in names:
            raise self._no_label(lemma, row["model_id"])
        used = self.label_table(row["model_id"]).counts.select("label", "n_voxels")
        mask = np.isin(names, used["label"].to_numpy())
        mask[names.index(lemma)] = False
        (scores,), (rows,) = index.search(index.vectors[names.index(lemma)][None], limited(first), mask)
        near = pl.DataFrame({"label": [names[place] for place in rows], "similarity": scores})
        return near.join(used, on="label", how="left", maintain_order="left")

    def label_rois(self, lemma: str, model: str | None = None) -> pl.DataFrame:
        """Regions where a word is voxels' first label, most voxels first: roi, n_voxels, share of the labelled ones."""
        row = self.model(model)
        table = self._table(row["model_id"])
        regions = {roi: table.voxels[members] for roi, members in table.rois.items()}
        return self.label_table(row["model_id"]).regions(lemma, regions)

    def roi_top_labels(
        self, roi: str, model: str | None = None, *, method: str | None = None, first: int = 10
    ) -> pl.DataFrame:
        """The commonest first labels in a region (figure 3 of the paper): label, n_voxels, share.

        Raises:
            NotFoundError: the model's subject has no such region.
        """
        row = self.model(model)
        table = self._table(row["model_id"])
        labels, _ = self._label_table(row["model_id"], self.method(row, method))
        return labels.first_labels(table.voxels[table.roi(roi)]).head(limited(first))

    def compare(self, model: str | None, method_a: str, method_b: str) -> pl.DataFrame:
        """First labels by two methods, of the voxels that both label: voxel, label_a, label_b, same, similarity.

        `similarity` is the cosine of the two labels' vectors; NULL where one has none.
        """
        row = self.model(model)
        values = {"model": row["model_id"], "backbone": row["label_backbone"]}
        return self.store.frame(
            "WITH first AS (SELECT voxel, method, label_id, lemma FROM label_score JOIN label USING (label_id) "
            "WHERE model_id = $model AND rank = 1), embedded AS "
            "(SELECT label_id, vector FROM label_embedding WHERE backbone = $backbone) "
            "SELECT a.voxel, a.lemma AS label_a, b.lemma AS label_b, a.lemma = b.lemma AS same, "
            "list_cosine_similarity(x.vector, y.vector) AS similarity FROM first a JOIN first b USING (voxel) "
            "LEFT JOIN embedded x ON x.label_id = a.label_id LEFT JOIN embedded y ON y.label_id = b.label_id "
            "WHERE a.method = $a AND b.method = $b ORDER BY a.voxel",
            {**values, "a": self.method(row, method_a), "b": self.method(row, method_b)},
        )

    def _table(self, model_id: str) -> VoxelTable:
        return self._fresh_table(model_id).get(self.generation())[0]

    def _fresh_table(self, model_id: str) -> Fresh[VoxelTable]:
        def make(old: VoxelTable | None) -> VoxelTable:
            return VoxelTable.load(self.store, self.model(model_id), old)

        return self.derived(("table", model_id), make)

    def _label_table(self, model_id: str, method: str) -> tuple[LabelTable, int]:
        def make(old: LabelTable | None) -> LabelTable:
            return LabelTable.load(self.store, self.model(model_id), method, old)

        return self.derived(("label table", model_id, method), make).get(self.generation())

    def _list(self, model_id: str, method: str, generation: int | None) -> tuple[pl.DataFrame, int]:
        """All words of a model as they were at a generation; None for the present one."""
        table, made = self._label_table(model_id, method)
        if generation is None or generation == made:
            self._lists.put((model_id, method, made), table.counts)
            return table.counts, made
        kept = self._lists.get((model_id, method, generation))
        if kept is None:
            raise BadInputError("The list of labels has changed since its first page was taken; take that one again.")
        return kept, generation

    @cached_property
    def _lists(self) -> Recent[tuple[str, str, int], pl.DataFrame]:
        return Recent(_KEPT_LISTS)

    def _label_index(self, backbone: str) -> tuple[list[str], VectorIndex]:
        def make(old: tuple[list[str], VectorIndex] | None) -> tuple[list[str], VectorIndex]:
            sql = " FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ? ORDER BY label_id"
            names: list[str] = self.store.arrow("SELECT l.lemma" + sql, [backbone])["lemma"].to_pylist()
            if old is not None and old[0] == names:
                return old
            dim = self.store.arrow("SELECT max(len(e.vector)) AS n" + sql.partition(" ORDER")[0], [backbone])["n"][0]
            return names, VectorIndex.build(self.store.vectors("SELECT e.vector" + sql, [backbone], dim.as_py() or 0))

        return self.derived(("labels", backbone), make).get(self.generation())[0]

    def _no_label(self, lemma: str, model_id: str) -> NotFoundError:
        near = self.store.arrow(
            "SELECT lemma FROM label ORDER BY jaro_winkler_similarity(lemma, ?) DESC, lemma LIMIT 5", [lemma]
        )["lemma"].to_pylist()
        return NotFoundError(f"{model_id} has no label {lemma!r}; near it are {', '.join(near) or 'none'}.")


def limited(first: int) -> int:
    """A number of rows that may be asked for.

    Raises:
        BadInputError: it is not between 1 and 100,000.
    """
    if not 1 <= first <= MOST_ROWS:
        raise BadInputError(f"{first} rows cannot be asked for; between 1 and {MOST_ROWS:,} can.")
    return first


def _numbers(voxels: Sequence[int]) -> NDArray[np.int64]:
    numbers = np.asarray(voxels, np.int64).reshape(-1)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= 2**31):
        raise BadInputError("Voxels are numbered from 0.")
    return numbers
