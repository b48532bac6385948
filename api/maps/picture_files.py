"""Rendered pictures on disk: those that nobody has asked for longest make room for new ones."""

import hashlib
import logging
import os
import threading
from pathlib import Path

from ...schemas.errors import StoreError
from ...schemas.files import replacing

_log = logging.getLogger(__name__)


class PictureFiles:
    """A folder of pictures with a limit to its size. Threads may share it.

    A file is the SHA-256 of a picture and then the picture, so that a damaged one is never shown.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Look at a folder.

        Args:
            folder: made when a picture is first kept.
            limit: bytes that it may hold.
        """
        self._folder, self._limit = folder, limit
        self._lock = threading.Lock()
        self._total = sum(size for _, size, _ in self._listed())

    def get(self, name: str) -> bytes | None:
        """A picture, which now is the one that was asked for last; None when it is not kept or damaged."""
        path = self._folder / name
        try:
            stored = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        body = stored[32:]
        return body if hashlib.sha256(body).digest() == stored[:32] else None

    def put(self, name: str, body: bytes) -> None:
        """Keep a picture; on a disk that is full or not ours it is only drawn again."""
        stored = hashlib.sha256(body).digest() + body
        try:
            with replacing(self._folder / name) as temporary:
                temporary.write_bytes(stored)
        except StoreError as error:
            _log.warning("%s", error)
            return
        with self._lock:
            self._total += len(stored)
            if self._total > self._limit:
                self._prune()

    def _prune(self) -> None:
        """Remove the pictures that nobody has asked for longest, until a tenth of the limit is free."""
        kept = sorted(self._listed())
        self._total = sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if self._total <= self._limit * 0.9:
                break
            path.unlink(missing_ok=True)
            self._total -= size

    def _listed(self) -> list[tuple[int, int, Path]]:
        """When each picture was asked for last, its bytes and its path."""
        listed = []
        for path in self._folder.glob("*.*"):
            try:
                about = path.stat()
            except FileNotFoundError:
                continue  # another server of this folder was faster
            if path.is_file():
                listed.append((about.st_mtime_ns, about.st_size, path))
        return listed
