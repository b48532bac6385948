"""One SQL statement for all voxels of a list, however many fields ask: the cure for N + 1 queries."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import polars as pl
from strawberry.dataloader import DataLoader

from atlas.search import Atlas

Row = dict[str, Any]


class LabelKey(NamedTuple):
    """Which labels of which voxel."""

    model_id: str
    method: str | None
    first: int
    voxel: int


class ImageKey(NamedTuple):
    """Which images of which voxel."""

    model_id: str
    first: int
    voxel: int


class RoiLabelKey(NamedTuple):
    """Which labels of which ROI."""

    model_id: str
    method: str | None
    first: int
    roi: str


Key = TypeVar("Key", LabelKey, ImageKey, RoiLabelKey)


class Loaders:
    """The loaders of one request.

    They batch and do not cache: a socket's context lives long, and its atlas grows meanwhile.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self.labels: DataLoader[LabelKey, list[Row]] = DataLoader(self._load_labels, cache=False)
        self.images: DataLoader[ImageKey, list[Row]] = DataLoader(self._load_images, cache=False)
        self.roi_labels: DataLoader[RoiLabelKey, list[Row]] = DataLoader(self._load_roi_labels, cache=False)

    async def _load_labels(self, keys: Sequence[LabelKey]) -> list[list[Row]]:
        def frame(some: LabelKey, members: list[Any]) -> pl.DataFrame:
            return self._atlas.voxel_labels(some.model_id, members, method=some.method, first=some.first)

        return _batched(keys, "voxel", frame)

    async def _load_images(self, keys: Sequence[ImageKey]) -> list[list[Row]]:
        def frame(some: ImageKey, members: list[Any]) -> pl.DataFrame:
            return self._atlas.top_images(some.model_id, members, first=some.first)

        return _batched(keys, "voxel", frame)

    async def _load_roi_labels(self, keys: Sequence[RoiLabelKey]) -> list[list[Row]]:
        found = {
            key: self._atlas.roi_top_labels(key.roi, model=key.model_id, method=key.method, first=key.first).to_dicts()
            for key in set(keys)
        }
        return [found[key] for key in keys]


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
