"""How far a long step is, in a notebook: lines that are drawn anew, without widgets; elsewhere the shell's bars."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from html import escape
from typing import Any, Self

from ...ingest.progress import Advance, Progress
from ..cli.console import Bars

_EVERY_S = 0.2
"""A line is drawn anew no more often."""


def bars() -> AbstractContextManager[Progress]:
    """Bars for where this runs: a notebook, or a terminal or log file."""
    return NotebookBars() if in_notebook() else Bars()


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookBars:
    """Shows the stages of an ingest below a notebook's cell, a line each; see `ingest.progress.Progress`.

    >>> with NotebookBars() as progress:
    ...     Pipeline(store=store, home=home, progress=progress).ingest(config, parts)
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._handle: Any = None
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """A line with a bar of `total` units."""
        start, done, place = time.monotonic(), 0, len(self._lines)
        self._lines.append(_line(name, 0, total, 0.0))
        self._draw()

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self._lines[place] = _line(name, done, total, time.monotonic() - start)
            if time.monotonic() - self._drawn > _EVERY_S:
                self._draw()

        yield advance
        # A stage whose work was done before counts as done, whatever it advanced by.
        self._lines[place] = _line(name, max(total, 1), max(total, 1), time.monotonic() - start)
        self._draw()

    def note(self, message: str) -> None:
        """A sentence between the lines."""
        self._lines.append(f"<div>{escape(message)}</div>")
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        shown = HTML("".join(self._lines))  # type: ignore[no-untyped-call]  # IPython has no types
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]  # likewise
        else:
            self._handle.update(shown)
        self._drawn = time.monotonic()


def _line(name: str, done: int, total: int, seconds: float) -> str:
    left = f", {seconds / done * (total - done):.0f} s left" if 0 < done < total and seconds > 1 else ""
    said = f"{done:,} of {total:,}{left}" if done < total else f"{seconds:.1f} s"
    bar = f'<progress value="{done}" max="{max(total, 1)}" style="width:12em"></progress>'
    return f'<div>{bar} {escape(name)} <span style="opacity:.7">{said}</span></div>'
