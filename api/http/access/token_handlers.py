"""Answers for those who were given more than to read: where batches are written, and who has which token."""

from pathlib import Path

from starlette.requests import Request

from ....atlas.store.address import Address
from ....atlas.store.serving import find_server
from ....atlas.store.store import Store
from ....schemas.errors import BadInputError, NotFoundError
from .tokens import BEYOND, Scope, Tokens


class TokenHandlers:
    """What `/quack` and `/tokens` answer; the guard has seen the caller's token by then."""

    def __init__(self, tokens: Tokens, store: Store) -> None:
        self._tokens, self._store = tokens, store

    def quack(self, _: Request) -> dict[str, str]:
        """Where other processes of this machine reach the served atlas to write, and with what token."""
        parsed = Address.parse(self._store.address)
        server = find_server(Path(parsed.target)) if parsed.kind == "file" else None
        if server is None:
            raise NotFoundError("This server offers its atlas to no other process.")
        return {"address": server.target, "token": server.token}

    def listed(self, _: Request) -> dict[str, list[dict[str, str]]]:
        """Every token's name, scope and time of making."""
        tokens = self._tokens.listed()
        return {"tokens": [{"name": one.name, "scope": one.scope, "created": one.created} for one in tokens]}

    def make(self, request: Request) -> dict[str, str]:
        """A new token, told once: `POST /tokens?name=…&scope=…`.

        Raises:
            BadInputError: it would have more scope than an administrator.
        """
        name, given = (request.query_params.get(part, "") for part in ("name", "scope"))
        scope = Scope.parse(given or "read")
        if scope > Scope.ADMIN:
            raise BadInputError(BEYOND.format(done="made", command="make"))
        return {"name": name, "token": self._tokens.make(name, scope)}

    def revoke(self, request: Request) -> dict[str, str]:
        """The end of a token: `DELETE /tokens/NAME`.

        Raises:
            BadInputError: it has more scope than an administrator.
        """
        self._tokens.revoke(request.path_params["name"], Scope.ADMIN)
        return {"revoked": request.path_params["name"]}
