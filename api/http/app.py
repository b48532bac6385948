"""The ASGI application: GraphQL, pictures, the explorer and its data, health and metrics."""

import asyncio
import functools
import logging
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from asgi_correlation_id import CorrelationIdMiddleware
from cachetools import LRUCache
from numpy.typing import NDArray  # noqa: TC002  used in an annotation that is read at run time
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from ...atlas.backbones.cores import n_cores
from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...schemas.config import Settings
from ...schemas.errors import AtlasError
from ...viz.render.colormaps import colours
from ...viz.surfaces.surface import load_surface
from ..maps import packed_arrays, page_geometry
from ..maps.packed_arrays import pack
from ..maps.picture_cache import PictureCache
from ..maps.picture_files import PictureFiles
from ..maps.rendering import MEDIA_TYPES
from ..maps.subject_cortex import CortexCache, LoadSurface
from ..maps.thumbnails import thumbnail
from ..maps.top_labels import colour_map, top_labels
from ..maps.value_maps import value_map
from .access.guard import Cors, Guard, check_binding
from .access.keys import Keys
from .access.login import Login
from .access.rates import Rates
from .access.tokens import Tokens
from .assets import Assets
from .frames import Frames
from .graphql_endpoint import Endpoint
from .query_strings import map_request, switch
from .responses import IMMUTABLE, Content, error_response, failure
from .telemetry import Metrics, Observer
from .thread_pools import Workers

QUERY_THREADS, WAITING_QUERIES = min(4, max(2, n_cores())), 200
"""Python runs in one thread at a time: more of them than cores only take it from each other."""
PICTURE_THREADS, WAITING_PICTURES = 2, 30
KEPT_BYTES = 128 * 2**20
"""Rendered pictures, pixel maps and meshes that are held in memory."""
AGAIN_S = 1.0
"""Seconds between attempts to load an atlas that does not answer."""

log = logging.getLogger("voxel_atlas.api")

_COMMITTED = """
    SELECT coalesce(sum(n_rows), 0)::BIGINT, coalesce(sum(n_rows) FILTER (committed_at > now() - INTERVAL 1 MINUTE), 0)
    FROM ledger
"""
"""Rows of all batches, and of those of the last minute."""

Door = Callable[[Request], Awaitable[Response]]


