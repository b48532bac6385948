"""One writer at a time among the processes that share a served atlas, and a sign of one that died while it wrote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ...schemas.errors import StoreLockedError

_WAIT_S = 120.0


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Be the writer of the atlas file at `path`, as soon as no other is.

    The operating system drops the lock of a process that dies; the mark that it leaves says that it died in the midst.

    Raises:
        StoreLockedError: another process has been writing for two minutes.
    """
    lock, mark = FileLock(_lock(path)), _mark(path)
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        raise StoreLockedError(
            f"Another process has been writing one batch to {path} for {_WAIT_S:.0f} s; stop it, then start again."
        ) from None
    try:
        marked = mark.exists()  # of a dead writer: the server clears it, not the next writer
        mark.touch()
        yield
    finally:
        if not marked:
            mark.unlink(missing_ok=True)
        lock.release()


def after_death(path: Path, clear: Callable[[], None]) -> bool:
    """Where a writer died in the midst of a transaction, call `clear` while nobody writes.

    Returns:
        Whether one had died.
    """
    if not _mark(path).exists():
        return False
    try:
        with FileLock(_lock(path), timeout=0):
            if not _mark(path).exists():
                return False
            clear()
            _mark(path).unlink(missing_ok=True)
            return True
    except Timeout:
        return False  # somebody is writing


def ingest_lock(home: Path, model_id: str) -> FileLock:
    """The lock of who ingests or dissects a model, which the operating system drops when that process dies."""
    return FileLock(home / "locks" / f"{model_id.replace('/', '_')}.lock")


def has_died(home: Path, model_id: str) -> bool:
    """Whether no process of this home folder ingests a model any more; False where none ever did."""
    lock = ingest_lock(home, model_id)
    if not Path(lock.lock_file).exists():
        return False  # it was begun elsewhere
    try:
        with lock.acquire(timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.writer.lock")


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.writer")
