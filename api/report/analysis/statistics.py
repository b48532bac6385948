"""Tests, effect sizes and intervals of paired numbers. Units are rows: voxels of one subject, or subjects.

A test over voxels treats them as independent, which neighbouring voxels are not: its p is too small for saying
something of people, and says only that the difference is more than noise within this subject. A test over subjects
says something of people.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from ....schemas.errors import BadInputError

Floats = NDArray[np.floating]

FEWEST_PAIRS = 3
"""Below it a paired test says nothing."""
N_RESAMPLES = 2000
"""Bootstrap resamples of an interval."""


@dataclass(frozen=True)
class Paired:
    """A paired comparison a - b; NaN where it is not defined."""

    n: int
    """Pairs, without those of which a value is missing."""
    mean_a: float = math.nan
    mean_b: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    """Lower end of the 95 % interval of the mean difference."""
    high: float = math.nan
    t: float = math.nan
    """Student's t with n - 1 degrees of freedom."""
    p: float = math.nan
    """Two-sided, of the t test."""
    d: float = math.nan
    """Cohen's d of the differences: their mean in units of their standard deviation (d_z)."""
    rank_p: float = math.nan
    """Two-sided, of Wilcoxon's signed-rank test; differences of 0 are left out."""
    rank_r: float = math.nan
    """Rank-biserial correlation, -1 to 1: how far positive ranks outweigh negative ones (Kerby 2014)."""


def paired(a: Floats, b: Floats, *, seed: int = 0) -> Paired:
    """Paired t test, Wilcoxon's signed-rank test, effect sizes and a bootstrap interval of a - b.

    The t test assumes differences that are independent and nearly normal in the mean; the rank test that they are
    independent and symmetric about their median.

    Args:
        a: (n,) values; pairs with a NaN are left out.
        b: (n,) values of the same units.
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
    means = Paired(n, float(a.mean()), float(b.mean()), float(difference.mean()))
    if n < FEWEST_PAIRS:
        return means
    low, high = interval(difference, seed=seed)
    if not difference.std() > 1e-12 * max(1.0, float(np.abs(difference).max())):
        # All differences are equal: no test has a scale to measure them by.
        return replace(means, low=low, high=high)
    t, p = stats.ttest_rel(a, b)
    return replace(
        means,
        low=low,
        high=high,
        t=float(t),
        p=float(p),
        d=means.difference / float(difference.std(ddof=1)),
        rank_p=float(stats.wilcoxon(difference).pvalue),
        rank_r=rank_biserial(difference),
    )


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
        pairs: one row a unit.
        by: columns that name the groups.
        a: column of one side.
        b: column of the other side.

    Returns:
        The columns `by` and the fields of `Paired`, and p_holm; by group.
    """
    groups = pairs.group_by(by, maintain_order=True)
    rows = [
        {**dict(zip(by, key, strict=True)), **vars(paired(rows[a].to_numpy(), rows[b].to_numpy()))}
        for key, rows in groups
    ]
    if not rows:
        return pl.DataFrame()
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.with_columns(pl.Series("p_holm", holm(frame["p"].cast(pl.Float64).to_numpy())))


def correlations(values: Floats, truth: Floats) -> NDArray[np.float64]:
    """Pearson correlation of each column of values (n, m) with truth (n,), (m,); NaN where one does not vary."""
    centred = values - values.mean(axis=0)
    aim = truth - truth.mean()
    lengths = np.sqrt(np.einsum("ij,ij->j", centred, centred) * (aim @ aim))
    r = np.full(values.shape[1], np.nan)
    np.divide(aim @ centred, lengths, out=r, where=lengths > 0)
    return r


def correlation_intervals(values: Floats, truth: Floats, *, seed: int = 0) -> tuple[Floats, Floats]:
    """95 % intervals of `correlations`, and of the difference of each two of them.

    Percentiles of 1,000 resamples of the units, the same for all columns. From 2,000 units on the normal interval by
    the correlations' influence functions (Devlin, Gnanadesikan and Kettenring 1975), as in `interval`.

    Args:
        values: (n, m) without NaN.
        truth: (n,) without NaN.
        seed: of the resamples.

    Returns:
        Lower and upper ends of the correlations, (2, m), and of column a's less column b's, (2, m, m); NaN where a
        column does not vary.
    """
    if len(values) < N_RESAMPLES:
        drawn = resampled_correlations(values, truth, seed=seed)
        apart = drawn[:, :, None] - drawn[:, None, :]
        return np.quantile(drawn, [0.025, 0.975], axis=0), np.quantile(apart, [0.025, 0.975], axis=0)
    estimates = correlations(values, truth)
    aim = _standardised(truth)
    influence = np.empty(values.shape, np.float64)
    for column, r in enumerate(estimates):
        own = _standardised(values[:, column])
        influence[:, column] = own * aim - r / 2 * (own**2 + aim**2)
    covariance = influence.T @ influence / len(values) ** 2
    variance = np.diagonal(covariance)
    apart = estimates[:, None] - estimates
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    # Rounding can leave less than nothing of what two equal columns differ by.
    reach_apart = stats.norm.ppf(0.975) * np.sqrt((variance[:, None] + variance - 2 * covariance).clip(0))
    return np.stack([estimates - reach, estimates + reach]), np.stack([apart - reach_apart, apart + reach_apart])


def _standardised(values: Floats) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - values.mean(dtype=np.float64)
    return centred / max(float(np.sqrt(np.mean(centred**2))), np.finfo(np.float64).tiny)


def resampled_correlations(values: Floats, truth: Floats, *, n_resamples: int = 1000, seed: int = 0) -> Floats:
    """`correlations` of resampled units, (n_resamples, m): all columns by the same resamples, so that they are paired.

    Args:
        values: (n, m) without NaN.
        truth: (n,) without NaN.
        n_resamples: resamples of the n units.
        seed: of the resamples.
    """
    stacked = np.column_stack([values, truth]).astype(np.float64)
    rng, n = np.random.default_rng(seed), len(stacked)
    drawn = (stacked[rng.integers(0, n, n)] for _ in range(n_resamples))
    return np.array([correlations(rows[:, :-1], rows[:, -1]) for rows in drawn]).reshape(n_resamples, -1)
