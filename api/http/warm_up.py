"""Loads what visitors would wait for, before the first of them asks."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...schemas.errors import AtlasError
from .handlers.cortex_handlers import CortexHandlers
from .thread_pools import ThreadPool

AGAIN_S = 1.0
"""Seconds between attempts to load an atlas that does not answer."""

log = logging.getLogger("voxel_atlas.api")


class WarmUp:
    """What is loaded so far."""

    def __init__(self, atlas: Atlas, cortex: CortexHandlers, queries: ThreadPool, drawing: ThreadPool) -> None:
        self._atlas, self._cortex, self._queries, self._drawing = atlas, cortex, queries, drawing
        self.done = False
        """Whether what is derived from the database is loaded."""
        self.reads_words = False
        """Whether the text towers are, which read concepts that are no labels."""

    async def run(self, loaded: Callable[[], object]) -> None:
        """Load what visitors would wait for, then call `loaded`; where the database does not answer, try again.

        The text towers come when visitors are answered already: their libraries take longer than all else together,
        and the atlas holds the vectors of its labels. Then `loaded` is called again.
        """
        while not self.done:
            try:
                await asyncio.gather(
                    self._drawing.run(self._load_maps),
                    self._queries.run(lambda: self._load_models(Model.unit_vectors)),
                    self._queries.run(lambda: self._load_models(lambda model: model.voxels([]), Model.label_table)),
                )
                await self._drawing.run(loaded)
                self.done = True
            except AtlasError as error:
                log.warning("not ready yet: %s", error)
                await asyncio.sleep(AGAIN_S)
        await self._queries.run(lambda: self._load_models(lambda model: model.similar("voxel", first=1)))
        await self._queries.run(loaded)
        self.reads_words = True

    def _load_maps(self) -> None:
        for subject_id in self._atlas.subjects()["subject_id"]:
            with suppress(AtlasError):
                self._cortex.pixel_map_of(subject_id)

    def _load_models(self, *load: Callable[[Model], object]) -> None:
        for model_id in self._atlas.models()["model_id"]:
            # A model without a text tower, or one whose weights are elsewhere, says so when it is asked.
            with suppress(AtlasError):
                model = self._atlas.model(model_id)
                for part in load:
                    part(model)
