"""What the command line does with whole atlases: `export | import | verify`, and `runs | rm | vacuum | upgrade`."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from schemas.config import Settings
from schemas.errors import BadInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from atlas.export import AffineOf

AtlasOption = Annotated[
    str, typer.Option("--atlas", envvar="VOXEL_ATLAS_ATLAS", help="Address of the atlas; empty: the default one.")
]
screen = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(export)
    app.command("import")(import_)
    app.command()(verify)
    app.command()(runs)
    app.command()(rm)
    app.command()(vacuum)
    app.command()(upgrade)


def export(
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Model id; can be given again; none: all that are finished.")
    ] = None,
    concept: Annotated[
        list[str] | None, typer.Option("--concept", help="Text to make a map of; can be given again.")
    ] = None,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Make no maps.")] = False,
    atlas: AtlasOption = "",
) -> None:
    """Write a release: Parquet tables, NIfTI / GIFTI / CIFTI maps, a data dictionary, checksums and a citation."""
    from atlas.export import export as write
    from atlas.search import Atlas

    settings = _settings(atlas)
    with Atlas.open(settings.address, home=settings.home, token=settings.token.get_secret_value()) as opened:
        write(
            opened,
            out,
            models=tuple(model or ()),
            concepts=tuple(concept or ()),
            tables_only=tables_only,
            affine_of=_affine_of(settings),
        )
    screen.print(f"wrote {out}", highlight=False)


def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A release, as `voxel-atlas export` writes it.")],
    atlas: AtlasOption = "",
) -> None:
    """Bring a release's models into the atlas; what was brought before is not brought again."""
    from atlas.release.importing import import_release
    from atlas.store import Store

    settings = _settings(atlas)
    token = settings.token.get_secret_value()
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    with Store.open(settings.address, token=token, memory_limit=settings.memory_limit) as store:
        models = import_release(store, folder, run_id=run_id)
    for name in models:
        screen.print(f"imported {name}", highlight=False)
    if not models:
        screen.print("nothing to do: every model of this release was imported before", highlight=False)


def verify(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A release.")]) -> None:
    """Check a release's checksums and tables; one sentence for each problem, and status 2 when there is one."""
    from atlas.release.verify import problems

    found = problems(folder)
    for problem in found:
        screen.print(problem, highlight=False, markup=False, soft_wrap=True)
    if found:
        raise typer.Exit(2)
    screen.print(f"{folder} is whole", highlight=False, markup=False, soft_wrap=True)


def runs(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    atlas: AtlasOption = "",
) -> None:
    """List every ingest, the latest first: its model, its state, when it began and why it ended."""
    from api.console import show
    from atlas.search import Atlas

    if json and csv:
        raise BadInputError("--json and --csv exclude each other; give one.")
    settings = _settings(atlas)
    with Atlas.open(settings.address, home=settings.home, token=settings.token.get_secret_value()) as opened:
        frame = opened.runs()
    columns = ["run_id", "model_id", "state", "started_at", "recorded_at", "code_version", "message"]
    show(Console(), frame.select(columns), "json" if json else "csv" if csv else "table")


def rm(
    model: Annotated[str, typer.Argument(help="The whole model id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    atlas: AtlasOption = "",
) -> None:
    """Remove a model from the atlas; its subject, images and labels stay. `vacuum` gives the space back."""
    from atlas.maintenance import remove_model

    settings = _settings(atlas)
    if not yes:
        typer.confirm(f"Remove {model} from {settings.address}?", abort=True, err=True)
    n_rows = remove_model(settings.address, model)
    screen.print(f"removed {model}: {n_rows:,} rows", highlight=False)


def vacuum(atlas: AtlasOption = "") -> None:
    """Write the atlas file anew without the space of removed rows. Not while it is served."""
    from atlas.maintenance import vacuum as write_anew

    settings = _settings(atlas)
    done = write_anew(settings.address, memory_limit=settings.memory_limit)
    screen.print(f"{done.before / 1e6:,.1f} MB before, {done.after / 1e6:,.1f} MB now", highlight=False)


def upgrade(atlas: AtlasOption = "") -> None:
    """Bring an older atlas file to the format of this version, or leave it as it was."""
    from atlas.maintenance import upgrade as bring

    old, new = bring(_settings(atlas).address)
    text = f"upgraded from format {old} to {new}" if old != new else f"nothing to do: the format is {new} already"
    screen.print(text, highlight=False)


def _settings(atlas: str) -> Settings:
    return Settings(atlas=atlas) if atlas else Settings()


def _affine_of(settings: Settings) -> "AffineOf":
    """Where volumes lie in space: what their pycortex transforms to the anatomical surfaces say."""

    def affine(subject: Mapping[str, Any]) -> "NDArray[np.float64] | None":
        import numpy as np

        from viz.surface import load_surface

        if not subject["surface"] or not subject["transform"]:
            return None
        surface = load_surface(
            subject["surface"], subject["transform"], settings.home / "cache", settings.cortex_filestore
        )
        return np.linalg.inv(surface.transform_matrix()).astype(np.float64)

    return affine
