"""Statistics over subjects, who are the unit: one-sample t tests, and how well the others predict each of them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ....schemas.config import FDR

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OverSubjects:
    """What several subjects' values come to at each place; NaN where fewer than two, or half of them, have one."""

    n: NDArray[np.int64]
    """(n_places,) subjects with a value."""
    mean: Doubles
    error: Doubles
    """Standard error of the mean."""
    t: Doubles
    """Student's t of the mean against 0, with n - 1 degrees of freedom; NaN also where all values are equal."""
    p: Doubles
    """One-sided: that the mean is above 0."""
    q: Doubles
    """False discovery rate over the places that have a t (Benjamini-Hochberg)."""

    @property
    def n_tested(self) -> int:
        """Places that have a t."""
        return int(np.count_nonzero(np.isfinite(self.q)))

    @property
    def n_significant(self) -> int:
        """Those with q at most 0.05."""
        return int(np.count_nonzero(self.q <= FDR))


def over_subjects(values: NDArray[np.floating]) -> OverSubjects:
    """One-sample t tests of values (n_subjects, n_places) over subjects; NaN counts for no subject."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    n = known.sum(axis=0)
    enough = n >= max(2, math.ceil(len(values) / 2))
    total = np.where(known, values, 0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(len(n), np.nan), where=enough)
    squares = (np.where(known, values - mean, 0) ** 2).sum(axis=0)
    error = np.sqrt(squares / np.maximum(n - 1, 1) / np.maximum(n, 1))
    # A spread of rounding errors is none.
    varies = enough & (error > 1e-9 * np.abs(mean))
    t = np.divide(mean, error, out=np.full(len(n), np.nan), where=varies)
    p = np.where(varies, stats.t.sf(t, np.maximum(n - 1, 1)), np.nan)
    q = np.full(len(n), np.nan)
    if varies.any():
        q[varies] = stats.false_discovery_control(p[varies])
    return OverSubjects(n, mean, np.where(enough & (n > 1), error, np.nan), t, p, q)


def leave_one_out(values: NDArray[np.floating]) -> Doubles:
    """Pearson correlation of each subject's values with the mean of the others', (n_subjects,).

    Over the places where the subject and at least one other have a value; NaN where there are fewer than three, or one
    side does not vary.
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    total, n = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    r = np.full(len(values), np.nan)
    for subject, (own, here) in enumerate(zip(values, known, strict=True)):
        both = here & (n > 1)
        x, y = own[both], (total[both] - own[both]) / (n[both] - 1)
        if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
            r[subject] = np.corrcoef(x, y)[0, 1]
    return r
