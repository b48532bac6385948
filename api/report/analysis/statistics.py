"""Tests, effect sizes and intervals of paired numbers. Units are rows: voxels of one subject, or subjects.

A test over voxels treats them as independent, which neighbouring voxels are not: its p is too small for saying
something of people, and says only that the difference is more than noise within this subject. A test over subjects
says something of people.
"""

from dataclasses import dataclass

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
_FEW = 13
"""Differences of which scipy counts all signs where there are ties."""
_AT_ONCE = 2**22
"""Numbers of a block of resamples, which bounds their memory to 32 MiB."""


@dataclass(frozen=True)
class Paired:
    """A paired comparison a - b; NaN where it is not defined."""

    n: int
    """Pairs, without those of which a value is missing."""
    mean_a: float
    mean_b: float
    difference: float
    low: float
    """Lower end of the 95 % interval of the mean difference."""
    high: float
    t: float
    """Student's t with n - 1 degrees of freedom."""
    p: float
    """Two-sided, of the t test."""
    d: float
    """Cohen's d of the differences: their mean in units of their standard deviation (d_z)."""
    rank_p: float
    """Two-sided, of Wilcoxon's signed-rank test."""
    rank_r: float
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
    nothing = float("nan")
    if len(a) < FEWEST_PAIRS:
        means = (float(a.mean()), float(b.mean()), float((a - b).mean())) if len(a) else (nothing,) * 3
        return Paired(len(a), *means, *(nothing,) * 7)
    difference = a - b
    low, high = interval(difference, seed=seed)
    if not difference.std() > 1e-12 * max(1.0, float(np.abs(difference).max())):
        # All differences are equal: no test has a scale to measure them by.
        same = float(difference.mean())
        return Paired(len(a), float(a.mean()), float(b.mean()), same, low, high, *(nothing,) * 5)
    t, p = stats.ttest_rel(a, b)
    return Paired(
        n=len(a),
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
        t=float(t),
        p=float(p),
        d=float(difference.mean() / difference.std(ddof=1)),
        rank_p=signed_rank_p(difference),
        rank_r=rank_biserial(difference),
    )


