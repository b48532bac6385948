"""The atlas's tables: the statements that make them, and their rows as Arrow has them."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import duckdb
import pyarrow as pa

FORMAT_VERSION = 4
"""Format of the tables that this version reads and writes."""

DDL = files(__package__).joinpath("tables.sql").read_text(encoding="utf-8")
"""The statements that make an empty atlas; each can be run again without harm."""

TABLES = tuple(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", DDL))
"""Names of the tables, in their order."""

COMMENTS = files(__package__).joinpath("comments.sql").read_text(encoding="utf-8")
"""Further comments, on macros and on columns of views, for databases that are not a DuckLake; run after the DDL."""

SHARED = {
    "stimulus": ("stimulus_id",),
    "caption": ("stimulus_id", "box", "captioner"),
    "label": ("label_id",),
    "label_embedding": ("label_id", "backbone"),
    "baseline": ("backbone",),
    "vocabulary": ("backbone", "word"),
    "synthetic_image": ("label_id", "generator", "ordinal"),
}
"""Tables that models share → the columns that name a row. A row by a name that is there already is not added again."""

NEWER = {"subject": ("affine", "affine_code")}
"""Columns that subjects of earlier versions lack: where all are NULL, a batch is what it was without them."""

_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
}
"""The DuckDB types that tables have, apart from lists of them."""


@cache
def table_schemas() -> Mapping[str, pa.Schema]:
    """Table name → Arrow schema, in the order of tables.sql. DuckDB reads them from there, once a process."""
    with duckdb.connect() as connection:
        for statement in duckdb.extract_statements(DDL):
            if "CREATE TABLE" in statement.query:  # comments, views and macros would take as long again
                connection.execute(statement)
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() WHERE NOT internal "
            "ORDER BY table_oid, column_index"
        ).fetchall()
    fields: dict[str, list[pa.Field]] = {}
    for table, column, kind, nullable in columns:
        fields.setdefault(table, []).append(pa.field(column, _arrow_type(kind), nullable))
    return {table: pa.schema(of_table) for table, of_table in fields.items()}


def _arrow_type(kind: str) -> pa.DataType:
    return pa.list_(_arrow_type(kind[:-2])) if kind.endswith("[]") else _ARROW[kind]


def model_tables() -> list[str]:
    """The tables whose every row belongs to one model."""
    return [name for name, schema in table_schemas().items() if "model_id" in schema.names]


def label_id(lemma: str) -> int:
    """The number of a label: the first 63 bits of the SHA-256 of its lemma, a positive BIGINT.

    The same word has the same number in every atlas, so that atlases can be joined.
    """
    return int.from_bytes(hashlib.sha256(lemma.encode()).digest()[:8], "big") >> 1
