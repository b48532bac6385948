"""What is derived from the database and kept in memory, made anew when a batch was committed."""

import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

_T = TypeVar("_T")


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
