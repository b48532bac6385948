"""Files and folders that are there whole or not at all."""

import glob
import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import AtlasError, StoreError

_POINTER_BYTES = 1024
"""Pointers to content elsewhere are shorter."""
_OURS = f"{socket.gethostname()[:40]}-{os.getpid()}"
"""What the temporary names of this process have in them."""
_ADVICE = "make room or give back its rights, then start again: what is done stays"


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside `path`, flush it to disk, then rename it.

    A reader sees the old file or the whole new one, whenever the writer is killed. Only this user may read it.

    Args:
        path: where the file goes; its folder is made when it is not there.
        write: gets the open binary file.

    Raises:
        StoreError: the disk is full, or the folder is not to be written to.
    """
    with (
        replacing(path) as temporary,
        os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
    ):
        write(file)


@contextmanager
def replacing(path: Path, advice: str = _ADVICE) -> Iterator[Path]:
    """A temporary name for a file or folder that takes the place of `path` at the end, and is gone after an error.

    Raises:
        StoreError: the disk is full, or the folder is not to be written to.
    """
    with explained_os_errors(f"{path} cannot be written", advice), temporary_beside(path) as temporary:
        yield temporary
        if temporary.is_file():
            flush(temporary)  # or a power cut leaves the new name with nothing in it
        temporary.replace(path)
        flush(path.parent)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A name in the same folder, which is made, for what is to take the place of `path`.

    What still has that name at the end is removed, be it a file, a folder, or a database with its log; and so is what
    processes of this machine left that were killed on their way to the same `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path)
    temporary = path.with_name(f".{path.name}.{_OURS}-{secrets.token_hex(4)}")
    try:
        yield temporary
    finally:
        for left in (temporary, temporary.with_name(f"{temporary.name}.wal")):
            _remove(left)


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    elif left.exists():  # a read-only medium refuses to remove even what is not there
        left.unlink()


def _remove_left(path: Path) -> None:
    """Remove what dead processes of this machine began to write in the place of `path`."""
    host = _OURS.rpartition("-")[0]
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(host)}-*-*"):
        process = left.name[len(f".{path.name}.{host}-") :].partition("-")[0]
        if process.isdigit() and not Path(f"/proc/{process}").exists() and Path("/proc/self").exists():
            with suppress(OSError):
                _remove(left)


@contextmanager
def explained_os_errors(what: str, advice: str) -> Iterator[None]:
    """Turns the system's errors into one sentence: what cannot be done, the system's reason, and what to do about it.

    Raises:
        StoreError: in place of an OSError that is none of ours.
    """
    try:
        yield
    except AtlasError:
        raise
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}; {advice}.") from error


def flush(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk, so that it or a rename in it outlives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_content(path: Path) -> str:
    """Why the content of a file that is listed is not here, and what fetches it; "" where it is.

    Data sets come by git-annex (DataLad) or Git LFS, whose pointers stand in for files until these are fetched.
    """
    if path.is_symlink() and not path.exists():
        return f"a link to content that is not here; fetch it, with git-annex by `datalad get {path}`"
    if not path.is_file() or path.stat().st_size > _POINTER_BYTES:
        return ""
    with path.open("rb") as file:
        start = file.read(_POINTER_BYTES)
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; fetch the content by `git lfs pull`"
    if start.lstrip(b"./").startswith((b"annex/objects/", b"git/annex/objects/")):
        return f"a pointer of git-annex; fetch the content by `datalad get {path}`"
    return ""
