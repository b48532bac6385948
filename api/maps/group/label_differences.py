"""Where the first labels of two subjects differ on a surface that they share."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....schemas.config import Settings
from ..shared_space import mesh_name
from ..subject_cortex import GROUP, CortexCache
from ..top_labels import top_labels
from .members import Member, find_members


@dataclass(frozen=True, eq=False)
class LabelDifferences:
    """The first labels of two subjects at the vertices that are labelled in both, by the nearest voxel of each."""

    a: Model
    b: Model
    mesh: str
    """fsaverage, fsaverage5, fsaverage6 or fs_LR."""
    vertices: pl.DataFrame
    """hemisphere, vertex, label_a, label_b, similarity: cosine of the two less the baseline, NULL without a vector."""
    pairs: pl.DataFrame
    """label_a, label_b, n_vertices, similarity of the labels that differ, those of most vertices first."""
    regions: pl.DataFrame
    """roi, n_vertices, same_share, mean_similarity, of a group's regions; all vertices first, whose roi is NULL."""


def label_differences(
    atlas: Atlas,
    model_a: str,
    model_b: str,
    *,
    method: str | None = None,
    semantic: bool = True,
    cortices: CortexCache | None = None,
) -> LabelDifferences:
    """Hold two subjects' first labels against each other.

    Args:
        atlas: the open atlas.
        model_a: a model of one subject.
        model_b: a model of the other one.
        method: the scorer of both; None for each model's first.
        semantic: leave out voxels that contrast and edges may explain.
        cortices: where subjects' surfaces are kept; None for those of the settings.

    Raises:
        BadInputError: two models of one subject, or labels in the spaces of two networks.
        SpaceMismatchError: the subjects meet nowhere; the message names the files that would help.
        NotFoundError: no such model.
    """
    cortices = cortices or CortexCache(atlas, Settings(home=atlas.home))
    found, _ = find_members(atlas, cortices, [model_a, model_b], "labels")
    first = atlas.model(model_a).model_id
    a, b = sorted(found, key=lambda member: member.model.model_id != first)
    n = min(a.space.n, b.space.n)
    sides = {name: _carried(atlas, each, n, method, semantic) for name, each in (("label_a", a), ("label_b", b))}
    rois = cortices.of(f"{GROUP}{mesh_name(a.space.family, n)}").rois
    vertices = pl.DataFrame(
        {
            "hemisphere": pl.Series(["left"] * n + ["right"] * n),
            "vertex": np.tile(np.arange(n, dtype=np.int32), 2),
            **sides,
            **{f"roi:{name}": members for name, members in rois.items()},
        }
    ).drop_nulls(["label_a", "label_b"])
    vertices = vertices.with_columns(a.model.label_cosines(vertices["label_a"], vertices["label_b"]))
    differing = vertices.filter(pl.col("label_a") != pl.col("label_b"))
    pairs = differing.group_by("label_a", "label_b").agg(
        pl.len().cast(pl.Int64).alias("n_vertices"), pl.col("similarity").first()
    )
    inside = {None: vertices} | {name: vertices.filter(f"roi:{name}") for name in rois}
    regions = [_summary(name, some) for name, some in inside.items() if name is None or len(some)]
    return LabelDifferences(
        a.model,
        b.model,
        mesh_name(a.space.family, n),
        vertices.select("hemisphere", "vertex", "label_a", "label_b", "similarity"),
        pairs.sort("n_vertices", "label_a", "label_b", descending=[True, False, False]),
        pl.DataFrame(regions, {"roi": pl.String, "n_vertices": pl.Int64, **dict.fromkeys(_MEANS, pl.Float64)}),
    )


_MEANS = ("same_share", "mean_similarity")


def _carried(atlas: Atlas, member: Member, n: int, method: str | None, semantic: bool) -> pl.Series:
    """The first label at each vertex of both hemispheres, (2 · n,); NULL for none."""
    top = top_labels(atlas, member.model.model_id, method, semantic=semantic)
    codes = np.zeros(member.cortex.surface.n_cells, np.int32)
    codes[member.cortex.cells[top.voxels]] = top.label + 1
    return pl.Series([None, *top.labels], dtype=pl.String)[member.space.carried(codes, n)]


def _summary(roi: str | None, vertices: pl.DataFrame) -> dict[str, object]:
    same = (vertices["label_a"] == vertices["label_b"]).cast(float).mean()
    similarity = vertices["similarity"].mean()
    return {"roi": roi, "n_vertices": len(vertices), "same_share": same, "mean_similarity": similarity}
