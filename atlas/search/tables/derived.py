"""What is derived from the database and kept in memory, made anew when a batch was committed."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from cachetools import LRUCache

from ....schemas.errors import AtlasError, NotFoundError
from ...machine_memory import mapped_memory
from ...new_threads import begin
from ...store.store import Store
from .held_memory import Held, held_by

_T = TypeVar("_T")

_LOOKUPS = 20
"""How often the generation is looked up within the time that answers may lag behind."""
_KEPT_BY_GENERATION = 64
_COLD: ContextVar[list[str]] = ContextVar("_COLD")
_MAKING = ContextVar("_MAKING", default=False)


@contextmanager
def noting_cold() -> Iterator[list[str]]:
    """Notes of which models something had to be made before what is asked within could be answered."""
    noted = list[str]()
    token = _COLD.set(noted)
    try:
        yield noted
    finally:
        _COLD.reset(token)


class _Made(NamedTuple, Generic[_T]):
    value: _T
    generation: int


class Fresh(Generic[_T]):
    """A value of the atlas's newest generation. While one thread makes the next, the others go on with the last one."""

    def __init__(
        self,
        make: Callable[[_T | None], _T],
        patience: float = 0.0,
        made: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep what `make` gives.

        Args:
            make: gets the value before (None at first) and gives the present one.
            patience: seconds for which a value is handed out although there is a newer one. When half of them are
                over, the newer one is made in the background, so that batches which follow each other fast are taken
                in together; 0 makes the newer one first.
            made: called when another value has been made.
        """
        self._make, self._patience, self._tell = make, patience, made
        self._lock = threading.Lock()
        self._made: _Made[_T] | None = None
        self._newest_at = 0.0
        """When what is kept was last known to be the newest."""

    @property
    def made(self) -> bool:
        """Whether there is a value yet."""
        return self._made is not None

    @property
    def value(self) -> _T | None:
        """What is kept at the moment, without making any."""
        return self._made.value if self._made else None

    def get(self, generation: int, *, soon: bool = False) -> tuple[_T, int]:
        """The value, and the generation that it belongs to.

        Args:
            generation: the newest one.
            soon: begin to make a newer value now, not when half of the patience is over.
        """
        made, within = self._made, _MAKING.get()
        if made is None or (within and made.generation < generation):
            # What another value is made of must not lag behind that one's generation, which it would be taken for.
            with self._lock:
                made = self._made
                if made is None or (within and made.generation < generation):
                    made = self._remake(generation)
        elif made.generation == generation:
            self._newest_at = time.monotonic()  # patience counts from here
        elif (age := time.monotonic() - self._newest_at) < self._patience / 2 and not soon:
            pass
        elif age < self._patience:
            if not self._lock.locked():
                begin(self._remake_in_background, generation)
        else:
            made = self._remake_unless_another_does(generation) or made
        return made.value, made.generation

    def _remake_in_background(self, generation: int) -> None:
        with suppress(AtlasError, MemoryError):  # who asks when patience is over is told
            self._remake_unless_another_does(generation)

    def _remake_unless_another_does(self, generation: int) -> _Made[_T] | None:
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._remake(generation)
        finally:
            self._lock.release()

    def _remake(self, generation: int) -> _Made[_T]:
        at = time.monotonic()
        token = _MAKING.set(True)
        try:
            value = self._make(self.value)
        finally:
            _MAKING.reset(token)
        self._made, self._newest_at = (made := _Made(value, generation)), at
        self._tell()
        return made


@dataclass
class _Kept:
    """The values of a model, or of a label backbone."""

    by_key: dict[tuple[str, ...], Fresh[Any]] = field(default_factory=dict)
    given_back: bool = False
    """Whether the memory of its files has been given back since it was asked last."""
    held: Held = field(default=Held(0, frozenset()))
    """What they held when they were counted last."""

    def count(self) -> None:
        self.held = held_by([fresh.value for fresh in list(self.by_key.values())])


class DerivedValues:
    """All that is derived from one store: a value for each key. Threads may share it.

    What is asked for longest ago is let go where all of it takes more memory than it may: first the memory of the files
    that a model has mapped, then its values. Who works with them keeps them; who asks again has them made again.
    """

    def __init__(
        self,
        store: Store,
        patience: float = 0.0,
        budget: float = math.inf,
        mapped: Callable[[], int] = mapped_memory,
    ) -> None:
        """Derive nothing yet.

        Args:
            store: the atlas.
            patience: as `Fresh` takes it.
            budget: bytes that values, and what is in memory of their files, may take. The model that was asked last may
                take more alone.
            mapped: tells how much of all files is in memory.
        """
        self.store, self.patience, self.budget = store, patience, budget
        self._mapped, self._mapped_before, self._own = mapped, mapped(), 0
        self._models: OrderedDict[str, _Kept] = OrderedDict()
        """Those asked longest ago first."""
        self._by_generation: LRUCache[tuple[str | int, ...], Any] = LRUCache(_KEPT_BY_GENERATION)
        self._looked_up: tuple[float, int] | None = None
        self._lock, self._models_lock = threading.Lock(), threading.Lock()

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
            key: what it is, of which model or label backbone, and what else it depends on.
            make: as `Fresh` takes it; that of the first call is kept.
            generation: the newest one; None looks it up.
        """
        with self._models_lock:
            kept = self._models.setdefault(key[1], _Kept())
            self._models.move_to_end(key[1])
            fresh = kept.by_key.setdefault(key, Fresh(make, self.patience, self._bound))
            kept.given_back = False
        if not fresh.made and key[1] not in (cold := _COLD.get([])):
            cold.append(key[1])
        got = fresh.get(self.generation() if generation is None else generation)
        # A search reads the codes of an index and few of its vectors: what a file takes shows when it has been read.
        if self._own + self._files() > self.budget:
            self._let_go()
        return got

    @property
    def has_room(self) -> bool:
        """Whether one more model could be held that takes as much as the largest one."""
        with self._models_lock:
            sizes = [kept.held.own + kept.held.mapped for kept in self._models.values()]
        return sum(sizes) + max(sizes, default=0) <= self.budget

    def _bound(self) -> None:
        """Count what models hold, as another value was made, and keep to the budget."""
        if self.budget == math.inf:
            return
        with self._models_lock:
            for kept in self._models.values():
                kept.count()
        self._let_go()

    def _let_go(self) -> None:
        with self._models_lock:
            self._own = sum(kept.held.own for kept in self._models.values())
            others, files = list(self._models.items())[:-1], self._files()
            for _, kept in others:
                if self._own + files > self.budget and not kept.given_back:
                    kept.held.give_back()
                    kept.given_back = True
                    files = self._files()
            for name, kept in others:
                if self._own > self.budget:
                    del self._models[name]
                    self._own -= kept.held.own

    def _files(self) -> int:
        """Bytes of files that are in memory since nothing was derived.

        What another atlas of the process had mapped before does not count: `voxel-atlas serve` opens one alone.
        """
        return max(0, self._mapped() - self._mapped_before)

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
        with self._models_lock:
            every = [(name, list(kept.by_key.values())) for name, kept in self._models.items()]
        oldest = generation
        for name, values in every:
            try:
                made = [fresh.get(generation, soon=True)[1] for fresh in values if fresh.made]
            except NotFoundError:  # the model was removed
                with self._models_lock:
                    self._models.pop(name, None)
            else:
                oldest = min([oldest, *made])
        return oldest
