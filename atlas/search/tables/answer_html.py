"""Answers as a notebook shows them: a title, what belongs to it, and the first rows; legible on light and on dark."""

import base64
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import polars as pl

_FIRST_ROWS = 10
_QUIET = "opacity:.7"
_CELL = "padding:.15em .6em;text-align:{};border-bottom:1px solid rgba(128,128,128,.3)"
_STAMP_STYLE = "background:#ffd640;color:#3c2c00;font-weight:700;border-radius:.4em;padding:.1em .5em"
_STAMP = f'<span style="{_STAMP_STYLE}">SIMULATED</span> '


class WithPicture:
    """An answer that has a picture where a notebook gave it what draws one, as `drawn`: this module has no cortex."""

    def _repr_png_(self) -> bytes | None:
        drawn = vars(self).get("drawn")
        return (drawn() or None) if drawn else None


def answer_html(
    title: str,
    facts: Sequence[str] = (),
    frame: pl.DataFrame | None = None,
    *,
    simulated: bool,
    warnings: Sequence[str] = (),
    picture: bytes = b"",
    inner: str = "",
) -> str:
    """An answer as a piece of HTML that takes its colours from the page around it.

    Args:
        title: what it is.
        facts: what is said of it in a line below.
        frame: of which the first ten rows are shown.
        simulated: whether it is stamped as of computed responses.
        warnings: sentences that question it.
        picture: a PNG between facts and rows; none where there are no bytes.
        inner: HTML after the rows, as it is.
    """
    parts = [f"<div>{_STAMP * simulated}<b>{escape(title)}</b></div>"]
    if facts:
        parts.append(f'<div style="{_QUIET}">{escape(" · ".join(fact for fact in facts if fact))}</div>')
    parts += [f"<div>⚠ {escape(warning)}</div>" for warning in warnings]
    if picture:
        parts.append(image_html(picture, "png", title, "100%"))
    if frame is not None:
        parts.append(table_html(frame))
    return f'<div style="max-width:64em;font-size:.95em;line-height:1.4">{"".join(parts)}{inner}</div>'


def table_html(frame: pl.DataFrame, rows: int = _FIRST_ROWS, *, where: str = "frame") -> str:
    """The first rows of a frame, and in which attribute of the answer the others are."""
    right = [dtype.is_numeric() for dtype in frame.dtypes]
    align = ["right" if is_number else "left" for is_number in right]
    names = "".join(
        f'<th style="{_CELL.format(side)};font-weight:600">{escape(name)}</th>'
        for name, side in zip(frame.columns, align, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format(side)}">{escape(_said(value))}</td>'
            for value, side in zip(row, align, strict=True)
        )
        + "</tr>"
        for row in frame.head(rows).iter_rows()
    )
    more = f'<div style="{_QUIET}">{len(frame) - rows:,} more rows in .{where}</div>' if len(frame) > rows else ""
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>{more}"
    )


def image_html(content: bytes, kind: str, alt: str, width: str) -> str:
    """A picture within the HTML."""
    data = base64.b64encode(content).decode()
    style = f"max-width:100%;width:{width};height:auto"
    return f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}" style="{style}">'


def _said(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3g}".replace("-", "−")
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value)
