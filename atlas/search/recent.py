"""The most recently used things, up to a total size."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Recent(Generic[Key, Kept]):
    """A memory that forgets what was not used for longest. Threads may share it."""

    def __init__(self, limit: int, size: Callable[[Kept], int] = lambda _: 1) -> None:
        """Keep nothing yet.

        Args:
            limit: total size of what is kept; one thing is kept whatever its size.
            size: of a thing; each counts 1 by default.
        """
        self._limit, self._size = limit, size
        self._things: OrderedDict[Key, Kept] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Kept | None:
        """The thing of this key, which now is the most recent one; None when it is not kept."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
            return self._things.get(key)

    def put(self, key: Key, thing: Kept) -> None:
        """Keep a thing, and drop the oldest ones that there is no room for."""
        with self._lock:
            if key in self._things:
                self._total -= self._size(self._things.pop(key))
            self._things[key] = thing
            self._total += self._size(thing)
            while self._total > self._limit and len(self._things) > 1:
                self._total -= self._size(self._things.popitem(last=False)[1])
