"""Drawn figures of a report, as wide as a journal's column, in matplotlib; `saved` makes PNG and SVG of one.

Colours are Okabe and Ito's, which people with any common colour deficiency can tell apart; nothing is said by colour
alone. Text in SVG stays text.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...viz.render.colormaps import Scale
from .analysis.statistics import interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]

COLUMN, PAGE = 3.5, 7.2
"""Inches: a journal's single column and its page."""
DPI = 200
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY, INK = "#9a9a9a", "#262626"
_MANY = 4000
"""Points from which a scatter becomes a density."""
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "voxel-atlas",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure as files; equal figures give equal bytes."""

    png: bytes
    svg: bytes
    inches: float
    """Width."""


@contextmanager
def style() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Labels in scripts that DejaVu Sans has no letters for are boxes in PNG; in SVG they stay text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def saved(figure: "Figure") -> Drawing:
    """PNG at 200 dots an inch and SVG."""
    files: dict[str, bytes] = {}
    with style():
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            file = io.BytesIO()
            figure.savefig(file, format=kind, dpi=DPI, metadata=metadata)
            files[kind] = file.getvalue()
    return Drawing(files["png"], files["svg"], figure.get_figwidth())


def histograms(panels: Mapping[str, Mapping[str, Floats]], *, quantity: str) -> "Figure":
    """Histograms of some groups on one axis, a panel for each entry.

    Args:
        panels: panel → group → values; NaN counts for nothing.
        quantity: what the values are, with their unit.
    """
    with style():
        figure, axes = _grid(len(panels), columns=2, height=2.1)
        values = np.concatenate([group for panel in panels.values() for group in panel.values()])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [0.1, 99.9]) if len(values) else (0.0, 1.0)
        edges = np.linspace(low, max(high, low + 1e-6), 41).tolist()
        for axis, (name, groups) in zip(axes, panels.items(), strict=True):
            for colour, (group, drawn) in zip(cycle(COLOURS), groups.items()):
                inside = np.clip(drawn[np.isfinite(drawn)], edges[0], edges[-1])
                axis.hist(inside, edges, color=colour, alpha=0.35, label=_counted(group, len(inside)))
                axis.hist(inside, edges, color=colour, histtype="step", linewidth=1)
            axis.set(xlabel=quantity, ylabel="voxels")
            axis.set_title(name, pad=20)
            _legend_above(axis, len(groups))
    return figure


def against(panels: Mapping[str, tuple[Floats, Floats]], *, x: str, y: str) -> "Figure":
    """One quantity against another, and a line where they are equal: points, or from 4,000 on how many there are."""
    with style():
        figure, axes = _grid(len(panels), columns=2, height=2.7)
        for axis, (name, (across, up)) in zip(axes, panels.items(), strict=True):
            there = np.isfinite(across) & np.isfinite(up)
            across, up = across[there], up[there]
            if len(across):
                axis.axline((0, 0), slope=1, color=INK, linewidth=0.7, linestyle="--", zorder=3)
            if len(across) > _MANY:
                drawn = axis.hexbin(across, up, gridsize=45, bins="log", cmap="cividis", linewidths=0.1, mincnt=1)
                # Plain numbers: powers of ten would be set as mathematics, which labels must not be.
                figure.colorbar(drawn, ax=axis, label="voxels (log scale)", aspect=30, format="%d")
            else:
                axis.scatter(across, up, s=6, color=COLOURS[0], alpha=0.5, linewidths=0)
            axis.set(xlabel=x, ylabel=y)
            axis.set_title(_counted(name, len(across)))
    return figure


def curves(series: Mapping[str, Sequence[Floats]], *, x: str, y: str) -> "Figure":
    """Lines with intervals: series → (x, y, lower end, upper end of the interval)."""
    with style():
        figure, (axis,) = _grid(1, columns=1, height=2.3)
        for colour, marker, (name, (across, middle, low, high)) in zip(cycle(COLOURS), cycle(MARKERS), series.items()):
            axis.fill_between(across, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(across, middle, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
        axis.set(xlabel=x, ylabel=y)
        axis.legend(loc="best")
    return figure


def boxes(groups: Mapping[str, Mapping[str, Floats]], *, quantity: str, group: str = "ROI") -> "Figure":
    """Boxes (quartiles; whiskers at the 5th and 95th percentile) of series within groups (the paper's Fig. 2).

    Args:
        groups: group → series (method) → values of voxels.
        quantity: what the values are, with their unit.
        group: what the groups are.
    """
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    with style():
        width = COLUMN if len(groups) * len(series) <= 8 else PAGE
        figure, (axis,) = _grid(1, columns=1, height=2.6, width=width)
        step = 0.8 / max(len(series), 1)
        for place, name in enumerate(series):
            at = [number - 0.4 + step * (place + 0.5) for number in range(len(groups))]
            values = [group.get(name, np.empty(0)) for group in groups.values()]
            drawn = axis.boxplot(
                [part[np.isfinite(part)] for part in values],
                positions=at,
                widths=step * 0.8,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                medianprops={"color": INK, "linewidth": 1.2},
                whiskerprops={"color": INK, "linewidth": 0.7},
                capprops={"color": INK, "linewidth": 0.7},
                boxprops={"linewidth": 0.7},
            )
            for box in drawn["boxes"]:
                box.set(facecolor=COLOURS[place % len(COLOURS)], hatch=("", "///", "...", "xxx")[place % 4], alpha=0.85)
            if drawn["boxes"]:
                drawn["boxes"][0].set_label(name)
        axis.axhline(0, color=GREY, linewidth=0.6)
        counts = [max((len(part) for part in group.values()), default=0) for group in groups.values()]
        axis.set_xticks(range(len(groups)), [f"{name}\n{n:,}" for name, n in zip(groups, counts, strict=True)])
        axis.set(ylabel=quantity, xlabel=f"{group}, and its number of voxels", xlim=(-0.6, len(groups) - 0.4))
        _legend_above(axis, len(series))
    return figure


Bar = tuple[str, float, float, float]
"""A name, its value, and the lower and upper end of its interval."""


def ranked_bars(panels: Mapping[str, Sequence[Bar]], *, quantity: str) -> "Figure":
    """Horizontal bars with intervals, longest first, a panel for each entry (the paper's Fig. 3)."""
    most = max((len(bars) for bars in panels.values()), default=1)
    with style():
        figure, axes = _grid(len(panels), columns=3, height=0.45 + 0.155 * max(most, 3))
        for axis, (name, bars) in zip(axes, panels.items(), strict=True):
            draw_bars(axis, bars, 0.7)
            axis.set_yticks(range(len(bars)), [shortened(bar[0], 22) for bar in bars])
            axis.set(ylim=(most - 0.4, -0.6), xlim=(0, longest(bars)), xlabel=quantity)
            axis.locator_params(axis="x", nbins=4)
            axis.set_title(name)
    return figure


def draw_bars(axis: "Axes", bars: Sequence[Bar], height: float, below: float = 0.0) -> None:
    """Horizontal bars with their intervals, one at each whole number or so far below."""
    at = np.arange(len(bars)) + below
    values, low, high = (np.array([bar[part] for bar in bars], float) for part in (1, 2, 3))
    axis.barh(at, values, height=height, color=COLOURS[0], alpha=0.55)
    axis.errorbar(values, at, xerr=reach(values, low, high), fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5)


def reach(middle: Floats, low: Floats, high: Floats) -> Floats:
    """How far intervals reach down and up from the middle, (2, n); percentiles need not hold it."""
    return np.stack([middle - low, high - middle]).clip(0)


def longest(bars: Sequence[Bar]) -> float:
    return 1.05 * float(np.nanmax([1e-9, *(end for bar in bars for end in (bar[1], bar[3]))]))


def points(
    groups: Sequence[str],
    series: Mapping[str, Mapping[str, Floats]],
    *,
    quantity: str,
    one: str,
    ends: Mapping[str, Mapping[str, Floats]] | None = None,
) -> "Figure":
    """One point a subject and the mean as a bar, in groups, with intervals (the paper's Fig. 5).

    Args:
        groups: names along the axis (categories).
        series: series (method) → group → values of the subjects.
        quantity: what the values are, with their unit.
        one: what a point is.
        ends: series → group → lower and upper ends of each point's own interval, (2, n); None for intervals of the
            means over the points.
    """
    with style():
        figure, (axis,) = _grid(1, columns=1, height=2.5, width=COLUMN if len(groups) * len(series) <= 15 else PAGE)
        step = 0.8 / max(len(series), 1)
        for place, (name, values) in enumerate(series.items()):
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            at = np.arange(len(groups)) - 0.4 + step * (place + 0.5)
            of_groups = [values.get(group, np.empty(0)) for group in groups]
            means = [part.mean() if len(part) else np.nan for part in of_groups]
            axis.bar(at, means, step * 0.85, color=colour, alpha=0.45, label=name)
            for x, group, part in zip(at, groups, of_groups, strict=True):
                spread = np.linspace(-0.25, 0.25, len(part)) * step if len(part) > 1 else np.zeros(len(part))
                axis.scatter(
                    x + spread, part, s=13, marker=marker, color=colour, edgecolors=INK, linewidths=0.4, zorder=3
                )
                if ends is None:
                    middle, low, high = (
                        np.array([value]) for value in (part.mean() if len(part) else np.nan, *interval(part))
                    )
                    axis.errorbar([x], middle, yerr=reach(middle, low, high), fmt="none", ecolor=INK, capsize=2)
                elif group in ends.get(name, {}):
                    own = reach(part, *ends[name][group])
                    axis.errorbar(x + spread, part, yerr=own, fmt="none", ecolor=INK, elinewidth=0.8)
        axis.axhline(0, color=INK, linewidth=0.7)
        axis.set_xticks(range(len(groups)), groups)
        axis.set(ylabel=quantity, xlabel=one, xlim=(-0.6, len(groups) - 0.4))
        _legend_above(axis, len(series))
    return figure


def matrices(panels: Mapping[str, tuple[Sequence[str], Floats]], *, quantity: str) -> "Figure":
    """Square tables of numbers from 0 to 1 as colours, a panel for each entry: panel → (names, (n, n) values)."""
    with style():
        figure, axes = _grid(len(panels), columns=2, height=3.1)
        for axis, (name, (names, values)) in zip(axes, panels.items(), strict=True):
            drawn = axis.imshow(values, vmin=0, vmax=1, cmap="cividis")
            axis.set_xticks(range(len(names)), names, rotation=90)
            axis.set_yticks(range(len(names)), names)
            axis.set_title(name)
            figure.colorbar(drawn, ax=axis, label=quantity, shrink=0.8, aspect=30)
    return figure


def pictures(panels: Mapping[str, bytes], *, shared: tuple[Scale, str] | None = None, columns: int = 1) -> "Figure":
    """Pictures that were rendered elsewhere (flat maps, views) under their names, with colour bars.

    Args:
        panels: name → PNG.
        shared: the colours of all and their quantity with its unit, for pictures of numbers.
        columns: panels side by side.
    """
    images = {name: pixels(png) for name, png in panels.items()}
    tallest = max((image.shape[0] / image.shape[1] for image in images.values()), default=1.0)
    with style():
        figure, axes = _grid(len(images), columns=columns, height=PAGE / columns * tallest + 0.25, width=PAGE)
        for axis, (name, image) in zip(axes, images.items(), strict=True):
            axis.imshow(image, interpolation="antialiased")
            axis.set_axis_off()
            axis.set_title(name)
        if shared:
            figure.set_figheight(figure.get_figheight() + 0.45)
            colour_bar(figure, axes, shared)
    return figure


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def colour_bar(figure: "Figure", axes: list["Axes"], shared: tuple[Scale, str]) -> None:
    """One colour bar below all panels."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    scale, quantity = shared
    colours = ScalarMappable(Normalize(scale.vmin, scale.vmax), scale.colormap)
    figure.colorbar(
        colours,
        ax=axes,
        label=quantity,
        location="bottom",
        shrink=0.45,
        aspect=28,
        pad=0.02,
        extend="both",
        ticks=MaxNLocator(6),
    )


def _grid(n: int, *, columns: int, height: float, width: float | None = None) -> tuple["Figure", list["Axes"]]:
    """A figure with `n` panels of this height in inches; one panel is a column wide, several are a page."""
    from matplotlib.figure import Figure

    n = max(n, 1)
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = Figure((width or (COLUMN if n == 1 else PAGE), height * rows + 0.15))
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(n)]
    return figure, axes


def _legend_above(axis: "Axes", n: int) -> None:
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(n, 3) or 1)


def _counted(name: str, n: int) -> str:
    return f"{name} (n = {n:,})"


def shortened(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"
