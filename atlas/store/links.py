"""How statements reach an atlas, and the link to a database of this process; `quack` has the one to a server."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol, TypeVar

import duckdb
import pyarrow as pa

Parameters = Sequence[object] | Mapping[str, object] | None
"""Values for the `?` or `$name` of a statement; text in them is never read as SQL."""

Result = TypeVar("Result")

_QUERY_ROWS = (
    "STRUCT(model_id VARCHAR, readout VARCHAR, vector DOUBLE[], length DOUBLE, alphas DOUBLE[], errors DOUBLE[], "
    "one_term BOOLEAN, warning VARCHAR, refusal VARCHAR)[]"
)
"""What functions of ours give: queries for the macros of tables.sql, which name the same type."""
_ROWS_PER_CHUNK = 2048
"""DuckDB's own: a third faster than rows in one piece on two cores."""


class Transaction:
    """What can be done between BEGIN and COMMIT, on a connection of this process."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, prefix: str = "") -> None:
        """Take a connection; `prefix` stands before the tables' names where they are in a database attached to it."""
        self.cursor, self._prefix = cursor, prefix

    def execute(self, sql: str, parameters: Parameters = None) -> duckdb.DuckDBPyConnection:
        """Run one statement; its rows can be fetched from what comes back until the next statement."""
        return self.cursor.execute(sql, parameters)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows, whose columns are the table's."""
        insert(self.cursor, self._prefix + table, rows)


class Link(Protocol):
    """A way to an atlas. Threads may share it: reads do not wait for each other, writes do."""

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in a transaction that can change nothing; where a connection was lost, from its start again."""

    def query(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of a statement that a person wrote, which may take for ever: it ends with this process at the latest."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction that is committed where its block ends, and rolled back where the block raises."""

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

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` on a cursor of its own."""
        cursor = self.connection.cursor()
        self._reading.add(cursor)
        try:
            if self._catalog:
                cursor.execute(f"USE {self._catalog}")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            result = work(Transaction(cursor))
            cursor.execute("COMMIT")
        finally:
            self._reading.discard(cursor)
            cursor.close()
        return result

    def query(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of one statement."""
        return self.read(lambda transaction: transaction.execute(sql, parameters).to_arrow_table())

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction on the database; one at a time."""
        with self._writing, self._only_writer(self.connection):
            connection = self.connection
            connection.begin()
            try:
                yield Transaction(connection)
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


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Add Arrow rows to a table that `connection` knows by this name."""
    # Threads share the work by chunks of Arrow; cutting copies nothing.
    connection.register("new_rows", pa.Table.from_batches(rows.to_batches(_ROWS_PER_CHUNK), rows.schema))
    try:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # noqa: S608 - one of our tables
    finally:
        connection.unregister("new_rows")


def retried(
    work: Callable[[], Result], again: Callable[[duckdb.Error], bool], patience_s: float, pause_s: float = 0.0
) -> Result:
    """What `work` gives, which is called again while it fails as `again` says, for so long after it first did."""
    deadline = math.inf
    while True:
        try:
            return work()
        except duckdb.Error as error:
            deadline = min(deadline, time.monotonic() + patience_s)
            if not again(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause_s)
