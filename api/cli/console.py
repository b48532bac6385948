"""What the command line shows: a bar for each stage, notes, sentences, and tables for people or for programs."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from csv import writer
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Self

from cyclopts import Parameter
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

from ...schemas.errors import BadInputError, StoreError
from ...schemas.json_values import json_text
from .options import OUTPUT

if TYPE_CHECKING:
    import polars as pl

    from ...ingest.progress import Advance

screen = Console(stderr=True, highlight=False)
"""Where a person is told of progress, of what was done and of what is wrong."""
stdout = Console(highlight=False)
"""Where answers go."""


def say(sentence: str) -> None:
    """A line for the person at the screen, as it is."""
    screen.print(sentence, markup=False, soft_wrap=True)


def waiting(what: str) -> Status:
    """Shows what is waited for, where a person looks on."""
    return screen.status(f"{what} …")


def warn(sentences: Sequence[str]) -> None:
    """Lines that question an answer."""
    for sentence in sentences:
        screen.print(Text.assemble(("warning", "yellow"), f" {sentence}"), soft_wrap=True)


def rate(per_second: float) -> str:
    """A number with two digits at least: Stable Diffusion on a CPU draws 0.02 pictures a second."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def duration(seconds: float) -> str:
    """A time in the unit that says it shortest."""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"


@Parameter(name="*", group=OUTPUT, negative=())
@dataclass(frozen=True)
class Output:
    """How a command answers: with tables and sentences for people, or with rows for programs."""

    json: bool = False
    """Print JSON."""
    csv: bool = False
    """Print CSV."""

    def __post_init__(self) -> None:
        if self.json and self.csv:
            raise BadInputError("--json and --csv exclude each other; give one.")

    @property
    def for_people(self) -> bool:
        """Whether no program reads the answer."""
        return not self.json and not self.csv

    def show(self, frame: "pl.DataFrame") -> None:
        """Print a frame."""
        if self.json:
            print(json_text(frame.to_dicts()))
        elif self.csv:
            text = StringIO()
            rows = writer(text)
            rows.writerow(frame.columns)
            rows.writerows([[_joined(value) for value in row] for row in frame.iter_rows()])
            print(text.getvalue(), end="")
        else:
            cells = [[_plain(value) for value in row] for row in frame.iter_rows()]
            for line in table_lines(frame.columns, cells, _width()):
                stdout.print(line, soft_wrap=True)

    def show_lines(self, row: "pl.DataFrame") -> None:
        """Print the one row of a frame as a line for each column, so that a narrow terminal cuts none."""
        import polars as pl

        self.show(pl.DataFrame({"": row.columns, "value": [_plain(value) for value in row.row(0)]}))

    def report(self, sentence: str, row: Mapping[str, object]) -> None:
        """Say what was done: in a sentence, or in one row."""
        self.report_each([sentence], [row])

    def report_each(self, sentences: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
        """The same for several things: a line each for people, a row each for programs."""
        if self.for_people:
            for sentence in sentences:
                say(sentence)
        else:
            import polars as pl

            self.show(pl.DataFrame([dict(row) for row in rows]))

    def write(self, path: Path, content: bytes, **about: object) -> None:
        """Write a file and say so.

        Args:
            path: the file.
            content: what it is to hold.
            about: more that the row for programs tells.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            path.write_bytes(content)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
        self.report(f"wrote {path}", {"file": str(path), **about, "bytes": len(content)})


FOR_PEOPLE = Output()


class Bars:
    """Shows the stages of an ingest (see ingest.progress.Progress) on the screen, one bar each."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),  # moves while a long part is worked on
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=screen,
            disable=not screen.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator["Advance"]:
        """A bar of `total` units."""
        task = self._bars.add_task(name, total=max(total, 1), rate="")
        start = time.perf_counter()

        def advance(done: int) -> None:
            self._bars.advance(task, done)
            speed = self._bars.tasks[self._bars.task_ids.index(task)].speed
            if speed:
                self._bars.update(task, rate=f"{rate(speed)}/s")

        yield advance
        # A stage whose work was done before counts as done, whatever it advanced by.
        self._bars.update(task, completed=max(total, 1))
        if not screen.is_terminal:  # a log file shows no bars, so it gets a line
            screen.print(f"{name}: {total:,} in {time.perf_counter() - start:.1f} s")

    @contextmanager
    def part(self) -> Iterator[None]:
        """One of several parts, whose bars go when it ends."""
        before = set(self._bars.task_ids)
        try:
            yield
        finally:
            for task in set(self._bars.task_ids) - before:
                self._bars.remove_task(task)

    def note(self, message: str) -> None:
        """A sentence above the bars."""
        screen.print(Text.assemble(("note", "yellow"), f" {message}"))


_GAP = "  "
_LEAST_LAST = 16
"""Columns of the terminal that the last column of a table has at least, where its words go on in more lines."""


def _width() -> int | None:
    """Columns that a table may have; None where nobody's terminal ends: what goes on to a program is one line a row."""
    return stdout.width if stdout.is_terminal or os.environ.get("COLUMNS", "").isdigit() else None


def table_lines(names: Sequence[str], cells: Sequence[Sequence[str]], width: int | None) -> list[Text]:
    """A table as lines, in which no value is cut: what is shown can be copied.

    Where its columns do not fit, words of the last one go on in further lines, or each row becomes lines of its own,
    `name  value`.
    """
    widths = [max(cell_len(cell) for cell in column) for column in zip(names, *cells, strict=True)]
    last = len(names) - 1
    if width is not None and sum(widths) + len(_GAP) * last > width and cells:
        widths[last] = width - sum(widths[:last]) - len(_GAP) * last
        longest = max((cell_len(word) for row in cells for word in row[last].split()), default=0)
        if widths[last] < max(_LEAST_LAST, longest):
            room = max(map(cell_len, names))
            lines = [
                [
                    Text.assemble((_padded(name, room), "bold"), _GAP, cell)
                    for name, cell in zip(names, row, strict=True)
                    if cell
                ]
                for row in cells
            ]
            return [line for block in lines for line in (*block, Text())][:-1]
    head = Text(_GAP.join(map(_padded, names, widths)).rstrip(), "bold")
    return [head, *(Text(line) for row in cells for line in _row_lines(row, widths))]


def _row_lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    *others, end = row
    before = "".join(_padded(cell, width) + _GAP for cell, width in zip(others, widths, strict=False))
    for part in wrap(end, max(widths[-1], 1), break_long_words=False, break_on_hyphens=False) or [""]:
        yield (before + part).rstrip()
        before = " " * cell_len(before)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def _joined(value: object) -> object:
    return ";".join(str(item) for item in value) if isinstance(value, list) else value


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    # A label of somebody's moves no cursor and begins no line.
    return "".join(one if one.isprintable() else " " for one in str(value))
