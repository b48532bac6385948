"""How ingests go: what the ledger holds, looked up once for all who follow it."""

import asyncio
import datetime
import math

import strawberry

from ...atlas.search.atlas import Atlas

INTERVAL_S = 1.0
"""Seconds between two looks at the ledger."""


@strawberry.type(description="What one stage of the ingests has committed.")
class StageProgress:
    """A stage of the ledger."""

    stage: str = strawberry.field(description="The stage, for example fit.")
    batches: int = strawberry.field(description="Batches that it has committed.")
    rows: int = strawberry.field(description="Rows in those batches.")
    last_commit: datetime.datetime = strawberry.field(description="When the last one was committed (UTC).")


@strawberry.type(description="The state of the atlas while it grows.")
class IngestProgress:
    """All stages at one moment."""

    generation: int = strawberry.field(description="Number of the atlas's state; it grows with every committed batch.")
    running: list[str] = strawberry.field(description="Ids of the runs that have started and not ended.")
    stages: list[StageProgress] = strawberry.field(description="The stages, in the order in which they began.")


class Watch:
    """What the ledger says, looked up once a second for all who follow it."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._lock = asyncio.Lock()
        self._looked = -math.inf
        self._last: IngestProgress | None = None

    async def latest(self) -> IngestProgress:
        """The present state; of a second ago at most."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            if self._last is None or loop.time() - self._looked >= INTERVAL_S:
                self._last = await asyncio.to_thread(self._look)
                self._looked = loop.time()
            return self._last

    def _look(self) -> IngestProgress:
        generation = self._atlas.store.generation()
        if self._last is not None and self._last.generation == generation:
            return self._last
        return progress(self._atlas, generation)


def progress(atlas: Atlas, generation: int) -> IngestProgress:
    """What the ledger says now."""
    stages = atlas.stages()
    runs = atlas.runs()
    return IngestProgress(
        generation=generation,
        running=[row["run_id"] for row in runs.iter_rows(named=True) if row["state"] == "started"],
        stages=[StageProgress(**row) for row in stages.iter_rows(named=True)],
    )
