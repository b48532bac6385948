"""Features of images on disk: each image goes through a network once, whoever asks for it and in what order."""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

import numpy as np

from ...schemas.files import write_atomically
from .interface import Floats, Image, ImageEncoder

IMAGES_PER_FILE = 64
"""So that files are few, and a run that is killed loses little."""
_PIXELS = "2"
"""Which way of reading pixels from files features are of (`schemas.image_files`); those of another are not used."""


def features_folder(home: Path, encoder: ImageEncoder) -> Path:
    """Where the features that an encoder made are kept."""
    return home / "features" / f"{encoder.fingerprint[:16]}-{_PIXELS}"


class FeatureCache:
    """Pooled features by the content of the image and what encoded it.

    A file holds some images' hashes and features, and is whole or not there. Several processes may add files at a time;
    an image that two of them have encoded is in both files.

    Args:
        home: the atlas's home folder.
        encoder: whose features they are.
        batch_images: images that it sees at once.
    """

    def __init__(self, home: Path, encoder: ImageEncoder, batch_images: int) -> None:
        self._index = _index(features_folder(home, encoder))
        self._encoder, self._batch_images = encoder, batch_images

    def unknown(self, sha256s: Sequence[str]) -> set[str]:
        """Those of some hashes that no file holds."""
        return self._index.unknown(sha256s)

    def get(
        self, sha256s: Sequence[str], load: Callable[[int], Image], advance: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Features of images, (n_images, dim).

        Args:
            sha256s: content hash of each image; equal hashes must mean equal pixels.
            load: gives image i; called only for what is not on disk, once for each hash.
            advance: told how many images are done.
        """
        unknown = self._index.unknown(sha256s)
        missing = {sha256: i for i, sha256 in enumerate(sha256s) if sha256 in unknown}
        advance(sum(sha256 not in unknown for sha256 in sha256s))
        hashes = list(missing)
        for start in range(0, len(hashes), IMAGES_PER_FILE):
            group = hashes[start : start + IMAGES_PER_FILE]
            features = np.empty((len(group), self._encoder.dim), np.float32)
            for first in range(0, len(group), self._batch_images):
                batch = [load(missing[sha256]) for sha256 in group[first : first + self._batch_images]]
                features[first : first + len(batch)] = self._encoder.features(batch)
                advance(len(batch))
            self._index.add(group, features)
        return self._index.read(sha256s, self._encoder.dim)


class _Index:
    """Where the features of each image are, among the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: set[str] = set()
        self._places: dict[str, tuple[str, int]] = {}
        """Hash → (file, row)."""
        self._lock = Lock()

    def unknown(self, sha256s: Sequence[str]) -> set[str]:
        """Those that no file holds; files that other processes have added, or that are gone, are looked for."""
        with self._lock:
            files = {self._places.get(sha256, ("", 0))[0] for sha256 in sha256s}
            if not all(name and (self._folder / name).exists() for name in files):
                self._refresh()
            return set(sha256s) - self._places.keys()

    def _refresh(self) -> None:
        files = {path.name for path in self._folder.glob("*.npz")}
        if gone := self._files - files:
            self._places = {sha256: place for sha256, place in self._places.items() if place[0] not in gone}
        for name in files - self._files:
            with np.load(self._folder / name) as file:
                self._note(name, file["sha256"].tolist())
        self._files = files

    def _note(self, name: str, sha256s: Sequence[str]) -> None:
        self._places |= {sha256: (name, row) for row, sha256 in enumerate(sha256s)}
        self._files.add(name)

    def add(self, sha256s: Sequence[str], features: Floats) -> None:
        """Write a file of images that no other file is known to hold."""
        name = f"{hashlib.sha256(''.join(sha256s).encode()).hexdigest()}.npz"
        write_atomically(self._folder / name, partial(np.savez, sha256=np.array(sha256s), features=features))
        with self._lock:
            self._note(name, sha256s)

    def read(self, sha256s: Sequence[str], dim: int) -> Floats:
        """Features of known images, (n_images, dim)."""
        rows_of: dict[str, list[tuple[int, int]]] = {}
        for i, sha256 in enumerate(sha256s):
            name, row = self._places[sha256]
            rows_of.setdefault(name, []).append((i, row))
        features = np.empty((len(sha256s), dim), np.float32)
        for name, rows in rows_of.items():
            wanted, stored = np.array(rows).T
            with np.load(self._folder / name) as file:
                features[wanted] = file["features"][stored]
        return features


@lru_cache(maxsize=32)
def _index(folder: Path) -> _Index:
    """Of a folder, once in a process: reading which images thousands of files hold takes seconds."""
    return _Index(folder)
