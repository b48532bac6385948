"""A report as a folder: one self-contained page, its figures as PNG and SVG, its tables as Parquet and CSV."""

import base64
import datetime
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...atlas.search.contrasts.blocks import LEAST_P
from ...schemas.errors import BadInputError
from ...schemas.files import replacing
from .section import PageTable, Section

PAGE = "index.html"
MOST_ROWS = 100
"""Rows of a table that the page shows; its file holds all."""
PIXELS_PER_INCH = 125
"""On the screen: letters of 7.5 points are as tall as the text of tables."""
_P_VALUES = ("p", "p_holm", "t_p", "rank_p")
"""Columns whose smallest values are only known to be at most `LEAST_P`."""
_WIDE, _MEDIUM = 7, 3
"""Columns beyond which a table is shown row by row where the page is narrow, and very narrow."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def write(out: Path, title: str, sections: Iterable[Section]) -> None:
    """Write the folder, whole or not at all.

    A section's tables are on disk, and no longer in memory, before the next section is made.

    Args:
        out: the folder to make; a report that is there already is replaced.
        title: of the page.
        sections: in their order; their tables are empty afterwards.

    Raises:
        BadInputError: the folder is there and is no report.
        StoreError: it cannot be written.
    """
    with _replaced(out) as folder:
        written = []
        for section in sections:
            for figure in section.page_figures:
                _put(folder / "figures" / f"{figure.name}.png", figure.drawing.png)
                _put(folder / "figures" / f"{figure.name}.svg", figure.drawing.svg)
            for name, frame in section.tables.items():
                path = folder / "tables" / name
                path.parent.mkdir(exist_ok=True)
                frame.write_parquet(path.with_suffix(".parquet"))
                frame.write_csv(path.with_suffix(".csv"))
                section.tables[name] = frame.clear()
            written.append(section)
        _put(folder / PAGE, render(title, written).encode())


def render(title: str, sections: Sequence[Section]) -> str:
    """The page: HTML that needs no other file and no network."""
    environment = Environment(
        loader=PackageLoader("voxel_atlas.api.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["cell"] = cell
    environment.filters["narrowed"] = narrowed
    now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    template = environment.get_template("page.html")
    return template.render(
        title=title,
        sections=sections,
        written=now,
        most_rows=MOST_ROWS,
        numeric=_numeric,
        width=_width,
        dpi=PIXELS_PER_INCH,
    )


def narrowed(table: PageTable) -> PageTable:
    """A table as the page shows it.

    What is the same text in all rows stands in the caption, and both ends of an interval are one column.
    """
    frame, caption = table.frame, table.caption
    for name in frame.columns if frame.height > 1 or "model_id" in frame.columns[:1] else ():
        if name and frame.schema[name] == pl.String and frame[name].n_unique() == 1 and frame[name][0]:
            caption += f" {name}: {frame[name][0]}."
            frame = frame.drop(name)
    if {"p", "p_holm"} <= set(frame.columns):
        # What was made from a p that is only known to be at most so much is known no better.
        bound = frame.filter(pl.col("p") <= LEAST_P)["p_holm"].max()
        texts = [
            f"≤ {cell(p)}" if bound is not None and p is not None and p <= bound else cell(p) for p in frame["p_holm"]
        ]
        frame = frame.with_columns(pl.Series("p_holm", texts, pl.String))
    if {"low", "high"} <= set(frame.columns):
        ends = [f"{cell(low)} to {cell(high)}" for low, high in frame.select("low", "high").iter_rows()]
        frame = frame.with_columns(pl.Series("low", ends, pl.String)).rename({"low": "95 % interval"}).drop("high")
    return PageTable(caption, frame)


def _width(frame: pl.DataFrame) -> str:
    """The class of a table: how narrow a page must be for it to be shown row by row."""
    return "wide" if frame.width > _WIDE else "medium" if frame.width > _MEDIUM else "narrow"


def cell(value: object, column: str = "") -> str:
    """A value as people read it: four digits, a true minus sign, a dash for a missing one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        if value <= LEAST_P and column in _P_VALUES:
            return f"≤ {LEAST_P:.4g}"
        if value == 0 or 1e-3 <= abs(value) < 1e5:
            return f"{value:.4g}".replace("-", "−")
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}".replace("-", "−")
    return str(value)


def _numeric(frame: pl.DataFrame, column: str) -> bool:
    return bool(frame.schema[column].is_numeric())


def _data_uri(png: bytes) -> Markup:
    return Markup("data:image/png;base64,") + base64.b64encode(png).decode()


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when all is written, and is gone when something fails."""
    out = out.expanduser().absolute()
    if out.exists() and not (out.is_dir() and ((out / PAGE).exists() or not any(out.iterdir()))):
        raise BadInputError(f"{out} is there and is no report; give a folder that is not there.")
    with replacing(out, "choose another folder") as temporary:
        temporary.mkdir()
        yield temporary
        if out.exists():
            shutil.rmtree(out)
