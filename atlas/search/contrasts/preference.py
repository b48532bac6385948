"""Which of two concepts voxels prefer: the contrast A - B with z and q each way, and the share that prefers A."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import FDR
from ..concepts import parse_concept
from ..evidence import concept_q
from ..similarity import Similarities
from ..tables.model_tables import ModelTables
from .region_means import Ask, Passing, intervals, provenance


@dataclass(frozen=True, eq=False)
class Contrast(Similarities):
    """Two concepts against each other: voxel, a, b, similarity, z, q_a and q_b of the voxels that pass, by voxel.

    `a` and `b` are similarities to each; `similarity` is that to A - B, above 0 where a voxel prefers A, and z is its.
    q_a and q_b are false discovery rates, over all voxels of the model, of its being above and below 0. NULL where z is
    not known.
    """

    a: str
    b: str

    @property
    def _title(self) -> str:
        return f"{self.a} against {self.b} in {len(self.frame):,} voxels"


@dataclass(frozen=True, eq=False)
class RegionContrasts(Contrast):
    """The same in regions: roi, n_voxels, mean_a, mean_b, share, low, high, n_blocks, n_a, n_b; all voxels first, NULL.

    `share` of the voxels prefers A; `low` and `high` are its 95 % interval over blocks of 1 cm of cortex, and NULL
    where it is not known where voxels lie, or they are in fewer than 3 blocks. n_a and n_b count voxels with q at most
    0.05.
    """

    @property
    def _title(self) -> str:
        return f"{self.a} against {self.b} in regions"


def difference(a: str, b: str) -> str:
    """The concept that is A less B: "cake - kitchen" and "dog" are "cake - kitchen - dog"."""
    terms = [*parse_concept(a), *((-sign, text) for sign, text in parse_concept(b))]
    words = "".join(f" {'-+'[sign > 0]} {text}" for sign, text in terms)
    return words.removeprefix(" + ")


def contrast(ask: Ask, a: str, b: str, passing: Passing) -> Contrast:
    """Two concepts against each other in the voxels that pass."""
    table, passes = passing
    between, *of_each = maps = [ask(text) for text in (difference(a, b), a, b)]
    z = between.frame["z"].cast(float).fill_null(np.nan).to_numpy()
    q = {"q_a": concept_q(z), "q_b": concept_q(-z)}
    frame = between.frame.with_columns(pl.Series(name, rates, nan_to_null=True) for name, rates in q.items())
    for name, each in zip("ab", of_each, strict=True):
        # By number: voxels may be fitted between one map and the next.
        own = each.frame.select("voxel", pl.col("similarity").alias(name))
        frame = frame.join(own, on="voxel", maintain_order="left")
    rows = table.rows(frame["voxel"].to_numpy().astype(np.int64))
    counted = frame.filter(passes[rows] & (rows >= 0)).select("voxel", "a", "b", "similarity", "z", "q_a", "q_b")
    return Contrast(counted, a.strip(), b.strip(), **provenance(maps))


def in_regions(found: Contrast, tables: ModelTables, rois: Sequence[str] = ()) -> RegionContrasts:
    """What a contrast comes to in all its voxels, and in some or all regions.

    Args:
        found: the contrast.
        tables: those of its model.
        rois: regions; none means all that the subject has.

    Raises:
        NotFoundError: no such region.
    """
    table = tables.voxels()
    places = tables.located.of(tables.model.subject_id, table)
    rows = table.rows(found.frame["voxel"].to_numpy().astype(np.int64))
    every = np.ones(len(rows), bool)
    inside = {None: every} | {roi: table.roi(roi)[rows] for roi in rois or table.rois}
    told = [{"roi": roi, **_summary(found.frame.filter(its), places[rows[its]])} for roi, its in inside.items()]
    return RegionContrasts(pl.DataFrame(told, _COLUMNS), found.a, found.b, **provenance([found]))


_COLUMNS = {
    "roi": pl.String,
    "n_voxels": pl.Int64,
    "mean_a": pl.Float64,
    "mean_b": pl.Float64,
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_blocks": pl.Int64,
    "n_a": pl.Int64,
    "n_b": pl.Int64,
}


def _summary(voxels: pl.DataFrame, places: NDArray[np.float64]) -> dict[str, float | int | None]:
    prefers = (voxels["similarity"] > 0).cast(float).to_numpy()
    (low,), (high,), n_blocks = intervals(prefers[:, None], places)
    known = voxels["z"].null_count() < len(voxels)
    return {
        "n_voxels": len(voxels),
        "mean_a": _mean(voxels["a"]),
        "mean_b": _mean(voxels["b"]),
        "share": float(prefers.mean()) if len(prefers) else None,
        "low": low,
        "high": high,
        "n_blocks": n_blocks,
        "n_a": int((voxels["q_a"] <= FDR).sum()) if known else None,
        "n_b": int((voxels["q_b"] <= FDR).sum()) if known else None,
    }


def _mean(values: pl.Series) -> float | None:
    mean = values.cast(float).mean()
    return float(mean) if isinstance(mean, float) else None
