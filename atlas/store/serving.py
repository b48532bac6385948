"""Offering an atlas file to other processes while this one has it open, and finding who does.

DuckDB lets one process write a file. The server that has it open offers it over Quack on the loopback address, and says
so in a file beside the atlas that only its owner can read. Of its two tokens, the owner's runs any SQL, and a reader's
what `statements` takes for reading.
"""

import hmac
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from ...schemas.errors import BadInputError
from ...schemas.files import write_atomically
from .address import Address, is_locked, load_extensions, lock, quoted
from .statements import MACROS, one_select, other_functions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuackServer:
    """A process that serves an atlas file: where it can be reached, and with what tokens."""

    pid: int
    port: int
    token: str
    """The owner's: any SQL."""
    reader: str = ""
    """Of who only reads."""
    sql: str = ""
    """Socket of `sql_socket`."""
    url: str = ""
    """Where it answers over HTTP, if it does."""
    visitor: str = ""
    """Token to ask there, of scope read, for processes of this user."""

    @property
    def target(self) -> str:
        """quack:HOST:PORT."""
        return f"quack:localhost:{self.port}"


def server_file(path: Path) -> Path:
    """The file in which a server of the atlas at `path` says where it is."""
    return path.with_name(f"{path.name}.server")


def find_server(path: Path) -> QuackServer | None:
    """The process that serves an atlas file; None where none does, or it has ended."""
    try:
        server = QuackServer(**json.loads(server_file(path).read_text(encoding="utf-8")))
        os.kill(server.pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        return None  # another user's server, whose token is not for us
    except (ValueError, TypeError) as error:
        _log.warning("%s cannot be read (%s); it is ignored.", server_file(path), error)
        return None
    return server


def attach_statement(address: str) -> str:
    """SQL that attaches an atlas in a person's duckdb shell, for reading: through its server where there is one.

    Raises:
        BadInputError: it is not the address of an atlas, or is a server's.
    """
    parsed = Address.parse(address)
    if parsed.kind == "ducklake":
        data = f", DATA_PATH '{parsed.data}'" if parsed.data else ""
        return (
            f"INSTALL ducklake; LOAD ducklake; ATTACH 'ducklake:{parsed.target}' AS atlas (READ_ONLY{data}); USE atlas;"
        )
    if parsed.kind == "http":
        raise BadInputError(f"{address} attaches no shell from here; run `voxel-atlas url` on the server's machine.")
    server = find_server(Path(parsed.target))
    if server is None:
        return f"ATTACH {quoted(parsed.target)} AS atlas (READ_ONLY); USE atlas;"
    return (
        f"INSTALL quack; LOAD quack; ATTACH '{server.target}' AS atlas (TOKEN '{server.reader}'); USE atlas;\n"
        "-- joins and macros run at the server: "
        "FROM quack_query_by_name('atlas', 'FROM roi_labels(''FFA'')');"
    )


@contextmanager
def serve(
    connection: duckdb.DuckDBPyConnection, path: Path, sql: str, url: str = "", visitor: str = ""
) -> Iterator[QuackServer]:
    """Serve an open atlas file to the processes of this user until the block ends.

    Args:
        connection: to the file, open for reading and writing.
        path: the file.
        sql: the socket of `sql_socket` where it answers.
        url: where this process answers over HTTP; empty where it does not.
        visitor: a token to ask there.

    Raises:
        StoreError: DuckDB's extensions are not installed.
    """
    cursor = connection.cursor()
    tokens = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    server = QuackServer(os.getpid(), _free_port(), *tokens, sql, url, visitor)
    hooks = _Access(server, {name for (name,) in cursor.execute(MACROS).fetchall()}).hooks
    for name, (function, n_texts) in hooks.items():
        cursor.create_function(name, function, ["VARCHAR"] * n_texts, "BOOLEAN")
    if not is_locked(cursor):  # as it was served before
        load_extensions(cursor, "httpfs", "quack")
        for name in hooks:
            cursor.execute(f"SET GLOBAL quack_{name.removeprefix('atlas_')}_function = '{name}'")
        # Who reads may not read or write the files of this user.
        lock(cursor, ())
    cursor.execute(f"CALL quack_serve('{server.target}', token => '{server.token}')")
    try:
        write_atomically(server_file(path), lambda file: file.write(json.dumps(asdict(server)).encode()))
        yield server
    finally:
        if find_server(path) == server:
            server_file(path).unlink(missing_ok=True)
        cursor.execute(f"CALL quack_stop('{server.target}')")
        for name in hooks:
            cursor.remove_function(name)
        cursor.close()


class _Access:
    """Who may do what over Quack, which asks before it lets anybody in, and before each statement or insert."""

    def __init__(self, server: QuackServer, macros: AbstractSet[str]) -> None:
        self._server, self._macros = server, macros
        self._owners: set[str] = set()

    @property
    def hooks(self) -> Mapping[str, tuple[Callable[..., bool], int]]:
        """SQL functions that Quack asks: by name, with how many texts they take."""
        return {"atlas_authentication": (self._let_in, 3), "atlas_authorization": (self._let_run, 2)}

    def _let_in(self, session: str, given: str, _: str) -> bool:
        if hmac.compare_digest(given.encode(), self._server.token.encode()):
            self._owners.add(session)
            return True
        return hmac.compare_digest(given.encode(), self._server.reader.encode())

    def _let_run(self, session: str, sql: str) -> bool:
        if session in self._owners:
            return True
        try:
            return other_functions(one_select(sql), files=False) <= self._macros
        except BadInputError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
