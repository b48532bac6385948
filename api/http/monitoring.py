"""What those who run the server ask: whether it is ready, and its metrics."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...atlas.search.atlas import Atlas
from .responses import error_response
from .telemetry import Metrics
from .thread_pools import ThreadPool
from .warm_up import WarmUp

_COMMITTED = """
    SELECT coalesce(sum(n_rows), 0)::BIGINT, coalesce(sum(n_rows) FILTER (committed_at > now() - INTERVAL 1 MINUTE), 0)
    FROM ledger
"""
"""Rows of all batches, and of those of the last minute."""


class MonitoringHandlers:
    """Answers `/readyz` and `/metrics`."""

    def __init__(self, atlas: Atlas, warm_up: WarmUp, metrics: Metrics, *pools: ThreadPool) -> None:
        self._atlas, self._warm_up, self._metrics, self._pools = atlas, warm_up, metrics, pools

    def ready(self, _: Request) -> dict[str, Any] | Response:
        """Whether the database answers, and what is kept in memory belongs to its newest state; raises if not."""
        warm, generation = self._warm_up.done, self._atlas.store.generation()
        index = self._atlas.caught_up(generation)
        if not warm or index != generation:
            what = f"an index of generation {index} becomes one of {generation}" if warm else "it is still loading"
            message = f"The server is not ready: {what}; ask again in a second."
            headers = {"retry-after": "1"}
            return error_response(503, "NOT_READY", message, headers, generation=generation, indexGeneration=index)
        return {
            "ready": True,
            "generation": generation,
            "indexGeneration": index,
            "textTowers": self._warm_up.reads_words,
        }

    def metrics(self, _: Request) -> Response:
        """Metrics, with the figures that only the database knows."""
        rows, recent = self._atlas.store.frame(_COMMITTED).row(0)
        self._metrics.rows.set(rows)
        self._metrics.ingest_rate.set(recent / 60)
        self._metrics.index_rows.set(float(self._atlas.models()["n_voxels"].sum()))
        self._metrics.generation.set(self._atlas.store.generation())
        for pool in self._pools:
            self._metrics.waiting.labels(pool.name).set(pool.inside)
        text, media_type = self._metrics.text()
        return Response(text, media_type=media_type)


async def healthy(request: Request) -> Response:
    """The process answers; nothing else is looked at."""
    request.state.operation = "health"
    return JSONResponse({"healthy": True})
