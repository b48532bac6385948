"""What every door answers with: one shape for errors, one container for arrays, and cacheable bytes."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from ...schemas.errors import AtlasError, BusyError
from ..graphql.error_codes import described

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **extensions: object
) -> Response:
    """An error in the shape that GraphQL has too: {"errors": [{"message", "extensions": {"code"}}]}."""
    error = {"message": message, "extensions": {"code": code, **extensions}}
    return Response(
        json.dumps({"errors": [error]}), status, {"cache-control": "no-store", **(headers or {})}, "application/json"
    )


def failure(error: Exception) -> Response:
    """The answer to a failure, expected or not."""
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
    zipped: bytes | None = None

    @classmethod
    def unzipped(cls, zipped: bytes, media_type: str) -> "Content":
        """Content that comes compressed already."""
        return cls(gzip.decompress(zipped), media_type, zipped=zipped).prepare()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def compressed(self) -> bytes:
        """The bytes through gzip, the same in every run."""
        return self.zipped or gzip.compress(self.body, 6, mtime=0)

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


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays for the page: the header's length (uint32), the header as JSON, then each array, all little-endian.

    The header's `arrays` says name, dtype and length of each; every part starts at a multiple of 4 bytes.
    """
    described = [{"name": name, "dtype": array.dtype.name, "length": int(array.size)} for name, array in arrays.items()]
    text = json.dumps({**header, "arrays": described}, allow_nan=False).encode()
    parts = [text + b" " * (-len(text) % 4)]
    for array in arrays.values():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        parts.append(data + b"\0" * (-len(data) % 4))
    return len(parts[0]).to_bytes(4, "little") + b"".join(parts)


def _matches(given: str, etag: str) -> bool:
    return given.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in given.split(","))
