"""How much memory there is: of this machine, or of the control groups (container, job, service) of this process."""

import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_OF_PROCESS = Path("/proc/self/cgroup")
"""Where Linux tells a process of its control groups: lines of NUMBER:CONTROLLERS:PLACE, of version 2 without any."""
_GROUPS = Path("/sys/fs/cgroup")
"""Where it tells of the groups, by their places: of version 2 here, of version 1 in a folder for each controller."""
_FILES = (
    ("memory.max", "memory.current", "active_file", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file"),
)
"""For versions 2 and 1: files with a group's limit and what it has, and in memory.stat what of it are files."""
_PAGES = Path("/proc/self/statm")
"""Where it tells a process of its own: the third number is of pages that are shared."""


def total_memory() -> int:
    """Bytes of memory that there are."""
    total: int = psutil.virtual_memory().total
    return min([total, *(limit for limit, _ in _limits())])


def free_memory() -> int:
    """Bytes that could still be had.

    What a group has of files in memory counts as free: the system drops it where the memory is wanted.
    """
    free: int = psutil.virtual_memory().available
    return max(min([free, *(left for _, left in _limits())]), 0)


def mapped_memory() -> int:
    """Bytes of files that are mapped into this process and in memory; 0 where the system does not tell.

    Linux counts the pages of each core apart and adds them up at times: some hundred of each may be missing.

    It is asked at every question, and psutil would read two more files for it.
    """
    with suppress(OSError):
        return int(_PAGES.read_text(encoding="ascii").split()[2]) * mmap.PAGESIZE
    return 0


def _limits() -> Iterator[tuple[int, int]]:
    """Bytes that each control group around this process may have, and those of them that could still be had."""
    for group in _groups():
        for limit, taken, *files in _FILES:
            with suppress(OSError, ValueError, KeyError):  # of the other version, or no limit
                most, now = (int((group / name).read_text(encoding="ascii")) for name in (limit, taken))
                stat = (group / "memory.stat").read_text(encoding="ascii").splitlines()
                kinds = dict(line.split() for line in stat)
                yield most, most - now + sum(int(kinds[name]) for name in files)


def _groups() -> Iterator[Path]:
    """Folders of the groups that bound this process's memory: its own, and those that this one is in."""
    roots, told = {"": _GROUPS, "memory": _GROUPS / "memory"}, ""
    with suppress(OSError):  # no Linux
        told = _OF_PROCESS.read_text(encoding="utf-8")
    for line in told.splitlines():
        _, controllers, place = line.split(":", 2)
        # A container may be told its place outside, where its own group is the root.
        inner = Path(place.lstrip("/"))
        for root in (roots[name] for name in controllers.split(",") if name in roots):
            yield from (root / around for around in (inner, *inner.parents))
