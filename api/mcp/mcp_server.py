"""The tools by the Model Context Protocol, and that protocol over standard input and output."""

import asyncio
import base64
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from ... import __version__
from ...atlas.backbones import load
from ...atlas.search.atlas import Atlas
from ...atlas.store.store import Store
from ...schemas.config import Settings
from ...schemas.errors import AtlasError, first_line
from ..maps.subject_cortex import CortexCache
from .agent_tools import TOOLS, AgentTool, Asked, ToolAnswer, called

_log = logging.getLogger("voxel_atlas.api")
_ABOUT = (
    "An atlas of encoding models: what each voxel of a visual cortex responds to, in words. Ask describe_atlas first. "
    "Say of subjects that are marked simulated that they are."
)
Work: TypeAlias = Callable[[], ToolAnswer]
Call: TypeAlias = Callable[[str, dict[str, object], Callable[[], bool]], ToolAnswer]
"""From a tool's name, its arguments, and whether who asked has gone."""
HangUp: TypeAlias = Callable[[Any], AbstractContextManager[Event]]
"""From a request, what is set when its client is gone."""


def server_of(
    call: Call,
    run: Callable[[Work], Awaitable[ToolAnswer]],
    failed: Callable[[Exception], str],
    hang_up_of: HangUp = lambda _: nullcontext(Event()),
) -> Server[Any]:
    """A server of the tools.

    Args:
        call: asks a tool.
        run: does so in a thread.
        failed: what is said of a failure that nobody foresaw.
        hang_up_of: watches the client of an HTTP request; none, where the protocol itself tells.
    """

    async def listed(_: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_described(name, tool) for name, tool in TOOLS.items()])

    async def answered(context: ServerRequestContext[Any], asked: CallToolRequestParams) -> CallToolResult:
        with hang_up_of(context.request) as gone:
            try:
                answer = await run(functools.partial(call, asked.name, asked.arguments or {}, gone.is_set))
            except AtlasError as error:
                return _said(str(error), wrong=True)
            except Exception as error:  # noqa: BLE001  the last place where a failure can become a clear answer
                return _said(failed(error), wrong=True)
            finally:
                gone.set()
        return _said(answer.text, answer.png)

    return Server("voxel-atlas", version=__version__, instructions=_ABOUT, on_list_tools=listed, on_call_tool=answered)


def _described(name: str, tool: type[AgentTool]) -> Tool:
    schema = tool.model_json_schema()
    del schema["title"], schema["description"]
    for field in schema["properties"].values():
        field.pop("title", None)
    hints = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    return Tool(name=name, description=inspect.getdoc(tool), input_schema=schema, annotations=hints)


def _said(text: str, png: bytes = b"", *, wrong: bool = False) -> CallToolResult:
    content: list[Any] = [TextContent(text=text)]
    if png:
        content.append(ImageContent(data=base64.b64encode(png).decode(), mime_type="image/png"))
    return CallToolResult(content=content, is_error=wrong)


def serve_stdio(settings: Settings) -> None:
    """Answer an assistant over standard input and output until it closes them.

    The atlas is open only while a question is answered, so that an ingest can go on between two. Networks that read
    words stay loaded.

    Raises:
        AtlasError: the atlas cannot be opened.
    """
    load_once = functools.cache(load)

    @contextmanager
    def opened() -> Iterator[Atlas]:
        store = Store.open(
            settings.address,
            read_only=True,
            create=False,
            token=settings.token.get_secret_value(),
            memory_limit=settings.memory_limit,
        )
        with Atlas(store, home=settings.home, load_backbone=load_once) as atlas:
            yield atlas

    with opened():
        pass  # what is wrong with it is said before an assistant asks

    def call(name: str, arguments: dict[str, object], is_gone: Callable[[], bool]) -> ToolAnswer:
        with opened() as atlas:
            return called(name, arguments, Asked(atlas, CortexCache(atlas, settings), is_gone))

    def failed(error: Exception) -> str:
        _log.error("unexpected failure", exc_info=error)
        return f"Something failed that should not: {type(error).__name__}: {first_line(error)}."

    async def serve() -> None:
        server = server_of(call, asyncio.to_thread, failed)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(serve())
