"""How much of what a simulated subject was planted with the atlas finds. Only evaluations read the planting."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....atlas.search.atlas import Atlas
from ....atlas.search.contrasts.blocks import Estimate, Floats, Indices, block_sums, estimate, resampled
from ....schemas.errors import NotFoundError
from .statistics import auc


def planted(atlas: Atlas, subject_id: str) -> pl.DataFrame:
    """What a simulated subject's voxels were tuned to: voxel, category; contrast (early visual voxels) left out.

    Raises:
        NotFoundError: nothing was planted, since the subject is not simulated.
    """
    sql = "SELECT DISTINCT voxel, category FROM planting WHERE subject_id = ? AND category <> 'contrast' ORDER BY ALL"
    tuned = atlas.store.frame(sql, [subject_id])
    if tuned.is_empty():
        raise NotFoundError(f"{subject_id} is not simulated, so nothing was planted that could be found again.")
    return tuned


def auc_draws(score: Floats, positive: NDArray[np.bool_], blocks: Indices) -> NDArray[np.float64]:
    """`auc` over resampled blocks of cortex, (n_resamples,); NaN where one kind of voxel was not drawn.

    The pairs in the right order are counted for each two blocks once, and weighed by how often both were drawn.
    """
    block = np.unique(blocks, return_inverse=True)[1]
    n_blocks = block.max() + 1
    others = np.flatnonzero(~positive)[np.argsort(score[~positive], kind="stable")]
    of_block = np.zeros((len(others) + 1, n_blocks))
    of_block[np.arange(1, len(others) + 1), block[others]] = 1
    up_to = of_block.cumsum(axis=0)
    left, right = (up_to[np.searchsorted(score[others], score[positive], side)] for side in ("left", "right"))
    pairs = np.zeros((n_blocks, n_blocks))
    pairs[np.unique(block[positive])] = block_sums((left + right) / 2, block[positive])
    drawn = resampled(np.eye(n_blocks))
    kinds = np.column_stack([np.bincount(block[side], minlength=n_blocks) for side in (positive, ~positive)])
    n_pairs = (drawn @ kinds).prod(axis=1)
    area = np.full(len(drawn), np.nan)
    np.divide(np.einsum("rb,rb->r", drawn @ pairs, drawn), n_pairs, out=area, where=n_pairs > 0)
    return area


def _area(score: Floats, positive: NDArray[np.bool_], blocks: Indices) -> tuple[float, Estimate]:
    area = auc(score, positive)
    if not positive.any() or positive.all():
        return area, Estimate()
    return area, estimate(auc_draws(score, positive, blocks), area)


def concept_recovery(maps: pl.DataFrame, tuned: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """How well a category's concept map tells the voxels that were planted with it from the others.

    Args:
        maps: method, category, voxel, block, similarity.
        tuned: voxel, category.
        seed: of the control, which gives each voxel the planting of another.

    Returns:
        method, category, n_planted, n_others, auc, low, high (95 % interval over blocks), auc_shuffled, low_shuffled,
        high_shuffled; by method and category.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for (method, category), drawn in maps.group_by("method", "category", maintain_order=True):
        has = tuned.filter(pl.col("category") == category)["voxel"]
        score = drawn["similarity"].to_numpy()
        positive = drawn["voxel"].is_in(has.implode()).to_numpy()
        blocks = drawn["block"].to_numpy()
        (area, interval), (area_shuffled, interval_shuffled) = (
            _area(score, planted_with, blocks) for planted_with in (positive, rng.permutation(positive))
        )
        rows.append(
            {
                "method": method,
                "category": category,
                "n_planted": int(positive.sum()),
                "n_others": int((~positive).sum()),
                "auc": area,
                "low": interval.low,
                "high": interval.high,
                "auc_shuffled": area_shuffled,
                "low_shuffled": interval_shuffled.low,
                "high_shuffled": interval_shuffled.high,
            }
        )
    return pl.DataFrame(rows).sort("method", "category") if rows else pl.DataFrame()
