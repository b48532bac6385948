"""Tables in text files: those of data sets, and those that people write in spreadsheets."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ...schemas.errors import BadInputError, NotFoundError, first_line
from ...schemas.files import missing_content

_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte-order marks → encodings other than UTF-8."""
LINE = "line"
"""Column of a person's table that says where each row is."""


def read_table(path: Path, what: str, advice: str, **options: Any) -> pl.DataFrame:
    """A CSV file, or one of another separator.

    Args:
        path: the file.
        what: what it should be, for the message.
        advice: what to do where it is none.
        options: of `polars.read_csv`.

    Raises:
        NotFoundError: only a pointer of git-annex or Git LFS is there.
        BadInputError: it cannot be read, or lacks columns that are asked for.
    """
    if reason := missing_content(path):
        raise NotFoundError(f"{path}: {reason}.")
    try:
        return pl.read_csv(path, glob=False, **options)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInputError(f"{path}: not a readable {what} ({first_line(error)}); {advice}.") from None


def read_persons_table(path: Path, columns: Iterable[str]) -> pl.DataFrame:
    """Some columns of a table that a person made, as text: what else is in it is not looked at.

    Commas, semicolons or tabs between the cells, UTF-8 or UTF-16, with or without a byte-order mark, any line ends,
    comments (#) before the header and empty lines: as spreadsheets and statistics programs write tables.

    Args:
        path: the file.
        columns: names of columns that are wanted, in any case.

    Returns:
        Those of the columns that the table has, as text without spaces around it, null where a cell is empty, and
        `LINE`, the number of each row's line in the file.

    Raises:
        BadInputError: no table, or one in another encoding.
    """
    rows = [(number, cells) for number, cells in _rows(path) if any(map(str.strip, cells))]
    if not rows:
        raise BadInputError(f"{path}: the table is empty; write a header and a line for each row.")
    (_, first), *others = rows
    header = [cell.strip() for cell in first]
    wanted = {name: name.lower() for name in columns}
    places = {name: [i for i, cell in enumerate(header) if cell.lower() == low] for name, low in wanted.items()}
    if twice := [name for name, found in places.items() if len(found) > 1]:
        raise BadInputError(f"{path}: two columns are called {twice[0]}; name one of them otherwise.")
    for number, cells in others:
        if len(cells) != len(header) and any(map(str.strip, cells[len(header) :])):
            raise BadInputError(
                f"{path}, line {number}: {len(cells)} cells, but the header names {len(header)}; put quotes around "
                "cells with separators."
            )
    table = {
        name: [cells[found[0]].strip() or None if found[0] < len(cells) else None for _, cells in others]
        for name, found in places.items()
        if found
    }
    lines = {LINE: [number for number, _ in others]}
    return pl.DataFrame(table | lines, dict.fromkeys(table, pl.String) | {LINE: pl.Int64})


def whole_numbers(table: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """A column of a person's table as whole numbers; 9.0 is one, as pandas writes 9 in a column with gaps.

    Raises:
        BadInputError: a cell is empty or something else; the message names its line.
    """
    read = table[column].str.replace(r"[.,]0*$", "").cast(pl.Int64, strict=False)
    if (wrong := read.is_null()).any():
        line, text = table.filter(wrong).select(LINE, column).row(0)
        raise BadInputError(f"{path}, line {line}: {column} is {text or 'empty'!r}, and a whole number is expected.")
    return read


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the line, from 1, and cells of each row from the header on."""
    raw = path.read_bytes()
    try:
        text = raw.decode(_MARKS.get(raw[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: neither UTF-8 nor UTF-16; save it as CSV in UTF-8.") from None
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    header = lines[start] if start < len(lines) else ""
    # Names of columns have no separators, and the header more of the right one than of any other.
    separator = max(",;\t", key=header.count)
    reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=True)
    try:
        for cells in reader:
            yield start + reader.line_num, cells
    except csv.Error as error:
        raise BadInputError(f"{path}, line {start + reader.line_num}: not a table ({error}); write it again.") from None
