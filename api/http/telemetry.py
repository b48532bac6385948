"""What the server counts, for Prometheus, and one log line per request."""

import asyncio
import logging
import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("voxel_atlas.access")

_TICK_S = 0.02
"""Seconds between two looks at whether the event loop is held up."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counters of one server; each has its own registry so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "voxel_atlas_request_seconds",
            "Time from a request's arrival to its answer's last byte",
            ("operation", "status"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.failures = Counter(
            "voxel_atlas_graphql_errors_total", "Errors in GraphQL answers", ("code",), registry=self.registry
        )
        self.rows = Gauge("voxel_atlas_rows_total", "Rows that ingests have committed", registry=self.registry)
        self.ingest_rate = Gauge(
            "voxel_atlas_ingest_rows_per_second", "Rows committed in the last minute, a second", registry=self.registry
        )
        self.sockets = Gauge("voxel_atlas_sockets", "Open WebSockets", registry=self.registry)
        self.loop_delay = Gauge(
            "voxel_atlas_event_loop_delay_seconds",
            "Longest time that the event loop was late since these figures were last read",
            registry=self.registry,
        )
        self.generation = Gauge("voxel_atlas_generation", "Batches that ingests have committed", registry=self.registry)
        self.index_rows = Gauge(
            "voxel_atlas_index_vectors", "Fitted voxels, whose vectors are searched", registry=self.registry
        )
        self.waiting = Gauge(
            "voxel_atlas_work_inside", "Calls that run or wait in a pool of threads", ("pool",), registry=self.registry
        )

        self._longest_delay = 0.0

    def text(self) -> tuple[bytes, str]:
        """Everything, in Prometheus's format, and its media type."""
        self.loop_delay.set(self._longest_delay)
        self._longest_delay = 0.0
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    async def watch_loop(self) -> None:
        """Measure how late the event loop is, for as long as it runs: whatever blocks it makes this late."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self._longest_delay = max(self._longest_delay, time.perf_counter() - began - _TICK_S)


class Observer:
    """ASGI middleware: a duration and a log line for every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Times the request and passes it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500 if scope["type"] == "http" else 101

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - began
            # Set by the handler that answered; a path would let clients invent as many series as they like.
            operation = scope.get("state", {}).get("operation", "other")
            if scope["type"] == "http":
                self._metrics.requests.labels(operation, str(status)).observe(seconds)
            fields = {
                "method": scope.get("method", "SOCKET"),
                "path": scope["path"],
                "operation": operation,
                "status": status,
                "ms": round(seconds * 1000, 2),
            }
            log.info("%s %s", operation, status, extra=fields)
