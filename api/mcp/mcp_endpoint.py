"""`/mcp`: the tools over streamable HTTP. Each request stands alone, so that no session is held for anybody."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from ...atlas.search.atlas import Atlas
from ...schemas.limits import LIMITS
from ..maps.subject_cortex import CortexCache
from .agent_tools import Asked, ToolAnswer, called

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from .mcp_server import HangUp, Work


class McpEndpoint:
    """ASGI application. The protocol's library is loaded when the first assistant asks: others need not wait for it."""

    def __init__(
        self,
        atlas: Atlas,
        cortices: CortexCache,
        run: "Callable[[Work], Awaitable[ToolAnswer]]",
        failed: Callable[[Exception], str],
        hang_up_of: "HangUp",
    ) -> None:
        """Answer from an open atlas; `run`, `failed` and `hang_up_of` as `mcp_server.server_of` takes them."""
        self._atlas, self._cortices, self._run, self._failed = atlas, cortices, run, failed
        self._hang_up_of = hang_up_of
        self._serving: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[StreamableHTTPSessionManager] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        scope.setdefault("state", {})["operation"] = "mcp"
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve(self._ready))
        manager = await asyncio.shield(self._ready)
        await manager.handle_request(scope, receive, send)

    async def close(self) -> None:
        """End what still runs."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def _serve(self, ready: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
        try:
            manager = await asyncio.to_thread(self._made)
        except ImportError as error:
            ready.set_exception(error)
            return
        async with manager.run():
            ready.set_result(manager)
            await asyncio.Event().wait()

    def _made(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from .mcp_server import server_of

        return StreamableHTTPSessionManager(
            server_of(self._call, self._run, self._failed, self._hang_up_of),
            json_response=True,
            stateless=True,
            max_request_body_size=LIMITS.body_bytes,  # the guard refuses less, in the shape of all errors
        )

    def _call(self, name: str, arguments: dict[str, object], is_gone: Callable[[], bool]) -> ToolAnswer:
        return called(name, arguments, Asked(self._atlas, self._cortices, is_gone))
