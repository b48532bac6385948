"""Arrays that are built once and kept in a file, by one process at a time."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ...schemas.files import replacing


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to `path`, in this process and between processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def cached(path: Path, build: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of the npz file `path`, built first when it is not there or cannot be read."""
    arrays = stored(path)
    if arrays is None:
        with locked(path):
            arrays = stored(path)
            if arrays is None:
                arrays = dict(build())
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, allow_pickle=False, **arrays)
    return arrays


def stored(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of the npz file `path`; None where it is not there or cannot be read."""
    try:
        # numpy leaves a file that it opened itself open when it turns out to be broken.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError):
        return None
