"""How a person with a browser shows the token once: a form, and a cookie that no script can read."""

from importlib.resources import files
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .guard import COOKIE, address
from .rates import Rates
from .tokens import Tokens

DAYS = 30
_PAGE = files(__package__).joinpath("login.html").read_text(encoding="utf-8")


class Login:
    """GET shows the form; POST checks the token and sets the cookie."""

    def __init__(self, tokens: Tokens, rates: Rates) -> None:
        self._tokens, self._rates = tokens, rates

    async def answer(self, request: Request) -> Response:
        """Answers one request."""
        request.state.operation = "login"
        if request.method in {"GET", "HEAD"}:
            return HTMLResponse(_PAGE.format(sentence="This server wants a token; whoever runs it has given you one."))
        given = parse_qs((await request.body())[:4096].decode("utf-8", "replace")).get("token", [""])[0]
        asks_from, home = address(request.scope), f"{request.scope.get('root_path', '')}/"
        wait = self._rates.wait_before_guess(asks_from)
        if self._tokens.wanted and self._tokens.find(given, chosen=not wait) is None:
            if wait:
                return HTMLResponse(_PAGE.format(sentence=f"Too many wrong tokens; try again in {wait} s."), 429)
            self._rates.count_guess(asks_from)
            return HTMLResponse(_PAGE.format(sentence="That is not a token; try again."), 401)
        answer = RedirectResponse(home, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, quote(given), DAYS * 86400, path=home, httponly=True, samesite="strict", secure=secure
        )
        return answer