class Doors:
    """Everything that is not GraphQL. A door's work runs in a thread; the event loop only hands it over."""

    def __init__(
        self, atlas: Atlas, cortices: CortexCache, pictures: PictureCache, assets: Assets, metrics: Metrics
    ) -> None:
        self.atlas, self.cortices, self.pictures, self.assets, self.metrics = atlas, cortices, pictures, assets, metrics
        self.queries = Workers("queries", QUERY_THREADS, WAITING_QUERIES)
        self.drawing = Workers("pictures", PICTURE_THREADS, WAITING_PICTURES)
        # One that alone is larger than all that may be kept counts as all.
        self._kept: LRUCache[str, Content] = LRUCache(KEPT_BYTES, lambda content: min(content.nbytes, KEPT_BYTES))
        self._lock = threading.Lock()
        self.warm = False
        """Whether what is derived from the database is loaded."""
        self.reads_words = False
        """Whether the text towers are, which read concepts that are no labels."""

    def asset(self, request: Request) -> Content:
        """A file of the explorer, or the explorer itself where none is named."""
        return self.assets.get(request.path_params.get("name", "index.html"))

    def flatmap(self, request: Request) -> Content:
        """A picture by its hash."""
        sha256, suffix = (str(request.path_params[name]) for name in ("sha256", "suffix"))

        def drawn() -> Content:
            body = self.pictures.fetch(sha256, suffix)
            return Content(body, MEDIA_TYPES[suffix], IMMUTABLE, compressible=suffix == "svg")

        return self._prepared(f"{sha256}.{suffix}", drawn)

    def pixel_map(self, request: Request) -> Content:
        """Which voxel each pixel of a subject's flat map shows."""
        return self._pixel_map(request.path_params["subject"])

    def _pixel_map(self, subject_id: str) -> Content:
        cortex = self.cortices.of(subject_id)
        return self._prepared(
            f"{subject_id} flat", lambda: Content(page_geometry.pixel_map(cortex), packed_arrays.MEDIA_TYPE)
        )

    def mesh(self, request: Request) -> Content:
        """A subject's surface in 3-D, and which voxel each of its vertices shows."""
        subject_id, kind = (request.path_params[name] for name in ("subject", "kind"))
        cortex = self.cortices.of(subject_id)
        return self._prepared(
            f"{subject_id} mesh {kind}", lambda: Content(page_geometry.mesh(cortex, kind), packed_arrays.MEDIA_TYPE)
        )

    def outlines(self, request: Request) -> Content:
        """A subject's ROIs: paths, places of their names, voxels."""
        regions = page_geometry.regions(self.atlas, self.cortices.of(request.path_params["subject"]))
        return Content(regions, "application/json").prepare()

    def stimulus(self, request: Request) -> Content:
        """An image that subjects saw, made small."""
        picture = thumbnail(self.atlas, request.path_params["stimulus"], request.query_params.get("box", ""))
        return Content(picture, "image/jpeg", IMMUTABLE, compressible=False)

    def _prepared(self, name: str, make: Callable[[], Content]) -> Content:
        """What stays as it is once it was made, hashed and compressed."""
        with self._lock:
            content = self._kept.get(name)
        if content is None:
            content = make().prepare()
            with self._lock:
                self._kept[name] = content
        return content

    def values(self, request: Request) -> Content:
        """One value per voxel and the colours for them."""
        mapped = value_map(self.atlas, map_request(request))
        cortex = self.cortices.of(mapped.model.subject_id)
        header = {
            "model": mapped.model.model_id,
            "subject": mapped.model.subject_id,
            "simulated": mapped.model.simulated,
            "title": mapped.title,
            "unit": mapped.unit,
            "readout": mapped.readout,
            "baseline": mapped.request.baseline if mapped.readout else None,
            "warnings": mapped.warnings,
            "generation": mapped.generation,
            "colormap": mapped.scale.colormap,
            "lo": mapped.scale.vmin,
            "hi": mapped.scale.vmax,
        }
        arrays: dict[str, NDArray[Any]] = {
            "value": cortex.by_number(mapped.voxels, mapped.values),
            "colour": colours(mapped.scale.colormap).ravel().astype(np.uint8),
        }
        if mapped.alpha is not None:
            arrays["alpha"] = cortex.by_number(mapped.voxels, mapped.alpha)
        # Floats hardly compress, and compressing them would cost more than sending them.
        return Content(pack(header, arrays), packed_arrays.MEDIA_TYPE, compressible=False)

    def top_labels(self, request: Request) -> Content:
        """The first label of every voxel, as a number in a list of labels; -1 for none."""
        model, method = (request.query_params.get(name) for name in ("model", "method"))
        top = top_labels(self.atlas, model, method, semantic=switch(request.query_params.get("semantic"), default=True))
        label = np.full(self.cortices.of(top.model.subject_id).n_voxels, -1, np.int32)
        label[top.voxels] = top.label
        header = {
            "model": top.model.model_id,
            "method": top.method,
            "labels": top.labels,
            "counts": top.counts,
            "generation": top.generation,
        }
        return Content(pack(header, {"label": label}), packed_arrays.MEDIA_TYPE).prepare()

    def label_colours(self, request: Request) -> Content:
        """A colour for each label of `top_labels`, by meaning."""
        model, method = (request.query_params.get(name) for name in ("model", "method"))
        semantic = switch(request.query_params.get("semantic"), default=True)
        coloured = colour_map(self.atlas, model, self.atlas.home, method, semantic=semantic)
        trust = coloured.colours.trustworthiness
        header = {
            "model": coloured.model.model_id,
            "labels": coloured.top.labels,
            "legend": [text for text, _ in coloured.legend],
            "trustworthiness": trust if math.isfinite(trust) else None,
        }
        rgb = np.rint(coloured.colours.of(coloured.top.labels) * 255).astype(np.uint8)
        return Content(pack(header, {"rgb": rgb.ravel()}), packed_arrays.MEDIA_TYPE).prepare()

    def ready(self, _: Request) -> dict[str, Any] | Response:
        """Whether the database answers, and what is kept in memory belongs to its newest state; raises if not."""
        generation = self.atlas.store.generation()
        index = self.atlas.caught_up(generation)
        if not self.warm or index != generation:
            what = f"an index of generation {index} becomes one of {generation}" if self.warm else "it is still loading"
            message = f"The server is not ready: {what}; ask again in a second."
            headers = {"retry-after": "1"}
            return error_response(503, "NOT_READY", message, headers, generation=generation, indexGeneration=index)
        return {"ready": True, "generation": generation, "indexGeneration": index, "textTowers": self.reads_words}

    def measures(self, _: Request) -> Response:
        """Metrics, with the figures that only the database knows."""
        rows, recent = self.atlas.store.frame(_COMMITTED).row(0)
        self.metrics.rows.set(rows)
        self.metrics.ingest_rate.set(recent / 60)
        self.metrics.index_rows.set(float(self.atlas.models()["n_voxels"].sum()))
        self.metrics.generation.set(self.atlas.store.generation())
        for pool in (self.queries, self.drawing):
            self.metrics.waiting.labels(pool.name).set(pool.inside)
        text, media_type = self.metrics.text()
        return Response(text, media_type=media_type)

    async def warm_up(self, loaded: Callable[[], object]) -> None:
        """Load what visitors would wait for, then call `loaded`; where the database does not answer, try again.

        The text towers come when visitors are answered already: their libraries take longer than all else together,
        and the atlas holds the vectors of its labels. Then `loaded` is called again.
        """
        while not self.warm:
            try:
                await asyncio.gather(
                    self.drawing.run(self._load_maps),
                    self.queries.run(lambda: self._load_models(Model.unit_vectors)),
                    self.queries.run(lambda: self._load_models(lambda model: model.voxels([]), Model.label_table)),
                )
                await self.drawing.run(loaded)
                self.warm = True
            except AtlasError as error:
                log.warning("not ready yet: %s", error)
                await asyncio.sleep(AGAIN_S)
        await self.queries.run(lambda: self._load_models(lambda model: model.similar("voxel", first=1)))
        await self.queries.run(loaded)
        self.reads_words = True

    def _load_maps(self) -> None:
        for subject_id in self.atlas.subjects()["subject_id"]:
            with suppress(AtlasError):
                self._pixel_map(subject_id)

    def _load_models(self, *load: Callable[[Model], object]) -> None:
        for model_id in self.atlas.models()["model_id"]:
            # A model without a text tower, or one whose weights are elsewhere, says so when it is asked.
            with suppress(AtlasError):
                model = self.atlas.model(model_id)
                for part in load:
                    part(model)

    def close(self) -> None:
        """Wait for what runs."""
        self.queries.close()
        self.drawing.close()


