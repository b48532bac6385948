"""How much memory values may hold, and how much they do, estimated by going through them."""

import mmap
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from ....schemas.errors import BadInputError
from ...machine_memory import total_memory

_WORD_BYTES = 64
"""Of a short text in a list, with its place there."""


@dataclass(frozen=True)
class Held:
    """What values hold."""

    own: int
    """Bytes of memory that are theirs alone."""
    files: frozenset[mmap.mmap]
    """Files that they have mapped."""

    @property
    def mapped(self) -> int:
        """Bytes of the files."""
        return sum(map(len, self.files))

    def give_back(self) -> None:
        """Let the system have the memory of the files; what is read again comes from its cache, or from disk."""
        for file in self.files:
            file.madvise(mmap.MADV_DONTNEED)


def held_by(values: Iterable[object]) -> Held:
    """What some values hold: arrays, frames, FAISS codes, and objects, lists and dicts of such; each counted once.

    Neither sets are gone through nor lists of texts, of which there are many short ones.
    """
    left, seen, own, files = list(values), set[int](), 0, set[mmap.mmap]()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case np.ndarray():
                left.append(value.base)
            case memoryview():
                left.append(value.obj)
                continue
            case mmap.mmap():
                files.add(value)
                continue
            case pl.DataFrame() | pl.Series():
                own += int(value.estimated_size())
                continue
            case pa.Array() | pa.ChunkedArray():
                own += value.nbytes
                continue
            case list([str(), *_]):
                own += _WORD_BYTES * len(value)
                continue
            case list() | tuple():
                left.extend(value)
            case dict():
                left.extend(value.values())
            case _:
                left.extend(getattr(value, "__dict__", {}).values())
        own += sys.getsizeof(value)
    return Held(own, frozenset(files))


def budget(amount: str) -> int:
    """Bytes that models may take which are kept to be asked.

    Args:
        amount: as the setting `model_memory`: 500MB, 2 GB, 1.5GiB; empty for a fifth of what there is.

    Raises:
        BadInputError: it is more than there is.
    """
    there = total_memory()
    if not amount:
        # With its networks and DuckDB, a server stays within a third then: benchmarks/scale.py.
        return there // 5
    number, prefix = amount[:-1].rstrip("KMGTkmgti"), amount.lower().lstrip("0123456789. ")[0]
    n_bytes = int(float(number) * (1024 if "i" in amount else 1000) ** ("kmgt".index(prefix) + 1))
    if n_bytes > there:
        raise BadInputError(
            f"setting model_memory: {amount} is more than the {there / 2**30:.1f} GiB of memory that there are."
        )
    return n_bytes
