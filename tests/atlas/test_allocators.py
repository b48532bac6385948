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

_NO_MEMORY = """
import ctypes, resource, threading
import _duckdb, psutil
from voxel_atlas.atlas.new_threads import begin, started_pool

def ask():
    go.wait()
    asked.append(malloc(16))
    if len(asked) == 2:
        done.set()

malloc = ctypes.CDLL(_duckdb.__file__).duckdb_je_malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
go, done, ready, asked = threading.Event(), threading.Event(), threading.Event(), []
started_pool(1, "a").submit(ask)
begin(lambda: (ready.set(), ask()))
ready.wait()
resource.setrlimit(resource.RLIMIT_DATA, (psutil.Process().memory_info().data, resource.RLIM_INFINITY))
for size in 2**20, 2**14, 2**12, 2**8, 16:
    while malloc(size):
        pass
go.set()
done.wait()
print("lives")
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere DuckDB has the system's allocator")


@linux_only
def test_a_thread_that_first_asks_duckdb_where_no_memory_is_left_does_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", _NO_MEMORY], capture_output=True, text=True, check=True)
    assert done.stdout == "lives\n"


@linux_only
def test_what_a_statement_gathered_is_the_system_s_again(tmp_path: Path) -> None:
    path = str(tmp_path / "atlas.duckdb")
    Store.open(path).close()
    done = subprocess.run([sys.executable, "-c", _GATHERING, path], capture_output=True, text=True, check=True)
    before, *after = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    for held in after:
        assert max(now - then for now, then in zip(held, before, strict=True)) < 2**26
