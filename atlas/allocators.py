"""How memory that was let go in this process comes to the system: its allocators would keep it for what comes next."""

import ctypes
import os

_PURGE = b"arena.4096.purge", None, None, None, ctypes.c_size_t(0)
"""What jemalloc is told to give back all that it holds free; its manual, MALLCTL NAMESPACE (4096: of all arenas)."""


def keep_no_addresses() -> None:
    """Have DuckDB's allocator (jemalloc) give back addresses with their memory; before DuckDB is imported.

    Else they stay the process's, and count against what it may have while statements of strangers run (see
    `store.readers`): each time such a statement took all of that, the next one could take as much again.
    """
    os.environ.setdefault("DUCKDB_JE_MALLOC_CONF", "retain:false")


def purge() -> None:
    """Give back what DuckDB's allocator holds free: 8 µs where there is nothing, 20 ms for 250 MB.

    It would do so bit by bit, and only as it is asked for more. Where DuckDB has another allocator nothing is done.
    """
    import _duckdb

    control = getattr(ctypes.CDLL(_duckdb.__file__), "duckdb_je_mallctl", None)
    if control is not None:
        control(*_PURGE)


def settle_thread() -> None:
    """Have DuckDB's allocator make what it keeps for this thread, while there is memory for it.

    Else it does so when the thread first asks for some. Where there is none then, jemalloc does not look whether it
    could (`tsd_tcache_data_init`), and the next question ends the process by an access to address 0.
    """
    import _duckdb

    library = ctypes.CDLL(_duckdb.__file__)
    if hasattr(library, "duckdb_je_malloc"):
        library.duckdb_je_malloc.restype = ctypes.c_void_p
        library.duckdb_je_free(ctypes.c_void_p(library.duckdb_je_malloc(ctypes.c_size_t(1))))


def give_back() -> None:
    """Give back what is held free: also what glibc keeps of it between what threads hold, in 15 to 25 ms.

    After a siege's peaks a server held a tenth more for good. Where there is no such call nothing is done.
    """
    purge()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
