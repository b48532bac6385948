"""The link to an atlas that another process serves: statements go there as text, and rows come back as Arrow.

A client's own BEGIN and COMMIT never reach a Quack server, and it would commit each statement by itself; sent by
`quack_query_by_name` they do, and then bulk inserts into the attached tables between them are one transaction. One
attachment is one connection of the server, so each thread that reads has an attachment of its own.
"""

import datetime
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ...schemas.errors import BadInputError, StoreError
from .address import CONFIG, UNREACHABLE, explained, first_line, load_extensions, quoted
from .links import Parameters, Result, Transaction, retried
from .sql_socket import ask
from .writers import writing

_DROPPED = (*UNREACHABLE, "Invalid connection id")
"""Signs of a server that drops its connections or has dropped them, which it does when an ingester died (`serving`)."""
PATIENCE_S = 2.0
"""How long that may take."""


class Quack:
    """Connections to one server."""

    def __init__(self, target: str, token: str, name: str, sql: str = "") -> None:
        """Connect.

        Args:
            target: quack:HOST:PORT.
            token: the server's.
            name: what errors call the atlas.
            sql: the server's socket of `sql_socket`; empty where it is not known.

        Raises:
            StoreError: nothing answers there, or the token is wrong.
        """
        self._target, self._token, self._name, self._sql = target, token, name, sql
        if sql:
            # Quack would wait for a stopped server for a minute, and turn round meanwhile.
            ask(sql, [], name)
        self._instance = duckdb.connect(config=CONFIG)
        load_extensions(self._instance, "httpfs", "quack")
        self._instance.execute("SET GLOBAL TimeZone = 'UTC'")
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._idle: list[_Session] = []
        self._writing = threading.Lock()
        with explained(name):
            self._give(self._take())
            self.path = self.read(_path)
            """The served atlas's file."""

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` on a connection of its own; from the start again where the server has dropped that."""
        return retried(lambda: self._read(work), _is_drop, PATIENCE_S, 0.05)

    def query(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of a statement, which the server ends when its time is over, too."""
        if not self._sql:
            return self.read(lambda transaction: transaction.execute(sql, parameters).to_arrow_table())
        return ask(self._sql, _statements(sql, parameters), self._name)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction of the server; one at a time, over all processes of this machine."""
        with self._writing, writing(Path(self.path)), self._session() as session:
            try:
                session.begin("BEGIN TRANSACTION")
                yield session
                session.send("COMMIT")
            except duckdb.Error as error:
                raise StoreError(f"{self._name}: the server did not take the batch ({first_line(error)}).") from error

    def close(self) -> None:
        """Close the connections."""
        with self._writing, self._lock:
            for session in self._idle:
                session.detach()
            self._idle.clear()
            self._instance.close()

    def _read(self, work: Callable[[Transaction], Result]) -> Result:
        with self._session() as session:
            session.begin("BEGIN TRANSACTION READ ONLY")
            result = work(session)
            session.send("COMMIT")
        return result

    @contextmanager
    def _session(self) -> Iterator["_Session"]:
        session = self._take()
        try:
            yield session
        except BaseException:
            try:
                session.send("ROLLBACK")
            except duckdb.Error:
                session.detach()
            else:
                self._give(session)
            raise
        self._give(session)

    def _take(self) -> "_Session":
        with self._lock:
            if self._idle:
                return self._idle.pop()
            return _Session(self._instance.cursor(), f"session_{next(self._numbers)}", self._target, self._token)

    def _give(self, session: "_Session") -> None:
        with self._lock:
            self._idle.append(session)


class _Session(Transaction):
    """One connection of the server."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, alias: str, target: str, token: str) -> None:
        super().__init__(cursor, f"{alias}.")
        self._alias = alias
        self._attachment = f"ATTACH {_literal(target)} AS {alias} (TOKEN {_literal(token)})"
        self._attach()

    def begin(self, statement: str) -> None:
        """Begin a transaction, on a new connection where the server has dropped this one."""
        try:
            self.send(statement)
        except duckdb.Error as error:
            if not _is_drop(error):
                raise
            self.detach()
            self._attach()
            self.send(statement)

    def execute(self, sql: str, parameters: Parameters = None) -> duckdb.DuckDBPyConnection:
        *before, last = _statements(sql, parameters)
        for statement in before:
            self.send(statement)
        return self.send(last)

    def send(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run one statement at the server."""
        try:
            return self.cursor.execute("FROM quack_query_by_name(?, ?)", [self._alias, sql])
        except duckdb.InvalidInputException as error:
            # What follows shows our statement around the one that was sent, which is not of interest.
            message, _, _ = str(error).partition("\n\nLINE 1: FROM quack_query_by_name")
            raise duckdb.InvalidInputException(message.removeprefix("Invalid Input Error: ")) from error

    def detach(self) -> None:
        """Close the connection, whether or not the server is still there."""
        with suppress(duckdb.Error):
            self.cursor.execute(f"DETACH {self._alias}")

    def _attach(self) -> None:
        # An attachment is several requests, and the drop may come between any two of them.
        retried(lambda: self.cursor.execute(self._attachment), _is_drop, PATIENCE_S, 0.05)


def _is_drop(error: duckdb.Error) -> bool:
    return any(sign in str(error) for sign in _DROPPED)


def _path(transaction: Transaction) -> str:
    row = transaction.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchone()
    if not row or not row[0]:
        raise StoreError("The server serves no file; give the address of a served atlas.")
    return str(row[0])


def _statements(sql: str, parameters: Parameters) -> list[str]:
    """What runs a statement with its values at a server, which takes text alone."""
    return [f"PREPARE asked AS {sql}", f"EXECUTE asked({_arguments(parameters)})"] if parameters else [sql]


def _arguments(parameters: Sequence[object] | Mapping[str, object]) -> str:
    if isinstance(parameters, Mapping):
        return ", ".join(f"{name} := {_literal(value)}" for name, value in parameters.items())
    return ", ".join(_literal(value) for value in parameters)


def _literal(value: object) -> str:
    """A value as SQL text.

    Raises:
        BadInputError: a type that statements do not take.
    """
    match value:
        case None:
            return "NULL"
        case bool() | np.bool_():
            return "true" if value else "false"
        case int() | np.integer():
            return str(int(value))
        case float() | np.floating():
            return f"'{float(value)!r}'::DOUBLE"
        case str():
            # Nothing but the quote itself means anything between quotes, and a zero byte would end the text.
            return quoted(value).replace("\0", "' || chr(0) || '")
        case datetime.datetime():
            return f"'{value.isoformat()}'::{'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'}"
        case list() | tuple():
            return f"[{', '.join(_literal(item) for item in value)}]"
        case _:
            raise BadInputError(f"A statement takes numbers, text, times and lists, not {type(value).__name__}.")
