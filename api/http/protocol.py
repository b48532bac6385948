"""HTTP/1.1 with a limit to what comes before a body: httptools, which is fast, has none of its own."""

import math
from http import HTTPStatus

from .connections import TimedHttp
from .responses import error_response

MAX_HEAD = 2**16
"""Bytes of a request's first line and headers."""


class BoundedHttp(TimedHttp):
    """Closes the connection of a client whose headers do not end, or who does not speak HTTP."""

    _head: float = 0.0
    """Bytes since the last request ended; -inf while a body comes, which the guard limits."""

    def data_received(self, data: bytes) -> None:
        """Reads what has come."""
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self._end(431, "TOO_LARGE", f"The head of a request may have {MAX_HEAD // 2**10} KB.")

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, in the shape of all errors."""
        self._end(400, "BAD_REQUEST", msg)

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._head = -math.inf
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._head = 0.0
        super().on_message_complete()

    def _end(self, status: int, code: str, message: str) -> None:
        answer = error_response(status, code, message, {"connection": "close"})
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
