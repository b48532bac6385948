"""What the command line does with whole atlases: `export | import | verify`, and `runs | rm | vacuum | upgrade`."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ...schemas.config import Settings
from .options import AtlasOption, CsvOption, JsonOption, open_atlas, settings_of, style_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...atlas.release.export import AffineOf

screen, output = Console(stderr=True), Console()


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
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Write a release: Parquet tables, NIfTI / GIFTI / CIFTI maps, a data dictionary, checksums and a citation."""
    from ...atlas.release.export import export as write
    from .console import report

    style, settings = style_of(json, csv), settings_of(atlas)
    with open_atlas(atlas) as opened:
        write(
            opened,
            out,
            models=tuple(model or ()),
            concepts=tuple(concept or ()),
            tables_only=tables_only,
            affine_of=_affine_of(settings),
        )
    report(screen, output, f"wrote {out}", {"folder": str(out)}, style)


def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A release, as `voxel-atlas export` writes it.")],
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Bring a release's models into the atlas; what was brought before is not brought again."""
    from ...atlas.release.importing import import_release
    from ...atlas.store.store import Store
    from .console import show_done

    style, settings = style_of(json, csv), settings_of(atlas)
    token = settings.token.get_secret_value()
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    with Store.open(settings.address, token=token, memory_limit=settings.memory_limit) as store:
        models = import_release(store, folder, run_id=run_id)
    said = [f"imported {name}" for name in models] or ["nothing to do: every model of this release was imported before"]
    show_done(screen, output, said, [{"model_id": name} for name in models], style)


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A release.")],
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Check a release's checksums and tables; one sentence for each problem, and status 2 when there is one."""
    from ...atlas.release.verify import problems
    from .console import show_done

    style, found = style_of(json, csv), problems(folder)
    show_done(screen, output, found or [f"{folder} is whole"], [{"problem": problem} for problem in found], style)
    if found:
        raise typer.Exit(2)


def runs(json: JsonOption = False, csv: CsvOption = False, atlas: AtlasOption = "") -> None:
    """List every ingest, the latest first: its model, its state, when it began and why it ended."""
    from .console import show

    style = style_of(json, csv)
    with open_atlas(atlas) as opened:
        frame = opened.runs()
    columns = ["run_id", "model_id", "state", "started_at", "recorded_at", "code_version", "message"]
    show(output, frame.select(columns), style)


def rm(
    model: Annotated[str, typer.Argument(help="The whole model id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Remove a model from the atlas; its subject, images and labels stay. `vacuum` gives the space back."""
    from ...atlas.store.maintenance import remove_model
    from .console import report

    style, settings = style_of(json, csv), settings_of(atlas)
    if not yes:
        typer.confirm(f"Remove {model} from {settings.address}?", abort=True, err=True)
    n_rows = remove_model(settings.address, model)
    report(screen, output, f"removed {model}: {n_rows:,} rows", {"model_id": model, "rows": n_rows}, style)


def vacuum(json: JsonOption = False, csv: CsvOption = False, atlas: AtlasOption = "") -> None:
    """Write the atlas file anew without the space of removed rows. Not while it is served."""
    from ...atlas.store.maintenance import vacuum as write_anew
    from .console import report

    style, settings = style_of(json, csv), settings_of(atlas)
    done = write_anew(settings.address, memory_limit=settings.memory_limit)
    sentence = f"{done.before / 1e6:,.1f} MB before, {done.after / 1e6:,.1f} MB now"
    report(screen, output, sentence, {"bytes_before": done.before, "bytes_after": done.after}, style)


def upgrade(json: JsonOption = False, csv: CsvOption = False, atlas: AtlasOption = "") -> None:
    """Bring an older atlas file to the format of this version, or leave it as it was."""
    from ...atlas.store.maintenance import upgrade as bring
    from .console import report

    style = style_of(json, csv)
    old, new = bring(settings_of(atlas).address)
    text = f"upgraded from format {old} to {new}" if old != new else f"nothing to do: the format is {new} already"
    report(screen, output, text, {"format_before": old, "format_now": new}, style)


def _affine_of(settings: Settings) -> "AffineOf":
    """Where volumes lie in space: what their pycortex transforms to the anatomical surfaces say."""

    def affine(subject: Mapping[str, Any]) -> "NDArray[np.float64] | None":
        import numpy as np

        from ...viz.surfaces.surface import load_surface

        if not subject["surface"] or not subject["transform"]:
            return None
        surface = load_surface(
            subject["surface"], subject["transform"], settings.home / "cache", settings.cortex_filestore
        )
        return np.linalg.inv(surface.transform_matrix()).astype(np.float64)

    return affine
