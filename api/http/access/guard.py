"""The gate in front of every address: who may ask, from where, and how much they may send."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ....atlas.store.address import Address
from ....schemas.config import Settings
from ....schemas.errors import AtlasError, BadInputError
from ....schemas.limits import LIMITS
from ..responses import error_response
from .rates import Rates, client_of
from .shares import Share
from .tokens import FILE, Tokens
from .tokens import Scope as Allowed

DRAINED = 4
"""How many times as much as a request may have is still taken in: who is cut off while sending reads no answer."""
PART = 2**17
"""Bytes of an answer that are given to the connection at once."""
CLIENT_GONE = 499
"""Status, of proxies' making, of a request whose client hung up before it was whole."""
COOKIE = "voxel_atlas_token"
OPEN_PATHS = frozenset({"/healthz", "/login", "/assets/explorer.css"})
"""What is answered without a token."""
BATCHES = "/ingest/batches"
SCOPES = {"/ingest": Allowed.INGEST, "/tokens": Allowed.ADMIN, "/quack": Allowed.OWNER}
"""What needs more than to read, and a token even on this machine; for what is below such a path as well."""

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'{styles}; connect-src 'self'; "
    # WebAssembly is what the 3-D view makes its mesh smaller with; no text is run as code.
    "script-src 'self' 'wasm-unsafe-eval'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_for_others(settings: Settings) -> bool:
    """Whether other machines reach the server, by its address or through a proxy, whatever a request says."""
    return bool(settings.public_url or settings.trusted_proxies) or not is_loopback(settings.host)


def check_binding(settings: Settings, tokens: Tokens) -> None:
    """Refuse to serve the world without a token.

    Raises:
        BadInputError: other machines reach the server and there is no token.
    """
    if is_for_others(settings) and not tokens.any:
        raise BadInputError(
            f"Serving on {settings.public_url or settings.host} lets other machines in, and there is no token; "
            "make one with `voxel-atlas token make NAME`, or serve on 127.0.0.1."
        )


def check_place_of_tokens(settings: Settings) -> None:
    """Refuse to serve where SQL may write over the file of tokens: a lake's folder is open to it.

    Raises:
        BadInputError: the file lies within the lake's folder.
    """
    lake, file = Address.parse(settings.address), (settings.home / FILE).resolve()
    if lake.kind == "ducklake" and lake.folder and file.is_relative_to(lake.folder):
        raise BadInputError(
            f"{file} lies in the lake's folder {lake.data}, which SQL can write to; set VOXEL_ATLAS_HOME."
        )


@dataclass(frozen=True)
class _Refusal:
    status: int
    code: str
    message: str
    retry_after: int = 0

    @property
    def headers(self) -> dict[str, str]:
        if self.status == 401:
            return {"www-authenticate": "Bearer"}
        return {"retry-after": str(self.retry_after)} if self.retry_after else {}

    @property
    def answer(self) -> Response:
        """The refusal over HTTP."""
        return error_response(self.status, self.code, self.message, self.headers)


_TOO_MUCH = _Refusal(503, "BUSY", "What this token has under way takes all that it may; try again later.", 1)


