"""The subscription that follows the ingests."""

import asyncio
from collections.abc import AsyncGenerator

import strawberry

from ..request_context import Info
from ..watch import INTERVAL_S, IngestProgress
from .fields import subscription

LONGEST_S = 3600.0
"""Seconds after which a subscription ends; a client that still cares subscribes again."""


@strawberry.type(description="What can be followed over a WebSocket (graphql-transport-ws).")
class Subscription:
    """The subscriptions."""

    @subscription("The state of all ingests: at once, then whenever a batch was committed.")
    async def ingest_progress(self, info: Info) -> AsyncGenerator[IngestProgress, None]:
        """Sends what has changed. A client that reads slowly gets fewer states, and later ones."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST_S
        last: IngestProgress | None = None
        while loop.time() < end:
            now = await info.context.watch.latest()
            if now != last:
                yield now
                last = now
            await asyncio.sleep(INTERVAL_S)
