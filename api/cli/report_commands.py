"""`voxel-atlas report` and `voxel-atlas compare`: the evaluation of what is in the atlas."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .options import AtlasOption, CsvOption, JsonOption, open_atlas, settings_of, style_of

if TYPE_CHECKING:
    from ...atlas.search.model import Model
    from ..report.study import Options

screen, output = Console(stderr=True), Console()

_DUCKDB_MEMORY = "1GB"
"""A report reads each table about once, and needs its memory for what it reads."""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(report)
    app.command()(compare)


def report(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]…", help="Model ids; none: each subject's newest finished one."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")] = Path("report"),
    labels: Annotated[
        Path | None,
        typer.Option(help="What the images show: a CSV with columns image and category, or COCO annotations (.json)."),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option("--category", help="Category of Fig. 5; can be given again; none: all.")
    ] = None,
    concept: Annotated[
        list[str] | None, typer.Option("--concept", help="Concept map of Fig. 4; can be given again.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=10, help="Voxels that the learning curve and the shuffled control are fitted on.")
    ] = 500,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Write the paper's evaluation of models: one page, its figures as PNG and SVG, its tables as Parquet and CSV."""
    from ...atlas.search.atlas import Atlas
    from ...atlas.store.store import Store
    from ..report.study import CONCEPTS, Options, Study
    from ..report.write import report as write
    from .console import Bars
    from .console import report as say

    style, settings = style_of(json, csv), settings_of(atlas)
    options = Options(labels, tuple(category or ()), tuple(concept or CONCEPTS), sample)
    token = settings.token.get_secret_value()
    with (
        Store.open(settings.address, read_only=True, create=False, token=token, memory_limit=_DUCKDB_MEMORY) as store,
        Bars(screen) as bars,
    ):
        study = Study(Atlas(store, home=settings.home), settings, models or [], options, bars)
        write(study, out, _command(study.models, out, options))
    say(screen, output, f"wrote {out / 'index.html'}", {"file": str(out / "index.html")}, style)


def compare(
    a: Annotated[
        str, typer.Argument(help="A model, backbone, captioner, generator or method; MODEL:METHOD names both.")
    ],
    b: Annotated[str, typer.Argument(help="What it is compared with, named likewise.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for a page with figures and tables.")
    ] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Compare two models, methods, captioners or generators: what differs, by how much, with intervals."""
    from ..report.analysis.comparison import compare as compare_sides
    from ..report.side_by_side import brief, write_comparison
    from .console import show

    style = style_of(json, csv)
    with open_atlas(atlas) as opened:
        found = compare_sides(opened, a, b)
    show(output, brief(found.tests()), style)
    for setting, one, other in found.settings.select("setting", "a", "b").unique(maintain_order=True).iter_rows():
        screen.print(f"{setting}: {one} and {other}", highlight=False, markup=False, soft_wrap=True)
    for row in found.agreement.iter_rows(named=True):
        screen.print(
            f"{row['subject_id']}: {row['same_share']:.1%} of {row['n']:,} first labels are the same; mean cosine "
            f"{row['mean_similarity']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
            highlight=False,
        )
    if out is not None:
        write_comparison(found, (a, b), out, shlex.join(["voxel-atlas", "compare", a, b, "-o", str(out)]))
        screen.print(f"wrote {out / 'index.html'}", highlight=False)


def _command(models: "list[Model]", out: Path, options: "Options") -> list[str]:
    """The command line that makes the same report again."""
    given = [model.model_id for model in models]
    given += ["--labels", str(options.labels)] if options.labels else []
    for name, values in (("--category", options.categories), ("--concept", options.concepts)):
        given += [part for value in values for part in (name, value)]
    return ["voxel-atlas", "report", *given, "--sample", str(options.sample), "-o", str(out)]
