"""A served atlas for other processes of this user: a socket in a folder that only this user can enter.

Statements end with their time, with who asked, or with the server; batches go in as they do in the server's process.
"""

import contextlib
import json
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import TypeAlias, TypeVar

import duckdb
import psutil
import pyarrow as pa

from ...schemas.errors import AtlasError, BadInputError, BusyError, StoreError
from ...schemas.limits import LIMITS
from ..machine_memory import free_memory
from ..new_threads import begin
from .address import explained
from .content import LedgerBatch, from_stream, to_stream
from .links import ROWS_PER_BATCH, Changes, Local, Parameters, decoded, encoded

_POLL_S = 0.1
"""How often it is looked whether a statement may go on."""
_MEMORY_S = 10.0
"""How long a question waits for memory that a statement of others has."""
_ANSWER_S = 10.0
"""How long the server may take to say that it is there."""
_CLOSING_S = 1.0
"""How long the thread that takes connections may take to see that there are no more."""
_ARE_YOU_THERE, _ROWS, _BATCH, _CHANGE = b"?", b"R", b"B", b"C"
"""What a message of a client begins with."""
_PART, _DONE, _ERROR = b"A", b"D", b"E"
"""What an answer begins with."""
_OF_DUCKDB = "DUCKDB"
"""Code of an error of DuckDB's."""

_GATHERED = (
    "SELECT memory_usage_bytes / parse_formatted_bytes(current_setting('memory_limit')) FROM duckdb_memory() "
    "WHERE tag = 'ALLOCATOR'"
)
"""Share of DuckDB's memory that is taken by what statements gather, which cannot make room by going to a disk."""

Result = TypeVar("Result")
Wire: TypeAlias = "Connection[bytes, bytes]"


class _Ceiling:
    """How much memory this process may have while statements of strangers run; on Linux, whose limit can be counted.

    One step of a statement, as `repeat` over 2,048 rows, gathers what DuckDB neither counts nor can be interrupted in.
    The system refuses what is beyond the ceiling, which DuckDB answers as it should, instead of ending the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._below, self._before = 0, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    @property
    def is_held(self) -> bool:
        return self._below > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it until the block ends, and as long as other such blocks have not."""
        with self._lock:
            if not self._below and sys.platform == "linux":
                soft, hard = self._before = resource.getrlimit(resource.RLIMIT_DATA)
                ceiling = psutil.Process().memory_info().data + int(LIMITS.free_share * free_memory())
                wanted = [one for one in (ceiling, soft, hard) if one != resource.RLIM_INFINITY]
                resource.setrlimit(resource.RLIMIT_DATA, (min(wanted), hard))
            self._below += 1
        try:
            yield
        finally:
            with self._lock:
                self._below -= 1
                if not self._below and sys.platform == "linux":
                    resource.setrlimit(resource.RLIMIT_DATA, self._before)


_CEILING = _Ceiling()
"""Of the process, as the limit is."""


def with_patience(answer: Callable[[], Result], name: str) -> Result:
    """What `answer` gives, which waits a while for memory that a stranger's statement has.

    Args:
        answer: asks DuckDB.
        name: what errors call the atlas.

    Raises:
        BusyError: the statement keeps it.
        StoreError: what DuckDB says of files, locks, disks and memory.
        duckdb.Error: what else it says.
    """
    until = time.monotonic() + _MEMORY_S
    while True:
        try:
            with explained(name):
                return answer()
        except StoreError as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException) or not _CEILING.is_held:
                raise
            if time.monotonic() > until:
                raise BusyError(f"{name}: others' statements have its memory; try again later.") from error
        time.sleep(_POLL_S)


@dataclass(eq=False)
class _Statement:
    """A statement that runs."""

    cursor: duckdb.DuckDBPyConnection
    is_gone: Callable[[], bool]
    seconds: float
    share: float | None
    wrong: str = ""
    """Why it is ended; empty while it may go on, and where nobody would hear of it."""

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    def look(self, gathered: Callable[[], float]) -> None:
        """End it where it may not go on."""
        if time.monotonic() > self._deadline:
            self.wrong = f"The statement took longer than {self.seconds:g} s."
        elif self.share is not None and gathered() > self.share:
            self.wrong = f"The statement gathers more than {self.share:.0%} of DuckDB's memory; ask for less."
        elif not self.is_gone():
            return
        self.cursor.interrupt()


