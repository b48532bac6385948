"""The tables of a release: the rows of some models and of all that they refer to, one Parquet file a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...schemas.stage import Stage
from ...schemas.tables import TABLES, model_tables, table_schemas
from ..store.content import conform
from ..store.store import Store

FOLDER = "tables"
"""Folder of the Parquet files within a release."""

_VOXELS_AT_ONCE = 8192
"""Voxels whose rows are in memory at once, and are a row group of their file."""

_SUBJECTS = "WHERE list_contains($subjects::VARCHAR[], subject_id)"
_MODELS = "WHERE list_contains($models::VARCHAR[], model_id)"
_LABELS = f"WHERE label_id IN (SELECT label_id FROM label_score {_MODELS})"  # noqa: S608 - constants
_SEEN = f"SELECT stimulus_id FROM split {_MODELS} UNION ALL SELECT stimulus_id FROM top_image {_MODELS}"  # noqa: S608
_REGIONS = f"SELECT stimulus_id, box FROM top_image {_MODELS}"  # noqa: S608
_BACKBONES = f"SELECT backbone FROM model {_MODELS}"  # noqa: S608
_LABEL_BACKBONES = f"SELECT label_backbone FROM model {_MODELS}"  # noqa: S608

_OF_SUBJECTS = f"stage IN ({Stage.sql('subject')}) AND list_contains($subjects::VARCHAR[], batch_key)"
_OF_RUNS = f"stage IN ({Stage.sql('run')}) AND run_id IN (SELECT run_id FROM run {_MODELS})"  # noqa: S608
_OF_MODELS = (
    f"stage IN ({Stage.sql('model')}) AND EXISTS (SELECT 1 FROM (SELECT unnest($models::VARCHAR[]) AS id) "  # noqa: S608
    "WHERE batch_key = id OR starts_with(batch_key, id || '/'))"
)

_ROWS = {
    "atlas_format": "",
    "stimulus": f"WHERE stimulus_id IN ({_SEEN})",
    "caption": f"WHERE (stimulus_id, box) IN ({_REGIONS})",
    "label": _LABELS,
    "baseline": f"WHERE backbone IN ({_BACKBONES})",
    "vocabulary": f"WHERE backbone IN ({_BACKBONES})",
    "label_embedding": f"{_LABELS} AND backbone IN ({_LABEL_BACKBONES})",
    "synthetic_image": _LABELS,
    # Who has these rows knows the batches they came in: an ingest of an imported model finds it complete.
    "ledger": f"WHERE ({_OF_SUBJECTS}) OR ({_OF_RUNS}) OR ({_OF_MODELS})",
}
"""Table → which of its rows belong to $models and their $subjects; in others it is those that name one of them."""

_ORDER = {"run": "recorded_at, run_id, state", "ledger": "stage, batch_key"}
"""Table → what orders its rows; others are ordered by all their columns in turn. The rows alone decide the order."""

_BY_VOXEL = {
    "encoding": "",
    "readout_norm": ", readout",
    "beyond_low_level": "",
    "learning_curve": ", n_blocks",
    "top_image": ", rank",
    "label_score": ", method, rank, label_id",
    "label_evidence": ", method, label_id",
}
"""Tables that are too big to hold in memory → what orders the rows of one voxel."""


def write_tables(store: Store, models: Sequence[str], subjects: Sequence[str], folder: Path) -> dict[str, int]:
    """Write the tables of some models: equal rows give equal files.

    Args:
        store: the atlas.
        models: ids of models.
        subjects: ids of their subjects.
        folder: the release; its folder `tables` is made.

    Returns:
        The number of rows of every table.
    """
    (folder / FOLDER).mkdir()
    return {name: _write(folder / parquet_name(name), name, _batches(store, name, models, subjects)) for name in TABLES}


def parquet_name(table: str) -> str:
    """Path of a table's file within a release."""
    return f"{FOLDER}/{table}.parquet"


def read_rows(store: Store, name: str, models: Sequence[str], subjects: Sequence[str]) -> pa.Table:
    """Rows of a table about some models and their subjects, in the order in which a release has them."""
    where = _ROWS.get(name, _MODELS if name in model_tables() else _SUBJECTS)
    sql = f"FROM {name} {where} ORDER BY {_ORDER.get(name, 'ALL')}"
    given = {"models": list(models), "subjects": list(subjects)}
    return store.arrow(sql, {key: value for key, value in given.items() if f"${key}" in sql})


def _batches(store: Store, name: str, models: Sequence[str], subjects: Sequence[str]) -> Iterator[pa.Table]:
    if name not in _BY_VOXEL:
        yield read_rows(store, name, models, subjects)
        return
    for model in sorted(models):
        known = f"SELECT DISTINCT voxel FROM {name} WHERE model_id = ? ORDER BY voxel"  # noqa: S608 - one of our tables
        voxels = store.arrow(known, [model])["voxel"].to_pylist()
        for start in range(0, len(voxels), _VOXELS_AT_ONCE):
            block = voxels[start : start + _VOXELS_AT_ONCE]
            # A range, as DuckDB skips the blocks outside it.
            rows = f"FROM {name} WHERE model_id = ? AND voxel BETWEEN ? AND ? ORDER BY voxel{_BY_VOXEL[name]}"
            yield store.arrow(rows, [model, block[0], block[-1]])


def _write(path: Path, name: str, batches: Iterator[pa.Table]) -> int:
    n_rows = 0
    with pq.ParquetWriter(path, table_schemas()[name], compression="zstd") as writer:
        for batch in batches:
            writer.write_table(conform(name, batch))
            n_rows += batch.num_rows
    return n_rows
