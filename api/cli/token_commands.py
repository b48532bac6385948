"""`voxel-atlas token make | list | revoke`: who may ask a server, and for what."""

from typing import Annotated

import typer
from rich.console import Console

from ...schemas.config import Settings
from .options import CsvOption, JsonOption, style_of

screen, output = Console(stderr=True), Console()
tokens = typer.Typer(
    help="Make, list and revoke the tokens of this home folder's server. As soon as there is one, everyone needs one.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Whose token it is: one word.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(tokens, name="token")


@tokens.command()
def make(
    name: NameArgument,
    scope: Annotated[
        str, typer.Option(help="read: ask and look; ingest: also write batches; admin: also make and revoke tokens.")
    ] = "read",
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Make a token and print it: only its hash is kept, so it cannot be shown again."""
    import polars as pl

    from ..http.access.tokens import Scope, Tokens
    from .console import show

    style = style_of(json, csv)
    clear = Tokens(Settings().home).make(name, Scope.parse(scope))
    if style == "table":
        output.print(clear, highlight=False, markup=False, soft_wrap=True)
        screen.print(f"{name} may {scope}; a running server knows it at once.", highlight=False, markup=False)
    else:
        show(output, pl.DataFrame([{"name": name, "scope": scope, "token": clear}]), style)


@tokens.command("list")
def list_(json: JsonOption = False, csv: CsvOption = False) -> None:
    """List the tokens: name, scope and when they were made."""
    import polars as pl

    from ..http.access.tokens import Tokens
    from .console import show

    rows = [(token.name, token.scope, token.created) for token in Tokens(Settings().home).listed()]
    schema = {"name": pl.String, "scope": pl.String, "created": pl.String}
    show(output, pl.DataFrame(rows, schema, orient="row"), style_of(json, csv))


@tokens.command()
def revoke(name: NameArgument, json: JsonOption = False, csv: CsvOption = False) -> None:
    """Revoke a token; a running server refuses it from the next request on."""
    from ..http.access.tokens import Tokens
    from .console import report

    style = style_of(json, csv)
    Tokens(Settings().home).revoke(name)
    report(screen, output, f"revoked {name}", {"revoked": name}, style)
