"""One search or statement for all voxels of a list, however many fields ask: the cure for N + 1 queries."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import polars as pl
from strawberry.dataloader import DataLoader

from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...atlas.search.tables.label_table import LabelTable

Row = dict[str, Any]


class VoxelKey(NamedTuple):
    """How many rows of which voxel."""

    model_id: str
    first: int
    voxel: int


class Loaders:
    """The loaders of one request.

    They batch and do not cache: a socket's context lives long, and its atlas grows meanwhile.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self.images = DataLoader(partial(self._load, Model.top_images, "voxel"), cache=False)
        self.neighbours = DataLoader(partial(self._load, Model.neighbours, "of"), cache=False)
        self._scorers: dict[str, list[str]] = {}
        self._labels: dict[tuple[str, str | None], tuple[str, LabelTable]] = {}

    def labels(self, model_id: str, method: str | None) -> tuple[str, LabelTable]:
        """The method that is meant and a model's labels by it, looked up once for the request."""
        key = (model_id, method)
        if key not in self._labels:
            model = self._atlas.model(model_id)
            chosen = model.method(method)
            self._labels[key] = (chosen, model.label_table(chosen, semantic=False))
        return self._labels[key]

    def scorers(self, model_id: str) -> list[str]:
        """The methods that labelled a model, those of its settings first, looked up once for the request."""
        if model_id not in self._scorers:
            model = self._atlas.model(model_id)
            labelled = model.methods()
            own = [method for method in model.settings.get("methods", ()) if method in labelled]
            self._scorers[model_id] = list(dict.fromkeys([*own, *labelled]))
        return self._scorers[model_id]

    async def _load(self, ask: Callable[..., pl.DataFrame], column: str, keys: Sequence[VoxelKey]) -> list[list[Row]]:
        """Rows of each key. Voxels of keys that agree otherwise are asked for together; `column` names them."""
        together: dict[tuple[str, int], set[int]] = {}
        for model_id, first, voxel in keys:
            together.setdefault((model_id, first), set()).add(voxel)
        rows: dict[VoxelKey, list[Row]] = {}
        for (model_id, first), voxels in together.items():
            for row in ask(self._atlas.model(model_id), sorted(voxels), first=first).iter_rows(named=True):
                rows.setdefault(VoxelKey(model_id, first, row[column]), []).append(row)
        return [rows.get(key, []) for key in keys]
