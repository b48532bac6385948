"""Small multiples: a figure of every subject (rows) and backbone (columns), as in the paper's appendix."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl

from ...viz.render.colormaps import Scale
from . import figures
from .section import Section
from .study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = TypeVar("Panel")

WIDTH = 512
"""Pixels of a flat map."""
MOST_LABELS = 5
"""Labels of a region that there is room for."""
_ROWS = "Rows: subjects; columns: backbones."


def estimates(
    section: Section, study: Study, name: str, frame: pl.DataFrame, group: str, quantity: str, about: str
) -> None:
    """Means with intervals of some series in groups.

    Args:
        section: where the figure goes.
        study: the models.
        name: of the figure.
        frame: model_id, `group`, series, mean, low, high.
        group: the column of what is along each panel's axis.
        quantity: what the means are, with their unit.
        about: the caption.
    """
    groups = frame[group].unique(maintain_order=True).to_list()
    series = frame["series"].unique(maintain_order=True).to_list()
    panels = {}
    for (model_id,), rows in frame.group_by("model_id", maintain_order=True):
        table = {(row["series"], row[group]): (row["mean"], row["low"], row["high"]) for row in rows.to_dicts()}
        panels[str(model_id)] = {one: [table.get((one, each)) for each in groups] for one in series}
    section.draw(name, estimate_grid(_placed(study, panels), groups, quantity=quantity), f"{about} {_ROWS}")


def commonest_labels(section: Section, study: Study, counted: pl.DataFrame) -> None:
    """The commonest first labels of each region, a figure for each backbone and method.

    Args:
        section: where the figures go.
        study: the models.
        counted: model_id, method, roi, label, share, low, high, rank.
    """
    counted = counted.filter(pl.col("rank") <= MOST_LABELS).with_columns(pl.col("share", "low", "high") * 100)
    own = {model.model_id: model for model in study.models}
    named = counted.with_columns(
        *(
            pl.col("model_id").replace_strict({key: getattr(model, what) for key, model in own.items()}).alias(what)
            for what in ("backbone", "subject_id")
        )
    )
    for number, ((backbone, method), part) in enumerate(named.group_by("backbone", "method", maintain_order=True), 1):
        panels = {
            (str(subject), str(roi)): list(rows.select("label", "share", "low", "high").iter_rows())
            for (subject, roi), rows in part.group_by("subject_id", "roi", maintain_order=True)
        }
        section.draw(
            f"fig3_{number}",
            label_grid(panels, quantity="share of voxels (%)"),
            f"Fig. 3: the {MOST_LABELS} commonest first labels of each region by {method}, {backbone}. Rows: subjects; "
            "columns: regions. Lines: 95 % intervals over blocks of cortex.",
        )


def maps(
    section: Section,
    study: Study,
    name: str,
    pictures: Mapping[str, bytes],
    about: str,
    shared: tuple[Scale, str] | None = None,
) -> None:
    """Flat maps.

    Args:
        section: where the figure goes.
        study: the models.
        name: of the figure.
        pictures: model_id → PNG.
        about: the caption.
        shared: colours of all maps and their quantity with its unit, for numbers.
    """
    if pictures:
        section.draw(name, picture_grid(_placed(study, pictures), shared), f"{about} {_ROWS}")


def _placed(study: Study, panels: Mapping[str, Panel]) -> dict[tuple[str, str], Panel]:
    """Panels by (subject, backbone)."""
    return {(m.subject_id, m.backbone): panels[m.model_id] for m in study.models if m.model_id in panels}


def label_grid(panels: Mapping[tuple[str, str], Sequence[figures.Bar]], *, quantity: str) -> "Figure":
    """Horizontal bars with intervals and their names above them; a panel for each (row, column)."""
    most = max((len(bars) for bars in panels.values()), default=1)
    with figures.style():
        figure, axes = _table(list(panels), height=max(0.25 * most + 0.35, 0.9))
        for key, axis in axes.items():
            bars = panels.get(key, ())
            if not bars:
                axis.set_axis_off()
                continue
            figures.draw_bars(axis, bars, 0.22, below=0.25)
            for place, bar in enumerate(bars):
                axis.text(0, place, figures.shortened(bar[0], 18), va="center", fontsize=7)
            axis.set_yticks([])
            axis.set(ylim=(most - 0.3, -0.5), xlim=(0, figures.longest(bars)))
            axis.locator_params(axis="x", nbins=3)
        figure.supxlabel(quantity, fontsize=7.5)
    return figure


def estimate_grid(
    panels: Mapping[tuple[str, str], Mapping[str, Sequence[tuple[float, float, float] | None]]],
    groups: Sequence[str],
    *,
    quantity: str,
) -> "Figure":
    """Values with intervals in groups, all on one scale; a panel for each (row, column).

    Args:
        panels: (row, column) → series → (value, low, high) for each group, or None.
        groups: names along each panel's axis.
        quantity: what the values are, with their unit.
    """
    with figures.style():
        figure, axes = _table(list(panels), height=1.35, sharey=True)
        for key, axis in axes.items():
            drawn = panels.get(key, {})
            for place, (name, values) in enumerate(drawn.items()):
                at = np.arange(len(groups)) + (place - (len(drawn) - 1) / 2) * 0.8 / max(len(drawn), 1)
                middle, low, high = np.array([value or (np.nan,) * 3 for value in values], float).T
                axis.errorbar(
                    at,
                    middle,
                    yerr=figures.reach(middle, low, high),
                    fmt=figures.MARKERS[place % len(figures.MARKERS)],
                    color=figures.COLOURS[place % len(figures.COLOURS)],
                    markersize=2.5,
                    elinewidth=0.8,
                    label=name,
                )
            axis.axhline(0, color=figures.GREY, linewidth=0.6)
            axis.set_xticks(range(len(groups)), groups, rotation=90)
            axis.tick_params("x", labelbottom=key[0] == max(row for row, _ in axes))
            axis.set(xlim=(-0.6, len(groups) - 0.4))
        figure.supylabel(quantity, fontsize=7.5)
        handles, names = next(iter(axes.values())).get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 3) or 1)
    return figure


def picture_grid(panels: Mapping[tuple[str, str], bytes], shared: tuple[Scale, str] | None = None) -> "Figure":
    """Pictures that were rendered elsewhere; a panel for each (row, column), and one colour bar for all."""
    images = {key: figures.pixels(png) for key, png in panels.items()}
    columns = len({column for _, column in panels})
    tallest = max((image.shape[0] / image.shape[1] for image in images.values()), default=1.0)
    with figures.style():
        figure, axes = _table(list(panels), height=figures.PAGE / max(columns, 2) * tallest + 0.1)
        for key, axis in axes.items():
            if key in images:
                axis.imshow(images[key], interpolation="antialiased")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        if shared:
            figures.colour_bar(figure, list(axes.values()), shared)
    return figure


def _table(
    keys: Sequence[tuple[str, str]], *, height: float, sharey: bool = False
) -> tuple["Figure", dict[tuple[str, str], "Axes"]]:
    """A page-wide figure with a panel for each (row, column): rows are named at the left, columns above."""
    from matplotlib.figure import Figure

    rows, columns = (sorted({key[part] for key in keys}) for part in (0, 1))
    figure = Figure((figures.PAGE, height * len(rows) + 0.9))
    grid = figure.subplots(len(rows), len(columns), sharex=False, sharey=sharey, squeeze=False)
    axes = {(row, column): grid[y, x] for y, row in enumerate(rows) for x, column in enumerate(columns)}
    for (row, column), axis in axes.items():
        if row == rows[0]:
            axis.set_title(column)
        if column == columns[0]:
            axis.set_ylabel(row)
    return figure, axes
