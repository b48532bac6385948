"""What takes a minute: worked out once, in a thread of its own, while who asks is told how far it is."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Any, TypeVar, cast

from ...atlas.new_threads import started_pool
from ...schemas.errors import BusyError

Result = TypeVar("Result")
Advance = Callable[[int], None]
"""Told that so many images more are done."""
Run = Callable[[Hashable, str, Callable[[Advance], Result]], Result]

_WAIT_S = 1.0
"""How long the one who asks first waits, so that what is quick after all is answered at once."""
_AGAIN_S = 3.0


def at_once(_key: Hashable, _what: str, build: Callable[[Advance], Result]) -> Result:
    """Work it out in the thread that asks, as a command does."""
    return build(lambda _: None)


class SlowBuilds:
    """The builds of one server, one after the other: none takes the threads that pictures are drawn by."""

    def __init__(self) -> None:
        self._thread = started_pool(1, "voxel-atlas-slow")
        self._running: dict[Hashable, Future[Any]] = {}
        self._done: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, what: str, build: Callable[[Advance], Result]) -> Result:
        """What `build` gives, which is called once however many ask for it.

        Args:
            key: what tells it from other builds.
            what: what is worked out, as the subject of a sentence.
            build: works it out; it is told by what to say how many images are done.

        Raises:
            BusyError: it is still being worked out; how far it is.
        """
        with self._lock:
            first = key not in self._running
            if first:
                self._done[key] = 0
                self._running[key] = self._thread.submit(build, lambda n: self._advance(key, n))
            running = self._running[key]
        wait([running], _WAIT_S if first else 0)
        if not running.done():
            raise BusyError(
                f"{what} are being worked out, the first time for minutes: {self._done.get(key, 0):,} images are "
                "done; ask again in a few seconds.",
                _AGAIN_S,
            )
        with self._lock:
            if self._running.get(key) is running:
                del self._running[key], self._done[key]
        return cast("Result", running.result())

    def close(self) -> None:
        """Begin no more; what runs is not waited for, as it is kept when it is whole and begun anew when it is not."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _advance(self, key: Hashable, n: int) -> None:
        self._done[key] = self._done.get(key, 0) + n
