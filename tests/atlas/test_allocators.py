"""Memory that DuckDB let go comes back to the system, with its addresses, as a server has it."""

import subprocess
import sys
from pathlib import Path

import pytest

from voxel_atlas.atlas.store.store import Store

_GATHERING = """
import sys
from voxel_atlas.atlas.allocators import keep_no_addresses, purge
keep_no_addresses()
import psutil
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError
with Store.open(sys.argv[1]) as store:
    for size in 1, 100000, 100000:
        try:
            store.answer("SELECT sum(length(repeat('a', ? + i::INT))) FROM range(2048) t(i)", [size], lambda: False)
        except BadInputError:
            pass  # where a machine has little
        purge()
        held = psutil.Process().memory_info()
        print(held.rss, held.data)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere DuckDB has the system's allocator")
def test_what_a_statement_gathered_is_the_system_s_again(tmp_path: Path) -> None:
    path = str(tmp_path / "atlas.duckdb")
    Store.open(path).close()
    done = subprocess.run([sys.executable, "-c", _GATHERING, path], capture_output=True, text=True, check=True)
    before, *after = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    for held in after:
        assert max(now - then for now, then in zip(held, before, strict=True)) < 2**26
