"""How many cores there are to share work among."""

import os

_MOST = 16
"""Cores that are used at most: sharing among more costs what it saves."""


def n_cores() -> int:
    """Cores that this process may use, at least one."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MOST)
