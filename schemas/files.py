"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .errors import AtlasError, StoreError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside `path`, flush it to disk, then rename it.

    A reader sees the old file or the whole new one, whenever the writer is killed.

    Args:
        path: where the file goes; its folder is made when it is not there.
        write: gets the open binary file.

    Raises:
        StoreError: the disk is full, or the folder is not to be written to.
    """
    try:
        _write_atomically(path, write)
    except OSError as error:
        if isinstance(error, AtlasError):
            raise
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}; make room or give back its rights, "
            "then start again: what is done stays."
        ) from error


def _write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
