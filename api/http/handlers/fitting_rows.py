"""Whether rows that came over HTTP fit what the atlas holds: one batch with odd ones would spoil every answer."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....atlas.store.appending import SQL_TYPES
from ....atlas.store.content import LedgerBatch
from ....atlas.store.store import Store
from ....schemas.errors import BadInputError
from ....schemas.stage import Stage
from ....schemas.tables import SHARED, label_id, table_schemas

_SEVERAL = {"label_score", "top_image", "learning_curve", "split"}
"""Tables of models that have several rows by what `_told_by` gives, all of which come in one batch."""


def require_fitting(store: Store, batch: LedgerBatch, model_id: str) -> None:
    """Refuse rows that are there or of voxels that are none, vectors of another length, and words that change others.

    A batch that the ledger knows is passed: it changes nothing. Call it where no other batch can come between.

    Raises:
        BadInputError: there are some.
    """
    ledger = "SELECT 1 FROM ledger WHERE stage = ? AND batch_key = ?"
    if batch.stage == Stage.RUN or store.arrow(ledger, [batch.stage, batch.key]).num_rows:
        return
    for name in batch.rows.keys() - SHARED.keys():
        _require_new(store, name, batch.rows[name])
    _require_voxels(store, batch, model_id)
    _require_lengths(store, batch, model_id)
    _require_labels(batch)
    _require_words(store, batch)


def _told_by(table: str) -> Sequence[str]:
    """The columns by which rows of one batch are told from those of others."""
    names = table_schemas()[table].names
    if "model_id" not in names:
        return ["subject_id"]  # a subject comes in one batch
    more = ["label_id"] if table == "label_evidence" else []  # labels that were skipped come later
    return [name for name in ("model_id", "voxel", "readout", "word", "method", *more) if name in names]


def _require_new(store: Store, name: str, rows: pa.Table) -> None:
    columns = _told_by(name)
    named = rows.select(columns).group_by(columns).aggregate([])
    if named.num_rows < rows.num_rows and columns != ["subject_id"] and name not in _SEVERAL:
        raise BadInputError(f"The batch has a row of {name} twice, by {', '.join(columns)}.")
    given = ", ".join(f"unnest(?::{SQL_TYPES[named.schema.field(each).type]}[]) AS {each}" for each in columns)
    sql = f"SELECT 1 FROM {name} JOIN (SELECT {given}) USING ({', '.join(columns)}) LIMIT 1"  # noqa: S608 - our columns
    if named.num_rows and store.arrow(sql, [named[each].to_pylist() for each in columns]).num_rows:
        raise BadInputError(f"The atlas has rows of {name} of the same {', '.join(columns)}; none is added twice.")


def _require_voxels(store: Store, batch: LedgerBatch, model_id: str) -> None:
    numbers = {name: rows["voxel"] for name, rows in batch.rows.items() if "voxel" in rows.column_names}
    if own := numbers.pop("voxel", None):
        n = len(own)
        if not np.array_equal(np.sort(own.to_numpy()), np.arange(n)):
            raise BadInputError("The voxels of a subject are numbered 0, 1, 2 …, and those of the batch are not.")
    elif numbers:
        sql = "SELECT count(*) AS n FROM voxel WHERE starts_with(?, subject_id || '/')"
        n = store.arrow(sql, [model_id])["n"][0].as_py()
    for name, voxels in numbers.items():
        least, most = pc.min_max(voxels).values()
        if len(voxels) and not (least.as_py() >= 0 and most.as_py() < n):
            raise BadInputError(f"Rows of {name} are of voxels {least} to {most}, and the subject has {n:,}, from 0.")


def _require_lengths(store: Store, batch: LedgerBatch, model_id: str) -> None:
    vectors = {"encoding": "weights", "concept_query": "vector"}
    for name in vectors.keys() & batch.rows.keys():
        sql = "SELECT len(feature_mean) AS n FROM model WHERE model_id = ?"
        wanted = store.arrow(sql, [model_id])["n"].to_pylist()
        lengths = pc.unique(pc.list_value_length(batch.rows[name][vectors[name]])).to_pylist()
        if lengths and lengths != wanted:
            raise BadInputError(
                f"Rows of {name} have vectors of {lengths[0]} numbers, and the model {model_id[:80]!r} has "
                f"{f'features of {wanted[0]}' if wanted else 'not come yet'}."
            )
    for row in batch.rows["model"].to_pylist() if "model" in batch.rows else ():
        covariance, mean = row["feature_covariance"], row["feature_mean"]
        if not mean or (covariance is not None and len(covariance) != len(mean) ** 2):
            raise BadInputError("A model's covariance has the square of as many numbers as its mean, of at least one.")


def _require_labels(batch: LedgerBatch) -> None:
    for row in batch.rows["label"].to_pylist() if "label" in batch.rows else ():
        if row["label_id"] != label_id(row["lemma"]):
            raise BadInputError(f"{row['label_id']} is not the number of the label {row['lemma'][:80]!r}.")


def _require_words(store: Store, batch: LedgerBatch) -> None:
    """All vectors of a text tower are as long, and its list of nouns is as it first came: all models share them."""
    tables = [batch.rows[name] for name in ("baseline", "vocabulary", "label_embedding") if name in batch.rows]
    if not tables:
        return
    given = {
        (backbone, length)
        for rows in tables
        for backbone, length in zip(
            rows["backbone"].to_pylist(), pc.list_value_length(rows["vector"]).to_pylist(), strict=True
        )
    }
    towers = sorted({backbone for backbone, _ in given})
    sql = (
        "SELECT DISTINCT backbone, len(vector) AS n FROM (SELECT backbone, vector FROM baseline UNION ALL "
        "SELECT backbone, vector FROM label_embedding) WHERE backbone IN (SELECT unnest(?::VARCHAR[]))"
    )
    stored = store.arrow(sql, [towers])
    given |= set(zip(stored["backbone"].to_pylist(), stored["n"].to_pylist(), strict=True))
    if len(given) > len(towers):
        raise BadInputError(f"Vectors of a text tower, of {towers[0][:80]!r} or another one, have not all one length.")
    if "vocabulary" not in batch.rows:
        return
    known = store.arrow(
        "SELECT backbone, word FROM vocabulary WHERE backbone IN (SELECT unnest(?::VARCHAR[]))", [towers]
    )
    nouns, brought = _words(known), _words(batch.rows["vocabulary"])
    if nouns and brought - nouns:
        raise BadInputError("The atlas has another list of nouns of that text tower, which no batch adds to.")


def _words(rows: pa.Table) -> set[tuple[str, str]]:
    return set(zip(rows["backbone"].to_pylist(), rows["word"].to_pylist(), strict=True))
