"""Statements of others in this process: they end with their time, with who asked, and with the memory of all."""

import contextlib
import math
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import duckdb
import psutil
import pyarrow as pa

from ...schemas.errors import BadInputError, BusyError, StoreError
from ...schemas.limits import LIMITS
from ..allocators import purge
from ..machine_memory import free_memory
from ..new_threads import started_pool
from .address import explained
from .links import ROWS_PER_BATCH, Local, Parameters

_POLL_S = 0.1
"""How often it is looked whether a statement may go on."""
_MEMORY_S = 10.0
"""How long a question waits for memory that a statement of others has."""
_MOMENT_S = 1.0
"""How long it may take until others have what a statement had."""
_LOST = 2**20
"""Bytes that are too few to be taken back."""

_MEMORY = (
    "SELECT memory_usage_bytes, parse_formatted_bytes(current_setting('memory_limit')) FROM duckdb_memory() "
    "WHERE tag = 'ALLOCATOR'"
)
"""Bytes that statements gather, which cannot make room by going to a disk, and those that DuckDB may have."""

Result = TypeVar("Result")


class _Ceiling:
    """How much memory this process may have while statements of strangers run; on Linux, whose limit can be counted.

    One step of a statement, as `repeat` over 2,048 rows, gathers what DuckDB neither counts nor can be interrupted in.
    The system refuses what is beyond the ceiling, which DuckDB answers as it should, instead of ending the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._below, self._before = 0, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self._left = -math.inf

    @property
    def is_near(self) -> bool:
        """Whether it is held, or was a moment ago: what its statements had is being given back."""
        return self._below > 0 or time.monotonic() - self._left < _MOMENT_S

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it until the block ends, and as long as other such blocks have not."""
        with self._lock:
            if not self._below and sys.platform == "linux":
                purge()  # else a statement could take what the last one gathered, and as much again
                soft, hard = self._before = resource.getrlimit(resource.RLIMIT_DATA)
                ceiling = psutil.Process().memory_info().data + int(LIMITS.free_share * free_memory())
                wanted = [one for one in (ceiling, soft, hard) if one != resource.RLIM_INFINITY]
                resource.setrlimit(resource.RLIMIT_DATA, (min(wanted), hard))
            self._below += 1
        try:
            yield
        finally:
            with self._lock:
                self._below -= 1
                self._left = time.monotonic()
                if not self._below and sys.platform == "linux":
                    resource.setrlimit(resource.RLIMIT_DATA, self._before)


_CEILING = _Ceiling()
"""Of the process, as the limit is."""


def with_patience(answer: Callable[[], Result], name: str) -> Result:
    """What `answer` gives, which waits a while for memory that a stranger's statement has.

    Args:
        answer: asks DuckDB.
        name: what errors call the atlas.

    Raises:
        BusyError: the statement keeps it.
        StoreError: what DuckDB says of files, locks, disks and memory.
        duckdb.Error: what else it says.
    """
    until = time.monotonic() + _MEMORY_S
    while True:
        try:
            with explained(name):
                return answer()
        except StoreError as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException) or not _CEILING.is_near:
                raise
            if time.monotonic() > until:
                raise BusyError(f"{name}: others' statements have its memory; try again later.") from error
        time.sleep(_POLL_S)


@dataclass(eq=False)
class _Statement:
    """A statement that runs."""

    cursor: duckdb.DuckDBPyConnection
    is_gone: Callable[[], bool]
    seconds: float
    share: float | None
    wrong: str = ""
    """Why it is ended; empty while it may go on, and where nobody would hear of it."""

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    def look(self, gathered: Callable[[], float]) -> None:
        """End it where it may not go on."""
        if time.monotonic() > self._deadline:
            self.wrong = f"The statement took longer than {self.seconds:g} s."
        elif self.share is not None and gathered() > self.share:
            self.wrong = f"The statement gathers more than {self.share:.0%} of DuckDB's memory; ask for less."
        elif not self.is_gone():
            return
        self.cursor.interrupt()


