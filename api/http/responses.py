"""How every address answers: in a thread, with cacheable bytes or with one shape for errors."""

import functools
import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...schemas.errors import AtlasError, BadInputError, BusyError
from ...schemas.limits import LIMITS
from ..graphql.error_codes import described, foreseen
from .thread_pools import ThreadPool

IMMUTABLE = "private, max-age=31536000, immutable"
"""What never changes; a browser may keep it, and a cache that strangers are answered from may not."""
REVALIDATE = "private, no-cache"


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **extensions: object
) -> Response:
    """An error in the shape that GraphQL has too: {"errors": [{"message", "extensions": {"code"}}]}."""
    error = {"message": message, "extensions": {"code": code, **extensions}}
    return Response(
        json.dumps({"errors": [error]}), status, {"cache-control": "no-store", **(headers or {})}, "application/json"
    )


def failure(failed: Exception) -> Response:
    """The answer to a failure, expected or not."""
    error = foreseen(failed)
    message, extensions = described(error)
    status = error.http_status if isinstance(error, AtlasError) else 500
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if isinstance(error, BusyError) else None
    return error_response(status, str(extensions.pop("code")), message, headers, **extensions)


@dataclass(frozen=True)
class Content:
    """Bytes with their strong ETag; compressed once, when first asked for so."""

    body: bytes
    media_type: str
    cache_control: str = REVALIDATE
    compressible: bool = True

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def compressed(self) -> bytes:
        """The bytes through gzip, the same in every run."""
        return gzip.compress(self.body, 6, mtime=0)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds in memory once it is prepared."""
        return len(self.body) + (len(self.compressed) if self.compressible else 0)

    def prepare(self) -> "Content":
        """Hash and compress now, in the thread that calls."""
        _ = self.digest, self.compressed if self.compressible else b""
        return self

    def response(self, request: Request) -> Response:
        """The answer: 304 where the client has these bytes already."""
        zipped = self.compressible and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{self.digest}{"-gz" if zipped else ""}"'
        headers = {"etag": etag, "cache-control": self.cache_control}
        if self.compressible:
            headers["vary"] = "accept-encoding"
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["content-encoding"] = "gzip"
        return Response(self.compressed if zipped else self.body, 200, headers, self.media_type)


def require_readable(body: bytes) -> None:
    """Refuse JSON of so many parts that reading it would hold up all others; a picture in it is one.

    Raises:
        BadInputError: so it is.
    """
    if sum(map(body.count, (b",", b":", b"[", b"{"))) > LIMITS.body_parts:
        raise BadInputError(
            f"The body has more than {LIMITS.body_parts:,} commas, colons and brackets; ask for less at once."
        )


def handler(
    operation: str,
    work: Callable[[Request], Content | Response | dict[str, Any]],
    threads: ThreadPool,
    *,
    json_body: bool = True,
) -> Callable[[Request], Awaitable[Response]]:
    """A request handler that does its work in a thread and turns failures into answers.

    Args:
        operation: what metrics call it.
        work: makes the answer.
        threads: where.
        json_body: whether the body of a POST is JSON, which is refused where reading it would take long.
    """

    async def answer(request: Request) -> Response:
        request.state.operation = operation
        if request.method == "POST":
            request.state.body = await request.body()
        try:
            if request.method == "POST" and json_body:
                require_readable(request.state.body)
            made = await threads.run(functools.partial(work, request))
        except Exception as error:  # noqa: BLE001  the last place where a failure can become a clear answer
            return failure(error)
        if isinstance(made, Content):
            return made.response(request)
        return made if isinstance(made, Response) else JSONResponse(made)

    return answer


def _matches(given: str, etag: str) -> bool:
    return given.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in given.split(","))
