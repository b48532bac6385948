"""Offering an atlas file to other processes while this one has it open, and finding such an offer.

DuckDB lets one process write a file. The server that has it open offers it over Quack on the loopback address, and says
so in a file beside the atlas that only its owner can read.
"""

import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from ...schemas.files import write_atomically
from .address import Address, load_extensions
from .writers import after_death

_SWEEP_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """Where a served atlas can be reached."""

    pid: int
    port: int
    token: str

    @property
    def target(self) -> str:
        """quack:HOST:PORT."""
        return f"quack:localhost:{self.port}"


def advertisement(path: Path) -> Path:
    """The file in which a server of the atlas at `path` says where it is."""
    return path.with_name(f"{path.name}.server")


def find(path: Path) -> Offer | None:
    """The offer of the server of an atlas file; None where there is none, or its process has ended."""
    try:
        offer = Offer(**json.loads(advertisement(path).read_text(encoding="utf-8")))
        os.kill(offer.pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        return None  # another user's server, whose token is not for us
    except (ValueError, TypeError) as error:
        _log.warning("%s cannot be read (%s); it is ignored.", advertisement(path), error)
        return None
    return offer


def attach_statement(address: str) -> str:
    """SQL that attaches an atlas in a person's duckdb shell: through its server where there is one.

    Raises:
        BadInputError: the address is none.
    """
    parsed = Address.parse(address)
    if parsed.kind == "ducklake":
        data = f", DATA_PATH '{parsed.data}'" if parsed.data else ""
        return (
            f"INSTALL ducklake; LOAD ducklake; ATTACH 'ducklake:{parsed.target}' AS atlas (READ_ONLY{data}); USE atlas;"
        )
    offer = find(Path(parsed.target)) if parsed.kind == "file" else None
    if parsed.kind == "file" and offer is None:
        path = parsed.target.replace("'", "''")
        return f"ATTACH '{path}' AS atlas (READ_ONLY); USE atlas;"
    target, token = (offer.target, offer.token) if offer else (parsed.target, "TOKEN")
    return (
        f"INSTALL quack; LOAD quack; ATTACH '{target}' AS atlas (TOKEN '{token}'); USE atlas;\n"
        "-- joins and macros run at the server: "
        "FROM quack_query_by_name('atlas', 'FROM roi_labels(''FFA'')');"
    )


@contextmanager
def offered(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Offer]:
    """Serve an open atlas file to the processes of this user until the block ends.

    Args:
        connection: to the file, open for reading and writing.
        path: the file.

    Raises:
        StoreError: DuckDB's extensions are not installed.
    """
    cursor = connection.cursor()
    load_extensions(cursor, "httpfs", "quack")
    offer = Offer(os.getpid(), _free_port(), secrets.token_urlsafe(48))
    start = f"CALL quack_serve('{offer.target}', token => '{offer.token}')"
    stop = f"CALL quack_stop('{offer.target}')"

    def drop_connections() -> None:
        # A dead client's transaction never ends by itself, and while it is open nothing can be checkpointed.
        _log.warning("A process died while it wrote to %s; its unfinished batch is dropped.", path)
        cursor.execute(stop)
        cursor.execute(start)

    ended = threading.Event()

    def sweep() -> None:
        while not ended.wait(_SWEEP_S):
            after_death(path, drop_connections)

    cursor.execute(start)
    sweeper = threading.Thread(target=sweep, name="voxel-atlas-sweep", daemon=True)
    try:
        write_atomically(advertisement(path), lambda file: file.write(json.dumps(asdict(offer)).encode()))
        sweeper.start()
        yield offer
    finally:
        if find(path) == offer:
            advertisement(path).unlink(missing_ok=True)
        ended.set()
        if sweeper.is_alive():
            sweeper.join()
        cursor.execute(stop)
        cursor.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
