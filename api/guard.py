"""The gate in front of every door: who may ask, from where, and how much they may send."""

import hashlib
import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answers import error_response
from schemas.config import Settings
from schemas.errors import BadInputError

MAX_BODY = 12 * 2**20
"""Bytes of a request: an 8 MB image in base64 and the query around it."""
MAX_DRAINED = 4 * MAX_BODY
COOKIE = "voxel_atlas_token"
OPEN_PATHS = frozenset({"/healthz", "/login", "/assets/explorer.css"})
"""What is answered without a token."""

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'{styles}; script-src 'self'; connect-src 'self'; "
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


def check_binding(settings: Settings) -> None:
    """Refuse to serve the world without a token.

    Raises:
        BadInputError: The address is not loopback and no token is set.
    """
    if not is_loopback(settings.host) and not settings.token.get_secret_value():
        raise BadInputError(
            f"Serving on {settings.host} lets other machines in, and no token is set; set VOXEL_ATLAS_TOKEN, or serve "
            f"on 127.0.0.1."
        )


class Guard:
    """ASGI middleware: host, origin, token, body size, and the headers that keep browsers careful."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        token = settings.token.get_secret_value()
        # Kept as a hash, so that no log, traceback or memory dump shows the token.
        self._token_hash = _hashed(token) if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what is refused itself and passes on the rest."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal:
                # Closing before accepting makes the server answer the handshake with 403.
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[2]})
            else:
                await self._app(scope, receive, send)
            return
        send = _with_headers(scope, send)
        if refusal:
            status, code, message = refusal
            extra = {"www-authenticate": "Bearer"} if status == 401 else {}
            if status == 401 and headers.get("sec-fetch-mode") == "navigate":
                await RedirectResponse("/login", 303)(scope, receive, send)
                return
            await error_response(status, code, message, extra)(scope, receive, send)
            return
        await _Limited(self._app, receive, send)(scope)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if self._token_hash is None and not is_loopback(host):
            # Without a token, only the name keeps a page elsewhere from reaching us through DNS of its own.
            return 403, "FORBIDDEN", "Ask for this server as localhost or 127.0.0.1, or set a token to use its name."
        if not _same_site(scope, headers):
            return 403, "FORBIDDEN", "Pages of other sites may not use this server."
        if self._token_hash and scope["path"] not in OPEN_PATHS and not self._known(headers):
            return 401, "UNAUTHENTICATED", "This server wants a token: send it as `Authorization: Bearer …`."
        return None

    def accepts(self, token: str) -> bool:
        """Whether this is the server's token, compared in a time that does not tell how much of it is right."""
        return self._token_hash is None or hmac.compare_digest(_hashed(token), self._token_hash)

    def _known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return self.accepts(given.strip() if scheme.lower() == "bearer" else _cookie(headers.get("cookie", "")))


class _Limited:
    """The app behind a body that stops at the limit, whatever the client says about how much it sends.

    What is beyond is still taken in, up to a point: a client that is cut off while it sends never reads the answer.
    """

    def __init__(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        self._app, self._receive, self._send = app, receive, send
        self._seen = 0
        self._refused = self._started = False

    async def __call__(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._read, self._write)
        except ClientDisconnect:
            if not self._refused:
                raise
        if self._refused and not self._started:
            message = f"A request may have {MAX_BODY // 2**20} MB."
            await error_response(413, "TOO_LARGE", message)(scope, self._receive, self._send)

    async def _read(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen <= MAX_BODY:
            return message
        self._refused = True
        while message.get("more_body") and self._seen < MAX_DRAINED:
            message = await self._receive()
            self._seen += len(message.get("body", b""))
        return {"type": "http.disconnect"}

    async def _write(self, message: Message) -> None:
        if self._refused and not self._started:
            return
        self._started = True
        await self._send(message)


def _same_site(scope: Scope, headers: Headers) -> bool:
    """Whether a browser says that our own page asks; what is no browser says nothing."""
    site = headers.get("sec-fetch-site", "none")
    if site in {"same-origin", "none"}:
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    # Following a link to a page is fine; everything else from elsewhere is not.
    return scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"


def _with_headers(scope: Scope, send: Send) -> Send:
    # CodeMirror in GraphiQL sets style attributes; nothing else here does.
    styles = " 'unsafe-inline'" if scope["path"] == "/graphql" else ""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = _POLICY.format(styles=styles)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return unquote(morsel.value) if morsel else ""


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
