"""How much of what a simulated subject was planted with the atlas finds. Only evaluations read the planting."""

import numpy as np
import polars as pl

from ....atlas.search.atlas import Atlas
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


def concept_recovery(maps: pl.DataFrame, tuned: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """How well a category's concept map tells the voxels that were planted with it from the others.

    Args:
        maps: method, category, voxel, similarity.
        tuned: voxel, category.
        seed: of the control, which gives each voxel the planting of another.

    Returns:
        method, category, n_planted, n_others, auc, auc_shuffled; by method and category.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for (method, category), drawn in maps.group_by("method", "category", maintain_order=True):
        has = tuned.filter(pl.col("category") == category)["voxel"]
        score = drawn["similarity"].to_numpy()
        positive = drawn["voxel"].is_in(has.implode()).to_numpy()
        rows.append(
            {
                "method": method,
                "category": category,
                "n_planted": int(positive.sum()),
                "n_others": int((~positive).sum()),
                "auc": auc(score, positive),
                "auc_shuffled": auc(score, rng.permutation(positive)),
            }
        )
    return pl.DataFrame(rows).sort("method", "category") if rows else pl.DataFrame()
