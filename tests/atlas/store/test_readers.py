"""Statements of strangers and the memory of all: they end before they have taken it, and questions wait for it."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from voxel_atlas.atlas.store import readers
from voxel_atlas.atlas.store.links import Local, Parameters
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, BusyError, StoreError

PATIENCE_S = 120.0
_COPYING = """
import sys
from voxel_atlas.atlas.allocators import keep_no_addresses
keep_no_addresses()
from voxel_atlas.atlas.store import readers
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError
readers.free_memory = lambda: 2**27 / readers.LIMITS.free_share
# The letters are not counted and just fit; their copy in the list is counted, and refused.
copying = "SELECT sum(len(copy)) FROM (SELECT list(repeat(chr(97), 100000000 + i::INT)) AS copy FROM range(1) t(i))"
many = "SELECT len(list(i)) AS n FROM range(2000000) t(i)"
with Store.open(sys.argv[1], memory_limit="400MB") as store:
    for _ in range(4):
        try:
            store.answer(copying, None, lambda: False)
        except BadInputError:
            continue
        sys.exit("it was not refused")
    print(store.arrow(many)["n"][0], store.answer(many, None, lambda: False)["n"][0])
"""


@pytest.mark.parametrize("rows", ["range(2000000000)", "many a, many b"])
def test_a_stranger_s_statement_ends_before_it_has_taken_the_memory_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    monkeypatch.setattr(readers, "_POLL_S", 0.01)
    with Store.open(str(tmp_path / "atlas.duckdb"), memory_limit="400MB") as store:
        gathering = f"WITH many AS (SELECT unnest(range(100000)) AS n) SELECT list(random()) FROM {rows}"
        with pytest.raises(BadInputError, match="gathers more than 50% of DuckDB's memory"):
            store.answer(gathering, None, lambda: False)
        assert store.answer("SELECT 1 AS one", None, lambda: False)["one"].to_pylist() == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no ceiling refuses memory")
def test_memory_that_duckdb_counts_and_was_refused_is_not_lost_to_others(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _COPYING, str(tmp_path / "atlas.duckdb")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2000000 2000000\n"


@pytest.mark.parametrize(("held", "for_ever", "told"), [
    (True, False, None), (True, True, BusyError), (False, False, StoreError)
])  # fmt: skip
def test_a_question_waits_for_memory_that_a_stranger_s_statement_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool, for_ever: bool, told: type[Exception] | None
) -> None:
    failures = [duckdb.OutOfMemoryException("failed to allocate 8388608 bytes")] * 3
    table = Local.table

    def failing(link: Local, sql: str, parameters: Parameters) -> pa.Table:
        if failures:
            raise failures[-1] if for_ever else failures.pop()
        return table(link, sql, parameters)

    monkeypatch.setattr(Local, "table", failing)
    monkeypatch.setattr(readers, "_CEILING", readers._Ceiling())
    monkeypatch.setattr(readers, "_MEMORY_S", 0.3 if for_ever else PATIENCE_S)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, readers._CEILING.held() if held else nullcontext():
        with nullcontext() if told is None else pytest.raises(told, match="memory"):
            assert store.arrow("SELECT 1 AS one")["one"].to_pylist() == [1]
        assert len(failures) == (0 if told is None else 3 if for_ever else 2)
