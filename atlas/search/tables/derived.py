"""What is derived from the database and kept in memory, made anew when a batch was committed."""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from cachetools import LRUCache

from ...store.store import Store

_T = TypeVar("_T")

_LOOKUPS = 20
"""How often the generation is looked up within the time that answers may lag behind."""
_KEPT_BY_GENERATION = 64


class _Made(NamedTuple, Generic[_T]):
    value: _T
    generation: int
    at: float


class Fresh(Generic[_T]):
    """A value of the atlas's newest generation. While one thread makes the next, the others go on with the last one."""

    def __init__(self, make: Callable[[_T | None], _T], patience: float = 0.0) -> None:
        """Keep what `make` gives.

        Args:
            make: gets the value before (None at first) and gives the present one.
            patience: seconds for which a value is handed out although there is a newer one. When half of them are
                over, the newer one is made in the background, so that batches which follow each other fast are taken
                in together; 0 makes the newer one first.
        """
        self._make, self._patience = make, patience
        self._lock = threading.Lock()
        self._made: _Made[_T] | None = None

    @property
    def made(self) -> bool:
        """Whether there is a value yet."""
        return self._made is not None

    def get(self, generation: int, *, soon: bool = False) -> tuple[_T, int]:
        """The value, and the generation that it belongs to.

        Args:
            generation: the newest one.
            soon: begin to make a newer value now, not when half of the patience is over.
        """
        made = self._made
        if made is None:
            with self._lock:
                made = self._made or self._remake(generation)
        elif made.generation == generation:
            # Known to be the newest now: patience counts from here.
            if self._patience:
                self._made = made = made._replace(at=time.monotonic())
        elif (age := time.monotonic() - made.at) < self._patience / 2 and not soon:
            pass
        elif self._lock.acquire(blocking=False):
            if age < self._patience:
                threading.Thread(target=self._remake_in_background, args=(generation,), daemon=True).start()
            else:
                try:
                    made = self._remake(generation)
                finally:
                    self._lock.release()
        return made.value, made.generation

    def _remake_in_background(self, generation: int) -> None:
        try:
            self._remake(generation)
        finally:
            self._lock.release()

    def _remake(self, generation: int) -> _Made[_T]:
        at = time.monotonic()
        value = self._make(self._made.value if self._made else None)
        self._made = _Made(value, generation, at)
        return self._made


class DerivedValues:
    """All that is derived from one store: a value for each key. Threads may share it."""

    def __init__(self, store: Store, patience: float = 0.0) -> None:
        """Derive nothing yet.

        Args:
            store: the atlas.
            patience: as `Fresh` takes it.
        """
        self.store, self.patience = store, patience
        self._values: dict[tuple[str, ...], Fresh[Any]] = {}
        self._by_generation: LRUCache[tuple[str | int, ...], Any] = LRUCache(_KEPT_BY_GENERATION)
        self._looked_up: tuple[float, int] | None = None
        self._lock = threading.Lock()

    def generation(self) -> int:
        """Number of the atlas's state, which grows with every batch; with `patience`, of a moment ago.

        Every question asks for it several times, and each time is a statement.
        """
        with self._lock:
            if self._looked_up is None or time.monotonic() - self._looked_up[0] >= self.patience / _LOOKUPS:
                self._looked_up = (time.monotonic(), self.store.generation())
            return self._looked_up[1]

    def get(
        self, key: tuple[str, ...], make: Callable[[_T | None], _T], generation: int | None = None
    ) -> tuple[_T, int]:
        """The value of a key, and the generation that it belongs to.

        Args:
            key: what it is, and of which model.
            make: as `Fresh` takes it; that of the first call is kept.
            generation: the newest one; None looks it up.
        """
        fresh = self._values.setdefault(key, Fresh(make, self.patience))
        return fresh.get(self.generation() if generation is None else generation)

    def remember(self, key: tuple[str, ...], generation: int, value: object) -> None:
        """Keep a value for `remembered`; the least recently used ones are forgotten."""
        with self._lock:
            self._by_generation[(*key, generation)] = value

    def remembered(self, key: tuple[str, ...], generation: int) -> Any:
        """A value as it was at an earlier generation; None where it is not kept any more."""
        with self._lock:
            return self._by_generation.get((*key, generation))

    def caught_up(self, generation: int) -> int:
        """The generation that all values belong to, at least; what is older is begun anew.

        Args:
            generation: the newest one.
        """
        made = [fresh for fresh in list(self._values.values()) if fresh.made]
        return min((fresh.get(generation, soon=True)[1] for fresh in made), default=generation)
