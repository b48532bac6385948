"""How a batch gets in: once, with its ledger row, and without shared rows that another batch has brought already."""

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...schemas.errors import LedgerConflictError
from ...schemas.tables import SHARED, table_schemas
from .content import LedgerBatch

SQL_TYPES = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT"}
"""Of the columns that tell rows apart."""
_ROWS_PER_CHUNK = 2048
"""DuckDB's own: a third faster than rows in one piece on two cores."""


def add_once(connection: duckdb.DuckDBPyConnection, batch: LedgerBatch) -> bool:
    """Add a batch and its ledger row in the transaction that `connection` is in; see `Store.append`."""
    sql = "SELECT run_id, content_sha256 FROM ledger WHERE stage = ? AND batch_key = ?"
    if known := connection.execute(sql, [batch.stage, batch.key]).fetchone():
        if known[1] == batch.content:
            return False
        raise LedgerConflictError(
            f"Batch {batch.key!r} of stage '{batch.stage}' is in the atlas with other content: run {known[0]} "
            f"committed {known[1][:12]}, run {batch.run_id} brings {batch.content[:12]}; the data or the program has "
            "changed."
        )
    for name, rows in batch.rows.items():
        new = without_known(connection, name, rows)
        if new.num_rows:
            insert(connection, name, new)
    entry = {
        "run_id": batch.run_id,
        "stage": batch.stage,
        "batch_key": batch.key,
        "content_sha256": batch.content,
        "n_rows": sum(rows.num_rows for rows in batch.rows.values()),
        "committed_at": datetime.now(UTC),
    }
    insert(connection, "ledger", pa.Table.from_pylist([entry], schema=table_schemas()["ledger"]))
    return True


def without_known(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> pa.Table:
    """The rows of a batch that the atlas has not, by the columns that name them; all of them where no table is shared.

    Two ingests of one data set bring the same images, and both may look before either has written. So this is asked
    in the transaction that adds the rows, where nobody else writes.

    Args:
        connection: in the transaction that will add them.
        name: a table of the atlas.
        rows: its new rows, as `content.conform` gives them.
    """
    keys = SHARED.get(name)
    if keys is None or not rows.num_rows:
        return rows
    first = keys[0]
    sql = (
        f"SELECT {', '.join(keys)} FROM {name} "  # noqa: S608 - a key of SHARED
        f"WHERE {first} IN (SELECT unnest(?::{SQL_TYPES[rows.schema.field(first).type]}[]))"
    )
    seen = set(_names(connection.execute(sql, [pc.unique(rows[first]).to_pylist()]).to_arrow_table()))
    new = []
    for row, named in enumerate(_names(rows.select(keys))):
        if named not in seen:
            seen.add(named)
            new.append(row)
    return rows.take(pa.array(new, pa.int64())) if len(new) < rows.num_rows else rows


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Add Arrow rows to a table that `connection` knows by this name."""
    # Threads share the work by chunks of Arrow; cutting copies nothing.
    connection.register("new_rows", pa.Table.from_batches(rows.to_batches(_ROWS_PER_CHUNK), rows.schema))
    try:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # noqa: S608 - one of our tables
    finally:
        connection.unregister("new_rows")


def _names(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for values in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        yield tuple(tuple(value) if isinstance(value, list) else value for value in values)
