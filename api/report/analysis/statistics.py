"""Tests, effect sizes and intervals of paired numbers. Units are rows: voxels of one subject, or subjects.

Neighbouring voxels are not independent, so that intervals and p over voxels come from resampled blocks of cortex (see
`blocks`). They say that a difference is more than noise within this subject; a test over subjects says something of
people.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from ....atlas.search.contrasts.blocks import Indices, estimate, mean_draws
from ....schemas.errors import BadInputError

Floats = NDArray[np.floating]

FEWEST_PAIRS = 3
"""Below it a paired test says nothing."""
FEWEST_SUBJECTS = 5
"""From so many on, subjects are the unit of tests and intervals."""
N_RESAMPLES = 2000
"""Bootstrap resamples of an interval."""
MOST_COUNTED = 13
"""Up to so many pairs the rank test is exact where ranks are tied, too, as scipy's is."""


@dataclass(frozen=True)
class Paired:
    """A paired comparison a - b; NaN where it is not defined."""

    n: int
    """Pairs, without those of which a value is missing."""
    blocks: int | None = None
    """Blocks of cortex that the voxels lie in; None where units are independent."""
    mean_a: float = math.nan
    mean_b: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    """Lower end of the 95 % interval of the mean difference."""
    high: float = math.nan
    d: float = math.nan
    """Cohen's d of the differences: their mean in units of their standard deviation (d_z)."""
    rank_r: float = math.nan
    """Rank-biserial correlation, -1 to 1: how far positive ranks outweigh negative ones (Kerby 2014)."""
    p: float = math.nan
    """Two-sided: by resampled blocks where there are some, else of the t test."""
    t: float = math.nan
    """Student's t with n - 1 degrees of freedom, of units that are taken for independent."""
    t_p: float = math.nan
    """Two-sided, of the t test."""
    rank_p: float = math.nan
    """Two-sided, of Wilcoxon's signed-rank test; differences of 0 are left out."""


def paired(a: Floats, b: Floats, *, blocks: Indices | None = None, seed: int = 0) -> Paired:
    """Paired t test, Wilcoxon's signed-rank test, effect sizes and a bootstrap interval of a - b.

    The t test assumes differences that are independent and nearly normal in the mean; the rank test that they are
    independent and symmetric about their median.

    Args:
        a: (n,) values; pairs with a NaN are left out.
        b: (n,) values of the same units.
        blocks: (n,) the block of cortex that each unit lies in; None where units are independent.
        seed: of the bootstrap.

    Raises:
        BadInputError: a and b differ in length.
    """
    if np.shape(a) != np.shape(b):
        raise BadInputError(f"A paired test needs pairs, and there are {np.size(a)} and {np.size(b)} values.")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    there = np.isfinite(a) & np.isfinite(b)
    a, b = a[there], b[there]
    difference = a - b
    n = len(difference)
    if not n:
        return Paired(0)
    means = Paired(n, mean_a=float(a.mean()), mean_b=float(b.mean()), difference=float(difference.mean()))
    p = math.nan
    if blocks is not None:
        blocks = blocks[there]
        means = replace(means, blocks=len(np.unique(blocks)))
    if n < FEWEST_PAIRS:
        return means
    if blocks is None:
        low, high = interval(difference, seed=seed)
    else:
        low, high, p = estimate(mean_draws(difference[:, None], blocks, seed)[:, 0], means.difference)
    if not difference.std() > 1e-12 * max(1.0, float(np.abs(difference).max())):
        # All differences are equal: no test has a scale to measure them by.
        return replace(means, low=low, high=high)
    t, t_p = stats.ttest_rel(a, b)
    return replace(
        means,
        low=low,
        high=high,
        p=float(t_p) if blocks is None else p,
        t=float(t),
        t_p=float(t_p),
        d=means.difference / float(difference.std(ddof=1)),
        rank_p=signed_rank_p(difference),
        rank_r=rank_biserial(difference),
    )