def create_app(
    atlas: Atlas, settings: Settings, *, load: LoadSurface = load_surface, loaded: Callable[[], object] = lambda: None
) -> Starlette:
    """The application that `voxel-atlas serve` runs.

    Args:
        atlas: The open atlas; the caller closes it.
        settings: Where things are and who may ask.
        load: How a subject's surface is found.
        loaded: Called in a thread when what visitors wait for is loaded, and again when the text towers are.

    Raises:
        BadInputError: The address is open to other machines and no token is set.
    """
    tokens, rates = Tokens(settings.home, settings.token.get_secret_value()), Rates(settings.rate_limit)
    check_binding(settings, tokens)
    metrics, assets = Metrics(), Assets()
    cortices = CortexCache(atlas, settings, load)
    files = PictureFiles(settings.home / "flatmaps", settings.pictures_mb * 10**6)
    doors = Doors(atlas, cortices, PictureCache(cortices, files), assets, metrics)
    keys = Keys(tokens, atlas.store)
    graphql = Endpoint(atlas, doors.pictures, doors.queries, assets, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = asyncio.create_task(doors.warm_up(loaded)), asyncio.create_task(metrics.watch_loop())
        yield
        for task in tasks:
            task.cancel()
        # In a thread: it waits for what runs, and closes event loops that are not this one.
        await asyncio.to_thread(doors.close)

    routes = [
        Route("/", door("page", doors.asset, doors.queries)),
        Route("/assets/{name:path}", door("asset", doors.asset, doors.queries)),
        Route("/graphql", graphql, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", graphql),
        Route("/flatmaps/{sha256}.{suffix}", door("picture", doors.flatmap, doors.drawing)),
        Route("/pixelmaps/{subject:path}.bin", door("pixelmap", doors.pixel_map, doors.drawing)),
        Route("/meshes/{subject:path}/{kind}.bin", door("mesh", doors.mesh, doors.drawing)),
        Route("/outlines/{subject:path}.json", door("outlines", doors.outlines, doors.drawing)),
        Route("/stimuli/{stimulus:path}", door("stimulus", doors.stimulus, doors.drawing)),
        Route("/values", door("values", doors.values, doors.queries)),
        Route("/frames/{question}", door("frames", Frames(atlas).answer, doors.queries), methods=["POST"]),
        Route("/toplabels", door("toplabels", doors.top_labels, doors.queries)),
        Route("/labelcolours", door("labelcolours", doors.label_colours, doors.drawing)),
        Route("/login", Login(tokens, rates).answer, methods=["GET", "POST"]),
        Route("/quack", door("quack", keys.quack, doors.queries)),
        Route("/tokens", door("tokens", keys.listed, doors.queries)),
        Route("/tokens", door("tokens", keys.make, doors.queries), methods=["POST"]),
        Route("/tokens/{name}", door("tokens", keys.revoke, doors.queries), methods=["DELETE"]),
        Route("/healthz", healthy),
        Route("/readyz", door("ready", doors.ready, doors.queries)),
        Route("/metrics", door("metrics", doors.measures, doors.queries)),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(CorrelationIdMiddleware),
            Middleware(Observer, metrics=metrics),
            Middleware(Cors, origins=settings.cors_origins),
            Middleware(Guard, tokens=tokens, rates=rates, origins=settings.cors_origins),
        ],
        exception_handlers={HTTPException: refused, Exception: crashed},
    )


def door(operation: str, work: Callable[[Request], Content | Response | dict[str, Any]], workers: Workers) -> Door:
    """A request handler that does its work in a thread and turns failures into answers."""

    async def answer(request: Request) -> Response:
        request.state.operation = operation
        if request.method == "POST":
            request.state.body = await request.body()
        try:
            made = await workers.run(functools.partial(work, request))
        except Exception as error:  # noqa: BLE001  the last place where a failure can become a clear answer
            return failure(error)
        if isinstance(made, Content):
            return made.response(request)
        return made if isinstance(made, Response) else JSONResponse(made)

    return answer


async def healthy(request: Request) -> Response:
    """The process answers; nothing else is looked at."""
    request.state.operation = "health"
    return JSONResponse({"healthy": True})


async def refused(_: Request, error: Exception) -> Response:
    """What routing refuses, in the shape of all errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return error_response(405, "METHOD_NOT_ALLOWED", "This address does not take that method.")
    return error_response(404, "NOT_FOUND", "There is nothing at this address.")


async def crashed(_: Request, error: Exception) -> Response:
    """What nobody foresaw, in the shape of all errors."""
    return failure(error)
