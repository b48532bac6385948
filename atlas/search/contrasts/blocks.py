"""The bootstrap over blocks of cortex: neighbouring voxels share their noise, so that they are resampled together.

Voxels that lie in one cube of 1 cm are a block, and blocks are drawn with replacement (Künsch 1989; Carlstein 1986 for
blocks that do not overlap). Only the sums of a block are needed, so that thousands of resamples are one product.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import NotFoundError

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]

BLOCK_MM = 10.0
"""Edge of a block."""
N_RESAMPLES = 4999
"""Bootstrap resamples: p is (b + 1)/5,000."""
LEAST_P = 1 / (N_RESAMPLES + 1)
"""No p is smaller than this; what would be is printed as at most this."""
FEWEST_BLOCKS = 3
"""Below it resamples say nothing."""
_MOST_UNPLACED = 1000
"""Groups that voxels whose places are not known are drawn in, at random."""


class Estimate(NamedTuple):
    """A 95 % interval by percentiles, and a two-sided p of 0; NaN where there are too few blocks."""

    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def cortex_blocks(places: Floats) -> NDArray[np.int64]:
    """The block of each voxel from places in mm, (n, 3), as numbers from 0, (n,): a cube of 10 mm.

    Raises:
        NotFoundError: it is not known where all of them lie.
    """
    unknown = np.count_nonzero(np.isnan(places).any(axis=1))
    if unknown:
        raise NotFoundError(f"Where {unknown:,} of {len(places):,} voxels lie is not known.")
    cubes = np.floor(places / BLOCK_MM).astype(np.int64)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def unplaced_blocks(n: int) -> NDArray[np.int64]:
    """Blocks of `n` voxels whose places are not known: each its own, or groups at random, which comes to the same."""
    return np.random.default_rng(0).permutation(n) % _MOST_UNPLACED


def resampled(sums: Floats, seed: int = 0) -> NDArray[np.float64]:
    """Totals of resamples of the blocks, (n_resamples, k), from each block's sums, (n_blocks, k)."""
    n = len(sums)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_RESAMPLES)
    totals: NDArray[np.float64] = counts.astype(np.float64) @ np.asarray(sums, np.float64)
    return totals


def block_sums(values: Floats, blocks: Indices) -> NDArray[np.float64]:
    """Sums of the rows of `values`, (n, k), over each block that there is, (n_blocks, k)."""
    order = np.argsort(blocks, kind="stable")
    starts = np.flatnonzero(np.diff(blocks[order], prepend=np.nan))
    sums: NDArray[np.float64] = np.add.reduceat(np.asarray(values, np.float64)[order], starts, axis=0)
    return sums


def mean_draws(values: Floats, blocks: Indices, seed: int = 0) -> NDArray[np.float64]:
    """Means of the columns of `values`, (n, k), over resampled blocks, (n_resamples, k); NaN for too few blocks."""
    sums = block_sums(np.column_stack([values, np.ones(len(values))]), blocks)
    if len(sums) < FEWEST_BLOCKS:
        return np.full((N_RESAMPLES, sums.shape[1] - 1), np.nan)
    drawn = resampled(sums, seed)
    return drawn[:, :-1] / drawn[:, -1:]


def correlation_draws(values: Floats, truth: Floats, blocks: Indices, seed: int = 0) -> NDArray[np.float64]:
    """Pearson correlations of the columns of `values`, (n, m), with truth, (n,), over resampled blocks.

    All columns are resampled in the same way, so that differences of two are paired.

    Returns:
        (n_resamples, m); NaN where one side does not vary, and for too few blocks.
    """
    m = values.shape[1]
    x = values - values.mean(axis=0, dtype=np.float64)
    y = (truth - truth.mean(dtype=np.float64))[:, None]
    sums = block_sums(np.hstack([x, x**2, x * y, y, y**2, np.ones_like(y)]), blocks)
    if len(sums) < FEWEST_BLOCKS:
        return np.full((N_RESAMPLES, m), np.nan)
    drawn = resampled(sums, seed)
    drawn /= drawn[:, -1:]
    mean_x, squares_x, products, mean_y = drawn[:, :m], drawn[:, m : 2 * m], drawn[:, 2 * m : 3 * m], drawn[:, [-3]]
    spread_x, spread_y = squares_x - mean_x**2, drawn[:, [-2]] - mean_y**2
    varies = (np.ptp(values, axis=0) > 0) & (np.ptp(truth) > 0) & (spread_x > 0) & (spread_y > 0)
    r = np.full((N_RESAMPLES, m), np.nan)
    np.divide(products - mean_x * mean_y, np.sqrt((spread_x * spread_y).clip(0)), out=r, where=varies)
    return r


def estimate(drawn: Floats, observed: float) -> Estimate:
    """Interval and p of one number from its resamples; p = (b + 1)/(B + 1), b those at least as far from it as 0 is."""
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < N_RESAMPLES // 2:
        return Estimate()
    low, high = np.quantile(drawn, [0.025, 0.975])
    beyond = np.count_nonzero(np.abs(drawn - observed) >= abs(observed))
    return Estimate(float(low), float(high), (beyond + 1) / (len(drawn) + 1))
