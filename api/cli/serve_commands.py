"""`voxel-atlas demo | calibrate | serve | mcp | url | token | settings`: a first atlas, the server, who may ask it."""

import errno
import os
import socket
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ...atlas.allocators import keep_no_addresses
from ...schemas.errors import BadInputError, StoreError, redacted
from .console import FOR_PEOPLE, Bars, Output, say, screen, stdout, waiting
from .options import CONTENT, AtlasOption, between, open_store, settings_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ...atlas.search.atlas import Atlas
    from ...schemas.config import Settings

_MOST_NAMED = 8
"""Models that `serve` names."""
PortOption = Annotated[int | None, between(0, 65535), Parameter(help="Port to serve at; none: the setting's.")]


def demo(
    *,
    port: PortOption = None,
    serve: bool = True,
    subjects: Annotated[int, between(1, 100)] = 1,
    atlas: AtlasOption = "",
) -> None:
    """Bring a simulated subject with real images and networks into the atlas, then serve it.

    Args:
        serve: Serve when the atlas is complete.
        subjects: Simulated subjects, 1 to 100, each with a tuning of its own.
    """
    keep_no_addresses()
    settings = settings_of(atlas)
    port = settings.port if port is None else port
    if serve:
        _require_free(settings.host, port)
    _require_writable(settings.home)

    from . import demo as simulated

    with open_store(settings, create=True) as store:
        for config in simulated.configs(subjects):
            if not simulated.is_complete(store, settings.home, config):
                with Bars() as bars:
                    simulated.run(store, settings, bars, config=config)
    url = _url(settings.host, port)
    who = "simulated subject S1" if subjects == 1 else f"{subjects} simulated subjects"
    screen.print(
        f"\nThe atlas of {who} is complete: [bold]{redacted(settings.address)}[/bold]\n"
        + (f"Open [bold]{url}[/bold] in a browser, or try in another terminal:\n" if serve else "Try:\n")
        + '  voxel-atlas query "cake"\n'
        '  voxel-atlas flatmap "cake" -o cake.png\n'
        "  voxel-atlas sql \"FROM roi_labels('FFA')\"\n"
    )
    if serve:
        _serve(settings, port)


def calibrate(*, output: Output = FOR_PEOPLE) -> None:
    """Join the two networks of the offline backbone `lite`; the demo does it by itself."""
    settings = settings_of()
    _require_writable(settings.home)
    from ...ingest.simulated.alignment import calibrate as fit

    with Bars() as bars:
        path = fit(settings.home, bars)
    output.report(f"wrote {path}", {"file": str(path)})


def serve(*, port: PortOption = None, atlas: AtlasOption = "", browser: bool = False) -> None:
    """Serve GraphQL, pictures and the explorer page.

    Args:
        browser: Open the page in a browser.
    """
    keep_no_addresses()
    settings = settings_of(atlas)
    port = settings.port if port is None else port
    _require_free(settings.host, port)
    if browser:
        webbrowser.open(_url(settings.host, port))
    _serve(settings, port)


def mcp(*, atlas: AtlasOption = "") -> None:
    """Answer an assistant over standard input and output (Model Context Protocol); assistants start it themselves.

    A server answers them too, at /mcp.
    """
    from ..mcp.mcp_server import serve_stdio

    serve_stdio(settings_of(atlas))


def url(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """Print the SQL that attaches the atlas in a duckdb shell, while it is served and otherwise."""
    from ...atlas.store.serving import attach_statement

    # Whoever it is given to may not be whoever may write to the catalog.
    statement = redacted(attach_statement(settings_of(atlas).address))
    if output.for_people:
        print(statement)
    else:
        output.report("", {"sql": statement})


def settings(*, output: Output = FOR_PEOPLE) -> None:
    """List every setting: its name, value, default and meaning."""
    import polars as pl

    from ...schemas.config import IngestConfig, Settings

    present = settings_of()
    rows = [
        {
            "setting": f"VOXEL_ATLAS_{name.upper()}",
            "value": redacted(_shown(getattr(present, name))),
            "default": _default(field),
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
    rows += [
        {"setting": f"ingest: {name}", "value": "", "default": _default(field), "meaning": field.description}
        for name, field in IngestConfig.model_fields.items()
    ]
    output.show(pl.DataFrame(rows))


tokens = App(
    name="token",
    help="Make, list and revoke the tokens of this home folder's server. As soon as there is one, everyone needs one.",
    group_parameters=CONTENT,
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


def _shown(value: object) -> str:
    """A setting as it is given: nothing for none, parts with commas."""
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _default(field: "FieldInfo") -> str:
    if field.default_factory is not None:
        return "the system's folder for a user's data"
    return "required" if field.is_required() else _shown(field.default)


def _require_free(host: str, port: int) -> None:
    """Bind to an address for a moment, as the server will.

    Raises:
        BadInputError: it cannot be; the system's reason, in our words where what to do is clear.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except socket.gaierror as error:
        raise BadInputError(
            f"{host} is no address that is known here ({error.strerror}); see VOXEL_ATLAS_HOST."
        ) from None
    except OSError as error:
        raise BadInputError(
            f"Port {port} on {host} {_BIND.get(error.errno or 0, f'cannot be had: {error.strerror}.')}"
        ) from None


_BIND = {
    errno.EADDRINUSE: "is in use; choose another with --port.",
    errno.EACCES: "is not for this user, as ports below 1024 are; choose another with --port.",
    errno.EADDRNOTAVAIL: "cannot be served at, as this machine has no such address; see VOXEL_ATLAS_HOST.",
}


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _require_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be made: {error.strerror}; set VOXEL_ATLAS_HOME to another folder.") from error
    if not os.access(home, os.W_OK):
        raise StoreError(f"{home} cannot be written; set VOXEL_ATLAS_HOME to another folder.")


def _serve(settings: "Settings", port: int) -> None:
    from ..http.server import is_writable
    from ..http.server import serve as run

    if not is_writable(settings.address):
        say(f"{redacted(settings.address)} is on a read-only medium: it is served as it is, and cannot grow meanwhile.")
    url = settings.public_url.rstrip("/") or _url(settings.host, port)
    with waiting("Opening the atlas") as status:

        def announce(atlas: "Atlas") -> None:
            status.stop()
            lines = (
                f"{redacted(settings.address)} is served at {url}",
                *_served_models(atlas),
                f"GraphQL: {url}/graphql; assistants: {url}/mcp; Ctrl-C stops it.",
            )
            # Not where the log goes, whose lines are JSON.
            stdout.print(*lines, sep="\n", soft_wrap=True, markup=False)

        run(settings, port, announce)


def _served_models(atlas: "Atlas") -> Iterator[str]:
    """A line for each of the newest models, as many as a person reads."""
    models = atlas.models()
    for row in models.head(_MOST_NAMED).iter_rows(named=True):
        stamp = " · simulated subject" if row["simulated"] else ""
        yield f"  {row['model_id']} · {row['n_voxels']:,} voxels · {row['state']}{stamp}"
    if len(models) > _MOST_NAMED:
        yield f"  and {len(models) - _MOST_NAMED:,} more; `voxel-atlas models` lists them"
    if models.is_empty():
        yield "  no model yet: `voxel-atlas ingest` makes one meanwhile"
