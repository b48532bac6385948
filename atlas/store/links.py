"""How statements and batches reach an atlas, and the link to a database of this process.

`sql_socket` has the link to another process's, `remote` that to a server over HTTP.
"""

import datetime
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from ...schemas.errors import BadInputError
from .address import quoted
from .appending import add_once
from .content import LedgerBatch

Parameters = Sequence[object] | Mapping[str, object] | None
"""Values for the `?` or `$name` of a statement; text in them is never read as SQL."""

Changes = Sequence[tuple[str, Parameters]]
"""Statements with their values."""

_QUERY_ROWS = (
    "STRUCT(model_id VARCHAR, readout VARCHAR, vector DOUBLE[], length DOUBLE, alphas DOUBLE[], errors DOUBLE[], "
    "one_term BOOLEAN, warning VARCHAR, refusal VARCHAR)[]"
)
"""What functions of ours give: queries for the macros of tables.sql, which name the same type."""
_TIME = "datetime"
"""Stands before a time in JSON."""
_MOST_LITERALS = 1000
"""Values of a list that are written out."""
ROWS_PER_BATCH = 2048
"""Rows that come at a time, DuckDB's own number: 4 MB of 512-d vectors."""


class Link(Protocol):
    """A way to an atlas. Threads may share it: reads do not wait for each other, writes do."""

    def table(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of a statement that reads: all of a batch, or nothing of it."""

    def batches(self, sql: str, parameters: Parameters) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The same rows, bit by bit."""

    def append(self, batch: LedgerBatch) -> bool:
        """Add a batch and its ledger row in one transaction; see `Store.append`."""

    def change(self, statements: Changes) -> None:
        """Run statements in one transaction."""

    def close(self) -> None:
        """Let go of the atlas."""


class Local:
    """A database of this process: an atlas file, or a DuckLake that it has attached."""

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        catalog: str = "",
        only_writer: Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """Connect.

        Args:
            connect: opens the database; called again where DuckDB has given up on it.
            catalog: the attached database that holds the tables; empty for the main one.
            only_writer: keeps other processes from writing while it lasts, where the database itself does not.
        """
        self._connect, self._catalog, self._only_writer = connect, catalog, only_writer
        self._writing = threading.Lock()
        self._functions: dict[str, Callable[[str], object]] = {}
        self._reading: set[duckdb.DuckDBPyConnection] = set()
        self._open()

    def define(self, name: str, function: Callable[[str], object]) -> None:
        """Let SQL call a function of ours, from text to rows of a query, unless one of that name is there."""
        self._functions[name] = function
        with suppress(duckdb.CatalogException, duckdb.NotImplementedException):
            self._definer.create_function(name, function, [duckdb.type("VARCHAR")], duckdb.type(_QUERY_ROWS))

    @property
    def is_read(self) -> bool:
        """Whether a statement is under way that reads."""
        return bool(self._reading)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own, in a transaction that can change nothing."""
        cursor = self.connection.cursor()
        self._reading.add(cursor)
        try:
            if self._catalog:
                cursor.execute(f"USE {self._catalog}")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            yield cursor
            cursor.execute("COMMIT")
        finally:
            self._reading.discard(cursor)
            cursor.close()

    def table(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of one statement."""
        with self.reading() as cursor:
            return executed(cursor, sql, parameters).to_arrow_table()

    @contextmanager
    def batches(self, sql: str, parameters: Parameters) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same rows, bit by bit."""
        with self.reading() as cursor:
            yield executed(cursor, sql, parameters).to_arrow_reader(ROWS_PER_BATCH)

    def append(self, batch: LedgerBatch) -> bool:
        """Add a batch and its ledger row."""
        with self._write() as connection:
            return add_once(connection, batch)

    def change(self, statements: Changes) -> None:
        """Run statements in one transaction."""
        with self._write() as connection:
            for sql, parameters in statements:
                connection.execute(sql, parameters)

    @contextmanager
    def _write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction on the database; one at a time."""
        with self._writing, self._only_writer(self.connection):
            connection = self.connection
            connection.begin()
            try:
                yield connection
                self.commit(connection)
            except BaseException:
                self._abandon(connection)
                raise

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """End a transaction; a place of its own so that tests can fail here."""
        connection.commit()

    def close(self) -> None:
        """Close the database, and end statements that still run; a file is checkpointed, and others can open it."""
        for cursor in list(self._reading):
            cursor.interrupt()
        with self._writing:
            self._close()

    def _open(self) -> None:
        self.connection = self._connect()
        # Functions belong to who made them, and are to be none of a writer's transaction.
        self._definer = self.connection.cursor()
        for name, function in self._functions.items():
            self.define(name, function)

    def _close(self) -> None:
        for name in self._functions:
            with suppress(duckdb.Error):
                self._definer.remove_function(name)
        self._definer.close()
        self.connection.close()

    def _abandon(self, connection: duckdb.DuckDBPyConnection) -> None:
        """End a transaction that failed; where DuckDB has given up on the database, open it again."""
        try:
            connection.rollback()
        except duckdb.TransactionException:
            pass  # a COMMIT that failed has ended the transaction already
        except (duckdb.FatalException, duckdb.InternalException, duckdb.IOException):
            # A checkpoint that found the disk full invalidates the whole database, and every batch is in the log.
            self._close()
            self._open()


def executed(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters) -> duckdb.DuckDBPyConnection:
    """Run a statement with its values.

    Where pandas is not loaded, few and plain values go to DuckDB as literals of EXECUTE: its Python layer would import
    pandas, to see that a value is none of its own, and that takes as long as a whole query.
    """
    literals = None if not parameters or "pandas" in sys.modules else _literals(parameters)
    if literals is None:
        return cursor.execute(sql, parameters)
    cursor.execute(f"PREPARE with_values AS {sql}")
    return cursor.execute(f"EXECUTE with_values({literals})")


def _literals(parameters: Parameters) -> str | None:
    """Values as EXECUTE takes them; None where one is not plain, or they are many."""
    try:
        if isinstance(parameters, Mapping):
            return ", ".join(f"{name} := {_literal(value)}" for name, value in parameters.items())
        return ", ".join(map(_literal, parameters or ()))
    except TypeError:
        return None


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case str() if "\0" not in value:
            return quoted(str(value))
        case list() if len(value) <= _MOST_LITERALS:
            return f"[{', '.join(map(_literal, value))}]"
    raise TypeError


def encoded(asked: object) -> bytes:
    """A statement with its values as JSON, to the last digit.

    Raises:
        BadInputError: a value of a type that statements do not take.
    """
    return json.dumps(asked, default=_encoded).encode()


def decoded(text: bytes) -> Any:
    """What `encoded` was given."""
    return json.loads(text, object_hook=_decoded)


def _encoded(value: object) -> object:
    match value:
        case np.generic():
            return value.item()
        case Mapping():
            return dict(value)
        case datetime.datetime():
            return {_TIME: value.isoformat()}
        case _:
            raise BadInputError(f"A statement takes numbers, text, times and lists, not {type(value).__name__}.")


def _decoded(value: dict[str, object]) -> object:
    return datetime.datetime.fromisoformat(str(value[_TIME])) if value.keys() == {_TIME} else value
