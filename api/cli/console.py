"""What the command line shows: a bar for each stage, notes, and tables."""

import csv
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Self

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ...ingest.progress import Advance

Format = Literal["table", "json", "csv"]


def rate(per_second: float) -> str:
    """A number with two digits at least: Stable Diffusion on a CPU draws 0.02 pictures a second."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


class Bars:
    """Shows the stages of an ingest (see ingest.progress.Progress), one bar each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
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
        if not self._console.is_terminal:  # a log file shows no bars, so it gets a line
            self._console.print(f"{name}: {total:,} in {time.perf_counter() - start:.1f} s", highlight=False)

    def note(self, message: str) -> None:
        """A sentence above the bars."""
        self._console.print(f"[yellow]note[/yellow] {message}", highlight=False)


def show(console: Console, frame: pl.DataFrame, style: Format) -> None:
    """Print a frame as a table for people, or as JSON or CSV for programs (to standard output, unstyled)."""
    if style == "json":
        print(json.dumps(frame.to_dicts(), default=str, ensure_ascii=False))
    elif style == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(frame.columns)
        writer.writerows([[_cell(value) for value in row] for row in frame.iter_rows()])
        print(text.getvalue(), end="")
    else:
        table = Table(*frame.columns, header_style="bold", box=None, pad_edge=False)
        for row in frame.iter_rows():
            table.add_row(*(Text(_plain(value)) for value in row))  # Text: a label is never markup
        console.print(table)


def report(screen: Console, output: Console, sentence: str, row: Mapping[str, object], style: Format) -> None:
    """Say what a command has done: a sentence for people, or one row for programs."""
    show_done(screen, output, [sentence], [row], style)


def show_done(
    screen: Console, output: Console, sentences: Sequence[str], rows: Sequence[Mapping[str, object]], style: Format
) -> None:
    """The same for several things: a line each for people, a row each for programs."""
    if style == "table":
        for sentence in sentences:
            screen.print(sentence, highlight=False, markup=False, soft_wrap=True)
    else:
        show(output, pl.DataFrame([dict(row) for row in rows]), style)


def _cell(value: object) -> object:
    return ";".join(str(item) for item in value) if isinstance(value, list) else value


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)
