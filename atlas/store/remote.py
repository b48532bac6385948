"""The link to an atlas that a server answers for over HTTP: it takes batches, and rows come back as Arrow."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from ...schemas.errors import AtlasError, BadInputError, BusyError, StoreError
from .content import LedgerBatch, from_stream
from .links import Changes, Parameters, encoded

if TYPE_CHECKING:
    import httpx

_PATIENCE_S = 120.0
"""How long a server may be busy, or its connection be broken."""
_TIMEOUT_S = 120.0
_RATE_LIMITED = 429


class Http:
    """A server, and what a token of scope ingest may do there: read, and append batches."""

    def __init__(self, url: str, token: str) -> None:
        """Connect.

        Raises:
            BadInputError: it is no address of a server.
        """
        self._url = url
        self._client = connected(url, token)

    def table(self, sql: str, parameters: Parameters) -> pa.Table:
        """Rows of one statement."""
        return from_stream(self._post("/ingest/rows", encoded([sql, parameters]), "application/json").content)

    @contextmanager
    def batches(self, sql: str, parameters: Parameters) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same rows, bit by bit."""
        yield iter(self.table(sql, parameters).to_batches())

    def append(self, batch: LedgerBatch) -> bool:
        """Add a batch and its ledger row; the server does so once, however often it is sent."""
        answer = self._post("/ingest/batches", batch.to_bytes(), "application/vnd.voxel-atlas.batch")
        return bool(answer.json()["added"])

    def change(self, _: Changes) -> None:
        """Nothing that is there is changed over HTTP.

        Raises:
            StoreError: always.
        """
        raise StoreError(
            f"{self._url} takes new rows only, and this would change some that are there; do it on its own machine."
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _post(self, path: str, body: bytes, media_type: str) -> "httpx.Response":
        import httpx  # only who asks a server need wait for it

        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                response = self._client.post(path, content=body, headers={"content-type": media_type})
            except httpx.ConnectError as error:
                raise StoreError(
                    f"{self._url}: no server answers there ({error}); start `voxel-atlas serve`; committed batches are "
                    "safe, and an ingest goes on from there."
                ) from error
            except httpx.TransportError as error:
                # Whether it took the batch is not known, and sending it again does no harm.
                refusal: AtlasError = StoreError(f"{self._url} breaks off ({error or type(error).__name__}).")
                refusal.__cause__ = error
                pause = 1.0
            else:
                if response.status_code == httpx.codes.OK:
                    return response
                refusal = error_of(response, self._url)
                if not isinstance(refusal, BusyError) and response.status_code != _RATE_LIMITED:
                    raise refusal
                pause = float(response.headers.get("retry-after", 1))
            if time.monotonic() + pause > deadline:
                raise refusal
            time.sleep(pause)


def connected(url: str, token: str) -> "httpx.Client":
    """A client of a server that shows a token; empty for none.

    Raises:
        BadInputError: it is no address of a server.
    """
    import httpx

    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)
    except (httpx.InvalidURL, ValueError) as error:
        raise BadInputError(f"{url!r} is not the address of a server: {error}.") from None


def error_of(response: "httpx.Response", name: str) -> AtlasError:
    """The error that a server at the address `name` answers with."""
    try:
        error = response.json()["errors"][0]
        message, code = str(error["message"]), error["extensions"]["code"]
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, TypeError):
        return stranger(name)
    return AtlasError.by_code(code)(message)


def stranger(name: str) -> StoreError:
    """What is said of a server that is another program's."""
    return StoreError(f"{name} answers, but it is no server of an atlas; give another address.")
