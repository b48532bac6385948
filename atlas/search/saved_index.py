"""An index on disk: derived from the database, so it is whole and the right one, or it is made again."""

import hashlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ...schemas.files import write_atomically
from .codes import Segment, require_faiss
from .index import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = 2
_MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)


def save(index: VectorIndex, folder: Path, fingerprint: str) -> None:
    """Write an index; whoever loads meanwhile finds the one before or this one.

    Args:
        index: what to keep.
        folder: its own folder.
        fingerprint: of the rows that it was made from.

    Raises:
        OSError: the folder cannot be written.
    """
    tag = fingerprint[:16]
    arrays: dict[str, NDArray[Any]] = {"vectors": index.vectors, "keys": index.keys, "centre": index.centre}
    writers: dict[str, Callable[[IO[bytes]], object]] = {
        f"{name}-{tag}.npy": partial(np.lib.format.write_array, array=array, allow_pickle=False)
        for name, array in arrays.items()
    }
    faiss = require_faiss()
    for number, segment in enumerate(index.segments):
        writers[f"codes-{number}-{tag}.faiss"] = partial(_write, data=faiss.serialize_index(segment.codes).data)
    files = {}
    for name, write in writers.items():
        files[name] = _write_hashed(folder / name, write)
    segments = [
        {"start": part.start, "scale": part.scale, "residual": part.residual, "reach": part.reach}
        for part in index.segments
    ]
    content = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "rows": len(index),
        "dim": index.dim,
        "files": files,
        "segments": segments,
    }
    content["sha256"] = _sha256_of(content)
    # The manifest's rename is the moment at which the new index is there.
    write_atomically(folder / _MANIFEST, lambda file: file.write(json.dumps(content, indent=1).encode()))
    for path in folder.iterdir():
        if path.name != _MANIFEST and path.name not in files:
            path.unlink(missing_ok=True)


def load(folder: Path, fingerprint: str) -> VectorIndex | None:
    """The saved index of that fingerprint; None where there is none, another one, or a damaged one.

    Vectors are mapped into memory and not read, so an index costs its codes' size: a byte a number.
    """
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        expected = content.pop("sha256")
        if content["fingerprint"] != fingerprint or content["format"] != _FORMAT:
            return None
        damaged = [] if expected == _sha256_of(content) else [_MANIFEST]
        names = list(content["files"])
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(lambda name: _hashed(folder / name), names))
        damaged += [name for name, sha256 in zip(names, found, strict=True) if content["files"][name] != sha256]
        if damaged:
            _log.warning("%s in %s is damaged; the index is made again from the database.", damaged[0], folder)
            return None
        return _read(folder, content["files"], content["segments"])
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        # RuntimeError is FAISS's, where another process has put a newer index there meanwhile.
        _log.warning("The index in %s cannot be used (%s); it is made again from the database.", folder, error)
        return None


def _read(folder: Path, files: dict[str, str], segments: list[dict[str, float]]) -> VectorIndex:
    faiss = require_faiss()
    arrays = {
        name.partition("-")[0]: np.load(folder / name, mmap_mode="r" if name.startswith("vectors-") else None)
        for name in files
        if name.endswith(".npy")
    }
    codes = {int(name.split("-")[1]): faiss.read_index(str(folder / name)) for name in files if name.endswith(".faiss")}
    parts = [
        Segment(codes[number], int(part["start"]), part["scale"], part["residual"], part["reach"])
        for number, part in enumerate(segments)
    ]
    # A plain view of the map: np.memmap's own bookkeeping costs more than scoring a few rows.
    return VectorIndex(np.asarray(arrays["vectors"]), arrays["keys"], arrays["centre"], parts)


def _write(file: IO[bytes], data: memoryview) -> None:
    file.write(data)


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _write_hashed(path: Path, write: Callable[[IO[bytes]], object]) -> str:
    digests: list[str] = []

    def hashing(file: IO[bytes]) -> None:
        hashed = _Hashed(file)
        write(hashed)  # type: ignore[arg-type]  # write_array and our lambdas call nothing but write()
        digests.append(hashed.digest.hexdigest())

    write_atomically(path, hashing)
    return digests[0]


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
