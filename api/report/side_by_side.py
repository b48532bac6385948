"""`voxel-atlas compare` as a page: two sides, the settings in which they differ, and by how much they do."""

from pathlib import Path

import polars as pl

from . import figures
from .analysis.comparison import EVERY_SUBJECT, Comparison
from .analysis.statistics import FEWEST_SUBJECTS
from .page import write
from .section import Section, grouped

_ABOUT_TESTS = (
    "Tests are paired and two-sided: Student's t and Wilcoxon's signed rank (rank_p). low and high: 95 % interval of "
    "the mean difference. d: mean difference in standard deviations of the differences. rank_r: rank-biserial "
    "correlation. Voxels of one subject are taken for independent, which neighbours are not, so that their p are too "
    "small and say nothing of other people; over subjects, the unit is a subject."
)


def write_comparison(comparison: Comparison, names: tuple[str, str], out: Path, command: str) -> None:
    """Write the page of a comparison; see `page.write` for the folder."""
    a, b = names
    section = Section("comparison", f"a: {a}. b: {b}.")
    section.paragraphs += [_sides(comparison), *about_shown(comparison), _ABOUT_TESTS, f"$ {command}"]
    tests = comparison.tests()
    section.tables |= {
        "settings": comparison.settings,
        "voxels": comparison.voxels,
        "tests": tests,
        "agreement": comparison.agreement,
    }
    section.show("Settings that differ.", comparison.settings)
    section.show("Differences a - b: over voxels within each subject, and over subjects.", tests)
    if comparison.agreement.is_empty():
        section.absent.append("One side has no labels, so first labels are not compared.")
    else:
        section.show(
            "First labels: share that is the same, and mean cosine with its 95 % interval.", comparison.agreement
        )
    if len(comparison.subjects) < FEWEST_SUBJECTS:
        n = len(comparison.subjects)
        section.absent.append(f"An interval over subjects needs {FEWEST_SUBJECTS} of them; the two have {n} in common.")
    for number, ((quantity,), part) in enumerate(comparison.voxels.group_by("quantity", maintain_order=True), 1):
        sides = part.unpivot(["a", "b"], index="subject_id").with_columns(pl.col("variable").replace({"a": a, "b": b}))
        section.draw(
            f"comparison_{number}",
            figures.boxes(grouped(sides, "subject_id", "variable", "value"), quantity=str(quantity), group="subject"),
            f"{quantity}: quartiles over the voxels that both have, whiskers: 5th and 95th percentile. Below each "
            "subject its voxels.",
        )
    write(out, f"Voxel Atlas comparison: {a} and {b}", [section])


def about_shown(comparison: Comparison) -> list[str]:
    """A sentence for each subject of whose labels some are left out."""
    hidden = [] if comparison.agreement.is_empty() else comparison.agreement.select("subject_id", "hidden").rows()
    return [
        f"{subject}: of {n:,} more labelled voxels contrast and edges may explain the responses; they are left out of "
        "what is said of labels, and --all-voxels shows them."
        for subject, n in hidden
        if n
    ]


def brief(tests: pl.DataFrame) -> pl.DataFrame:
    """The columns that a terminal has room for."""
    columns = ["quantity", "subject_id", "n", "mean_a", "mean_b", "difference", "low", "high", "p", "d"]
    return tests.select(columns).rename({"subject_id": "subject"})


def _sides(comparison: Comparison) -> str:
    named = [
        f"{subject}: {comparison.a[subject].name} and {comparison.b[subject].name}" for subject in comparison.subjects
    ]
    rows = f"; rows of {EVERY_SUBJECT!r} have subjects as units" if len(named) > 1 else ""
    return f"{'; '.join(named)}{rows}."
