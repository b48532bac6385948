"""What a batch is made of: rows in the atlas's schemas, a fingerprint of their content, and its form on the way."""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from ...schemas.errors import BadInputError
from ...schemas.tables import NEWER, TABLES, table_schemas

_Name = Annotated[str, StringConstraints(max_length=4096)]


class _Head(BaseModel):
    """What stands before the rows of a batch on the way."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run_id: _Name
    stage: _Name
    key: _Name
    tables: dict[str, int]
    """Bytes of each table's rows, in their order."""


@dataclass(frozen=True)
class LedgerBatch:
    """Rows that get in together, and what the ledger says of them; see `Store.append`."""

    rows: Mapping[str, pa.Table]
    """As `conform` gives them."""
    run_id: str
    stage: str
    key: str

    @classmethod
    def of(cls, rows: Mapping[str, pa.Table], *, run_id: str, stage: str, key: str) -> Self:
        """A batch of rows in any types that cast; raises as `conform`."""
        return cls({name: conform(name, table) for name, table in rows.items()}, run_id, stage, key)

    @cached_property
    def content(self) -> str:
        """SHA-256 of the rows."""
        return content_sha256(self.rows)

    def to_bytes(self) -> bytes:
        """The batch on the way: a line of JSON, then for each table a stream of Arrow."""
        streams = {name: to_stream(table) for name, table in self.rows.items()}
        sizes = {name: len(stream) for name, stream in streams.items()}
        head = _Head(run_id=self.run_id, stage=self.stage, key=self.key, tables=sizes)
        return b"".join([head.model_dump_json().encode(), b"\n", *streams.values()])

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """A batch that somebody sent, whatever it is.

        Raises:
            BadInputError: it is none, its rows do not fit their tables, or a number is NaN or infinite.
        """
        end = body.find(b"\n")
        try:
            head = _Head.model_validate_json(body[: max(end, 0)])
        except ValidationError as error:
            raise BadInputError(f"The batch has no head: {error.errors()[0]['msg']}.") from None
        rows, start = {}, end + 1
        for name, size in head.tables.items():
            rows[name] = conform(name, _table(name, memoryview(body)[start : start + max(size, 0)]))
            start += size
        if start != len(body):
            raise BadInputError(f"The batch has {len(body)} bytes, and its head tells of {start}.")
        return cls(rows, head.run_id, head.stage, head.key)


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


def to_stream(table: pa.Table) -> pa.Buffer:
    """Rows as a stream of Arrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def from_stream(stream: bytes) -> pa.Table:
    """What `to_stream` was given, of a sender that is believed."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _table(name: str, stream: memoryview) -> pa.Table:
    """Rows of a table from a stream whose every length and offset may be a lie.

    Raises:
        BadInputError: it is no such stream, or has what the atlas's rows never have: types that hold more than their
            bytes, compression, or numbers that are none.
    """
    # A stream lies within a body at any address, and Arrow wants its own aligned.
    aligned = pa.allocate_buffer(len(stream))
    memoryview(aligned).cast("B")[:] = stream
    source, wanted = pa.BufferReader(aligned), table_schemas().get(name)
    try:
        given = pa.ipc.read_schema(source)
        if wanted is None or sorted(given.names) != sorted(wanted.names):
            return given.empty_table()  # which `conform` refuses
        if other := [field.name for field in given if field.type != wanted.field(field.name).type]:
            raise BadInputError(f"Rows for {name} have other types than the table in {', '.join(other)}.")
        batches = []
        while (message := _message(source)) is not None:
            if message.type != "record batch" or _is_compressed(message.metadata):
                raise BadInputError(f"Rows for {name} are batches of Arrow, neither compressed nor with dictionaries.")
            batches.append(pa.ipc.read_record_batch(message, given))
        table = pa.Table.from_batches(batches, given)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"Rows for {name} are no stream of Arrow: {error}.") from None
    for column, values in zip(table.column_names, table.columns, strict=True):
        for chunk in values.chunks:
            if any(buffer is not None and buffer.address % 8 for buffer in chunk.buffers()):
                raise BadInputError(f"{name}.{column} has values at addresses that Arrow does not use.")
            _require_numbers(f"{name}.{column}", chunk)
    return table


def _message(source: pa.BufferReader) -> pa.ipc.Message | None:
    try:
        return pa.ipc.read_message(source)
    except EOFError:
        return None  # the mark of the end


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a record batch's flatbuffer says so: few bytes may then become many, which pyarrow does not bound.

    In Arrow's Message.fbs, field 2 of a message is its header, and field 3 of a RecordBatch is its compression.
    """
    data = memoryview(metadata)

    def field(table: int, number: int) -> int:
        """Where a field of a table is; 0 where it is not given."""
        fields = table - struct.unpack_from("<i", data, table)[0]
        (size,) = struct.unpack_from("<H", data, fields)
        place = 4 + 2 * number
        offset = struct.unpack_from("<H", data, fields + place)[0] if place < size else 0
        return table + offset if offset else 0

    root = struct.unpack_from("<I", data)[0]
    header = field(root, 2)
    return bool(field(header + struct.unpack_from("<I", data, header)[0], 3))


def _require_numbers(name: str, values: pa.Array) -> None:
    """Refuse NaN, infinity, and NULL within a list.

    Raises:
        BadInputError: so it is.
    """
    if pa.types.is_list(values.type):
        values = values.flatten()
        if values.null_count:
            raise BadInputError(f"{name} has NULL within a list.")
    if pa.types.is_floating(values.type) and not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise BadInputError(f"{name} has a number that is NaN or infinite.")
