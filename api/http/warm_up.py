"""Loads what visitors would wait for, before the first of them asks."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...schemas.errors import AtlasError
from .handlers.cortex_handlers import CortexHandlers
from .thread_pools import ThreadPool

AGAIN_S = 1.0
"""Seconds between attempts to load an atlas that does not answer."""
READY_S = 0.7
"""Seconds for which the newest model is waited for. Whoever asks before it is loaded waits for the rest."""

_TOLD = AtlasError, MemoryError
"""What whoever asks is told: others are loaded all the same."""
log = logging.getLogger("voxel_atlas.api")
_T = TypeVar("_T")


class WarmUp:
    """What is loaded so far."""

    def __init__(self, atlas: Atlas, cortex: CortexHandlers, queries: ThreadPool, drawing: ThreadPool) -> None:
        self._atlas, self._cortex, self._queries, self._drawing = atlas, cortex, queries, drawing
        self.done = False
        """Whether visitors are answered."""
        self.reads_words = False
        """Whether the text towers are loaded, which read concepts that are no labels."""

    async def run(self, loaded: Callable[[], object]) -> None:
        """Load what visitors would wait for; where the database does not answer, try again.

        First comes the newest model, then `loaded` is called. The text towers come when visitors are answered already:
        their libraries take longer than all else together, and the atlas holds the vectors of its labels. Then `loaded`
        is called again, and further models follow, newest first, as long as there is room for them.

        One thread of the queries works on it at a time, so that another one is free for visitors.
        """
        models, subjects = await self._patiently(self._queries, self._there_are)
        first = asyncio.gather(
            self._patiently(self._queries, lambda: self._load(models[:1], *_PARTS)),
            self._patiently(self._drawing, lambda: self._load_maps(subjects[:1])),
        )
        await asyncio.wait({first}, timeout=READY_S)
        await self._patiently(self._drawing, loaded)
        self.done = True
        await first
        await self._patiently(self._queries, self._load_towers)
        await self._patiently(self._queries, loaded)
        self.reads_words = True
        await self._patiently(self._drawing, lambda: self._load_maps(subjects[1:]))
        for model_id in models[1:]:
            if not await self._patiently(self._queries, lambda: self._atlas.has_room):
                break
            await self._patiently(self._queries, partial(self._load, [model_id], *_PARTS))

    async def _patiently(self, pool: ThreadPool, work: Callable[[], _T]) -> _T:
        while True:
            try:
                return await pool.run(work)
            except AtlasError as error:
                log.warning("not ready yet: %s", error)
                await asyncio.sleep(AGAIN_S)

    def _there_are(self) -> tuple[list[str], list[str]]:
        """All models, newest first, and all subjects in the order of their models."""
        models = self._atlas.models()
        others = self._atlas.subjects()["subject_id"]
        return models["model_id"].to_list(), list(dict.fromkeys([*models["subject_id"], *others]))

    def _load_maps(self, subjects: Iterable[str]) -> None:
        for subject_id in subjects:
            with suppress(*_TOLD):
                self._cortex.pixel_map_of(subject_id)

    def _load_towers(self) -> None:
        newest = self._atlas.models().unique("backbone", keep="first", maintain_order=True)
        self._load(newest["model_id"], lambda model: model.similar("voxel", first=1))

    def _load(self, models: Iterable[str], *parts: Callable[[Model], object]) -> None:
        for model_id in models:
            # A model without a text tower, one whose weights are elsewhere, or one too large says so when it is asked.
            with suppress(*_TOLD):
                model = self._atlas.model(model_id)
                for part in parts:
                    part(model)


def _readout(model: Model) -> object:
    return model.tables.readout(model.readout()) if model.has_text else None


_PARTS = Model.unit_vectors, lambda model: model.voxels([]), Model.label_table, _readout, Model.reach
"""What questions take of a model."""
