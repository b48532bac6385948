"""`voxel-atlas serve`: the application on uvicorn, until it is told to stop."""

import gc
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn

from ...atlas.allocators import give_back
from ...atlas.search.atlas import Atlas
from ...atlas.store.address import Address
from ...atlas.store.store import Store
from ...schemas.config import Settings
from ...schemas.limits import LIMITS
from . import logs
from .app import create_app
from .protocol import BoundedHttp

PATIENCE_S = 1.2
"""How far answers may lag behind the newest batch, so that none waits for what is derived from it."""
SWITCH_S = 0.002
"""How long a thread may keep the interpreter while others wait: Python's 5 ms would be the event loop's answer time.

Each change of threads costs: with 0.5 ms, a tenth fewer queries are answered in a second.
"""
GRACE_S = 5
"""How long requests that run are waited for when the server is told to stop; all in all it takes 10 s at most."""
LAST_S = 9.5
"""How long after that signal the process is there at most: DuckDB waits for a function that it cannot interrupt."""
_GIVE_BACK_EVERY_S = 30.0


def is_writable(address: str) -> bool:
    """Whether an atlas can be written here; one on a read-only medium can be served, and not grow meanwhile."""
    parsed = Address.parse(address)
    path = Path(parsed.target)
    return parsed.kind != "file" or not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def url_here(host: str, port: int) -> str:
    """Where a server of this machine is asked: one that listens at every address, by this machine's own one."""
    own = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://{f'[{own}]' if ':' in own else own}:{port}"


def settle() -> None:
    """Take what is loaded by now out of the garbage collector's rounds, each of which would halt all threads meanwhile.

    A round over the objects of all libraries takes a tenth to a third of a second, one over a request's a few ms.
    """
    gc.collect()
    gc.freeze()


def _give_back() -> None:
    """Return memory that was let go to the system, for as long as the process runs."""
    while True:
        time.sleep(_GIVE_BACK_EVERY_S)
        give_back()


def _leave(status: int = 0) -> None:
    """End the process now: a file of DuckDB's is whole at any moment, as one that is killed leaves it."""
    logging.getLogger("voxel_atlas.api").warning("Stopped in the midst of answers that take long.")
    logging.shutdown()
    os._exit(status)


@contextmanager
def _no_thread_kept(last: threading.Timer) -> Iterator[None]:
    """End the process where the block ends, although a thread still works: the interpreter would wait for it.

    The atlas is closed by then, and what such a thread would have kept is kept whole or not at all.

    Args:
        last: ends the process if the block does not.
    """
    status = 1
    try:
        yield
        status = 0
    except SystemExit:
        status = 0
        raise
    except KeyboardInterrupt:
        status = 130
        raise
    finally:
        last.cancel()
        if status != 1 and any(thread.name.startswith("voxel-atlas-") for thread in threading.enumerate()):
            _leave(status)


class Announced(uvicorn.Server):
    """A server that says when it answers, and has its time to end."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], object], last: threading.Timer) -> None:
        super().__init__(config)
        self._announce, self._last = announce, last

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end."""
        super().handle_exit(sig, frame)
        if self._last.ident is None:  # else it was begun by a first signal
            self._last.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        if self.started:
            self._announce()


def serve(settings: Settings, port: int, announce: Callable[[Atlas], object] = lambda _: None) -> None:
    """Serve the atlas at `settings.address` until Ctrl-C or SIGTERM; requests that run are finished first.

    `announce` is called with it when it answers.

    Meanwhile other processes of this user read and write the same atlas through this one.
    """
    logs.configure(settings.log_level)
    sys.setswitchinterval(SWITCH_S)
    threading.Thread(target=_give_back, daemon=True).start()
    store = Store.open(
        settings.address,
        read_only=not is_writable(settings.address),
        create=False,
        token=settings.token.get_secret_value(),
        memory_limit=settings.memory_limit,
        shared=False,
    )
    # uvicorn stops at a signal and then raises it again, which would end the process before the atlas is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    visitor = secrets.token_urlsafe(32)
    atlas = Atlas(store, home=settings.home, patience=PATIENCE_S, model_memory=settings.model_memory)
    last = threading.Timer(LAST_S, _leave)
    last.daemon = True
    with _no_thread_kept(last), atlas, store.served(url_here(settings.host, port), visitor):
        config = uvicorn.Config(
            create_app(atlas, settings, loaded=settle, visitor=visitor),
            host=settings.host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            http=BoundedHttp,
            ws="websockets-sansio",
            ws_max_size=LIMITS.message_bytes,
            timeout_graceful_shutdown=GRACE_S,
            proxy_headers=False,  # the application believes those of proxies that the settings name
        )
        server = Announced(config, lambda: announce(atlas), last)
        with suppress(KeyboardInterrupt):  # it has ended what it did
            server.run()
        if not server.started:
            sys.exit(1)