class Readers:
    """Statements of others: so many at once, each for so long, and none without who asked."""

    def __init__(self, link: Local) -> None:
        self._link = link
        self._running: set[_Statement] = set()
        self._watched = False
        self._lock = threading.Lock()

    @contextmanager
    def run(
        self,
        sql: str,
        parameters: Parameters,
        is_gone: Callable[[], bool] = lambda: False,
        seconds: float | None = None,
        share: float | None = None,
    ) -> Iterator[pa.RecordBatchReader]:
        """Rows of a statement.

        Args:
            sql: the statement.
            parameters: its values.
            is_gone: whether who asked has gone, which ends it.
            seconds: how long it may take; None for as long as any.
            share: of DuckDB's memory, beyond which it ends; None for no such limit. What all statements gather is
                counted, as DuckDB does not tell whose it is.

        Raises:
            duckdb.Error: DuckDB's.
            BadInputError: its time is over, or too much memory is taken.
            BusyError: as many as there may be are under way.
        """
        if len(self._running) >= LIMITS.statements:
            raise BusyError(f"{LIMITS.statements} statements are under way at this server; try again later.")
        ceiling = _CEILING.held() if share is not None else contextlib.nullcontext()
        with self._link.reading() as cursor:
            statement = _Statement(cursor, is_gone, LIMITS.statement_s if seconds is None else seconds, share)
            with self._watching(statement), ceiling:
                try:
                    yield cursor.execute(sql, parameters).to_arrow_reader(ROWS_PER_BATCH)
                except duckdb.Error as error:
                    if statement.wrong:
                        raise BadInputError(statement.wrong) from error
                    if share is not None and isinstance(error, duckdb.OutOfMemoryException):
                        raise BadInputError(
                            "The statement gathers more memory than there is for it; ask for less."
                        ) from error
                    raise

    def end(self) -> None:
        """End those that are under way."""
        with self._lock:
            for statement in self._running:
                statement.cursor.interrupt()

    @contextmanager
    def _watching(self, statement: "_Statement") -> Iterator[None]:
        """See to it until the block ends that the statement does not go beyond what it may.

        One thread looks after all, as long as there are any: none is begun below a ceiling.
        """
        with self._lock:
            if not self._watched:
                threading.Thread(target=self._watch, daemon=True).start()
                self._watched = True
            self._running.add(statement)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(statement)

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL_S)
            with self._lock:
                running = list(self._running)
                if not running:
                    self._watched = False
                    return
            for statement in running:
                with contextlib.suppress(MemoryError, duckdb.Error):  # it has ended meanwhile
                    statement.look(self._gathered)

    def _gathered(self) -> float:
        try:
            with self._link.connection.cursor() as cursor:
                ((share,),) = cursor.execute(_GATHERED).fetchall()
        except duckdb.Error:  # no memory is left for this either, or the atlas is being closed
            return 1.0
        return float(share)


@contextmanager
def answering(
    readers: Readers, append: Callable[[LedgerBatch], bool], change: Callable[[Changes], None]
) -> Iterator[str]:
    """Answer others on an open atlas until the block ends; gives the path of the socket.

    Args:
        readers: runs their statements.
        append: adds a batch.
        change: runs statements that change something, in one transaction.
    """
    folder = Path(tempfile.mkdtemp(prefix="voxel-atlas-"))
    path = str(folder / "sql")
    ended = threading.Event()
    with Listener(path, "AF_UNIX", backlog=64) as listener:

        def accept() -> None:
            while True:
                try:
                    client = listener.accept()
                except OSError:  # closed, or the process has too many files open for a moment
                    if ended.wait(_POLL_S):
                        return
                    continue
                if ended.is_set():
                    client.close()
                    return
                begin(_answer, client, readers, append, change)

        accepting = threading.Thread(target=accept, name="voxel-atlas-sql", daemon=True)
        accepting.start()
        try:
            yield path
        finally:
            # A thread that waits in accept() does not see that its socket is closed.
            ended.set()
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
                last.connect(path)
            accepting.join(_CLOSING_S)
            listener.close()
            readers.end()
            shutil.rmtree(folder, ignore_errors=True)


