"""What the command line shows: a bar for each stage, notes, sentences, and tables for people or for programs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from csv import writer
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cyclopts import Parameter
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
from rich.table import Table
from rich.text import Text

from ...schemas.errors import BadInputError, StoreError
from ...schemas.json_values import json_text

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


def warn(sentences: Sequence[str]) -> None:
    """Lines that question an answer."""
    for sentence in sentences:
        screen.print(Text.assemble(("warning", "yellow"), f" {sentence}"), soft_wrap=True)


def rate(per_second: float) -> str:
    """A number with two digits at least: Stable Diffusion on a CPU draws 0.02 pictures a second."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


@Parameter(name="*", group="Output", negative=())
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
            table = Table(*frame.columns, header_style="bold", box=None, pad_edge=False)
            for row in frame.iter_rows():
                table.add_row(*(Text(_plain(value)) for value in row))  # Text: a label is never markup
            stdout.print(table)

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

    def note(self, message: str) -> None:
        """A sentence above the bars."""
        screen.print(Text.assemble(("note", "yellow"), f" {message}"))


def _joined(value: object) -> object:
    return ";".join(str(item) for item in value) if isinstance(value, list) else value


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)
