"""What every stage of one ingest shares."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from atlas.backbones.interface import Backbone
from atlas.store import Store
from ingest.datasets.interface import Dataset
from ingest.progress import Progress
from schemas.config import IngestConfig

_T = TypeVar("_T")


@dataclass(frozen=True)
class Context:
    """One ingest: what goes in, where it goes, and the names under which its rows are kept."""

    store: Store
    dataset: Dataset
    backbone: Backbone
    config: IngestConfig
    home: Path
    """Folder for feature files, generated pictures and weights."""
    run_id: str
    model_id: str
    progress: Progress
    device: str
    batch_images: int


def ranges(n: int, size: int) -> list[tuple[int, int]]:
    """Ranges (start, stop) of at most `size` that cover 0 … n-1."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def grouped(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most `size` items, in their order."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