class Readers:
    """Statements of others: so many at once, each for so long, and none without who asked."""

    def __init__(self, link: Local) -> None:
        self._link = link
        self._running: set[_Statement] = set()
        self._watched = False
        self._most, self._lost = 0, 0
        """Bytes that DuckDB may have (0 while nobody asked), and those that it counts as gathered and nobody has."""
        self._lock = threading.Condition()
        """Notified of each statement that has ended."""

    @cached_property
    def _watcher(self) -> ThreadPoolExecutor:
        return started_pool(1, "statements")

    @contextmanager
    def run(
        self,
        sql: str,
        parameters: Parameters,
        is_gone: Callable[[], bool] = lambda: False,
        seconds: float | None = None,
        share: float | None = None,
    ) -> Iterator[pa.RecordBatchReader]:
        """Rows of a statement.

        Args:
            sql: the statement.
            parameters: its values.
            is_gone: whether who asked has gone, which ends it.
            seconds: how long it may take; None for as long as any.
            share: of DuckDB's memory, beyond which it ends; None for no such limit. What all statements gather is
                counted, as DuckDB does not tell whose it is.

        Raises:
            duckdb.Error: DuckDB's.
            BadInputError: its time is over, or too much memory is taken.
            BusyError: as many as there may be are under way.
        """
        if len(self._running) >= LIMITS.statements:
            raise BusyError(f"{LIMITS.statements} statements are under way at this server; try again later.")
        with self._lock:
            if share is not None and not self._running:
                self._took_back()
        ceiling = _CEILING.held() if share is not None else contextlib.nullcontext()
        with self._link.reading() as cursor:
            statement = _Statement(cursor, is_gone, LIMITS.statement_s if seconds is None else seconds, share)
            with self._watching(statement), ceiling:
                try:
                    yield cursor.execute(sql, parameters).to_arrow_reader(ROWS_PER_BATCH)
                except duckdb.Error as error:
                    if statement.wrong:
                        raise BadInputError(statement.wrong) from error
                    if share is not None and isinstance(error, duckdb.OutOfMemoryException):
                        raise BadInputError(
                            "The statement gathers more memory than there is for it; ask for less."
                        ) from error
                    raise

    def end(self) -> None:
        """End those that are under way."""
        with self._lock:
            for statement in self._running:
                statement.cursor.interrupt()

    @contextmanager
    def _watching(self, statement: "_Statement") -> Iterator[None]:
        """See to it until the block ends that the statement does not go beyond what it may.

        One thread looks after all, as long as there are any: none is begun below a ceiling.
        """
        with self._lock:
            if not self._watched:
                self._watcher.submit(self._watch)
                self._watched = True
            self._running.add(statement)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(statement)
                self._lock.notify()

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(MemoryError):  # which a statement has for as long as it takes
                with self._lock:
                    self._lock.wait(_POLL_S)
                    running = list(self._running)
                    if not running and self._took_back():
                        self._watched = False
                        return
                for statement in running:
                    with contextlib.suppress(duckdb.Error):  # it has ended meanwhile
                        statement.look(self._gathered)

    def _gathered(self) -> float:
        """The share of DuckDB's memory that statements have gathered."""
        try:
            gathered = self._counted()
        except duckdb.Error:  # no memory is left for this either, or the atlas is being closed
            return 1.0
        return (gathered - self._lost) / self._most

    def _counted(self) -> int:
        with self._link.connection.cursor() as cursor:
            ((gathered, most),) = cursor.execute(_MEMORY).fetchall()
        self._most = self._most or int(most)
        return int(gathered)

    def _took_back(self) -> bool:
        """Let DuckDB have what it counts as gathered though nobody has it; False where somebody may have it.

        It counts before it asks for memory, and where the ceiling refuses that, it never takes it back: two statements
        of a third of a second, and nobody was answered any more.
        """
        if self._link.is_read:
            return False
        with contextlib.suppress(duckdb.Error):  # the atlas is being closed
            counted = self._counted()
            if abs(counted - self._lost) >= _LOST:
                with self._link.connection.cursor() as cursor:
                    cursor.execute(f"SET GLOBAL memory_limit = '{self._most + counted}B'")
                self._lost = counted
        return True
