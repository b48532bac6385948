"""Rendered pictures on disk: those that nobody has asked for longest make room for new ones."""

import logging
import os
import threading
from pathlib import Path

from ...viz.surfaces.locked_files import replacing

_log = logging.getLogger(__name__)


class PictureFiles:
    """A folder of pictures with a limit to its size. Threads may share it."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Look at a folder.

        Args:
            folder: Made when a picture is first kept.
            limit: Bytes that it may hold.
        """
        self._folder, self._limit = folder, limit
        self._lock = threading.Lock()
        self._total = sum(size for _, size, _ in self._listed())

    def get(self, name: str) -> bytes | None:
        """A picture, which now is the one that was asked for last; None when it is not kept."""
        path = self._folder / name
        try:
            body = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return body

    def put(self, name: str, body: bytes) -> None:
        """Keep a picture; on a disk that is full or not ours it is only drawn again."""
        path = self._folder / name
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(body)
        except OSError as error:
            _log.warning("%s cannot be kept: %s", path, error)
            return
        with self._lock:
            self._total += len(body)
            if self._total > self._limit:
                self._prune()

    def _prune(self) -> None:
        """Remove the pictures that nobody has asked for longest, until a tenth of the limit is free."""
        kept = sorted(self._listed())
        total = sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if total <= self._limit * 0.9:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._total = total

    def _listed(self) -> list[tuple[int, int, Path]]:
        """When each picture was asked for last, its bytes and its path."""
        found = []
        for path in self._folder.glob("*.*"):
            try:
                about = path.stat()
            except FileNotFoundError:
                continue  # another server of this folder was faster
            if path.is_file():
                found.append((about.st_mtime_ns, about.st_size, path))
        return found
