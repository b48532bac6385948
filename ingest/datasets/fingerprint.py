"""Whether data are still the same: SHA-256 of small files, and of samples of large ones."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...schemas.files import file_sha256

_WHOLE_FILE = 32 << 20
_SAMPLE = 64 << 10
_N_SAMPLES = 64


def data_sha256(path: Path) -> str:
    """SHA-256 that changes when a data file does.

    A subject's responses are tens of gigabytes, and every run asks. So a file of more than 32 MiB is known by its size
    and 64 pieces of 64 KiB, the first and the last among them: enough to tell files that were exchanged, cut or made
    anew, not to find one changed number.
    """
    size = path.stat().st_size
    if size <= _WHOLE_FILE:
        return file_sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for offset in np.linspace(0, size - _SAMPLE, _N_SAMPLES).astype(np.int64):
            file.seek(int(offset))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def combined_sha256(parts: Iterable[str]) -> str:
    """SHA-256 of texts, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()