def signed_rank_p(difference: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; differences of 0 are left out.

    Of few pairs every way in which the signs could have fallen counts. So it does in scipy's own, which goes through
    them one by one where ranks are tied: half a second for 13.

    Args:
        difference: (n,), not all 0.
    """
    nonzero = difference[difference != 0]
    if len(difference) > MOST_COUNTED or len(nonzero) == 1:  # of one, scipy permutes nothing
        return float(stats.wilcoxon(difference).pvalue)
    ranks = stats.rankdata(np.abs(nonzero)) * np.sign(nonzero)
    counted = stats.permutation_test((ranks,), np.sum, permutation_type="samples", vectorized=True, n_resamples=np.inf)
    return float(counted.pvalue)


def rank_biserial(difference: Floats) -> float:
    """(sum of positive ranks - sum of negative ranks) / sum of all ranks of the differences that are not 0."""
    difference = difference[difference != 0]
    ranks = stats.rankdata(np.abs(difference))
    return float((ranks * np.sign(difference)).sum() / ranks.sum()) if len(ranks) else 0.0


def interval(values: Floats, *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean by percentiles of its bootstrap (Efron and Tibshirani 1993, ch. 13).

    From 2,000 values on, where the mean of so many is normal, the interval is the normal one,
    which 2,000 resamples would only blur.

    Args:
        values: (n,) without NaN.
        seed: of the resamples.

    Returns:
        Lower and upper end; NaN where there are fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return math.nan, math.nan
    if len(values) >= N_RESAMPLES:
        mean, reach = values.mean(), stats.norm.ppf(0.975) * stats.sem(values)
        return float(mean - reach), float(mean + reach)
    low, high = stats.bootstrap(
        (values,), np.mean, n_resamples=N_RESAMPLES, method="percentile", rng=seed
    ).confidence_interval
    return float(low), float(high)


def holm(p: Floats) -> NDArray[np.float64]:
    """Holm's adjusted p values, (n,); NaN stays NaN and counts for nothing (Holm 1979)."""
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN is sorted to the end
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)).clip(max=1)
    return adjusted


def auc(score: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative; NaN without one of the two."""
    ours, others = score[positive], score[~positive]
    if not len(ours) or not len(others):
        return math.nan
    return float(stats.mannwhitneyu(ours, others, method="asymptotic").statistic / (len(ours) * len(others)))


def paired_tests(pairs: pl.DataFrame, by: list[str], a: str, b: str) -> pl.DataFrame:
    """`paired` for each group of a frame, with Holm's correction over the groups.

    Args:
        pairs: one row a unit; voxels have a column `block`.
        by: columns that name the groups.
        a: column of one side.
        b: column of the other side.

    Returns:
        The columns `by` and the fields of `Paired`, and p_holm; by group.
    """
    rows = []
    for key, units in pairs.group_by(by, maintain_order=True):
        blocks = units["block"].to_numpy() if "block" in units.columns else None
        test = paired(units[a].to_numpy(), units[b].to_numpy(), blocks=blocks)
        rows.append({**dict(zip(by, key, strict=True)), **vars(test)})
    if not rows:
        return pl.DataFrame()
    frame = pl.DataFrame(rows, schema_overrides={"blocks": pl.Int64}, infer_schema_length=None)
    return frame.with_columns(pl.Series("p_holm", holm(frame["p"].cast(pl.Float64).to_numpy())))


def correlations(values: Floats, truth: Floats) -> NDArray[np.float64]:
    """Pearson correlation of each column of values (n, m) with truth (n,), (m,); NaN where one does not vary."""
    centred = values - values.mean(axis=0)
    aim = truth - truth.mean()
    lengths = np.sqrt(np.einsum("ij,ij->j", centred, centred) * (aim @ aim))
    r = np.full(values.shape[1], np.nan)
    np.divide(aim @ centred, lengths, out=r, where=lengths > 0)
    return r
