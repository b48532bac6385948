"""`voxel-atlas report` and `voxel-atlas compare`: the evaluation of what is in the atlas."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .console import FOR_PEOPLE, Bars, Output, say, waiting
from .options import AllVoxels, AtlasOption, FileOption, between, open_atlas, open_store, settings_of

if TYPE_CHECKING:
    from ...atlas.search.model import Model
    from ..report.study import Options

_DUCKDB_MEMORY = "1GB"
"""A report reads each table about once, and needs its memory for what it reads."""


def report(
    *models: str,
    out: FileOption = Path("report"),
    labels: Path | None = None,
    category: list[str] | None = None,
    concept: list[str] | None = None,
    sample: Annotated[int, between(10)] = 500,
    all_voxels: AllVoxels = False,
    every_model: Annotated[bool, Parameter(name="--all", negative=())] = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Write the paper's evaluation of models: one page, its figures as PNG and SVG, its tables as Parquet and CSV.

    Args:
        models: Model ids; none: each subject's newest finished one.
        out: Folder to make.
        labels: What the images show: a CSV with columns image and category, or COCO annotations (.json); none: the
            localiser maps.
        category: Category of Fig. 5; can be given again; none: all.
        concept: Concept map of Fig. 4; can be given again; none: those of the paper.
        sample: Voxels that the learning curve and the shuffled control are fitted on, 10 at least.
        every_model: Figs. 2 to 5 of every subject and backbone of the atlas, the newest model of each, as small
            multiples, with tests over subjects: the paper's appendix.
    """
    from ...atlas.search.atlas import Atlas
    from ..report.study import CONCEPTS, Options, Study
    from ..report.write import report as write

    settings = settings_of(atlas)
    options = Options(labels, tuple(category or ()), tuple(concept or CONCEPTS), sample, all_voxels, every_model)
    with open_store(settings, read_only=True, memory_limit=_DUCKDB_MEMORY) as store, Bars() as bars:
        study = Study(Atlas(store, home=settings.home), settings, list(models), options, bars)
        write(study, out, _command(study.models, out, options))
    page = out / "index.html"
    output.report(f"wrote {page}", {"file": str(page)})


def compare(
    a: str,
    b: str,
    /,
    *,
    out: FileOption | None = None,
    all_voxels: AllVoxels = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Compare two models, methods, captioners or generators: what differs, by how much, with intervals.

    Args:
        a: A model, backbone, captioner, generator or method; MODEL:METHOD names both.
        b: What it is compared with, named likewise.
        out: Folder for a page with figures and tables; none: no page.
    """
    import polars as pl

    from ..report.analysis.comparison import compare as compare_sides
    from ..report.page import cell
    from ..report.side_by_side import about_shown, brief, write_comparison

    with waiting("Comparing"), open_atlas(atlas) as opened:
        comparison = compare_sides(opened, a, b, semantic=not all_voxels)
        named = (("a", comparison.a), ("b", comparison.b))
        sides = [f"{name}: {side.name}" for name, of_subject in named for side in of_subject.values()]
    tests = brief(comparison.tests())
    if output.for_people:
        tests = tests.with_columns(pl.Series("p", [cell(p, "p") for p in tests["p"]], pl.String))
    output.show(tests)
    for sentence in [*sides, *about_shown(comparison)]:
        say(sentence)
    for setting, one, other in comparison.settings.select("setting", "a", "b").unique(maintain_order=True).iter_rows():
        say(f"{setting}: {one} and {other}")
    for row in comparison.agreement.iter_rows(named=True):
        say(
            f"{row['subject_id']}: {row['same_share']:.1%} of {row['n']:,} first labels are the same; mean cosine "
            f"{row['mean_similarity']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        )
    if out is not None:
        given = ["voxel-atlas", "compare", a, b, *["--all-voxels"] * all_voxels, "-o", str(out)]
        write_comparison(comparison, (a, b), out, shlex.join(given))
        say(f"wrote {out / 'index.html'}")


def _command(models: "list[Model]", out: Path, options: "Options") -> list[str]:
    """The command line that makes the same report again."""
    given = [model.model_id for model in models]
    given += ["--labels", str(options.labels)] if options.labels else []
    for name, values in (("--category", options.categories), ("--concept", options.concepts)):
        given += [part for value in values for part in (name, value)]
    given += ["--all"] if options.every_model else []
    given += ["--all-voxels"] if options.all_voxels else []
    return ["voxel-atlas", "report", *given, "--sample", str(options.sample), "-o", str(out)]
