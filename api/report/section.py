"""What a report is made of: sections with figures, tables that are shown, and the tables behind them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.search.model import Model
from ...schemas.errors import AtlasError
from .figures import Drawing, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page; `name` is also its files'."""

    name: str
    caption: str
    drawing: Drawing


@dataclass(frozen=True)
class PageTable:
    """A table of the page."""

    caption: str
    frame: pl.DataFrame


@dataclass
class Section:
    """One part of a report. What it lacks is said in `absent`, one sentence each."""

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    page_figures: list[PageFigure] = field(default_factory=list)
    page_tables: list[PageTable] = field(default_factory=list)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Name of the file → the rows behind figures and statements."""
    absent: list[str] = field(default_factory=list)

    def draw(self, name: str, figure: "Figure", caption: str) -> None:
        """Add a figure."""
        self.page_figures.append(PageFigure(name, caption, saved(figure)))

    def show(self, caption: str, frame: pl.DataFrame) -> None:
        """Add a table to the page."""
        self.page_tables.append(PageTable(caption, frame))

    @contextmanager
    def may_lack(self) -> Iterator[None]:
        """A part that is left out, with the error's sentence, where what it needs is not there."""
        try:
            yield
        except AtlasError as error:
            sentence = str(error)
            if sentence not in self.absent:
                self.absent.append(sentence)

    def gather(
        self, models: Iterable[Model], rows: Callable[[Model], pl.DataFrame], *, by: Sequence[str] = ("model_id",)
    ) -> pl.DataFrame:
        """Rows of each model that lacks nothing for them, below each other; empty where all lack something.

        Args:
            models: the models, in their order.
            rows: makes those of one.
            by: attributes of the model that become the first columns.
        """
        frames = []
        for model in models:
            with self.may_lack():
                frames.append(rows(model).select(*(pl.lit(getattr(model, name)).alias(name) for name in by), pl.all()))
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()


def grouped(frame: pl.DataFrame, outer: str, inner: str, column: str) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Value of `outer` → value of `inner` → the rows' values in `column`, as figures take them; in the rows' order."""
    return {
        str(name): {str(part): rows[column].to_numpy() for (part,), rows in whole.group_by(inner, maintain_order=True)}
        for (name,), whole in frame.group_by(outer, maintain_order=True)
    }
