"""A served atlas for other processes of this user: a socket in a folder that only this user can enter.

Statements end with their time, with who asked, or with the server; batches go in as they do in the server's process.
"""

import contextlib
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa

from ...schemas.errors import AtlasError, StoreError
from ..new_threads import begin
from .content import LedgerBatch, from_stream, to_stream
from .links import Changes, Parameters, decoded, encoded
from .readers import Readers

_AGAIN_S = 0.1
"""When to take a connection again, where none could be taken."""
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

Wire: TypeAlias = "Connection[bytes, bytes]"


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
                    if ended.wait(_AGAIN_S):
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
