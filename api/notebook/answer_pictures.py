"""Pictures of a model's answers in a notebook: where voxels lie on the flat map, tables as colours, shares as bars."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, Protocol

import numpy as np
import polars as pl

from ...atlas.search.contrasts.preference import Contrast, RegionContrasts, difference
from ...atlas.search.contrasts.region_means import ConceptMatrix, RoiTable
from ...atlas.search.similarity import Similarities, VoxelHits
from ...atlas.search.tables.label_table import LabelHits
from ..report import figures
from .brain_map import BrainMap

FLAT_WIDTH = 480
"""Pixels of a flat map beside a table."""
_ASKED = ("by", "readout", "baseline", "semantic")
"""Arguments of a question that its map has, too."""
_MOST_BARS = 40


class HasMaps(Protocol):
    """A model of a notebook's atlas."""

    def map(self, concept: str | None = None, *, metric: str | None = None, **how: Any) -> BrainMap:
        """See `ShownModel.map`."""
        ...


def pictured(question: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a model whose answers draw themselves; the same name, arguments, answer and documentation."""
    draw, signature = DRAWN[question.__name__], inspect.signature(question)

    @wraps(question)
    def asked(self: HasMaps, *values: Any, **named: Any) -> Any:
        answer = question(self, *values, **named)
        given = signature.bind(self, *values, **named)
        given.apply_defaults()
        vars(answer)["drawn"] = cache(lambda: draw(self, answer, given.arguments))
        return answer

    return asked


def _hits(model: HasMaps, hits: VoxelHits, asked: Mapping[str, Any]) -> bytes:
    """The map by which voxels were ranked, of which they stand out; of R² where an image or a voxel was asked for."""
    how = {name: asked[name] for name in _ASKED}
    shown = {"concept": asked["concept"], **how} if asked["concept"] else {"metric": "r2"}
    return _flat(model, shown, hits.frame["voxel"])


def _contrast(model: HasMaps, contrast: Contrast, asked: Mapping[str, Any]) -> bytes:
    """The map of A - B, of which the voxels that count stand out."""
    how = {name: asked[name] for name in _ASKED}
    return _flat(model, {"concept": difference(contrast.a, contrast.b), **how}, contrast.frame["voxel"])


def _flat(model: HasMaps, shown: Mapping[str, Any], voxels: pl.Series) -> bytes:
    return model.map(**shown).picture(FLAT_WIDTH, voxels.to_list() or None)


def _shares(_: HasMaps, found: RegionContrasts, __: Mapping[str, Any]) -> bytes:
    """The share of each region's voxels that prefers A, with its interval where there is one."""
    known = found.frame.filter(pl.col("share").is_not_null())
    bars = known.select(pl.col("roi").fill_null("all voxels"), "share", "low", "high")
    return _bars(f"prefer {found.a} to {found.b}", found, bars, "share of voxels")


def _labels(_: HasMaps, found: LabelHits, __: Mapping[str, Any]) -> bytes:
    """How many voxels have each of the first labels."""
    bars = found.frame.head(_MOST_BARS).select("label", "n_voxels", low=None, high=None)
    return _bars("first of the labels", found, bars, "voxels")


def _bars(title: str, found: RegionContrasts | LabelHits, bars: pl.DataFrame, quantity: str) -> bytes:
    known = bars.with_columns(pl.col("low", "high").cast(pl.Float64).fill_null(np.nan))
    figure = figures.ranked_bars({f"{title}\n{_whose(found)}": known.rows()}, quantity=quantity)
    return figures.saved(figure).png


def _whose(found: Similarities | LabelHits) -> str:
    return f"{found.model_id}{' (simulated)' * found.simulated}"


def _table(_: HasMaps, found: RoiTable | ConceptMatrix, __: Mapping[str, Any]) -> bytes:
    """A wide table's numbers as colours, on a scale around 0."""
    from matplotlib.figure import Figure

    wide = found.wide
    values = wide.drop(wide.columns[0]).cast(pl.Float64).to_numpy()
    names = [figures.shortened(str(name), 22) for name in wide.columns[1:]]
    with figures.style():
        figure = Figure((1.6 + 0.24 * max(len(names), 6), 1.2 + 0.2 * len(wide)))
        axis = figure.add_subplot()
        largest = float(np.nanmax(np.abs(values), initial=1e-9))
        drawn = axis.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
        axis.set_title(_whose(found))
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(wide)), wide[wide.columns[0]].to_list())
        figure.colorbar(drawn, ax=axis, label="Pearson's r" if isinstance(found, ConceptMatrix) else "mean similarity")
    return figures.saved(figure).png


DRAWN: Mapping[str, Callable[[HasMaps, Any, Mapping[str, Any]], bytes]] = {
    "similar": _hits,
    "contrast": _contrast,
    "contrast_regions": _shares,
    "roi_table": _table,
    "concept_matrix": _table,
    "labels": _labels,
}
"""Questions whose answers have a picture, and what draws it."""
