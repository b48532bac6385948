"""What a batch is made of: rows in the atlas's schemas, and a fingerprint of their content."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...schemas.errors import BadInputError
from ...schemas.tables import NEWER, TABLES, table_schemas


def conform(name: str, table: pa.Table) -> pa.Table:
    """A table in the atlas's schema for it: columns in order, types cast, without chunks.

    A column that may be NULL and is not given is NULL: releases of older formats lack some.

    Args:
        name: a table of the atlas.
        table: its new rows; columns in any order, any types that cast without loss.

    Raises:
        BadInputError: no such table, missing or surplus columns, a value that does not fit, or NULL where none may be.
    """
    schema = table_schemas().get(name)
    if schema is None:
        raise BadInputError(f"The atlas has no table {name!r}; it has {', '.join(TABLES)}.")
    for field in schema:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    missing, surplus = set(schema.names) - set(table.column_names), set(table.column_names) - set(schema.names)
    if missing or surplus or len(table.column_names) != len(schema):
        raise BadInputError(
            f"Rows for {name} need the columns {', '.join(schema.names)}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}, not known: {', '.join(sorted(surplus)) or 'none'}."
        )
    try:
        return table.select(schema.names).cast(schema).combine_chunks()
    except (pa.ArrowNotImplementedError, ValueError) as error:
        raise BadInputError(f"Rows for {name} do not fit its columns: {error}.") from error


def content_sha256(batch: Mapping[str, pa.Table]) -> str:
    """SHA-256 of a batch's rows: equal values in equal order give equal text, however Arrow chunks or pads them.

    Args:
        batch: table name → rows as `conform` gives them; a table without rows counts as one that is not there.
    """
    digest = hashlib.sha256()
    for name in sorted(batch):
        table = batch[name]
        if not table.num_rows:
            continue
        digest.update(f"{name}\0{table.num_rows}\0".encode())
        for column in table.column_names:
            if column in NEWER.get(name, ()) and table[column].null_count == table.num_rows:
                continue
            digest.update(f"{column}\0".encode())
            for part in _parts(pa.concat_arrays(table[column].chunks)):
                digest.update(part)
    return digest.hexdigest()


def _parts(array: pa.Array) -> Iterator[bytes | memoryview]:
    """The bytes that make an array's values: validity, then lengths and elements, or plain values."""
    # What Arrow keeps in the place of a NULL is arbitrary, so it is replaced before it is hashed.
    if array.null_count:
        yield np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    kind = array.type
    if pa.types.is_list(kind):
        yield _plain(pc.fill_null(pc.list_value_length(array), 0))
        yield from _parts(array.flatten())
    elif pa.types.is_string(kind):
        filled = pc.fill_null(array, "")
        yield _plain(pc.binary_length(filled))
        yield "".join(filled.to_pylist()).encode()
    elif pa.types.is_boolean(kind):
        yield pc.fill_null(array, False).to_numpy(zero_copy_only=False).tobytes()
    elif pa.types.is_timestamp(kind):
        yield from _parts(array.cast(pa.int64()))
    elif len(array):
        yield _plain(pc.fill_null(array, 0) if array.null_count else array)


def _plain(array: pa.Array) -> memoryview:
    return np.ascontiguousarray(array.to_numpy()).view(np.uint8).data
