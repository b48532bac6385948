"""Label statistics: how near labels are to weights (Fig. 2), how they spread, what regions share."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats, Readout
from ....atlas.backbones.products import unit_rows
from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....atlas.search.readouts import EXPONENTS
from ....atlas.search.tables.label_table import label_vectors
from ....schemas.errors import BadInputError, NotFoundError

SHARE = 0.8
"""Of the probability that a voxel's labels must reach."""
_BLOCK = 16_384


def first_labels(atlas: Atlas, model_id: str) -> pl.DataFrame:
    """The first label of each voxel by each method: voxel, method, label; by method and voxel."""
    sql = "SELECT voxel, method, label FROM top_label WHERE model_id = ? ORDER BY method, voxel"
    return atlas.store.frame(sql, [model_id])


def embedded_labels(atlas: Atlas, backbone: str) -> tuple[list[str], Floats]:
    """The labels that have a vector in a backbone's space, by name, and their unit vectors (n, dim).

    Raises:
        NotFoundError: none has.
    """
    words, vectors = label_vectors(atlas.store, backbone)
    if words.is_empty():
        raise NotFoundError(f"No label has a vector in the space of {backbone}; ingest with it as label backbone.")
    return words["label"].to_list(), unit_rows(vectors)


def label_cosines(
    atlas: Atlas,
    model: Model,
    readout: str | None = None,
    baseline: str = "vocabulary",
    members: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The cosine of each voxel's first label with its readout vector, by method (the paper's Fig. 2).

    `shuffled` is the same with the first label of another voxel of the method, drawn without replacement: what a
    method reaches whose labels fit the brain and not the voxel. `shuffled_within` takes the other voxel from the same
    region: what it reaches whose labels fit the region and not the voxel.

    Args:
        atlas: the atlas.
        model: a model of it.
        readout: weights, as in the paper, half or pattern; None for the backbone's own.
        baseline: vocabulary takes labels as contrasts to the mean of many nouns; none, as in the paper, as they are.
        members: voxel, roi: the regions that labels are shuffled within; None for none.

    Returns:
        voxel, method, roi, label, cosine, shuffled, shuffled_within (float32); by method and voxel, a row for each
        region of the voxel, or one where it is in none, with NULL for roi and shuffled_within. Labels without a vector
        are left out.

    Raises:
        BadInputError: the model's backbone has no text tower, so that labels and weights share no space.
    """
    if not model.has_text:
        raise BadInputError(
            f"{model.model_id} uses {model.backbone}, which has no text tower: its weights and the labels' "
            "vectors share no space, so no cosine can be taken."
        )
    names, embedded = embedded_labels(atlas, model.backbone)
    if baseline == "vocabulary":
        embedded = atlas.text_towers.vocabulary(model.backbone).centred(embedded)
    word = pl.DataFrame({"label": names, "word": np.arange(len(names))})
    first = first_labels(atlas, model.model_id).join(word, on="label").sort("method", "voxel")
    first = _permuted(first, ["method"], "other")
    if members is None:
        members = pl.DataFrame(schema={"voxel": pl.Int32, "roi": pl.String})
    first = _permuted(first.join(members, on="voxel", how="left", maintain_order="left"), ["method", "roi"], "within")
    parts = []
    for voxels, vectors in _readout_blocks(atlas, model, model.readout(readout)):
        place = pl.DataFrame({"voxel": voxels.astype(np.int32), "row": np.arange(len(voxels))})
        own = first.join(place, on="voxel", maintain_order="left")
        at = vectors[own["row"].to_numpy()]
        cosines = [
            pl.Series(name, np.einsum("nd,nd->n", at, embedded[own[words].to_numpy()]))
            for name, words in (("cosine", "word"), ("shuffled", "other"), ("shuffled_within", "within"))
        ]
        parts.append(
            own.select("voxel", "method", "roi", "label", *cosines).with_columns(
                # What is in no region is scattered over the cortex, so that shuffling there is none within a region.
                pl.when(pl.col("roi").is_not_null()).then("shuffled_within")
            )
        )
    return pl.concat(parts).sort("method", "voxel", "roi") if parts else first.select("voxel", "method", "roi", "label")


def _permuted(first: pl.DataFrame, by: list[str], name: str) -> pl.DataFrame:
    """The rows with a column `name`: the word of another row of the same group, each taken once."""
    groups = first.with_row_index("at").group_by(by, maintain_order=True).agg("at", "word")
    other = np.empty(first.height, np.int64)
    for rows, words in zip(groups["at"], groups["word"], strict=True):
        other[rows.to_numpy()] = np.random.default_rng(0).permutation(words.to_numpy())
    return first.with_columns(pl.Series(name, other))


def _readout_blocks(
    atlas: Atlas, model: Model, readout: Readout
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Voxels and their unit readout vectors, some at a time: an index of all would be several times as much memory."""
    turn = None if readout == "weights" else model.tables.spectrum().power(EXPONENTS[readout]).astype(np.float32)
    bounds = atlas.store.frame(
        "SELECT coalesce(max(voxel), -1)::INTEGER AS last FROM encoding WHERE model_id = ?", [model.model_id]
    )
    for start in range(0, int(bounds["last"][0]) + 1, _BLOCK):
        voxels, vectors = atlas.store.keyed_vectors(
            "SELECT voxel, weights FROM encoding WHERE model_id = ? AND voxel BETWEEN ? AND ?",
            [model.model_id, start, start + _BLOCK - 1],
            model.dim,
        )
        if turn is not None:
            vectors = vectors @ turn
        yield voxels, unit_rows(vectors)


def label_spread(scores: pl.DataFrame, share: float = SHARE) -> pl.DataFrame:
    """How a voxel's label probability spreads over its labels: no number of meanings, since it follows the temperature.

    Args:
        scores: voxel, probability: all labels of the voxels by one method.
        share: of the probability that is to be reached.

    Returns:
        voxel, n_labels, spread (fewest labels that together reach `share`), entropy (bits), by voxel. Probabilities are
        scaled to sum to 1 first.
    """
    p = pl.col("probability").cast(pl.Float64)
    whole = p.sort(descending=True) / p.sum()
    # What the labels before it hold decides whether one more is needed; sums of shares err in the last digit.
    before = whole.cum_sum() - whole
    return (
        scores.group_by("voxel")
        .agg(
            pl.len().cast(pl.Int32).alias("n_labels"),
            (before < share - 1e-9).sum().cast(pl.Int32).alias("spread"),
            pl.when(whole > 0).then(-whole * whole.log(2)).otherwise(0.0).sum().alias("entropy"),
        )
        .sort("voxel")
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
