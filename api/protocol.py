"""HTTP/1.1 with a limit to what comes before a body: httptools, which is fast, has none of its own."""

import math

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 2**16
"""Bytes of a request's first line and headers."""


class BoundedHttp(HttpToolsProtocol):
    """Closes the connection of a client whose headers do not end."""

    _head: float = 0.0
    """Bytes since the last request ended; -inf while a body comes, which the guard limits."""

    def data_received(self, data: bytes) -> None:
        """Reads what has come."""
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._head = -math.inf
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._head = 0.0
        super().on_message_complete()
