"""How long a connection may wait for its client, and how many there may be: none is held by who sends nothing."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...schemas.limits import LIMITS
from .access.rates import client_of

_SWEEP_S = 1.0


class TimedHttp(HttpToolsProtocol):
    """Ends connections whose clients neither send nor read, and makes room for those that do."""

    _due = math.inf
    """The event loop's time until which the client must have sent its part; never while the server does its own."""
    _read_due = math.inf
    """The time until which it must have read some more; never where no answer waits for it."""
    _waits = True
    """Whether the client has not sent a whole request yet, or none since the last answer."""
    _unread = 0
    """Bytes that wait for the client, when that was looked at last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts a new connection, and sees to it that one whose client does nothing is ended."""
        first = not any(self._timed())
        super().connection_made(transport)
        self._due = self.loop.time() + LIMITS.head_s
        self._make_room()
        if first:
            self.loop.call_later(_SWEEP_S, self._sweep)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._waits, self._due = True, self.loop.time() + LIMITS.head_s
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A body may begin."""
        self._due = self.loop.time() + LIMITS.body_s
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._due += len(body) / LIMITS.body_rate
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The client has done its part."""
        self._waits, self._due = False, math.inf
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is the client's turn, to whom keep-alive gives some seconds."""
        self._waits = True
        super().on_response_complete()

    def pause_writing(self) -> None:
        """An answer waits for the client to read it."""
        self._await_reading()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read enough."""
        self._read_due = math.inf
        super().resume_writing()

    def _await_reading(self) -> None:
        self._unread, self._read_due = self.transport.get_write_buffer_size(), self.loop.time() + LIMITS.read_s

    def _timed(self) -> Iterator["TimedHttp"]:
        """All connections of this server that no WebSocket has taken over."""
        return (each for each in cast("set[Any]", self.connections) if isinstance(each, TimedHttp))

    def _make_room(self) -> None:
        everyone = list(self._timed())
        own = [each for each in everyone if each._address == self._address]  # noqa: SLF001
        if len(own) > LIMITS.address_connections:
            self._end_one_of(own)
        elif len(everyone) > LIMITS.connections:
            # Of the address that holds most: who is honest holds few.
            waiting = Counter(each._address for each in everyone if each._waits)  # noqa: SLF001
            address = max(waiting, key=waiting.__getitem__)
            self._end_one_of([each for each in everyone if each._address == address])  # noqa: SLF001

    def _end_one_of(self, some: list["TimedHttp"]) -> None:
        """Ends the one that has waited longest, or this one where all are answered."""
        waiting = [each for each in some if each._waits and each is not self]  # noqa: SLF001
        oldest = min(waiting, key=lambda each: each._due, default=self)  # noqa: SLF001
        oldest.transport.abort()
        self.connections.discard(oldest)

    @property
    def _address(self) -> str:
        return client_of(self.client[0]) if self.client else ""

    def _sweep(self) -> None:
        try:
            for each in list(self._timed()):
                each._end_if_due()  # noqa: SLF001
        finally:  # one that cannot be ended, as there is no memory for it, must not keep the others for ever
            if any(self._timed()):
                self.loop.call_later(_SWEEP_S, self._sweep)

    def _end_if_due(self) -> None:
        now = self.loop.time()
        if self.transport.is_closing() and self._read_due == math.inf:
            self._await_reading()  # what was written last has not been read yet
        if now >= self._read_due and self._unread - self.transport.get_write_buffer_size() >= LIMITS.read_bytes:
            self._await_reading()
        if now >= min(self._due, self._read_due):
            self.transport.abort()
