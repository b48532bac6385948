"""Threads that do the work, so that the event loop only ever moves bytes.

Each thread has an event loop of its own, in which it runs one query at a time; a query may therefore call the database
directly. What cannot be started soon is refused at once instead of waiting in a queue that nobody empties.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ...schemas.errors import BusyError

Result = TypeVar("Result")


class ThreadPool:
    """A bounded number of threads and of calls that wait for one."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self._room = threads + waiting
        self._inside = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"voxel-atlas-{name}")
        self._local = threading.local()
        self._runners: list[asyncio.Runner] = []

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
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._executor, context.run, work)
        finally:
            self._inside -= 1

    async def run_coroutine(self, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a coroutine in a thread's own event loop; the same limits hold."""
        return await self.run(lambda: self._runner().run(make()))

    def close(self, deadline: float) -> None:
        """Drop what waits, and let what runs end. Call it from a thread without an event loop.

        Args:
            deadline: the monotonic time until which that is waited for; what runs longer is left alone.
        """
        self._executor.shutdown(wait=False, cancel_futures=True)
        while self._inside and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._inside:
            self._executor.shutdown(wait=True)
            for runner in self._runners:
                runner.close()
        self._runners.clear()

    def _runner(self) -> asyncio.Runner:
        runner: asyncio.Runner | None = getattr(self._local, "runner", None)
        if runner is None:
            runner = asyncio.Runner()
            self._local.runner = runner
            self._runners.append(runner)
        return runner
