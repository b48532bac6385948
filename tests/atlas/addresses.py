"""The kinds of address that the store's tests run on, each with the process that has to be there for it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxel_atlas.atlas.store.store import Store

KINDS = ("file", "served", "ducklake-sqlite", "ducklake-postgres")

_SERVER = """
import sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1]) as store, store.served():
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def server(address: str) -> Iterator[subprocess.Popen[str]]:
    """A process that serves an atlas file until the block ends."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", _SERVER, address], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate()


@contextmanager
def opened(kind: str, folder: Path, postgres: str) -> Iterator[Store]:
    """An empty store of a kind in a folder; `postgres` is the URL of an empty database."""
    if kind == "served":
        with server(str(folder / "atlas.duckdb")), Store.open(str(folder / "atlas.duckdb")) as store:
            yield store
        return
    address = {
        "file": str(folder / "atlas.duckdb"),
        "ducklake-sqlite": f"ducklake:sqlite:{folder}/catalog.sqlite data={folder}/parquet/",
        "ducklake-postgres": f"ducklake:postgres:{postgres} data={folder}/parquet/",
    }[kind]
    with Store.open(address) as store:
        yield store
