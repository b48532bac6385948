"""One search or statement for all voxels of a list, however many fields ask: the cure for N + 1 queries."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import polars as pl
from strawberry.dataloader import DataLoader

from ...atlas.search.atlas import Atlas
from ...atlas.search.tables.label_table import LabelTable

Row = dict[str, Any]


class ImageKey(NamedTuple):
    """Which images of which voxel."""

    model_id: str
    first: int
    voxel: int


class NeighbourKey(NamedTuple):
    """How many neighbours of which voxel."""

    model_id: str
    first: int
    voxel: int


Key = TypeVar("Key", ImageKey, NeighbourKey)


class Loaders:
    """The loaders of one request.

    They batch and do not cache: a socket's context lives long, and its atlas grows meanwhile.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self.images: DataLoader[ImageKey, list[Row]] = DataLoader(self._load_images, cache=False)
        self.neighbours: DataLoader[NeighbourKey, list[Row]] = DataLoader(self._load_neighbours, cache=False)
        self._labels: dict[tuple[str, str | None], tuple[str, LabelTable]] = {}

    def labels(self, model_id: str, method: str | None) -> tuple[str, LabelTable]:
        """The method that is meant and a model's labels by it, looked up once for the request."""
        key = (model_id, method)
        if key not in self._labels:
            model = self._atlas.model(model_id)
            chosen = model.method(method)
            self._labels[key] = (chosen, model.label_table(chosen))
        return self._labels[key]

    async def _load_images(self, keys: Sequence[ImageKey]) -> list[list[Row]]:
        def frame(some: ImageKey, members: list[Any]) -> pl.DataFrame:
            return self._atlas.model(some.model_id).top_images(members, first=some.first)

        return _batched(keys, "voxel", frame)

    async def _load_neighbours(self, keys: Sequence[NeighbourKey]) -> list[list[Row]]:
        def frame(some: NeighbourKey, members: list[Any]) -> pl.DataFrame:
            return self._atlas.model(some.model_id).neighbours(members, first=some.first)

        return _batched(keys, "of", frame)


def _batched(keys: Sequence[Key], column: str, load: Callable[[Key, list[Any]], pl.DataFrame]) -> list[list[Row]]:
    """Load keys that differ only in their last part together; one frame for each kind."""
    kinds: dict[Hashable, list[Key]] = {}
    for key in keys:
        kinds.setdefault(key[:-1], []).append(key)
    rows: dict[tuple[Hashable, Any], list[Row]] = {}
    for kind, members in kinds.items():
        frame = load(members[0], sorted({member[-1] for member in members}))
        for row in frame.iter_rows(named=True):
            rows.setdefault((kind, row[column]), []).append(row)
    return [rows.get((key[:-1], key[-1]), []) for key in keys]
