"""`voxel-atlas token make | list | revoke`: who may ask a server, and for what."""

from typing import Annotated

from cyclopts import App, Parameter

from .console import FOR_PEOPLE, Output, say
from .options import settings_of

tokens = App(
    name="token",
    help="Make, list and revoke the tokens of this home folder's server. As soon as there is one, everyone needs one.",
)

NameArgument = Annotated[str, Parameter(help="Whose token it is: one word.")]


@tokens.command
def make(name: NameArgument, /, *, scope: str = "read", output: Output = FOR_PEOPLE) -> None:
    """Make a token and print it: only its hash is kept, so it cannot be shown again.

    Args:
        scope: read or ingest: ask and look; admin: also make and revoke tokens; owner: also run any SQL.
    """
    import polars as pl

    from ..http.access.tokens import Scope, Tokens

    clear = Tokens(settings_of().home).make(name, Scope.parse(scope))
    if output.for_people:
        print(clear)
        say(f"{name} may {scope}; a running server knows it at once.")
    else:
        output.show(pl.DataFrame([{"name": name, "scope": scope, "token": clear}]))


@tokens.command
def list_(*, output: Output = FOR_PEOPLE) -> None:
    """List the tokens: name, scope and when they were made."""
    import polars as pl

    from ..http.access.tokens import Tokens

    rows = [(token.name, token.scope, token.created) for token in Tokens(settings_of().home).listed()]
    output.show(pl.DataFrame(rows, {"name": pl.String, "scope": pl.String, "created": pl.String}, orient="row"))


@tokens.command
def revoke(name: NameArgument, /, *, output: Output = FOR_PEOPLE) -> None:
    """Revoke a token; a running server refuses it from the next request on."""
    from ..http.access.tokens import Tokens

    Tokens(settings_of().home).revoke(name)
    output.report(f"revoked {name}", {"revoked": name})
