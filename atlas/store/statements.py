"""What a statement may be: one SELECT, and one that a person wrote calls no function that does more than to read."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...schemas.errors import BadInputError
from ...schemas.tables import DDL

_READ_ROWS = frozenset({
    "generate_series", "range", "repeat", "repeat_row", "unnest", "json_each", "json_tree", "summary", "query_table",
    "icu_calendar_names", "pg_timezone_names", "duckdb_columns", "duckdb_constraints", "duckdb_extensions",
    "duckdb_functions", "duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_schemas", "duckdb_settings",
    "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_database_size", "pragma_metadata_info",
    "pragma_storage_info", "pragma_table_info", "pragma_version",
})  # fmt: skip
"""DuckDB's table functions that read what is in the database, and nothing else."""
_READ_FILES = frozenset({
    "glob", "parquet_file_metadata", "parquet_kv_metadata", "parquet_metadata", "parquet_scan", "parquet_schema",
    "read_blob", "read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_json_objects",
    "read_json_objects_auto", "read_ndjson", "read_ndjson_auto", "read_ndjson_objects", "read_parquet", "read_text",
    "sniff_csv",
})  # fmt: skip
"""Those that read files; which ones they may, the connection's settings say."""
_OURS = frozenset(re.findall(r"CREATE (?:TABLE IF NOT EXISTS|OR REPLACE VIEW|OR REPLACE MACRO) (\w+)", DDL))
"""The atlas's tables, views and macros."""
_COUNTING = frozenset({"generate_series", "range", "unnest"})
"""Table functions that read nothing at all."""
_NOT_OF_ROWS = re.compile(r"(quack|atlas)_\w+|current_setting|currval|getvariable|nextval|setseed|sleep_ms|write_log")
"""Functions of one value that tell or change what is no row, or only take time."""
_FIRST_DAY, _AFTER_LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date(1, 1, 2), date(9999, 12, 31)))
"""Days that Python's dates have in any time zone, counted as Arrow does."""
MACROS = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table_macro'"
"""The functions of tables.sql, which only read, and DuckDB's own of that kind."""


def one_select(sql: str) -> str:
    """A statement that reads, without the semicolon at its end.

    Raises:
        BadInputError: it is wrong, is more than one, or would change something.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refused(error) from error
    if len(statements) != 1:
        raise BadInputError(f"One SQL statement is expected, and there are {len(statements)}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise BadInputError(f"Only a statement that reads is taken, SELECT or FROM, and this is {kind}.")
    return statements[0].query.strip().rstrip(";")


def other_functions(sql: str, *, files: bool) -> set[str]:
    """The table functions that a SELECT calls beyond DuckDB's that only read; macros are among them.

    Args:
        sql: the statement.
        files: whether those that read files count as such.

    Raises:
        BadInputError: it is not a SELECT that DuckDB can take apart, as PRAGMA.
    """
    return {name.lower() for name in _called(_parsed(sql))} - _READ_ROWS - (_READ_FILES if files else frozenset())


def require_ours(sql: str) -> None:
    """Refuse a SELECT that reads anything but the atlas's own tables and views, or calls what does.

    Raises:
        BadInputError: it does, or cannot be taken apart.
    """
    parsed = _parsed(sql)
    within = {str(one["key"]).lower() for node in _nodes(parsed) for one in node.get("cte_map", {}).get("map", ())}
    for name in within:
        # What is outside of the WITH's own part of the statement would still be DuckDB's view, or a file.
        if name in _views_of_duckdb() or not name.isidentifier():
            raise BadInputError(f"{name} is no name for a WITH here.")
    for node in _nodes(parsed):
        if node.get("type") == "SHOW_REF" and node.get("table_name"):
            raise BadInputError("SHOW is not taken; DESCRIBE a table of the atlas.")
        function = str(node.get("function_name", "")).lower() if node.get("class") == "FUNCTION" else ""
        if _NOT_OF_ROWS.fullmatch(function):
            raise BadInputError(f"The function {function} does more than to read the atlas's rows.")
        table = str(node.get("table_name", "")).lower() if node.get("type") == "BASE_TABLE" else ""
        outside = node.get("schema_name") or node.get("catalog_name")
        if table and (outside or table not in _OURS | within):
            raise BadInputError(f"{node['table_name']} is no table or view of the atlas.")
    if foreign := {name.lower() for name in _called(parsed)} - _OURS - _COUNTING:
        raise BadInputError(f"The function {min(foreign)} does more than to read the atlas's rows.")


def refused(error: duckdb.Error) -> BadInputError:
    """What DuckDB says of a statement, as one sentence."""
    # What a macro of ours says stands alone, without the place in the statement.
    if isinstance(error, duckdb.InvalidInputException):
        said = str(error).removeprefix("Invalid Input Error: ").partition("\n\nLINE ")[0]
        return BadInputError(" ".join(said.split()))
    return BadInputError(f"DuckDB refuses the statement: {' '.join(str(error).split())}")


def without_polars_type(table: pa.Table) -> list[str]:
    """Columns that Polars has no type or no value for: durations of months, unions, and dates beyond its calendar."""
    return [
        field.name.replace('"', '""')
        for field, column in zip(table.schema, table.columns, strict=True)
        if "interval" in str(field.type) or "union" in str(field.type) or _is_beyond(column)
    ]


def _is_beyond(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_date(column.type) and not pa.types.is_timestamp(column.type):
        return False
    # Compared as whole numbers, as such dates cannot be written as Python's.
    days = pa.types.is_date(column.type)
    numbers = column.cast(pa.int32()).cast(pa.int64()) if days else column.cast(pa.timestamp("us")).cast(pa.int64())
    extremes = pc.min_max(numbers)
    least, most = (extremes[name].as_py() for name in ("min", "max"))
    per_day = 1 if days else 86_400 * 10**6
    return least is not None and not (_FIRST_DAY * per_day <= least and most < _AFTER_LAST_DAY * per_day)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of columns, of which a second of one name gets a number, as DuckDB does it: roi, roi_1."""
    taken, seen = set(names), Counter[str]()
    unique = []
    for name in names:
        new = name
        while seen[name] and new in taken:
            new = f"{name}_{seen[name]}"
            seen[name] += 1
        seen[name] += not seen[name]
        taken.add(new)
        unique.append(new)
    return unique


@cache
def _empty() -> duckdb.DuckDBPyConnection:
    """A database of no rows, kept because making one takes thirty times as long as it takes to parse a statement."""
    return duckdb.connect(config={"threads": 1})  # none of its own, which a process that forks would lose


@cache
def _views_of_duckdb() -> frozenset[str]:
    with _empty().cursor() as cursor:
        return frozenset(name for (name,) in cursor.execute("SELECT view_name FROM duckdb_views()").fetchall())


def _parsed(sql: str) -> object:
    with _empty().cursor() as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    parsed = json.loads(row[0]) if row else {}
    if parsed.get("error", True):
        raise BadInputError(f"Only a statement that reads is taken, SELECT or FROM: {parsed.get('error_message')}")
    return parsed


def _called(parsed: object) -> Iterator[str]:
    for node in _nodes(parsed):
        if node.get("type") == "TABLE_FUNCTION":
            yield node["function"]["function_name"]


def _nodes(part: object) -> Iterator[dict[str, Any]]:
    """Every node of a parsed statement."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)
