"""Import: a release's models into an atlas, exactly once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...schemas.errors import BadInputError, LedgerConflictError
from ...schemas.stage import Stage
from ...schemas.tables import SHARED, model_tables
from ..store.content import conform, content_sha256
from ..store.store import Store
from .parquet_files import parquet_name, read_rows
from .verify import SUMS, ReleaseContents, description, problems

_OF_SUBJECT = (("subject", "roi", "voxel", "voxel_roi", "region_test", "region_image"), ("planting",))
"""Tables that come together; the first is also the stage of the batch that an ingest brings them in."""

_STAGE, _KEY = pc.field("stage"), pc.field("batch_key")
"""Columns of the ledger."""

_MAY_DIFFER = {"uri", "dataset", "vocabulary_sha256"}
"""Columns of tables that models share in which two atlases need not agree; that one is over digits of vectors."""

_ROUNDING = 1e-4
"""Numbers of text vectors that differ by less are the same: machines round sums differently, by some 1e-6."""


@dataclass(frozen=True)
class _Release:
    folder: Path

    @cached_property
    def contents(self) -> ReleaseContents:
        return description(self.folder)

    @property
    def models(self) -> list[str]:
        return self.contents["Models"]

    @property
    def subjects(self) -> list[str]:
        return [subject["Id"] for subject in self.contents["Subjects"]]

    def key(self, name: str) -> str:
        """Key of a batch: what it is about, and the checksum of the checksums."""
        return f"{name}/{hashlib.sha256((self.folder / SUMS).read_bytes()).hexdigest()[:16]}"

    def rows(self, table: str, wanted: pc.Expression | None = None) -> pa.Table:
        """Rows of a table, or those of them that are wanted."""
        return conform(table, pq.read_table(self.folder / parquet_name(table), filters=wanted))


def import_release(store: Store, folder: Path, *, run_id: str) -> list[str]:
    """Bring the models of a release into an atlas; what an earlier import brought is not brought again.

    Each subject and each model is one transaction, so each is there whole or not at all, and one model is in memory at
    a time. The ledger's rows come along: an `ingest` of an imported model finds it complete.

    Args:
        store: the atlas.
        folder: the release.
        run_id: names this import in the ledger.

    Returns:
        The models that are in the atlas now and were not before.

    Raises:
        NotFoundError: the folder is no release.
        BadInputError: the release is damaged, or of another format.
        LedgerConflictError: the atlas has one of its models, or something else by one of its names.
    """
    if wrong := problems(folder):
        more = f" (and {len(wrong) - 1} more; `voxel-atlas verify` lists them)" if len(wrong) > 1 else ""
        raise BadInputError(f"{folder}: {wrong[0].rstrip('.')}{more}.")
    release = _Release(folder)
    done = store.committed(Stage.IMPORT)
    new = [model for model in release.models if release.key(model) not in done]
    # All that may be refused is looked at before the first row is written.
    _require_absent(store, new)
    missing = [
        (subject, tables)
        for subject in release.subjects
        for tables in _OF_SUBJECT
        if not _has_subject(store, release, subject, tables)
    ]
    shared = {name: _new_rows(store, release, name) for name in SHARED}
    _require_same_nouns(store, shared["vocabulary"])
    for subject, tables in missing:
        rows = {name: release.rows(name, pc.field("subject_id") == subject) for name in tables}
        rows["ledger"] = release.rows("ledger", (tables[0] == _STAGE) & (subject == _KEY))
        store.append(rows, run_id=run_id, stage=Stage.IMPORT, key=release.key(f"{tables[0]}/{subject}"))
    if any(rows.num_rows for rows in shared.values()):
        # Which rows are new depends on the atlas, so the key says which atlas it was.
        store.append(shared, run_id=run_id, stage=Stage.IMPORT, key=release.key(f"shared/{store.generation()}"))
    for model in new:
        store.append(_model_rows(release, model), run_id=run_id, stage=Stage.IMPORT, key=release.key(model))
    return new


def _model_rows(release: _Release, model: str) -> dict[str, pa.Table]:
    rows = {name: release.rows(name, pc.field("model_id") == model) for name in model_tables()}
    of_runs = (_STAGE == Stage.RUN) & pc.field("run_id").isin(rows["run"]["run_id"].unique())
    of_model = (_STAGE != Stage.RUN) & ((model == _KEY) | pc.starts_with(_KEY, f"{model}/"))
    return {**rows, "ledger": release.rows("ledger", of_runs | of_model)}


def _require_absent(store: Store, models: Sequence[str]) -> None:
    sql = "SELECT model_id FROM model WHERE list_contains(?::VARCHAR[], model_id) ORDER BY model_id"
    for model in store.arrow(sql, [list(models)])["model_id"].to_pylist():
        raise LedgerConflictError(
            f"{store.address} has a model {model} that did not come from this release; `voxel-atlas rm {model}` "
            "removes it, then the import can be started again."
        )


def _require_same_nouns(store: Store, new: pa.Table) -> None:
    """A list of nouns comes whole: one that lacks some of the release's, or has others, is another list."""
    sql = "SELECT backbone FROM baseline WHERE list_contains(?::VARCHAR[], backbone) ORDER BY backbone"
    for backbone in store.arrow(sql, [pc.unique(new["backbone"]).to_pylist()])["backbone"].to_pylist():
        raise LedgerConflictError(
            f"{store.address} holds concepts of {backbone} against another list of nouns than the release; "
            "import it into another atlas."
        )


