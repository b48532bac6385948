"""How sure an answer is: z and q of a concept in a voxel, whether it is specific, and what is left to chance.

For a unit query q and a readout Cᵏw of ridge weights w (k = 0, ½, 1 for weights, half and pattern), the estimate's only
random part is the noise in the training responses, of variance σ². With e_j, λ_j the eigenvectors and eigenvalues of
the features' covariance C over n training images and s_j² = λ_j·(n − 1),

    z = qᵀCᵏŵ / sqrt(σ² · Σ_j (q·e_j)² · λ_j²ᵏ · s_j² / (s_j² + α)²).

The sum depends on the voxel through its penalty alone, and penalties come from a grid of some hundred. z says
association and not specificity: most words are associated with most voxels. A concept is specific to a voxel when it is
among the twentieth of a vocabulary's nouns that are most similar to it, too (METHOD §6.2, 6.3).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ...schemas.config import FDR
from ..backbones.interface import Floats
from .filters import Limits

Doubles = NDArray[np.float64]
SPECIFIC_QUANTILE = 0.95


@dataclass(frozen=True, eq=False)
class FeatureSpectrum:
    """Eigenvectors and eigenvalues of the covariance of a model's training features."""

    values: Doubles
    """λ, (dim,), not negative."""
    axes: Doubles
    """Eigenvectors as columns, (dim, dim)."""
    n_train: int

    @classmethod
    def of(cls, covariance: NDArray[np.floating], n_train: int) -> "FeatureSpectrum":
        """Decompose a covariance (dim, dim), taken with n − 1."""
        # Threads of BLAS that wait for each other take ten times as long where other programs run beside them.
        with threadpool_limits(1, "blas"):
            values, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
        return cls(values.clip(0), axes, n_train)

    def power(self, exponent: float) -> Doubles:
        """Cᵏ, the symmetric one, (dim, dim); k = 0 gives the identity also where features do not vary."""
        return np.asarray((self.axes * self.values**exponent) @ self.axes.T)

    def turned(self, vectors: NDArray[np.floating], exponent: float) -> Doubles:
        """Vectors (…, dim) times Cᵏ: as products with weights they are those of the vectors with the readout."""
        return np.asarray(((np.asarray(vectors, np.float64) @ self.axes) * self.values**exponent) @ self.axes.T)

    def degrees_of_freedom(self, alpha: NDArray[np.floating]) -> Doubles:
        """Effective degrees of freedom of ridge fits, Σ_j s_j²/(s_j² + α), shape as `alpha`."""
        scatter = self.values * (self.n_train - 1)
        return np.asarray((scatter / (scatter + np.asarray(alpha, np.float64)[..., None])).sum(axis=-1))

    def standard_errors(self, query: NDArray[np.floating], alpha: NDArray[np.floating], exponent: float) -> Doubles:
        """Standard errors of qᵀCᵏŵ for noise of variance 1, shape as `alpha`.

        Args:
            query: (dim,).
            alpha: penalties, positive.
            exponent: k.
        """
        scatter = self.values * (self.n_train - 1)
        along = (np.asarray(query, np.float64) @ self.axes) ** 2 * self.values ** (2 * exponent) * scatter
        return np.asarray(np.sqrt((along / (scatter + np.asarray(alpha, np.float64)[..., None]) ** 2).sum(axis=-1)))


def residual_variance(
    weights: Floats, alpha: Doubles, spectrum: FeatureSpectrum, total: NDArray[np.floating]
) -> Doubles:
    """Variance of the noise in the training responses, σ² = RSS/(n − 1 − df), (n_voxels,); NaN where nothing is left.

    As (XᵀX + α)w = Xᵀy, the residual sum of squares is yᵀy − (n − 1)·wᵀCw − 2α·|w|²: no prediction has to be made.

    Args:
        weights: ridge weights, (n_voxels, dim).
        alpha: their penalties, (n_voxels,).
        spectrum: of the training features.
        total: sum of squares of the centred training responses, (n_voxels,).
    """
    wide = np.asarray(weights, np.float64)
    explained = ((wide @ spectrum.axes) ** 2) @ spectrum.values * (spectrum.n_train - 1)
    left = np.asarray(total, np.float64) - explained - 2 * alpha * (wide**2).sum(axis=1)
    freedom = spectrum.n_train - 1 - spectrum.degrees_of_freedom(alpha)
    # A fit that goes through every response leaves rounding errors, of either sign.
    some = (left > 1e-6 * total) & (freedom > 0)
    variance: Doubles = np.divide(left, freedom, out=np.full(len(wide), np.nan), where=some)
    return variance