class Guard:
    """ASGI middleware: host, origin, token, rate, body size, and the headers that keep browsers careful."""

    def __init__(self, app: ASGIApp, tokens: Tokens, rates: Rates, settings: Settings) -> None:
        """Stand before an app.

        Args:
            app: what is guarded.
            tokens: who may ask.
            rates: how often.
            settings: where it is served, and sites whose pages may ask.
        """
        self._app, self._tokens, self._rates = app, tokens, rates
        self._listed = frozenset(settings.cors_origins)
        self._origins = self._listed | {settings.public_origin} - {""}
        self._closed = is_for_others(settings)
        self._held = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what is refused itself and passes on the rest."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["type"] == "http":
            send = _with_headers(scope, send)
        refusal = self._checked(scope, headers)
        if scope["type"] == "websocket":
            if refusal:
                # Closing before accepting makes the server answer the handshake with 403.
                await send(_closing(refusal))
            else:
                await _Watched(self._app, receive, send, lambda: self._checked(scope, headers))(scope)
        elif refusal is None:
            token = scope.get("state", {}).get("token", "")
            share = Share(self._held, token or f"address {address(scope)}")
            await _Limited(self._app, receive, send, self._most_bytes(_route(scope), token), share)(scope)
        elif refusal.status == 401 and headers.get("sec-fetch-mode") == "navigate":
            await RedirectResponse(f"{scope.get('root_path', '')}/login", 303)(scope, receive, send)
        else:
            await refusal.answer(scope, receive, send)

    def _checked(self, scope: Scope, headers: Headers) -> _Refusal | None:
        """Why a request is refused; None where it is not."""
        try:
            return self._refusal(scope, headers)
        except AtlasError as error:  # the file of tokens is damaged
            return _Refusal(error.http_status, error.code, str(error))
        except ValueError:
            return _Refusal(400, "BAD_REQUEST", "The header Host or Origin holds no address.")

    def _most_bytes(self, route: str, token: str) -> int:
        """Bytes that a request which was let in may have, by the name of its token; empty without one."""
        if route == BATCHES:
            return LIMITS.batch_bytes
        # Where anybody is answered, no more is taken from who has a token: it would tell that a guess is right.
        if route in OPEN_PATHS or not (token or self._wants_none):
            return LIMITS.stranger_bytes
        return LIMITS.message_bytes if route == "/mcp" else LIMITS.body_bytes

    def _refusal(self, scope: Scope, headers: Headers) -> _Refusal | None:
        if any(character < " " for character in _route(scope)):
            # A route is found where a newline follows its path, too, and the scope that it needs would not be.
            return _Refusal(404, "NOT_FOUND", "There is nothing at this address.")
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        wanted = not self._wants_none
        if not wanted and not is_loopback(host):
            # Without a token, only the name keeps a page elsewhere from reaching us through DNS of its own.
            message = "Ask for this server as localhost or 127.0.0.1, or make a token to use its name."
            return _Refusal(403, "FORBIDDEN", message)
        if not _same_site(scope, headers, self._origins):
            message = "Pages of other sites may not use this server."
            if origin := headers.get("origin"):  # which whoever sets up a proxy has to know
                asked = headers.get("host", "")
                message += f" Origin is {origin[:100]!r} and Host {asked[:100]!r}; see VOXEL_ATLAS_PUBLIC_URL."
            return _Refusal(403, "FORBIDDEN", message)
        scope_wanted = next((least for path, least in SCOPES.items() if _below(_route(scope), path)), Allowed.READ)
        if not wanted:
            # Everyone on this machine is let in to read; whoever writes must have been given a token.
            if scope_wanted > Allowed.READ:
                message = "This needs a token; `voxel-atlas token make NAME` makes one."
                return _Refusal(403, "FORBIDDEN", message)
            return None
        return self._refusal_of(scope, headers, scope_wanted)

    @property
    def _wants_none(self) -> bool:
        """Whether everyone on this machine may read without a token."""
        return not (self._closed or self._tokens.wanted)

    def _given(self, headers: Headers) -> str:
        """The token that was sent; empty for none. Pages of listed sites send their own, and never our cookie."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return given.strip()
        origin = headers.get("origin", "")
        if origin.lower() in self._listed and urlsplit(origin).netloc != headers.get("host"):
            return ""
        # Cookies of other programs on the same host may stand before ours, in forms that only browsers read.
        return unquote(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))

    def _refusal_of(self, scope: Scope, headers: Headers, wanted: Allowed) -> _Refusal | None:
        # Where anybody is answered no token is looked at: each answer would be a guess that is not counted.
        for_anybody = _route(scope) in OPEN_PATHS
        given = "" if for_anybody else self._given(headers)
        wait = self._rates.wait_before_guess(address(scope)) if given else 0
        token = self._tokens.find(given, chosen=not wait) if given else None
        who = f"token {token.name}" if token else f"address {address(scope)}"
        wait = max(0 if token else wait, self._rates.wait(who))
        if not token and not wait and not for_anybody:
            if given:
                self._rates.count_guess(address(scope))
            message = "This server wants a token: send it as `Authorization: Bearer …`."
            return _Refusal(401, "UNAUTHENTICATED", message)
        if wait:
            return _Refusal(429, "RATE_LIMITED", f"Too many requests; try again in {wait} s.", wait)
        if token and token.allows < wanted:
            least = wanted.name.lower()
            message = (
                f"This needs a token of scope {least}, and {token.name!r} has {token.scope}; "
                f"`voxel-atlas token make NAME --scope {least}` makes one on the server's machine."
            )
            return _Refusal(403, "FORBIDDEN", message)
        if token:
            scope.setdefault("state", {})["token"] = token.name
        return None


class Cors:
    """ASGI middleware: lets pages of the listed sites ask, with a token of their own and never with a cookie."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, origins
        self._listed = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["etag", "retry-after", "x-request-id"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers preflights of listed sites; the guard refuses all others in its own words."""
        listed = scope["type"] == "http" and Headers(scope=scope).get("origin") in self._origins
        await (self._listed if listed else self._app)(scope, receive, send)


class _Watched:
    """The app behind a socket that ends when its token does: each message that it sends counts as a request."""

    def __init__(self, app: ASGIApp, receive: Receive, send: Send, refusal: Callable[[], _Refusal | None]) -> None:
        self._app, self._receive, self._send, self._refusal = app, receive, send, refusal
        self._ended = False

    async def __call__(self, scope: Scope) -> None:
        await self._app(scope, self._read, self._write)

    async def _read(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            await self._check()
        return {"type": "websocket.disconnect", "code": 1008} if self._ended else message

    async def _write(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self._check()
        if not self._ended:
            await self._send(message)

    async def _check(self) -> None:
        refusal = None if self._ended else self._refusal()
        if refusal:
            self._ended = True
            await self._send(_closing(refusal))


class _Limited:
    """The app behind a body that stops at the limit, whatever the client says about how much it sends.

    What is beyond is still taken in, up to a point: a client that is cut off while it sends never reads the answer.
    An answer goes out in parts, each when the client has read those before: no second copy of it waits for who is slow.
    """

    def __init__(self, app: ASGIApp, receive: Receive, send: Send, most: int, share: Share) -> None:
        self._app, self._receive, self._send, self._most, self._share = app, receive, send, most, share
        self._seen = 0
        self._refusal: _Refusal | None = None
        self._start: Message | None = None
        self._started = False

    async def __call__(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._read, self._write)
        except ClientDisconnect:
            if not self._refusal:  # nobody is there to read this: it is what the request counts as
                await Response(status_code=CLIENT_GONE)(scope, self._receive, self._write)
        finally:
            self._share.give_back()
        if (refusal := self._refusal) and not self._started:
            await refusal.answer(scope, self._receive, self._send)

    async def _read(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            self._refusal = _Refusal(413, "TOO_LARGE", f"A request may have {self._most / 2**20:.2g} MB here.")
        elif self._share.takes(self._seen):
            return message
        else:
            self._refusal = _TOO_MUCH
        while message.get("more_body") and self._seen < DRAINED * self._most:
            message = await self._receive()
            self._seen += len(message.get("body", b""))
        return {"type": "http.disconnect"}

    async def _write(self, message: Message) -> None:
        if self._refusal and not self._started:
            return
        if message["type"] == "http.response.start":
            self._start = message  # until it is known whether there is room for what follows
            return
        body = message.get("body", b"")
        if self._start:
            if not self._share.takes(self._seen + len(body)):
                self._refusal = _TOO_MUCH
                return
            self._started = True
            await self._send(self._start)
            self._start = None
        for begin in range(0, max(len(body), 1), PART):
            last = begin + PART >= len(body)
            more = not last or message.get("more_body", False)
            await self._send({"type": "http.response.body", "body": body[begin : begin + PART], "more_body": more})


def _same_site(scope: Scope, headers: Headers, listed: Collection[str]) -> bool:
    """Whether a browser says that our own page or one of a listed site asks; what is no browser says nothing."""
    origin = headers.get("origin")
    if origin is not None and origin.lower() in listed:
        return True
    if headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    # Following a link to a page is fine; everything else from elsewhere is not.
    return scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"


def _route(scope: Scope) -> str:
    """The path that is asked for, without the one that a proxy offers the server under."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def address(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return client_of(str(client[0])) if client else "unknown"


def _with_headers(scope: Scope, send: Send) -> Send:
    # CodeMirror in GraphiQL sets style attributes; nothing else here does.
    styles = " 'unsafe-inline'" if _route(scope) == "/graphql" else ""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = _POLICY.format(styles=styles)
            headers.setdefault("cache-control", "no-store")
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _closing(refusal: _Refusal) -> Message:
    return {"type": "websocket.close", "code": 1008, "reason": refusal.message}