def _has_subject(store: Store, release: _Release, subject: str, tables: Sequence[str]) -> bool:
    """Whether the atlas has what these tables say of a subject; a release that says nothing asks for nothing."""
    theirs = {name: release.rows(name, pc.field("subject_id") == subject) for name in tables}
    ours = {name: conform(name, read_rows(store, name, [], [subject])) for name in tables}
    if not theirs[tables[0]].num_rows:
        return True
    if not ours[tables[0]].num_rows:
        return False
    for name in tables:
        if content_sha256({name: theirs[name]}) != content_sha256({name: ours[name]}):
            raise LedgerConflictError(
                f"{store.address} has a subject {subject} whose rows in {name} differ from the release's; "
                "import it into another atlas."
            )
    return True


def _new_rows(store: Store, release: _Release, name: str) -> pa.Table:
    """Rows of a table that the atlas has not; an error where it has others by the same key.

    Vectors that differ by rounding are the same, and the atlas keeps its own.
    """
    keys, rows = SHARED[name], release.rows(name)
    agreed = [column for column in rows.column_names if column not in {*keys, *_MAY_DIFFER}]
    columns = ", ".join([*keys, *agreed])
    theirs = _keyed(rows.select([*keys, *agreed]), keys).with_row_index("row")
    ours = _keyed(store.arrow(f"SELECT {columns}, TRUE AS known FROM {name}"), keys)  # noqa: S608 - one of our tables
    joined = theirs.join(ours, on=list(keys), how="left", suffix="_here", maintain_order="left")
    known = joined.filter("known")
    differs = [_differ(known[column], known[f"{column}_here"]) for column in agreed]
    for row in known.filter(np.any(differs, axis=0)).head(1).iter_rows(named=True) if agreed else ():
        place = ", ".join(f"{key} {row[key]}" for key in keys)
        raise LedgerConflictError(
            f"{store.address} has another {' and '.join(agreed)} in {name} for {place} than the release; "
            "import it into another atlas."
        )
    return rows.take(joined.filter(pl.col("known").is_null())["row"].to_arrow())


def _differ(theirs: pl.Series, ours: pl.Series) -> NDArray[np.bool_]:
    if theirs.dtype != pl.List(pl.Float32):
        return (theirs != ours).to_numpy()
    pairs = zip(theirs.to_list(), ours.to_list(), strict=True)
    return np.array([len(a) != len(b) or not np.allclose(a, b, rtol=0, atol=_ROUNDING) for a, b in pairs], np.bool_)


def _keyed(table: pa.Table, keys: Sequence[str]) -> pl.DataFrame:
    """A table whose keys can be joined on: lists become text."""
    frame = pl.DataFrame(table)
    lists = [key for key in keys if frame.schema[key] == pl.List(pl.Int32)]
    return frame.with_columns(pl.col(key).cast(pl.List(pl.String)).list.join(",") for key in lists)
