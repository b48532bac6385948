"""A PostgreSQL server of one's own, and lakes that several processes open at once."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxel_atlas.atlas.store.store import Store

_OPENER = """
import sys
from voxel_atlas.atlas.store.store import Store
print("ready", flush=True)
for address in sys.stdin:
    with Store.open(address.strip()) as store:
        generation = store.generation()
    print("opened", generation, flush=True)
"""


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server on loopback."""

    url: str
    """Without the database's name."""
    restart: Callable[[], object]
    """Ends it as a crash does, and starts it again."""
    stop: Callable[[], object]
    """Ends it for good."""


@contextmanager
def running_postgres() -> Iterator[Postgres | None]:
    """A server until the block ends; None where PostgreSQL is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # PostgreSQL refuses to run as root, which containers are.
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": "postgres"}
            shutil.chown(folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run = partial(subprocess.run, check=True, capture_output=True, cwd=folder, **user)
        run([programs[-1] / "initdb", "-D", folder / "data", "-U", "atlas", "-A", "trust", "--no-sync"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        run([programs[-1] / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start"])
        control = [programs[-1] / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-l", folder / "log", "-w"]
        try:
            yield Postgres(
                f"postgresql://atlas@127.0.0.1:{port}",
                restart=lambda: run([*control, "-o", options, "restart"]),
                stop=lambda: run([*control, "stop"]),
            )
        finally:
            run([*control, "stop"], check=False)  # a test may have done so


def new_database(postgres: str) -> str:
    """URL of a new database of the server at a URL."""
    name = f"atlas_{secrets.token_hex(6)}"
    subprocess.run(["psql", "-q", f"{postgres}/postgres", "-c", f"CREATE DATABASE {name}"], check=True)
    return f"{postgres}/{name}"


def new_lake(folder: Path, postgres: str) -> str:
    """Address of a lake that is not made yet: its catalog is a file, or a new database of the server at a URL."""
    catalog = f"postgres:{new_database(postgres)}" if postgres else f"sqlite:{folder}/catalog.sqlite"
    return f"ducklake:{catalog} data={folder}/parquet/"


def race(addresses: Iterable[str]) -> list[str]:
    """Open new lakes, one after the other, each in two processes at the same moment; what went wrong."""
    pipe = subprocess.PIPE
    openers = [
        subprocess.Popen([sys.executable, "-c", _OPENER], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(2)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "ready\n"
    wrong = []
    for address in addresses:
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write(f"{address}\n")
            opener.stdin.flush()
        if (found := [_generation(opener) for opener in openers]) != ["0", "0"]:
            wrong.append(f"{address}: generations {found}")
            break  # one of them has ended
        with Store.open(address, create=False) as store:
            if store.frame("SELECT count(*) AS n FROM atlas_format")["n"].to_list() != [1]:
                wrong.append(f"{address}: its tables were made twice")
    errors = [opener.communicate()[1] for opener in openers]
    return [*wrong, *(error[-500:] for error in errors if error)]


def _generation(opener: "subprocess.Popen[str]") -> str:
    """What an opener says of the lake that it was given; nothing where it has ended."""
    assert opener.stdout is not None
    for line in opener.stdout:
        # Before it stands DuckDB's bar where a statement takes two seconds, as it does in programs that -c gives.
        _, opened, generation = line.rpartition("opened ")
        if opened:
            return generation.strip()
    return ""
