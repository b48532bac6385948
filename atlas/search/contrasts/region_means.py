"""Concepts in regions, with intervals over blocks of cortex; and how alike the maps of concepts are."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.errors import BadInputError
from ..similarity import ConceptMap, Provenance, Similarities
from ..tables.answer_html import answer_html, table_html
from ..tables.voxel_table import VoxelTable
from .blocks import FEWEST_BLOCKS, cortex_blocks, mean_draws

MOST_CONCEPTS = 100
Ask = Callable[[str], ConceptMap]
"""A model's map of a concept."""


class RoiTable(Similarities):
    """Concepts in regions: roi, concept, n_voxels, n_blocks, mean, sd, low, high, specific; by region, then as asked.

    `mean` and `sd` (n − 1) are of the similarity over the region's voxels; `low` and `high` are the mean's 95 %
    interval over so many blocks of 1 cm of cortex, NULL below 3 of them and where it is not known where voxels lie;
    `specific` is the share of voxels to which the concept is specific. NULL where there is no voxel or no evidence.
    """

    @property
    def wide(self) -> pl.DataFrame:
        """The means, a row a region and a column a concept."""
        return self.frame.pivot("concept", index="roi", values="mean")

    def _repr_html_(self) -> str:
        title, rows = "Mean similarity of regions' voxels", table_html(self.wide, rows=40, where="wide")
        return answer_html(
            title,
            self._facts,
            simulated=self.simulated,
            warnings=self.warnings,
            picture=self._repr_png_() or b"",
            inner=rows,
        )


class Passing(NamedTuple):
    """The voxels that count."""

    table: VoxelTable
    """All fitted ones."""
    passes: NDArray[np.bool_]
    """(n,) which of them count."""


def region_means(
    ask: Ask, concepts: Sequence[str], passing: Passing, places: NDArray[np.float64], rois: Sequence[str]
) -> RoiTable:
    """How similar the voxels of regions are to some concepts; see `Model.roi_table`.

    Args:
        ask: the model's maps.
        concepts: which.
        passing: voxels that count.
        places: where the table's voxels lie in mm, (n, 3); NaN for unknown.
        rois: regions.
    """
    maps, table = list(map(ask, concepts)), passing.table
    similarity, specific = (_columns(maps, table, name) for name in ("similarity", "specific"))
    told = []
    for roi in rois:
        inside = table.roi(roi) & passing.passes & np.isfinite(similarity).all(axis=1)
        values, n = similarity[inside], int(np.count_nonzero(inside))
        low, high, n_blocks = intervals(values, places[inside])
        for column, concept in enumerate(concepts):
            own, known = values[:, column], specific[inside, column]
            row = {"roi": roi, "concept": concept, "n_voxels": n, "n_blocks": n_blocks}
            row |= {"mean": own.mean() if n else None, "sd": own.std(ddof=1) if n > 1 else None}
            row |= {"low": low[column], "high": high[column]}
            told.append(row | {"specific": known.mean() if n and np.isfinite(known).all() else None})
    return RoiTable(pl.DataFrame(told, _COLUMNS), **provenance(maps))


_COLUMNS = {
    "roi": pl.String,
    "concept": pl.String,
    "n_voxels": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_blocks": pl.Int64,
    "specific": pl.Float64,
}


class ConceptMatrix(Similarities):
    """How alike maps of concepts are: a, b and Pearson's r of every two over the voxels that count."""

    @property
    def wide(self) -> pl.DataFrame:
        """A row and a column a concept."""
        return self.frame.pivot("b", index="a", values="r")

    @property
    def _title(self) -> str:
        return "Correlations of concepts' maps"


def concept_matrix(ask: Ask, concepts: Sequence[str], passing: Passing) -> ConceptMatrix:
    """How alike the maps of some concepts are over the voxels that count; r is NULL where one does not vary."""
    maps = list(map(ask, concepts))
    values = _columns(maps, passing.table, "similarity").T
    values = values[:, passing.passes & np.isfinite(values).all(axis=0)]
    spread = values - values.mean(axis=1, keepdims=True) if values.size else values
    length = np.linalg.norm(spread, axis=1)
    lengths = np.outer(length, length)
    r = np.divide(spread @ spread.T, lengths, out=np.full(lengths.shape, np.nan), where=lengths > 0).clip(-1, 1)
    named = {"a": np.repeat(concepts, len(maps)).tolist(), "b": list(concepts) * len(maps)}
    frame = pl.DataFrame(named, {"a": pl.String, "b": pl.String}).with_columns(r=pl.Series(r.ravel(), nan_to_null=True))
    return ConceptMatrix(frame, **provenance(maps))


def _columns(maps: Sequence[ConceptMap], table: VoxelTable, name: str) -> NDArray[np.float64]:
    """A column of each map, (n_voxels, n_maps), by the order of a table's voxels; NaN where there is none."""
    values = np.full((len(table.voxels), len(maps)), np.nan)
    for column, each in enumerate(maps):
        rows = table.rows(each.frame["voxel"].to_numpy().astype(np.int64))
        values[rows[rows >= 0], column] = each.frame[name].cast(float).fill_null(np.nan).to_numpy()[rows >= 0]
    return values


def named_once(concepts: Sequence[str]) -> list[str]:
    """The concepts that are asked for, each once.

    Raises:
        BadInputError: none, or more than 100.
    """
    asked = list(dict.fromkeys([concepts] if isinstance(concepts, str) else concepts))
    if not 1 <= len(asked) <= MOST_CONCEPTS:
        raise BadInputError(f"{len(asked)} concepts were named; name 1 to {MOST_CONCEPTS}.")
    return asked


def intervals(
    values: NDArray[np.floating], places: NDArray[np.float64]
) -> tuple[list[float | None], list[float | None], int | None]:
    """95 % intervals of the means of values (n, k) of voxels, by resampled blocks of cortex.

    Args:
        values: (n, k).
        places: of the voxels in mm, (n, 3); NaN where not known.

    Returns:
        Lower and upper ends, k each, None where there are fewer than three blocks; and the number of blocks, None
        where it is not known where all voxels lie.
    """
    none: list[float | None] = [None] * values.shape[1]
    if np.isnan(places).any():
        return none, none, None
    blocks = cortex_blocks(places) if len(places) else np.zeros(0, np.int64)
    n_blocks = len(np.unique(blocks))
    if n_blocks < FEWEST_BLOCKS:
        return none, none, n_blocks
    low, high = np.quantile(mean_draws(values, blocks), [0.025, 0.975], axis=0)
    return low.tolist(), high.tolist(), n_blocks


def provenance(of: Sequence[Similarities]) -> dict[str, Any]:
    """What an answer made of others, which were compared alike, says of that, with the warnings of all, each once."""
    told = {each.name: getattr(of[0], each.name) for each in fields(Provenance)}
    return told | {"warnings": list(dict.fromkeys(said for each in of for said in each.warnings))}
