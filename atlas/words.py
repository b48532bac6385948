"""Labels: which words describe a voxel, and which voxels a word describes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from atlas.catalogue import Catalogue
from atlas.fresh import Fresh
from atlas.index import VectorIndex
from atlas.voxel_table import VoxelTable
from schemas.errors import BadInputError, NotFoundError

MOST_ROWS = 100_000


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
        return self.store.frame(
            "SELECT voxel, rank, label, score, probability, method FROM voxel_label WHERE model_id = ? AND method = ? "
            "AND rank <= ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel, rank",
            [row["model_id"], self.method(row, method), limited(first), _numbers(voxels).tolist()],
        )

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
        """Images and crops that voxels answer to most: voxel, rank, stimulus_id, uri, box, response, caption."""
        return self.store.frame(
            "SELECT t.voxel, t.rank, t.stimulus_id, s.uri, t.box, t.response, min(c.text) AS caption FROM top_image t "
            "LEFT JOIN stimulus s USING (stimulus_id) "
            "LEFT JOIN caption c ON c.stimulus_id = t.stimulus_id AND c.box = t.box "
            "WHERE t.model_id = ? AND t.rank <= ? AND t.voxel IN (SELECT unnest(?::INTEGER[])) "
            "GROUP BY ALL ORDER BY t.voxel, t.rank",
            [self.model(model)["model_id"], limited(first), _numbers(voxels).tolist()],
        )

    def labels(
        self, search: str = "", model: str | None = None, first: int = 50, after: tuple[int, int] | None = None
    ) -> pl.DataFrame:
        """Words by how many voxels have them among their labels: label, n_voxels, label_id.

        Args:
            search: only words that contain this text, in any case.
            model: the model.
            first: how many.
            after: (n_voxels, label_id) of the last row of the page before.
        """
        row = self.model(model)
        n_voxels, label_id = after or (None, None)
        return self.store.frame(
            "SELECT l.lemma AS label, count(*) AS n_voxels, l.label_id "
            "FROM label_score s JOIN label l USING (label_id) "
            "WHERE s.model_id = $model AND s.method = $method AND contains(l.lemma, lower($search)) "
            "GROUP BY l.lemma, l.label_id HAVING $n::BIGINT IS NULL OR (-n_voxels, l.label_id) > (-$n, $id) "
            "ORDER BY n_voxels DESC, l.label_id LIMIT $first",
            {
                "model": row["model_id"],
                "method": self.method(row),
                "search": search,
                "n": n_voxels,
                "id": label_id,
                "first": limited(first),
            },
        )

    def n_labels(self, search: str = "", model: str | None = None) -> int:
        """How many words `labels` would give on all pages."""
        row = self.model(model)
        counted = self.store.arrow(
            "SELECT count(DISTINCT l.label_id) AS n FROM label_score s JOIN label l USING (label_id) "
            "WHERE s.model_id = ? AND s.method = ? AND contains(l.lemma, lower(?))",
            [row["model_id"], self.method(row), search],
        )
        return int(counted["n"][0].as_py())

    def label_voxels(self, lemma: str, model: str | None = None, *, first: int = 20) -> pl.DataFrame:
        """The voxels that a word describes best: rank and probability of the label, and what `voxels` gives.

        Raises:
            NotFoundError: no voxel has that label.
        """
        row = self.model(model)
        found = self.store.frame(
            "SELECT s.voxel, s.rank, s.probability FROM label_score s JOIN label l USING (label_id) "
            "WHERE s.model_id = ? AND s.method = ? AND l.lemma = ? ORDER BY s.probability DESC, s.voxel LIMIT ?",
            [row["model_id"], self.method(row), lemma, limited(first)],
        )
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
        used = self.labels("", row["model_id"], first=MOST_ROWS).select("label", "n_voxels")
        mask = np.isin(names, used["label"].to_numpy())
        mask[names.index(lemma)] = False
        (scores,), (rows,) = index.search(index.vectors[names.index(lemma)][None], limited(first), mask)
        near = pl.DataFrame({"label": [names[place] for place in rows], "similarity": scores})
        return near.join(used, on="label", how="left", maintain_order="left")

    def label_rois(self, lemma: str, model: str | None = None) -> pl.DataFrame:
        """Regions where a word is voxels' first label, most voxels first: roi, n_voxels, share of the labelled ones."""
        row = self.model(model)
        return self.store.frame(
            "SELECT r.roi, count(*) FILTER (t.label = $lemma) AS n_voxels, n_voxels / count(*) AS share "
            "FROM top_label t JOIN voxel_roi r ON r.subject_id = $subject AND r.voxel = t.voxel "
            "WHERE t.model_id = $model AND t.method = $method GROUP BY r.roi HAVING n_voxels > 0 "
            "ORDER BY n_voxels DESC, r.roi",
            {"lemma": lemma, "subject": row["subject_id"], "model": row["model_id"], "method": self.method(row)},
        )

    def roi_top_labels(
        self, roi: str, model: str | None = None, *, method: str | None = None, first: int = 10
    ) -> pl.DataFrame:
        """The commonest first labels in a region (figure 3 of the paper): label, n_voxels, share.

        Raises:
            NotFoundError: the model's subject has no such region.
        """
        row = self.model(model)
        self._table(row["model_id"]).roi(roi)
        return self.store.frame(
            "SELECT t.label, count(*) AS n_voxels, n_voxels / sum(n_voxels) OVER () AS share "
            "FROM top_label t JOIN voxel_roi r ON r.subject_id = ? AND r.voxel = t.voxel "
            "WHERE t.model_id = ? AND t.method = ? AND r.roi = ? GROUP BY t.label "
            "ORDER BY n_voxels DESC, t.label LIMIT ?",
            [row["subject_id"], row["model_id"], self.method(row, method), roi, limited(first)],
        )

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
        return self._fresh_table(model_id).get(self.store.generation())[0]

    def _fresh_table(self, model_id: str) -> Fresh[VoxelTable]:
        def make(old: VoxelTable | None) -> VoxelTable:
            return VoxelTable.load(self.store, self.model(model_id), old)

        return self.derived(("table", model_id), make)

    def _label_index(self, backbone: str) -> tuple[list[str], VectorIndex]:
        def make(old: tuple[list[str], VectorIndex] | None) -> tuple[list[str], VectorIndex]:
            sql = " FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ? ORDER BY label_id"
            names: list[str] = self.store.arrow("SELECT l.lemma" + sql, [backbone])["lemma"].to_pylist()
            if old is not None and old[0] == names:
                return old
            dim = self.store.arrow("SELECT max(len(e.vector)) AS n" + sql.partition(" ORDER")[0], [backbone])["n"][0]
            return names, VectorIndex.build(self.store.vectors("SELECT e.vector" + sql, [backbone], dim.as_py() or 0))

        return self.derived(("labels", backbone), make).get(self.store.generation())[0]

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
