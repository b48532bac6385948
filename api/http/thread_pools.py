"""Threads that do the work, so that the event loop only ever moves bytes.

Each thread has an event loop of its own, in which it runs one query at a time; a query may therefore call the database
directly. What cannot be started soon is refused at once instead of waiting in a queue that nobody empties.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from ...atlas.new_threads import started_pool
from ...schemas.errors import BusyError

Result = TypeVar("Result")


class ThreadPool:
    """A bounded number of threads and of calls that wait for one."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self._room = threads + waiting
        self._inside = 0
        self._executor = started_pool(threads, f"voxel-atlas-{name}")
        self._running: set[Future[Any]] = set()
        self._idle: list[asyncio.Runner] = []
        """Event loops that no thread uses at the moment."""
        self._lock = threading.Lock()
        self._closed = False

    @property
    def inside(self) -> int:
        """Calls that run or wait."""
        return self._inside

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run a function in a thread. Call it from the event loop.

        Raises:
            BusyError: as many calls as there is room for are running or waiting.
        """
        if self._inside >= self._room:
            raise BusyError(
                f"The server is busy: {self._inside} requests for {self.name} are under way; try again in a second."
            )
        self._inside += 1
        try:
            future = self._executor.submit(contextvars.copy_context().run, work)
            self._running.add(future)
            future.add_done_callback(self._running.discard)
            return await asyncio.wrap_future(future)
        finally:
            self._inside -= 1

    async def run_coroutine(self, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a coroutine in a thread's own event loop; the same limits hold."""
        return await self.run(lambda: self._in_own_loop(make))

    def close(self, deadline: float) -> None:
        """Drop what waits, and let what runs end. Call it from a thread without an event loop.

        Args:
            deadline: the monotonic time until which that is waited for; what runs longer is left alone.
        """
        self._executor.shutdown(wait=False, cancel_futures=True)
        _, late = wait(list(self._running), min(max(0.0, deadline - time.monotonic()), 3600.0))
        if not late:
            self._executor.shutdown(wait=True)
        with self._lock:
            self._closed = True
            for runner in self._idle:
                runner.close()
            self._idle.clear()

    def _in_own_loop(self, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        with self._lock:
            runner = self._idle.pop() if self._idle else asyncio.Runner()
        try:
            return runner.run(make())
        finally:
            with self._lock:
                if self._closed:
                    runner.close()
                else:
                    self._idle.append(runner)
