"""A lake that several processes make at once, and one that is locked while it is read."""

import subprocess
import sys
from pathlib import Path

import pytest

from voxel_atlas.atlas.store.store import Store

PROCESSES, ROUNDS = 2, 5

_OPENER = """
import sys
from voxel_atlas.atlas.store.store import Store
print("ready", flush=True)
sys.stdin.readline()
with Store.open(sys.argv[1]) as store:
    print(store.generation(), flush=True)
"""


@pytest.fixture(params=("ducklake-sqlite", "ducklake-postgres"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_new_lake_that_two_processes_open_at_once_is_made_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        if kind == "ducklake-sqlite":
            folder.mkdir()
            catalog = f"sqlite:{folder}/catalog.sqlite"
        else:
            url = f"{request.getfixturevalue('postgres')}/lake_{number}"
            subprocess.run(["psql", "-q", url.replace(f"lake_{number}", "postgres"), "-c",
                            f"CREATE DATABASE lake_{number}"], check=True)  # fmt: skip
            catalog = f"postgres:{url}"
        address = f"ducklake:{catalog} data={folder}/parquet/"
        pipe = subprocess.PIPE
        openers = [
            subprocess.Popen([sys.executable, "-c", _OPENER, address], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            for _ in range(PROCESSES)
        ]
        for opener in openers:
            assert opener.stdout is not None
            assert opener.stdout.readline() == "ready\n"
        told = []
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write("go\n")
            opener.stdin.flush()
        told = [opener.communicate(timeout=300) for opener in openers]
        assert [out for out, _ in told] == ["0\n"] * PROCESSES, [err[-500:] for _, err in told]
        with Store.open(address, create=False) as store:
            assert store.frame("SELECT count(*) AS n FROM atlas_format")["n"].to_list() == [1]
