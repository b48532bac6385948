"""Rows that several models use: who brings one first adds it, and the others find it there."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ...schemas.tables import SHARED
from .links import Transaction

_SQL_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT"}


def without_known(transaction: Transaction, name: str, rows: pa.Table) -> pa.Table:
    """The rows of a batch that the atlas has not, by the columns that name them; all of them where no table is shared.

    Two ingests of one data set bring the same images, and both may look before either has written. So this is asked
    in the transaction that adds the rows, where nobody else writes.

    Args:
        transaction: the one that will add them.
        name: a table of the atlas.
        rows: its new rows, as `content.conform` gives them.
    """
    keys = SHARED.get(name)
    if keys is None or not rows.num_rows:
        return rows
    first = keys[0]
    sql = (
        f"SELECT {', '.join(keys)} FROM {name} "  # noqa: S608 - a key of SHARED
        f"WHERE {first} IN (SELECT unnest(?::{_SQL_TYPES[rows.schema.field(first).type]}[]))"
    )
    seen = set(_names(transaction.execute(sql, [pc.unique(rows[first]).to_pylist()]).to_arrow_table()))
    new = []
    for row, named in enumerate(_names(rows.select(keys))):
        if named not in seen:
            seen.add(named)
            new.append(row)
    return rows.take(pa.array(new, pa.int64())) if len(new) < rows.num_rows else rows


def _names(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for values in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        yield tuple(tuple(value) if isinstance(value, list) else value for value in values)
