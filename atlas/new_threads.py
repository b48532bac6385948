"""Threads that are begun while memory may be short, see `store.readers`.

`Thread.start` waits until the new thread says that it runs: for ever, where that one had no memory left to say so.
"""

import _thread
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVarTuple, Unpack

from .allocators import settle_thread

_Given = TypeVarTuple("_Given")


def begin(work: Callable[[Unpack[_Given]], object], *given: *_Given) -> None:
    """Run a function in a thread of its own that nobody waits for, and that ends with the process.

    Without memory for it the function is not run, or not from its first line on.

    Raises:
        RuntimeError: there is no room for one more thread.
    """

    def settled() -> None:
        settle_thread()
        work(*given)

    _thread.start_new_thread(settled, ())


def started_pool(n: int, name: str, initializer: Callable[[], object] | None = None) -> ThreadPoolExecutor:
    """A pool whose n threads are all there, so that handing it work begins none.

    Args:
        n: how many.
        name: what the names of its threads begin with.
        initializer: called in each of them first.
    """

    def settled() -> None:
        settle_thread()
        if initializer is not None:
            initializer()

    pool, started = ThreadPoolExecutor(n, name, settled), Barrier(n + 1)
    for _ in range(n):
        pool.submit(started.wait)
    started.wait()
    return pool
