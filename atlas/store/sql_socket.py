"""SQL of other processes at a served atlas: a statement ends with its time, with who asked, or with the server.

Quack goes on with a statement whose client is gone, and nothing stops it. So what people wrote themselves, which may
take for ever, is asked here: on a socket in a folder that only this user can enter.
"""

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import duckdb
import pyarrow as pa

from ...schemas.errors import StoreError
from ...schemas.limits import LIMITS

_POLL_S = 0.1
"""How often it is looked whether who asked is still there."""
_ANSWER_S = 10.0
"""How long the server may take to say that it is there."""
_ROWS_PER_BATCH = 2048


@contextlib.contextmanager
def answering(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Answer statements on an open atlas until the block ends; gives the path of the socket."""
    folder = Path(tempfile.mkdtemp(prefix="voxel-atlas-"))
    path = str(folder / "sql")
    running: set[duckdb.DuckDBPyConnection] = set()
    with Listener(path, "AF_UNIX", backlog=64) as listener:

        def accept() -> None:
            while True:
                try:
                    client = listener.accept()
                except OSError:
                    return  # closed
                threading.Thread(target=_answer, args=(client, connection, running), daemon=True).start()

        threading.Thread(target=accept, name="voxel-atlas-sql", daemon=True).start()
        try:
            yield path
        finally:
            # A thread that waits in accept() does not see that its socket is closed.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
                listener.close()
                last.connect(path)
            for cursor in list(running):
                cursor.interrupt()
            shutil.rmtree(folder, ignore_errors=True)


def ask(path: str, statements: list[str], name: str) -> pa.Table:
    """Rows of the last of some statements, which one transaction that reads runs.

    Args:
        path: the server's socket.
        statements: without parameters; none at all asks whether the server answers.
        name: what errors call the atlas.

    Raises:
        duckdb.Error: DuckDB's, or that the time is over.
        StoreError: the server is gone or does not answer.
    """
    try:
        with Client(path, "AF_UNIX") as server:
            server.send_bytes(json.dumps(statements).encode())
            if not server.poll(None if statements else _ANSWER_S):
                raise StoreError(f"{name}: its server does not answer, as if it were stopped; start it again.")
            batches, schema = [], None
            while (part := server.recv_bytes())[:1] == b"A":
                with pa.ipc.open_stream(part[1:]) as reader:
                    schema = reader.schema
                    batches += list(reader)
            if part[:1] == b"E":
                raise duckdb.InvalidInputException(part[1:].decode())
    except (OSError, EOFError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{name}: its server is gone; start `voxel-atlas serve` again or open the file itself."
        ) from error
    return pa.Table.from_batches(batches, schema) if schema else pa.table({})


def _answer(
    client: "Connection[bytes, bytes]", connection: duckdb.DuckDBPyConnection, running: set[duckdb.DuckDBPyConnection]
) -> None:
    over, late = threading.Event(), threading.Event()
    with client, contextlib.suppress(OSError, EOFError), connection.cursor() as cursor:
        statements: list[str] = json.loads(client.recv_bytes())
        watcher = threading.Thread(target=_watch, args=(client, cursor, over, late), daemon=True)
        running.add(cursor)
        watcher.start()
        try:
            if statements and len(running) > LIMITS.statements:
                raise duckdb.InvalidInputException(
                    f"{LIMITS.statements} statements are under way at this server; try again later"
                )
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            for statement in statements:
                cursor.execute(statement)
            if statements:
                _send_rows(client, cursor)
            client.send_bytes(b"D")
        except duckdb.Error as error:
            message = f"it took longer than {LIMITS.statement_s:.0f} s" if late.is_set() else str(error)
            client.send_bytes(b"E" + message.encode())
        finally:
            running.discard(cursor)
            over.set()
            watcher.join()


def _send_rows(client: "Connection[bytes, bytes]", cursor: duckdb.DuckDBPyConnection) -> None:
    reader = cursor.to_arrow_reader(_ROWS_PER_BATCH)
    _send(client, pa.RecordBatch.from_pylist([], schema=reader.schema))  # so that no rows have columns, too
    for batch in reader:
        _send(client, batch)


def _send(client: "Connection[bytes, bytes]", batch: pa.RecordBatch) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    client.send_bytes(b"A" + sink.getvalue().to_pybytes())


def _watch(
    client: "Connection[bytes, bytes]", cursor: duckdb.DuckDBPyConnection, over: threading.Event, late: threading.Event
) -> None:
    """Interrupt a statement whose client is gone, or whose time is over."""
    deadline = time.monotonic() + LIMITS.statement_s
    while not over.wait(_POLL_S):
        if time.monotonic() > deadline:
            late.set()
        elif not _is_gone(client):
            continue
        cursor.interrupt()


def _is_gone(client: "Connection[bytes, bytes]") -> bool:
    """Whether the other side has closed, which says nothing more once it has asked."""
    try:
        return client.poll(0)
    except OSError:
        return True
