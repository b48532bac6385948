"""Batches through a network on a CPU: as many at once as there are cores, each on one thread.

torch's way, one batch on all cores, waits for the slowest core at every layer. Where other programs run too, that is
most of the time: 3 images/s against 24 on two busy cores; where none do, both ways are as fast.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from ..new_threads import started_pool
from .cores import n_cores

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_threads(run: Callable[[_In], _Out], batches: Iterable[_In]) -> list[_Out]:
    """What `run` makes of each batch, in their order."""
    return list(_pool(os.getpid()).map(run, batches))


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process has none of its parent's threads
    of_caller = torch.get_num_threads()
    pool = started_pool(n_cores(), "network", _use_one_thread)
    # torch hands the number that was set last to threads that it has not seen; the pool's own keep theirs.
    torch.set_num_threads(of_caller)
    return pool


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    # A thread takes the number that was set last when it first asks, and keeps it.
    torch.get_num_threads()
