"""The ASGI application: GraphQL, pictures, the explorer and its data, health and metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from asgi_correlation_id import CorrelationIdMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ...atlas.backbones.cores import n_cores
from ...atlas.new_threads import started_pool
from ...atlas.search.atlas import Atlas
from ...schemas.config import Settings
from ...schemas.limits import LIMITS
from ...viz.surfaces.surface import load_surface
from ..graphql.error_codes import described
from ..maps.picture_cache import PictureCache
from ..maps.picture_files import PictureFiles
from ..maps.slow_builds import SlowBuilds
from ..maps.subject_cortex import CortexCache, LoadSurface
from ..mcp.mcp_endpoint import McpEndpoint
from .access.guard import BATCHES, Cors, Guard, check_binding, check_place_of_tokens
from .access.login import Login
from .access.rates import Rates
from .access.token_handlers import TokenHandlers
from .access.tokens import Tokens
from .assets import Assets
from .graphql_endpoint import Endpoint
from .handlers.cortex_handlers import CortexHandlers
from .handlers.frames import Frames
from .handlers.ingest_handlers import IngestHandlers, hang_up_of
from .handlers.value_handlers import ValueHandlers
from .monitoring import MonitoringHandlers, healthy
from .responses import error_response, failure, handler
from .telemetry import Metrics, Observer
from .thread_pools import ThreadPool
from .warm_up import WarmUp

QUERY_THREADS = min(4, max(2, n_cores()))
"""Python runs in one thread at a time: more of them than cores only take it from each other."""
PICTURE_THREADS = 2
INGEST_THREADS = 2
TOOL_THREADS = 2
OTHER_THREADS = 4
"""Of the event loop itself: what takes a moment, and is no visitor's question."""
CLOSING_S = 2.0
"""How long what runs is waited for when the server stops and its connections have ended."""


class Components:
    """What the application is made of, and which of it answers at which address."""

    def __init__(self, atlas: Atlas, settings: Settings, load: LoadSurface, visitor: str = "") -> None:
        self.tokens = Tokens(settings.home, settings.token.get_secret_value(), visitor)
        self.rates = Rates(settings.rate_limit)
        check_binding(settings, self.tokens)
        check_place_of_tokens(settings)
        self.queries = ThreadPool("queries", QUERY_THREADS, LIMITS.waiting_queries)
        self.drawing = ThreadPool("pictures", PICTURE_THREADS, LIMITS.waiting_pictures)
        self.ingests = ThreadPool("ingests", INGEST_THREADS, LIMITS.waiting_batches)
        self.questions = ThreadPool("questions", INGEST_THREADS, LIMITS.waiting_batches)
        self.tools = ThreadPool("tools", TOOL_THREADS, LIMITS.waiting_tools)
        self.metrics, self.assets, cortices = Metrics(), Assets(), CortexCache(atlas, settings, load)
        atlas.located.told_by(cortices.millimetres)
        pictures = PictureCache(cortices, PictureFiles(settings.home / "flatmaps", settings.pictures_mb * 10**6))
        self.builds = SlowBuilds()
        self.cortex = CortexHandlers(atlas, cortices, pictures)
        self.values = ValueHandlers(atlas, cortices, self.builds)
        self.frames, self.token_handlers = Frames(atlas), TokenHandlers(self.tokens, atlas.store)
        self.ingest = IngestHandlers(atlas.store, self.ingests, self.questions)
        self.graphql = Endpoint(atlas, cortices, pictures, self.builds, self.queries, self.assets, self.metrics)
        self.mcp = McpEndpoint(atlas, cortices, self.tools.run, lambda error: f"{described(error)[0]}.", hang_up_of)
        self.warm_up = WarmUp(atlas, self.cortex, self.queries, self.drawing)
        self.monitoring = MonitoringHandlers(atlas, self.warm_up, self.metrics, self.queries, self.drawing)

    def routes(self) -> list[BaseRoute]:
        """All addresses: quick answers are made by the threads of `queries`, pictures by those of `drawing`."""
        return [
            Route("/", handler("page", self.assets.answer, self.queries)),
            Route("/assets/{name:path}", handler("asset", self.assets.answer, self.queries)),
            Route("/graphql", self.graphql, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self.graphql),
            Route("/mcp", self.mcp, methods=["POST"]),
            Route("/flatmaps/{sha256}.{suffix}", handler("picture", self.cortex.flatmap, self.drawing)),
            Route("/pixelmaps/{subject:path}.bin", handler("pixelmap", self.cortex.pixel_map, self.drawing)),
            Route("/meshes/{subject:path}/{kind}.bin", handler("mesh", self.cortex.mesh, self.drawing)),
            Route("/outlines/{subject:path}.json", handler("outlines", self.cortex.outlines, self.drawing)),
            Route("/places/{subject:path}.bin", handler("places", self.cortex.places, self.drawing)),
            Route("/figure.pdf", handler("figure", self.cortex.figure, self.drawing), methods=["POST"]),
            Route("/card.png", handler("card", self.cortex.card, self.drawing)),
            Route("/stimuli/{stimulus:path}", handler("stimulus", self.cortex.stimulus, self.drawing)),
            Route("/values", handler("values", self.values.values, self.queries)),
            Route("/values", handler("picture", self.values.values, self.drawing, json_body=False), methods=["POST"]),
            Route("/group", handler("group", self.values.group, self.queries)),
            Route("/frames/{question}", handler("frames", self.frames.answer, self.queries), methods=["POST"]),
            Route("/toplabels", handler("toplabels", self.values.top_labels, self.queries)),
            Route("/labelcolours", handler("labelcolours", self.values.label_colours, self.queries)),
            Route("/login", Login(self.tokens, self.rates).answer, methods=["GET", "POST"]),
            Route("/ingest/rows", self.ingest.rows, methods=["POST"]),
            Route(BATCHES, self.ingest.batches, methods=["POST"]),
            Route("/quack", handler("quack", self.token_handlers.quack, self.queries)),
            Route("/tokens", handler("tokens", self.token_handlers.listed, self.queries)),
            Route("/tokens", handler("tokens", self.token_handlers.make, self.queries), methods=["POST"]),
            Route("/tokens/{name}", handler("tokens", self.token_handlers.revoke, self.queries), methods=["DELETE"]),
            Route("/healthz", healthy),
            Route("/readyz", handler("ready", self.monitoring.ready, self.queries)),
            Route("/metrics", handler("metrics", self.monitoring.metrics, self.queries)),
        ]

    def close(self) -> None:
        """Wait for what runs, but not for ever."""
        self.builds.close()
        deadline = time.monotonic() + CLOSING_S
        self.queries.close(deadline)
        self.drawing.close(deadline)
        self.ingests.close(deadline)
        self.questions.close(deadline)
        self.tools.close(deadline)


