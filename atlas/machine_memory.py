"""How much memory there is: of this machine, or of the container that this process is in."""

import mmap
from contextlib import suppress
from pathlib import Path

import psutil

_CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells a container of its memory (control groups, version 2)."""
_PAGES = Path("/proc/self/statm")
"""Where it tells a process of its own: the third number is of pages that are shared."""


def total_memory() -> int:
    """Bytes of memory that there are."""
    total: int = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no container, or no limit
        total = min(total, int(_told("max")))
    return total


def free_memory() -> int:
    """Bytes that could still be had.

    What a container has of files in memory counts as free: the system drops it where the memory is wanted.
    """
    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or no limit
        most, taken, stat = map(_told, ("max", "current", "stat"))
        kinds = dict(line.split() for line in stat.splitlines())
        files = sum(int(kinds[name]) for name in ("active_file", "inactive_file"))
        free = min(free, int(most) - int(taken) + files)
    return max(free, 0)


def mapped_memory() -> int:
    """Bytes of files that are mapped into this process and in memory; 0 where the system does not tell.

    Linux counts the pages of each core apart and adds them up at times: some hundred of each may be missing.

    It is asked at every question, and psutil would read two more files for it.
    """
    with suppress(OSError):
        return int(_PAGES.read_text(encoding="ascii").split()[2]) * mmap.PAGESIZE
    return 0


def _told(what: str) -> str:
    return (_CONTAINER / f"memory.{what}").read_text(encoding="ascii")
