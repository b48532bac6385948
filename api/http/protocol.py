"""HTTP/1.1 with a limit to what comes before a body: httptools, which is fast, has none of its own."""

from http import HTTPStatus

from ...schemas.limits import LIMITS
from .connections import TimedHttp
from .responses import error_response


class BoundedHttp(TimedHttp):
    """Closes the connection of a client whose headers or trailers do not end, or who does not speak HTTP."""

    _beside = 0
    """Bytes since the last one of a body, which the guard limits, or since the last request ended."""
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Reads what has come."""
        self._beside += len(data)
        super().data_received(data)
        if self._beside > LIMITS.head_bytes and not self.transport.is_closing():
            self._end(431, "TOO_LARGE", f"What is beside a body may have {LIMITS.head_bytes // 2**10} KB.")

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, in the shape of all errors."""
        if not self.transport.is_closing():
            self._end(400, "BAD_REQUEST", msg)

    def on_message_begin(self) -> None:
        """A head begins, unless the client sends more of them than it has read answers."""
        if len(self.pipeline) >= LIMITS.pipelined:
            self._end(429, "TOO_LARGE", f"A connection may send {LIMITS.pipelined} requests before it reads an answer.")
            raise ValueError  # which ends the parsing
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what follows a body counts, and is not kept."""
        if not self._in_head:
            return
        if len(self.headers) >= LIMITS.head_lines:
            self._end(431, "TOO_LARGE", f"A request may have {LIMITS.head_lines} headers.")
            raise ValueError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._beside, self._in_head = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._beside = 0
        super().on_message_complete()

    def _end(self, status: int, code: str, message: str) -> None:
        answer = error_response(status, code, message, {"connection": "close"})
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
