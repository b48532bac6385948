"""How ingests go: what the ledger holds, and a subscription that follows it."""

import asyncio
import datetime
from collections.abc import AsyncGenerator

import strawberry

from api.graphql.context import Info
from api.graphql.fields import subscription
from atlas.search import Atlas

INTERVAL_S = 1.0
"""Seconds between two looks at the ledger."""
LONGEST_S = 3600.0
"""Seconds after which a subscription ends; a client that still cares subscribes again."""


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


def progress(atlas: Atlas) -> IngestProgress:
    """What the ledger says now."""
    stages = atlas.stages()
    runs = atlas.runs()
    return IngestProgress(
        generation=atlas.store.generation(),
        running=[row["run_id"] for row in runs.iter_rows(named=True) if row["state"] == "started"],
        stages=[
            StageProgress(stage=row["stage"], batches=row["batches"], rows=row["rows"], last_commit=row["last_commit"])
            for row in stages.iter_rows(named=True)
        ],
    )


@strawberry.type(description="What can be followed over a WebSocket (graphql-transport-ws).")
class Subscription:
    """The subscriptions."""

    @subscription("The state of all ingests: at once, then whenever a batch was committed.")
    async def ingest_progress(self, info: Info) -> AsyncGenerator[IngestProgress, None]:
        """Looks at the ledger once a second, in a thread; sends what has changed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST_S
        last: IngestProgress | None = None
        while loop.time() < end:
            now = await asyncio.to_thread(progress, info.context.atlas)
            if now != last:
                yield now
                last = now
            await asyncio.sleep(INTERVAL_S)
