"""What first labels reach beside shuffled ones (Fig. 2), and how much of that is region-level."""

import numpy as np
import polars as pl

from ....atlas.search.contrasts.blocks import estimate, mean_draws

EVERYWHERE = "all"
"""Stands for all labelled voxels, among the names of regions."""
INSIDE = "any region"
"""Stands for the labelled voxels that are in a region."""
SHUFFLED = "shuffled labels"
WITHIN = "shuffled within region"
CONTROLS = {SHUFFLED: "shuffled", WITHIN: "shuffled_within"}
"""What labels are compared with → its column."""


def mean_cosines(by_region: pl.DataFrame) -> pl.DataFrame:
    """Mean cosine of each method, and of the first one's controls, by region, with 95 % intervals over blocks.

    Args:
        by_region: from `label_cosines`, with model_id, measure, readout, baseline and block.

    Returns:
        model_id, measure, readout, roi, series, n, mean, low, high.
    """
    rows = []
    by = ["model_id", "measure", "readout", "roi"]
    for key, part in by_region.group_by(by, maintain_order=True):
        methods = part["method"].unique(maintain_order=True).to_list()
        columns = [(method, method, "cosine") for method in methods]
        columns += [(name, methods[0], column) for name, column in CONTROLS.items()]
        for series, method, column in columns:
            own = part.filter(pl.col("method") == method).drop_nulls(column)
            if own.is_empty():
                continue
            mean = float(own[column].mean())  # type: ignore[arg-type]  # a column of floats
            found = estimate(mean_draws(own.select(column).to_numpy(), own["block"].to_numpy())[:, 0], mean)
            named = dict(zip(by, key, strict=True))
            rows.append(
                {**named, "series": series, "n": own.height, "mean": mean, "low": found.low, "high": found.high}
            )
    return pl.DataFrame(rows)


def region_level_shares(by_region: pl.DataFrame) -> pl.DataFrame:
    """How much of what labels reach above shuffled ones those reach that are shuffled within the region.

    Args:
        by_region: as for `mean_cosines`; the rows of `INSIDE` count.

    Returns:
        model_id, measure, method, n, cosine, shuffled_within, shuffled (means), region_level_share, low, high (95 %
        interval over blocks); empty where no voxel is in a region.
    """
    rows = []
    by, columns = ["model_id", "measure", "method"], ["cosine", "shuffled_within", "shuffled"]
    for key, part in by_region.filter(pl.col("roi") == INSIDE).group_by(by, maintain_order=True):
        values = part.select(columns).to_numpy().astype(np.float64)
        means, drawn = values.mean(axis=0), mean_draws(values, part["block"].to_numpy())
        share = float((means[1] - means[2]) / (means[0] - means[2]))
        found = estimate((drawn[:, 1] - drawn[:, 2]) / (drawn[:, 0] - drawn[:, 2]), share)
        named = {**dict(zip(by, key, strict=True)), "n": part.height, **dict(zip(columns, means, strict=True))}
        rows.append({**named, "region_level_share": share, "low": found.low, "high": found.high})
    return pl.DataFrame(rows)
