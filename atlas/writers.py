"""Who works on a model: one process at a time, and a sign of one that died."""

from pathlib import Path

from filelock import FileLock, Timeout


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