def create_app(
    atlas: Atlas,
    settings: Settings,
    *,
    load: LoadSurface = load_surface,
    loaded: Callable[[], object] = lambda: None,
    visitor: str = "",
) -> Starlette:
    """The application that `voxel-atlas serve` runs.

    Args:
        atlas: the open atlas; the caller closes it.
        settings: where things are and who may ask.
        load: how a subject's surface is found.
        loaded: called in a thread when what visitors wait for is loaded, and again when the text towers are.
        visitor: a token of scope read for other processes of the user who serves; empty for none.

    Raises:
        BadInputError: the address is open to other machines and no token is set.
    """
    parts = Components(atlas, settings, load, visitor)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(started_pool(OTHER_THREADS, "other work"))
        tasks = asyncio.create_task(parts.warm_up.run(loaded)), asyncio.create_task(parts.metrics.watch_loop())
        yield
        for task in tasks:
            task.cancel()
        await parts.mcp.close()
        # In a thread: it waits for what runs, and closes event loops that are not this one.
        await asyncio.to_thread(parts.close)

    app = Starlette(
        routes=parts.routes(),
        lifespan=lifespan,
        middleware=[
            Middleware(Below, path=settings.public_path),
            Middleware(ProxyHeadersMiddleware, trusted_hosts=list(map(str, settings.trusted_proxies))),
            Middleware(CorrelationIdMiddleware),
            Middleware(Observer, metrics=parts.metrics),
            Middleware(Cors, origins=settings.cors_origins),
            Middleware(Guard, tokens=parts.tokens, rates=parts.rates, settings=settings),
        ],
        exception_handlers={HTTPException: refused, Exception: crashed},
    )
    # They would be made of the header Host, which need not name the server as people know it.
    app.router.redirect_slashes = False
    return app


class Below:
    """ASGI middleware: the server below the path under which a proxy offers it, whether the proxy takes it off or not.

    So that who asks without the proxy, as a test of health does, is answered too.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] in {"http", "websocket"}:
            asked = str(scope["path"])
            path = asked if asked.startswith(f"{self._path}/") else f"{self._path}{asked}"
            scope = {**scope, "root_path": self._path, "path": path}
        await self._app(scope, receive, send)


async def refused(_: Request, error: Exception) -> Response:
    """What routing refuses, in the shape of all errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return error_response(405, "METHOD_NOT_ALLOWED", "This address does not take that method.")
    return error_response(404, "NOT_FOUND", "There is nothing at this address.")


async def crashed(_: Request, error: Exception) -> Response:
    """What nobody foresaw, in the shape of all errors."""
    return failure(error)
