"""glibc's allocator, set so that a server's memory stays flat; other allocators are left as they are."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of `mallopt`'s parameters in glibc's <malloc.h>."""
_FLAT = {_ARENA_MAX: 2, _MMAP_THRESHOLD: 2**20, _TRIM_THRESHOLD: 2**20}
"""By default, glibc opens up to eight arenas a core, each with holes that the others cannot use, and takes larger and
larger blocks (up to 32 MB) from them once one was freed. Two are enough where most threads wait for Python's lock.
Blocks of a megabyte are the system's own and go back when they are freed, and so does a free megabyte at an arena's
end. Larger thresholds spare page faults (a tenth more queries a second at 8 and 64 MB), and memory grows on.
"""


def keep_memory_flat() -> None:
    """Tell the allocator of this process to give back what is free; threads that run already keep their arenas."""
    if platform.libc_ver()[0] == "glibc":
        for parameter, value in _FLAT.items():
            ctypes.CDLL(None).mallopt(parameter, value)