class Socket:
    """The link to a server of this machine and user."""

    def __init__(self, path: str, name: str) -> None:
        """Connect.

        Args:
            path: the server's socket.
            name: what errors call the atlas.

        Raises:
            StoreError: the server is gone or does not answer.
        """
        self._path, self._name = path, name
        for _ in self._answer(_ARE_YOU_THERE, b""):
            pass

    def table(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of one statement."""
        parts = [from_stream(part) for part in self._answer(_ROWS, encoded([sql, parameters]))]
        return pa.concat_tables(parts)

    @contextmanager
    def batches(self, sql: str, parameters: Parameters) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same rows, bit by bit."""
        # Closed with the block: a reader that has seen enough ends its statement.
        with contextlib.closing(self._answer(_ROWS, encoded([sql, parameters]))) as parts:
            yield (batch for part in parts for batch in from_stream(part).to_batches())

    def append(self, batch: LedgerBatch) -> bool:
        """Add a batch and its ledger row."""
        (added,) = self._answer(_BATCH, batch.to_bytes())
        return bool(json.loads(added))

    def change(self, statements: Changes) -> None:
        """Run statements in one transaction."""
        for _ in self._answer(_CHANGE, encoded(statements)):
            pass

    def close(self) -> None:
        """Nothing is held between two questions."""

    def _answer(self, kind: bytes, body: bytes) -> Generator[bytes, None, None]:
        try:
            with Client(self._path, "AF_UNIX") as server:
                server.send_bytes(kind + body)
                if not server.poll(_ANSWER_S if kind == _ARE_YOU_THERE else None):
                    raise StoreError(
                        f"{self._name}: its server does not answer, as if it were stopped; start it again."
                    )
                while (message := server.recv_bytes())[:1] == _PART:
                    yield message[1:]
        except (OSError, EOFError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"{self._name}: its server is gone; start `voxel-atlas serve` again or open the file itself; committed "
                "batches are safe, and an ingest goes on from there."
            ) from error
        if message[:1] == _ERROR:
            code, text = json.loads(message[1:])
            raise duckdb.InvalidInputException(text) if code == _OF_DUCKDB else AtlasError.by_code(code)(text)


def _answer(
    client: Wire, readers: Readers, append: Callable[[LedgerBatch], bool], change: Callable[[Changes], None]
) -> None:
    with client, contextlib.suppress(OSError, EOFError):
        message = client.recv_bytes()
        kind, body = message[:1], message[1:]
        try:
            if kind == _ROWS:
                sql, parameters = decoded(body)
                with readers.run(sql, parameters, lambda: _is_gone(client)) as rows:
                    _send(client, rows.schema.empty_table())  # so that no rows have columns, too
                    for batch in rows:
                        _send(client, pa.Table.from_batches([batch]))
            elif kind == _BATCH:
                client.send_bytes(_PART + json.dumps(append(LedgerBatch.from_bytes(body))).encode())
            elif kind == _CHANGE:
                change(decoded(body))
            client.send_bytes(_DONE)
        except AtlasError as error:
            client.send_bytes(_ERROR + json.dumps([error.code, str(error)]).encode())
        except duckdb.Error as error:
            client.send_bytes(_ERROR + json.dumps([_OF_DUCKDB, str(error)]).encode())


def _send(client: Wire, rows: pa.Table) -> None:
    client.send_bytes(_PART + to_stream(rows).to_pybytes())


def _is_gone(client: Wire) -> bool:
    """Whether the other side has closed, which says nothing more once it has asked."""
    try:
        return client.poll(0)
    except OSError:
        return True
