"""Label statistics: how near labels are to weights (Fig. 2), how many a voxel needs, what regions share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from atlas.backbones.interface import Floats
from atlas.search import Atlas
from schemas.errors import BadInputError, NotFoundError

SHARE = 0.8
"""Of the probability that a voxel's labels must reach."""
_BLOCK = 16_384


def methods_of(atlas: Atlas, model_id: str) -> list[str]:
    """Methods that have labelled a model's voxels, by name."""
    sql = "SELECT DISTINCT method FROM label_score WHERE model_id = ? ORDER BY method"
    return list(atlas.store.frame(sql, [model_id])["method"])


def first_labels(atlas: Atlas, model_id: str) -> pl.DataFrame:
    """The first label of each voxel by each method: voxel, method, label; by method and voxel."""
    sql = "SELECT voxel, method, label FROM top_label WHERE model_id = ? ORDER BY method, voxel"
    return atlas.store.frame(sql, [model_id])


def embedded_labels(atlas: Atlas, backbone: str) -> tuple[list[str], Floats]:
    """The labels that have a vector in a backbone's space, by name, and their unit vectors (n, dim).

    Raises:
        NotFoundError: none has.
    """
    sql = " FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ? ORDER BY l.lemma"
    named = atlas.store.frame("SELECT l.lemma, len(e.vector) AS dim" + sql, [backbone])
    if named.is_empty():
        raise NotFoundError(f"No label has a vector in the space of {backbone}; ingest with it as label backbone.")
    vectors = atlas.store.vectors("SELECT e.vector" + sql, [backbone], int(named["dim"][0]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return named["lemma"].to_list(), vectors


def label_cosines(atlas: Atlas, model: Mapping[str, Any], readout: str) -> pl.DataFrame:
    """The cosine of each voxel's first label with its readout vector, by method (the paper's Fig. 2).

    `shuffled` is the same with the first label of another voxel of the method, drawn without replacement: what a
    method reaches whose labels fit the brain and not the voxel.

    Args:
        atlas: the atlas.
        model: a row of `Atlas.models`.
        readout: weights, as in the paper, or pattern.

    Returns:
        voxel, method, label, cosine, shuffled (float32); by method and voxel. Labels without a vector are left out.

    Raises:
        BadInputError: the model's backbone has no text tower, so that labels and weights share no space.
    """
    if not model["has_text"]:
        raise BadInputError(
            f"{model['model_id']} uses {model['backbone']}, which has no text tower: its weights and the labels' "
            "vectors share no space, so no cosine can be taken."
        )
    voxels, vectors = atlas.unit_vectors(model["model_id"], readout)
    row_of = pl.DataFrame({"voxel": voxels.astype(np.int32), "row": np.arange(len(voxels))})
    names, embedded = embedded_labels(atlas, model["backbone"])
    found = (
        first_labels(atlas, model["model_id"])
        .join(row_of, on="voxel")
        .join(pl.DataFrame({"label": names, "word": np.arange(len(names))}), on="label")
        .sort("method", "voxel")
    )
    parts = []
    for _, labelled in found.group_by("method", maintain_order=True):
        rows, words = labelled["row"].to_numpy(), labelled["word"].to_numpy()
        others = np.random.default_rng(0).permutation(words)
        cosines = np.empty((2, len(rows)), np.float32)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            for place, chosen in enumerate((words, others)):
                cosines[place, part] = np.einsum("nd,nd->n", vectors[rows[part]], embedded[chosen[part]])
        parts.append(
            labelled.select(
                "voxel", "method", "label", pl.Series("cosine", cosines[0]), pl.Series("shuffled", cosines[1])
            )
        )
    return pl.concat(parts) if parts else found.select("voxel", "method", "label").clear()


def label_spread(scores: pl.DataFrame, share: float = SHARE) -> pl.DataFrame:
    """How many meanings a voxel has.

    Args:
        scores: voxel, method, probability: all labels of the voxels.
        share: of the probability that is to be reached.

    Returns:
        method, voxel, n_labels, needed (fewest labels that together reach `share`), entropy (bits), by method and
        voxel. Probabilities are scaled to sum to 1 first.
    """
    if scores.is_empty():
        return scores.select("method", "voxel").with_columns(n_labels=0, needed=0, entropy=0.0)
    voxel = ["method", "voxel"]
    p = pl.col("probability")
    shares = scores.with_columns((p.cast(pl.Float64) / p.cast(pl.Float64).sum().over(voxel)).alias("probability"))
    # What the labels before it hold decides whether one more is needed; sums of shares err in the last digit.
    before = (p.cum_sum() - p).over(voxel)
    return (
        shares.sort(*voxel, "probability", descending=[False, False, True])
        .with_columns((before < share - 1e-9).alias("counts"))
        .group_by(voxel, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int32).alias("n_labels"),
            pl.col("counts").sum().cast(pl.Int32).alias("needed"),
            pl.when(p > 0).then(-p * p.log(2)).otherwise(0.0).sum().alias("entropy"),
        )
    )


def region_labels(first: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """How often each label is first in each region (the paper's Fig. 3).

    Args:
        first: voxel, method, label.
        members: voxel, roi.

    Returns:
        method, roi, label, n_voxels, share (of the region's labelled voxels), rank; by method, region and rank.
    """
    counted = first.join(members, on="voxel").group_by("method", "roi", "label").agg(pl.len().alias("n_voxels"))
    total = pl.col("n_voxels").sum().over("method", "roi")
    return (
        counted.with_columns((pl.col("n_voxels") / total).alias("share"))
        .sort("method", "roi", "n_voxels", "label", descending=[False, False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over("method", "roi").alias("rank"))
    )


def region_overlap(regions: pl.DataFrame) -> pl.DataFrame:
    """How much of their labels two regions share: the sum over labels of the smaller share, 0 to 1.

    It is 1 less the total variation distance of the two distributions of first labels.

    Args:
        regions: from `region_labels`.

    Returns:
        method, roi, other, overlap; every ordered pair, a region with itself included.
    """
    one = regions.select("method", "roi", "label", "share")
    other = one.rename({"roi": "other", "share": "other_share"})
    pairs = (
        one.select("method", "roi")
        .unique()
        .join(one.select("method", pl.col("roi").alias("other")).unique(), on="method")
    )
    shared = (
        one.join(other, on=["method", "label"])
        .group_by("method", "roi", "other")
        .agg(pl.min_horizontal("share", "other_share").sum().alias("overlap"))
    )
    joined = pairs.join(shared, on=["method", "roi", "other"], how="left")
    return joined.with_columns(pl.col("overlap").fill_null(0.0)).sort("method", "roi", "other")
