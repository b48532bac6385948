"""What surrounds the stages of a run: one process a model, a beginning and an end in the `run` table."""

import datetime
import importlib.metadata
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from filelock import Timeout

from ..atlas.writers import ingest_lock
from ..schemas.errors import StoreLockedError
from ..schemas.stage import Stage
from .stages.context import Context

_LOOK_S = 1.0
"""Who looks whether a run has died holds its lock for a moment."""


def new_run_id() -> str:
    """Id of another run; ids sort by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def only_one(home: Path, model_id: str, wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the model's lock, which the operating system drops when the process dies.

    Args:
        home: the atlas's home folder.
        model_id: the model.
        wait: told of another process that has it, whose end is then waited for; None does not wait.

    Raises:
        StoreLockedError: another process ingests or dissects the same model.
    """
    lock = ingest_lock(home, model_id)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=_LOOK_S)
    except Timeout:
        if wait is None:
            raise StoreLockedError(
                f"{model_id} is being ingested by another process; wait for it or stop it."
            ) from None
        wait(f"{model_id} is being ingested by another process, whose end is waited for.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def recorded(context: Context) -> Iterator[None]:
    """Write the run's beginning and its end, whatever that is, to the `run` table."""
    _append(context, "started", "")
    try:
        yield
    except KeyboardInterrupt:
        _append(context, "interrupted", "stopped by the user; the same command goes on from here")
        raise
    except Exception as error:
        _append(context, "failed", str(error))
        raise
    n = len(context.skipped)
    _append(context, "finished", f"{n} parts were skipped; the same command tries them again" if n else "")


def _append(context: Context, state: str, message: str) -> None:
    row = {
        "run_id": context.run_id,
        "model_id": context.model_id,
        "config": context.config.canonical_json(),
        "code_version": importlib.metadata.version("voxel-atlas"),
        "state": state,
        "recorded_at": datetime.datetime.now(datetime.UTC),
        "message": message,
    }
    context.append({"run": pa.Table.from_pylist([row])}, Stage.RUN, f"{context.run_id}/{state}")
