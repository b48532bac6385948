"""/graphql over HTTP and WebSocket: strawberry's ASGI app with our threads, error shape and IDE page."""

import functools
from datetime import timedelta
from typing import Any

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message
from strawberry.types import ExecutionResult, SubscriptionExecutionResult

from ...atlas.search.atlas import Atlas
from ...atlas.search.tables.derived import noting_cold
from ...schemas.errors import AtlasError
from ...schemas.limits import LIMITS
from ..graphql.error_codes import coded
from ..graphql.loaders import Loaders
from ..graphql.request_context import RequestContext
from ..graphql.schema import schema
from ..graphql.watch import Watch
from ..maps.picture_cache import PictureCache
from ..maps.slow_builds import SlowBuilds
from ..maps.subject_cortex import CortexCache
from .assets import BUILD, Assets
from .responses import error_response, failure, require_readable
from .telemetry import Metrics
from .thread_pools import ThreadPool

Executed = ExecutionResult | list[ExecutionResult] | SubscriptionExecutionResult


class Messages(BaseGraphQLTransportWSHandler[RequestContext, None]):
    """Reads a socket's messages; what is JSON and no message of the protocol is refused as what is no JSON."""

    async def handle_message(self, message: Message) -> None:
        """Does what a message says."""
        try:
            await super().handle_message(message)
        except (TypeError, AttributeError):
            await self.handle_invalid_message("A message must be an object as graphql-transport-ws has them")


class Endpoint(GraphQL[RequestContext, None]):
    """Executes every query in a worker thread, so that none can hold up the event loop."""

    graphql_transport_ws_handler_class = Messages

    def __init__(
        self,
        atlas: Atlas,
        cortices: CortexCache,
        pictures: PictureCache,
        builds: SlowBuilds,
        threads: ThreadPool,
        assets: Assets,
        metrics: Metrics,
    ) -> None:
        super().__init__(
            schema,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            max_subscriptions_per_connection=LIMITS.subscriptions,
            connection_init_wait_timeout=timedelta(seconds=LIMITS.introduction_s),
        )
        self._atlas, self._cortices, self._pictures = atlas, cortices, pictures
        self._builds, self._threads = builds, threads
        self._assets, self._metrics = assets, metrics
        self._watch = Watch(atlas)
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; what strawberry refuses gets the shape that all our errors have."""
        if scope["type"] != "http":
            await self._follow(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.operation = "graphql:refused"
        try:
            response = await self.run(request)
        except HTTPException as error:
            response = error_response(error.status_code, "BAD_REQUEST", error.reason)
        except AtlasError as error:
            response = failure(error)
        await response(scope, receive, send)

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one socket, if there is room for it."""
        if self._sockets >= LIMITS.sockets:
            await send({"type": "websocket.close", "code": 1013, "reason": "Too many sockets; try again later."})
            return
        scope.setdefault("state", {})["operation"] = "graphql:subscription"
        self._sockets += 1
        self._metrics.sockets.set(self._sockets)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sockets -= 1
            self._metrics.sockets.set(self._sockets)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> RequestContext:  # noqa: ARG002
        """What the resolvers of this request are given."""
        loaders = Loaders(self._atlas)
        return RequestContext(self._atlas, self._cortices, self._pictures, request, loaders, self._watch, self._builds)

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Refuses bodies that strawberry would stumble over."""
        try:
            if request.method == "POST":
                body = await request.get_body()
                require_readable(body)
                if not isinstance(await self._threads.run(lambda: self.decode_json(body)), dict):
                    message = "The body must be one JSON object with a query; send one operation at a time"
                    raise HTTPException(400, message)
            data = await super().parse_http_body(request)
        except AtlasError:  # which may be a ValueError too
            raise
        except (ValueError, RecursionError):
            raise HTTPException(400, "The body is not JSON in UTF-8") from None
        if isinstance(data, GraphQLRequestData) and not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "operationName must be a string")
        return data

    async def execute_operation(self, *args: Any, **kwargs: Any) -> Executed:
        """Runs the query in a thread that has an event loop of its own; the answer says what was loaded for it."""
        execute = functools.partial(super().execute_operation, *args, **kwargs)

        async def run() -> Executed:
            with noting_cold() as cold:
                result = await execute()
            if cold and isinstance(result, ExecutionResult):
                result.extensions = {**(result.extensions or {}), "loaded": cold}
            return result

        return await self._threads.run_coroutine(run)

    def decode_json(self, data: str | bytes) -> object:
        """Reads what a client has sent; unlike the standard library's reader, this takes no text that is no Unicode.

        Raises:
            ValueError: it is no JSON.
        """
        decoded: object = orjson.loads(data)
        return decoded

    def encode_json(self, data: object) -> str:
        """Much faster than the standard library's encoder, on which an answer of 100 labels spends a millisecond.

        As text: bytes would go over sockets in binary frames, which the protocol's clients do not read.
        """
        return orjson.dumps(data).decode()

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Gives every error a code and counts it."""
        result.errors = [coded(error) for error in result.errors or ()] or None
        for error in result.errors or ():
            self._metrics.failures.labels(str((error.extensions or {})["code"])).inc()
        return await super().process_result(request, result)

    async def render_graphql_ide(self, request: Request) -> Response:
        """GraphiQL from our own files, or the sentence that says how to make them."""
        request.state.operation = "graphiql"
        if self._assets.has_vendor:
            return self._assets.get("graphiql.html").response(request)
        return HTMLResponse(f"<p>GraphiQL is not built here: run <code>{BUILD}</code> and start the server again.</p>")