def signed_rank_p(difference: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; differences of 0 are left out.

    scipy's values. It counts all signs of few differences with ties one by one, in a second; here they are one product.
    """
    nonzero = difference[difference != 0]
    sizes = np.abs(nonzero)
    if len(difference) > _FEW or len(np.unique(sizes)) == len(difference):
        return float(stats.wilcoxon(difference, zero_method="wilcox", method="auto").pvalue)
    ranks = stats.rankdata(sizes)
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, found = signs @ ranks, ranks[nonzero > 0].sum()
    return min(1.0, 2 * float(min(np.mean(sums <= found), np.mean(sums >= found))))


def rank_biserial(difference: Floats) -> float:
    """(sum of positive ranks - sum of negative ranks) / sum of all ranks of the differences that are not 0."""
    difference = difference[difference != 0]
    ranks = stats.rankdata(np.abs(difference))
    return float((ranks * np.sign(difference)).sum() / ranks.sum()) if len(ranks) else 0.0


def interval(values: Floats, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993, ch. 13).

    From 2,000 values on, where the mean of so many is normal, the interval is the normal one,
    which 2,000 resamples would only blur.

    Args:
        values: (n,) without NaN.
        level: Of the interval.
        seed: Of the resamples.

    Returns:
        Lower and upper end; NaN where there are fewer than two values.
    """
    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    if n >= N_RESAMPLES:
        reach = stats.norm.ppf((1 + level) / 2) * values.std(ddof=1) / np.sqrt(n)
        return float(values.mean() - reach), float(values.mean() + reach)
    means = resampled_means(values[:, None], seed)[:, 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_means(values: Floats, seed: int, n_resamples: int = N_RESAMPLES) -> NDArray[np.float64]:
    """Means of resampled rows, (n_resamples, n_columns), of values (n, n_columns)."""
    rng, n = np.random.default_rng(seed), len(values)
    step = max(1, _AT_ONCE // values.size)
    blocks = [
        values[rng.integers(0, n, (min(step, n_resamples - start), n))].mean(axis=1)
        for start in range(0, n_resamples, step)
    ]
    return np.concatenate(blocks)


def holm(p: Floats) -> NDArray[np.float64]:
    """Holm's adjusted p values, (n,); NaN stays NaN and counts for nothing (Holm 1979)."""
    adjusted = np.full(len(p), np.nan)
    order = [int(i) for i in np.argsort(p) if np.isfinite(p[i])]
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * float(p[i])))
        adjusted[i] = largest
    return adjusted


def pearson(a: Floats, b: Floats) -> float:
    """Pearson correlation over the units that both have; NaN below three of them or where one does not vary."""
    there = np.isfinite(a) & np.isfinite(b)
    a, b = np.asarray(a, np.float64)[there], np.asarray(b, np.float64)[there]
    if len(a) < FEWEST_PAIRS or not (a.std() > 0 and b.std() > 0):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def auc(score: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative; NaN without one of the two."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    ranks = stats.rankdata(score)[positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


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
    found = np.full(values.shape[1], np.nan)
    np.divide(aim @ centred, lengths, out=found, where=lengths > 0)
    return found


def correlation_intervals(values: Floats, truth: Floats, *, seed: int = 0) -> tuple[Floats, Floats]:
    """95 % intervals of `correlations`, and of the difference of each two of them.

    Percentiles of 1,000 resamples of the units, the same for all columns. From 2,000 units on the normal interval by
    the correlations' influence functions (Devlin, Gnanadesikan and Kettenring 1975), as in `interval`.

    Args:
        values: (n, m) without NaN.
        truth: (n,) without NaN.
        seed: Of the resamples.

    Returns:
        Lower and upper ends of the correlations, (2, m), and of column a's less column b's, (2, m, m); NaN where a
        column does not vary.
    """
    if len(values) < N_RESAMPLES:
        drawn = resampled_correlations(values, truth, seed=seed)
        apart = drawn[:, :, None] - drawn[:, None, :]
        return np.quantile(drawn, [0.025, 0.975], axis=0), np.quantile(apart, [0.025, 0.975], axis=0)
    found = correlations(values, truth)
    aim = _standardised(truth)
    influence = np.empty(values.shape, np.float64)
    for column, r in enumerate(found):
        own = _standardised(values[:, column])
        influence[:, column] = own * aim - r / 2 * (own**2 + aim**2)
    covariance = influence.T @ influence / len(values) ** 2
    variance = np.diagonal(covariance)
    apart = found[:, None] - found
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    # Rounding can leave less than nothing of what two equal columns differ by.
    reach_apart = stats.norm.ppf(0.975) * np.sqrt((variance[:, None] + variance - 2 * covariance).clip(0))
    return np.stack([found - reach, found + reach]), np.stack([apart - reach_apart, apart + reach_apart])


def _standardised(values: Floats) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - values.mean(dtype=np.float64)
    return centred / max(float(np.sqrt(np.mean(centred**2))), np.finfo(np.float64).tiny)


def resampled_correlations(values: Floats, truth: Floats, *, n_resamples: int = 1000, seed: int = 0) -> Floats:
    """`correlations` of resampled units, (n_resamples, m): all columns by the same resamples, so that they are paired.

    Args:
        values: (n, m) without NaN.
        truth: (n,) without NaN.
        n_resamples: Resamples of the n units.
        seed: Of the resamples.
    """
    stacked = np.column_stack([values, truth]).astype(np.float64)
    rng, n = np.random.default_rng(seed), len(stacked)
    drawn = (stacked[rng.integers(0, n, n)] for _ in range(n_resamples))
    return np.array([correlations(rows[:, :-1], rows[:, -1]) for rows in drawn]).reshape(n_resamples, -1)