@dataclass(frozen=True, eq=False)
class ReadoutGains:
    """What z takes of each voxel, whatever is asked: made once, as penalties are few and searches are many."""

    gain: Doubles
    """Length of the readout per standard deviation of the noise, |Cᵏw|/σ, (n_voxels,); NaN where σ is not known."""
    penalties: Doubles
    """The different penalties, (n_penalties,)."""
    which: NDArray[np.int64]
    """Which of them each voxel has, (n_voxels,)."""

    @classmethod
    def of(cls, norms: Doubles, noise: Doubles, alpha: Doubles) -> "ReadoutGains":
        """From lengths of readouts, residual variances and penalties, (n_voxels,) each."""
        penalties, which = np.unique(alpha, return_inverse=True)
        known = np.full(len(noise), np.nan)
        return cls(np.divide(norms, np.sqrt(noise, out=known, where=noise > 0)), penalties, which)

    def of_rows(self, rows: NDArray[np.integer]) -> "ReadoutGains":
        """The same of some voxels."""
        return replace(self, gain=self.gain[rows], which=self.which[rows])

    def z(
        self, similarity: NDArray[np.floating], query: NDArray[np.floating], spectrum: FeatureSpectrum, exponent: float
    ) -> Doubles:
        """How many standard errors a concept's projection on each voxel's readout is from zero, (n_voxels,).

        NaN where a voxel's residual variance is not known. It says association and not specificity: many a word passes.

        Args:
            similarity: cosines of the query and the readouts, (n_voxels,).
            query: unit query, (dim,).
            spectrum: of the training features.
            exponent: k.
        """
        errors = spectrum.standard_errors(query, self.penalties, exponent)
        reciprocal = np.divide(1, errors, out=np.full(len(errors), np.nan), where=errors > 0)
        z: Doubles = similarity * self.gain * reciprocal[self.which]
        return z


def concept_q(z: Doubles, least: float = -np.inf) -> Doubles:
    """False discovery rate of each voxel's association over all voxels (Benjamini-Hochberg), of one-sided p of z.

    Args:
        z: (n_voxels,); NaN counts for no voxel.
        least: voxels of a smaller z have NaN. They are most, so that a search is cheap; and the others' rates are right
            where they are at most the p of `least`, which the left out ones' exceed.

    Returns:
        (n_voxels,); NaN where z is, or is smaller than `least`.
    """
    rows = np.flatnonzero(z >= least)
    rows = rows[np.argsort(-z[rows])]
    rates = _above(z[rows]) * np.count_nonzero(~np.isnan(z)) / np.arange(1, len(rows) + 1)
    q = np.full(len(z), np.nan)
    q[rows] = np.minimum.accumulate(rates[::-1])[::-1].clip(max=1)
    return q


@dataclass(frozen=True, eq=False)
class Evidence:
    """How sure similarities to one concept are, a number for each voxel that was compared."""

    z: Doubles
    above: NDArray[np.bool_] | None
    """Whether 95 % of the vocabulary's nouns are less similar; None where the concept cannot be held against them."""

    @classmethod
    def of_map(cls, frame: pl.DataFrame) -> "Evidence":
        """From a map's columns z and specific, which pass the same limits: see `columns`."""
        specific = frame["specific"]
        above = None if specific.null_count() == len(specific) else specific.fill_null(value=False).to_numpy()
        return cls(frame["z"].fill_null(np.nan).to_numpy(), above)

    @cached_property
    def q(self) -> Doubles:
        """False discovery rate over the model's voxels, (n_voxels,)."""
        return concept_q(self.z)

    @cached_property
    def small_q(self) -> Doubles:
        """The same where it is at most 0.05; NaN or above that elsewhere."""
        return concept_q(self.z, _z_of(FDR))

    def passes(self, limits: Limits) -> NDArray[np.bool_]:
        """Which voxels pass limits, (n_voxels,); none where a limit is asked for and there is nothing to hold to it."""
        mask = np.full(len(self.z), fill_value=True)
        if limits.specific:
            mask = (self.small_q <= FDR) & (False if self.above is None else self.above)
        if limits.min_z is not None:
            mask = mask & (self.z >= limits.min_z)
        if limits.max_q is not None:
            mask = mask & ((self.small_q if limits.max_q <= FDR else self.q) <= limits.max_q)
        return mask

    def columns(self, rows: NDArray[np.integer] | slice = slice(None)) -> dict[str, pl.Series]:
        """z, concept_q and specific of some voxels; NULL where they are not known."""
        z = self.z[rows]
        smallest = float(np.nanmin(z, initial=np.inf))
        # The rate of the worst of these n voxels is at most m·p/n, as at least n of all m have its p or less.
        share = np.count_nonzero(~np.isnan(self.z)) / max(int(np.count_nonzero(~np.isnan(z))), 1)
        bound = share * float(_above(np.array([smallest]))[0])
        q = concept_q(self.z, min(_z_of(bound), smallest))[rows]
        above = np.zeros(len(z), bool) if self.above is None else self.above[rows]
        known = pl.lit(pl.Series(~np.isnan(z) & (self.above is not None)))
        return {
            "z": pl.Series(z, dtype=pl.Float64, nan_to_null=True),
            "concept_q": pl.Series(q, dtype=pl.Float64, nan_to_null=True),
            "specific": pl.select(pl.when(known).then(pl.Series((q <= FDR) & above))).to_series(),
        }


def _z_of(p: float) -> float:
    """Where the one-sided p is this, and a hair less, as quantiles are rounded; -inf for 1 and above."""
    return -NormalDist().inv_cdf(p) - 1e-6 if 0 < p < 1 else math.inf if p == 0 else -math.inf


def _above(z: Doubles) -> Doubles:
    """One-sided p of each z, (n,). Not by scipy, which takes longer to import than a search takes."""
    return np.array([math.erfc(one) for one in (z / math.sqrt(2)).tolist()]) / 2
