"""The command line: `voxel-atlas demo | ingest | serve | query | flatmap | sql | settings | …`.

Heavy imports are inside the commands, so that `voxel-atlas --help` answers at once.
"""

import os
import socket
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from ...schemas.config import IngestConfig, Settings
from ...schemas.errors import AtlasError, BadInputError, StoreError
from .dissect_commands import register as register_dissect
from .draw_commands import register as register_pictures
from .ingest_commands import register as register_ingest
from .options import (
    AtlasOption,
    ByOption,
    CsvOption,
    JsonOption,
    ModelOption,
    RoiOption,
    open_atlas,
    settings_of,
    style_of,
)
from .predict_command import register as register_predict
from .release_commands import register as register_release
from .report_commands import register as register_report
from .token_commands import register as register_tokens

app = typer.Typer(
    name="voxel-atlas",
    help="What does every voxel care about? Encoding models, label-free concepts and flatmaps in one atlas.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
register_ingest(app)
register_dissect(app)
register_predict(app)
register_release(app)
register_report(app)
register_pictures(app)
register_tokens(app)
screen = Console(stderr=True)
output = Console()

PortOption = Annotated[int | None, typer.Option("--port", help="Port to serve at; none: the setting's.")]


@app.command()
def demo(
    port: PortOption = None,
    serve: Annotated[bool, typer.Option(help="Serve when the atlas is complete.")] = True,
    subjects: Annotated[
        int, typer.Option(min=1, max=100, help="Simulated subjects, each with a tuning of its own.")
    ] = 1,
    atlas: AtlasOption = "",
) -> None:
    """Bring a simulated subject with real images and networks into the atlas, then serve it."""
    settings = settings_of(atlas)
    port = settings.port if port is None else port
    if serve:
        _require_free(settings.host, port)
    _require_writable(settings.home)

    from ...atlas.store.store import Store
    from . import demo as simulated
    from .console import Bars

    with Store.open(settings.address, memory_limit=settings.memory_limit) as store:
        for config in simulated.configs(subjects):
            if not simulated.is_complete(store, config):
                with Bars(screen) as bars:
                    simulated.run(store, settings, bars, config=config)
    url = f"http://{settings.host}:{port}"
    who = "simulated subject S1" if subjects == 1 else f"{subjects} simulated subjects"
    screen.print(
        f"\nThe atlas of {who} is complete: [bold]{settings.address}[/bold]\n"
        + (f"Open [bold]{url}[/bold] in a browser, or try in another terminal:\n" if serve else "Try:\n")
        + '  voxel-atlas query "cake"\n'
        '  voxel-atlas flatmap "cake" -o cake.png\n'
        "  voxel-atlas sql \"FROM roi_labels('FFA')\"\n",
        highlight=False,
    )
    if serve:
        _serve(settings, port)


@app.command()
def calibrate(json: JsonOption = False, csv: CsvOption = False) -> None:
    """Join the two networks of the offline backbone `lite`; the demo does it by itself."""
    settings = settings_of("")
    style = style_of(json, csv)
    _require_writable(settings.home)
    from ...ingest.simulated.alignment import calibrate as fit
    from .console import Bars, report

    with Bars(screen) as bars:
        path = fit(settings.home, bars)
    report(screen, output, f"wrote {path}", {"file": str(path)}, style)


@app.command()
def serve(
    port: PortOption = None,
    atlas: AtlasOption = "",
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = False,
) -> None:
    """Serve GraphQL, pictures and the explorer page."""
    settings = settings_of(atlas)
    port = settings.port if port is None else port
    _require_free(settings.host, port)
    if browser:
        webbrowser.open(f"http://{settings.host}:{port}")
    _serve(settings, port)


@app.command()
def query(
    concept: Annotated[str, typer.Argument(help='Text, for example "cake" or "cake - kitchen".')],
    model: ModelOption = None,
    roi: RoiOption = None,
    by: ByOption = "weights",
    first: Annotated[int, typer.Option(min=1, max=100_000, help="How many voxels.")] = 20,
    significant: Annotated[bool, typer.Option(help="Only voxels whose encoding model is significant.")] = True,
    min_r2: Annotated[float | None, typer.Option(help="Only voxels that are predicted at least so well.")] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Find the voxels most similar to a concept."""
    import polars as pl

    from .console import show

    with open_atlas(atlas) as opened:
        owner = opened.model(model)
        hits = owner.similar(
            concept,
            rois=tuple(roi or ()),
            by=by.lower(),
            first=first,
            significant=significant,
            min_r2=min_r2,
        )
        labels = owner.voxel_labels(hits.frame["voxel"].to_list(), first=5)
    named = labels.group_by("voxel", maintain_order=True).agg(pl.col("label").alias("labels"))
    frame = hits.frame.join(named, on="voxel", how="left", maintain_order="left")
    columns = ["subject_id", "voxel", "rois", "similarity", "r2", "labels"]
    show(output, frame.select(columns), style_of(json, csv))
    note = " · [yellow]simulated subject[/yellow]" if frame["simulated"].any() else ""
    screen.print(f"{hits.model_id} · by {hits.by}, {hits.readout}{note}", highlight=False)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SQL statement, for example \"FROM roi_labels('FFA')\".")],
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Run SQL on the atlas, which it cannot change."""
    from .console import show

    with open_atlas(atlas) as opened:
        show(output, opened.sql(statement), style_of(json, csv))


@app.command()
def url(json: JsonOption = False, csv: CsvOption = False, atlas: AtlasOption = "") -> None:
    """Print the SQL that attaches the atlas in a duckdb shell, while it is served and otherwise."""
    from ...atlas.store.serving import attach_statement
    from .console import report

    statement = attach_statement(settings_of(atlas).address)
    report(output, output, statement, {"sql": statement}, style_of(json, csv))


@app.command("settings")
def listsettings_of(json: JsonOption = False, csv: CsvOption = False) -> None:
    """List every setting: its name, value, default and meaning."""
    import polars as pl

    from .console import show

    settings = Settings()
    rows = [
        {
            "setting": f"VOXEL_ATLAS_{name.upper()}",
            "value": str(getattr(settings, name)),
            "default": str(field.default),
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
    rows += [
        {"setting": f"ingest: {name}", "value": "", "default": _default(field), "meaning": field.description}
        for name, field in IngestConfig.model_fields.items()
    ]
    show(output, pl.DataFrame(rows), style_of(json, csv))


def main() -> None:
    """Run the command line. What a user can act on is one sentence and status 2, never a traceback.

    Statuses: 0 done, 1 not done because the user said no, or a fault of ours with its traceback, 2 something that the
    user can act on, 130 stopped by Ctrl-C.
    """
    try:
        app(prog_name="voxel-atlas")
    except AtlasError as error:
        screen.print(f"[red]voxel-atlas:[/red] {_escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        screen.print(f"[red]voxel-atlas:[/red] setting {place}: {_escape(first['msg'])}.", highlight=False)
        sys.exit(2)
    except OSError as error:
        # A full disk, a folder that is not ours: what a user can act on, wherever it was met.
        place = f"{error.filename}: " if error.filename else ""
        screen.print(
            f"[red]voxel-atlas:[/red] {_escape(place)}{_escape(error.strerror or str(error))}.", highlight=False
        )
        sys.exit(2)
    except KeyboardInterrupt:
        screen.print("\nStopped; nothing is lost, the same command goes on from here.")
        sys.exit(130)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _default(field: object) -> str:
    from pydantic.fields import FieldInfo

    return "required" if isinstance(field, FieldInfo) and field.is_required() else str(getattr(field, "default", ""))


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise BadInputError(f"Port {port} on {host} is in use; choose another with --port.") from None


def _require_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be made: {error.strerror}; set VOXEL_ATLAS_HOME to another folder.") from error
    if not os.access(home, os.W_OK):
        raise StoreError(f"{home} cannot be written; set VOXEL_ATLAS_HOME to another folder.")


def _serve(settings: Settings, port: int) -> None:
    from ..http.server import is_writable
    from ..http.server import serve as run

    if not is_writable(settings.address):
        screen.print(f"{settings.address} is on a read-only medium: it is served as it is, and cannot grow meanwhile.")
    run(settings, port)
