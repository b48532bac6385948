"""Batches over HTTP: what a token of scope ingest may add, and read to go on with an ingest.

Rows are only ever added, and no SQL that does more than to read comes in: `LedgerBatch.from_bytes` and `Store.answer`
see to that. Here is who may add what: a run is its token's, and its rows are of its model.
"""

import asyncio
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow.compute as pc
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ....atlas.store.content import LedgerBatch, to_stream
from ....atlas.store.links import decoded
from ....atlas.store.store import Store
from ....schemas.errors import AtlasError, BadInputError, BusyError
from ....schemas.limits import LIMITS
from ....schemas.stage import Stage
from ..responses import failure, require_readable
from ..thread_pools import ThreadPool
from .fitting_rows import require_fitting

_MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_OF_THE_SERVER = {"ledger", "atlas_format"}
"""Tables that no batch brings rows of."""
_STAGES = {str(stage): stage for stage in Stage if stage.about != "maintenance"}
_STATES = "started", "finished", "interrupted", "failed"
_Work: TypeAlias = Callable[[bytes, str, Callable[[], bool]], Response]
"""From a body, the token's name, and whether the client has hung up."""
_ASKED = TypeAdapter(tuple[str, list[Any] | dict[str, Any] | None])
"""A statement and its values."""


class IngestHandlers:
    """What `/ingest/rows` and `/ingest/batches` answer; the guard has seen the caller's token by then."""

    def __init__(self, store: Store, batches: ThreadPool, questions: ThreadPool) -> None:
        """Answer with two pools of threads, so that no batch waits for a question without end.

        Args:
            store: the atlas.
            batches: add batches.
            questions: read rows.
        """
        self._store, self._batches, self._questions, self._runs = store, batches, questions, _Runs(store)
        self._under_way, self._adding = Counter[str](), threading.Lock()

    async def rows(self, request: Request) -> Response:
        """Rows of one SELECT from the atlas's tables, as Arrow; the body is [statement, its values or null] in JSON."""
        return await self._answered(request, "rows", self._rows, self._questions)

    async def batches(self, request: Request) -> Response:
        """Add a batch, once: `{"added": …}` says whether it is new."""
        return await self._answered(request, "batch", self._add, self._batches)

    async def _answered(self, request: Request, operation: str, work: _Work, threads: ThreadPool) -> Response:
        request.state.operation = operation
        token: str = request.state.token
        # Before the body is read: of many at once, the bodies alone would fill the memory.
        if self._under_way[token] >= LIMITS.batches:
            return failure(BusyError(f"{token!r} has {LIMITS.batches} batches or questions under way already."))
        self._under_way[token] += 1
        try:
            body = await request.body()
            with hang_up_of(request) as gone:
                return await threads.run(functools.partial(work, body, token, gone.is_set))
        except Exception as error:  # noqa: BLE001  the last place where a failure can become a clear answer
            return failure(error)
        finally:
            self._under_way[token] -= 1

    def _rows(self, body: bytes, _: str, is_gone: Callable[[], bool]) -> Response:
        require_readable(body)
        try:
            statement, values = _ASKED.validate_python(decoded(body))
        except (ValueError, RecursionError):
            raise BadInputError("The body must be [statement, its values or null] in JSON.") from None
        try:
            rows = self._store.answer(statement, values, is_gone)
        except AtlasError:
            raise
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise BadInputError(f"A value of the statement is none that DuckDB takes: {error}.") from None
        return Response(to_stream(rows).to_pybytes(), 200, {"cache-control": "no-store"}, _MEDIA_TYPE)

    def _add(self, body: bytes, token: str, _: Callable[[], bool]) -> Response:
        batch = LedgerBatch.from_bytes(body)
        # The database adds one batch at a time, too; so nothing comes between what is looked at and what is added.
        with self._adding:
            model_id = self._runs.admit(batch, token)
            require_fitting(self._store, batch, model_id)
            return JSONResponse({"added": self._store.add(batch)})


@contextmanager
def hang_up_of(request: Request) -> Iterator[threading.Event]:
    """Set when the client is gone; its body has been read."""
    gone = threading.Event()

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    waiting = asyncio.create_task(wait())
    try:
        yield gone
    finally:
        waiting.cancel()
        # Also where the server ends the request, as nobody reads the answer then.
        gone.set()


@dataclass(frozen=True)
class _Run:
    token: str
    model_id: str


class _Runs:
    """The runs that were begun here since the server started: whose each is, and of which model."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def admit(self, batch: LedgerBatch, token: str) -> str:
        """Let a batch in; gives the id of the run's model.

        Raises:
            BadInputError: it is of a run that the token did not begin, or has rows that are not of the run's model.
        """
        stage = _STAGES.get(batch.stage)
        if stage is None:
            raise BadInputError(f"{batch.stage[:40]!r} is no stage of an ingest.")
        if own := _OF_THE_SERVER & batch.rows.keys():
            raise BadInputError(f"Rows of {min(own)} are the server's own.")
        if ("run" in batch.rows) != (stage is Stage.RUN):
            raise BadInputError("Rows of run come in batches of the stage run, and no others.")
        if stage is Stage.RUN:
            self._begin(batch, token)
        run = self._begun.get(batch.run_id)
        if run is None or run.token != token:
            raise BadInputError(f"This token did not begin the run {batch.run_id[:80]!r} here; start the ingest again.")
        _require_of(run.model_id, batch, stage)
        return run.model_id

    def _begin(self, batch: LedgerBatch, token: str) -> None:
        row, *more = batch.rows["run"].to_pylist() or [{}]
        wanted = {(batch.run_id, f"{batch.run_id}/{state}", state) for state in _STATES}
        if more or len(batch.rows) > 1 or (row.get("run_id"), batch.key, row.get("state")) not in wanted:
            raise BadInputError("A batch of the stage run is one row, of its run, with the key RUN/STATE.")
        with self._lock:
            if batch.run_id in self._begun or row["state"] != "started":
                return
            known = self._store.arrow("SELECT 1 FROM ledger WHERE run_id = ? LIMIT 1", [batch.run_id])
            if not known.num_rows:
                self._begun[batch.run_id] = _Run(token, row["model_id"])


def _require_of(model_id: str, batch: LedgerBatch, stage: Stage) -> None:
    """Refuse rows and keys of another model than a run's, and of another subject.

    Raises:
        BadInputError: there are some.
    """
    belongs: dict[str, Callable[[str], bool]] = {
        "model_id": lambda model: model == model_id,
        "subject_id": lambda subject: model_id.startswith(f"{subject}/"),
    }
    for name, rows in batch.rows.items():
        for column in belongs.keys() & set(rows.column_names):
            for other in pc.unique(rows[column]).to_pylist():
                if not belongs[column](other):
                    raise BadInputError(f"Rows of {name} are of {other[:80]!r}, and the run is of {model_id[:80]!r}.")
    fits = {
        "model": batch.key == model_id or batch.key.startswith(f"{model_id}/"),
        "subject": model_id.startswith(f"{batch.key}/"),
    }
    if not fits.get(stage.about, True):
        raise BadInputError(f"The batch {batch.key[:80]!r} of the stage {stage} is not of {model_id[:80]!r}.")
