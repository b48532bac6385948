"""A server of a test's own in a thread, ways to ask it, and what the fixtures around it are."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette

from voxel_atlas.atlas.store.store import Store


@dataclass
class Server:
    """A running server and ways to ask it."""

    url: str
    app: Starlette
    client: httpx.Client
    thread: threading.Thread
    """The one of its event loop."""

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to a GraphQL query."""
        response = self.client.post("/graphql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        return response.json()  # type: ignore[no-any-return]

    def data(self, query: str, **variables: Any) -> Any:
        """The data of a query that must not fail."""
        answer = self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The first error of a query that must fail."""
        answer = self.ask(query, **variables)
        assert answer.get("errors"), answer
        return answer["errors"][0]  # type: ignore[no-any-return]

    def ready(self, *, towers: bool = False) -> dict[str, Any]:
        """What it says of its state once it is ready, and its text towers are, too, where they are waited for."""
        while (answer := self.client.get("/readyz")).status_code == 503 or (towers and not answer.json()["textTowers"]):
            time.sleep(0.02)
        return answer.json()  # type: ignore[no-any-return]


@contextmanager
def serving(app: Starlette, token: str = "", port: int = 0) -> Iterator[Server]:
    """Serve on a port of the loopback address, a free one by default, in a thread, until the block ends."""
    # Named as TCP, or asyncio does not switch Nagle's algorithm off, which costs 40 ms an answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", lifespan="on", proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.Client(base_url=url, timeout=120, headers=headers, verify=False) as client:
            yield Server(url, app, client, thread)
    finally:
        server.should_exit = True
        thread.join(120)
        listening.close()
        assert not thread.is_alive()


Serve = Callable[..., AbstractContextManager[Server]]
"""`serving`."""
Run = Callable[..., tuple[int, str, str]]
"""From the words of a command to its exit status, standard output and standard error."""
Fill = Callable[..., str]
"""Fills an atlas with one model, and gives its id."""
Grow = Callable[[Store, range], None]
"""Adds some voxels of one model to an atlas."""
