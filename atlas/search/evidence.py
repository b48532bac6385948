"""How sure an answer is: z and q of a concept in a voxel, whether it is specific, and what is left to chance.

For a unit query q and a readout Cᵏw of ridge weights w (k = 0, ½, 1 for weights, half and pattern), the estimate's only
random part is the noise in the training responses, of variance σ². With e_j, λ_j the eigenvectors and eigenvalues of
the features' covariance C over n training images and s_j² = λ_j·(n − 1),

    z = qᵀCᵏŵ / sqrt(σ² · Σ_j (q·e_j)² · λ_j²ᵏ · s_j² / (s_j² + α)²).

The sum depends on the voxel through its penalty alone, and penalties come from a grid of some hundred. z says
association and not specificity: most words are associated with most voxels. A concept is specific to a voxel when it is
among the twentieth of a vocabulary's nouns that are most similar to it, too (METHOD §6.2, 6.3).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from ..backbones.interface import Floats

Doubles = NDArray[np.float64]
SPECIFIC_Q = 0.05
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
        values, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
        return cls(values.clip(0), axes, n_train)

    def power(self, exponent: float) -> Doubles:
        """Cᵏ, the symmetric one, (dim, dim); k = 0 gives the identity also where features do not vary."""
        return np.asarray((self.axes * self.values**exponent) @ self.axes.T)

    def degrees_of_freedom(self, alpha: NDArray[np.floating]) -> Doubles:
        """Effective degrees of freedom of ridge fits, Σ_j s_j²/(s_j² + α), shape as `alpha`."""
        scatter = self.values * (self.n_train - 1)
        return np.asarray((scatter / (scatter + np.asarray(alpha, np.float64)[..., None])).sum(axis=-1))

    def query_variance(self, query: NDArray[np.floating], alpha: NDArray[np.floating], exponent: float) -> Doubles:
        """Variance of qᵀCᵏŵ for noise of variance 1, shape as `alpha`.

        Args:
            query: (dim,).
            alpha: penalties, positive.
            exponent: k.
        """
        scatter = self.values * (self.n_train - 1)
        along = (np.asarray(query, np.float64) @ self.axes) ** 2 * self.values ** (2 * exponent) * scatter
        return np.asarray((along / (scatter + np.asarray(alpha, np.float64)[..., None]) ** 2).sum(axis=-1))


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


def z_values(
    similarity: NDArray[np.floating],
    norms: NDArray[np.floating],
    noise: NDArray[np.floating],
    alpha: Doubles,
    query: NDArray[np.floating],
    spectrum: FeatureSpectrum,
    exponent: float,
) -> Doubles:
    """How many standard errors a concept's projection on each voxel's readout is from zero, (n_voxels,).

    NaN where a voxel's residual variance is not known. It says association and not specificity: many a word passes.

    Args:
        similarity: cosines of the query and the readouts, (n_voxels,).
        norms: lengths of the readouts, |Cᵏw|, (n_voxels,).
        noise: residual variances, (n_voxels,).
        alpha: penalties, (n_voxels,).
        query: unit query, (dim,).
        spectrum: of the training features.
        exponent: k.
    """
    grid, which = np.unique(alpha, return_inverse=True)
    scale = np.sqrt(np.asarray(noise, np.float64) * spectrum.query_variance(query, grid, exponent)[which])
    projection = np.asarray(similarity, np.float64) * norms
    z: Doubles = np.divide(projection, scale, out=np.full(len(projection), np.nan), where=scale > 0)
    return z


def concept_q(z: Doubles) -> tuple[Doubles, Doubles]:
    """One-sided p of z, and its false discovery rate over the voxels (Benjamini-Hochberg); NaN where z is."""
    known = np.isfinite(z)
    p, q = np.full(len(z), np.nan), np.full(len(z), np.nan)
    p[known] = norm.sf(z[known])
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    return p, q


@dataclass(frozen=True, eq=False)
class Evidence:
    """How sure similarities to one concept are, a number for each voxel that was compared."""

    z: Doubles
    q: Doubles
    """False discovery rate over the model's voxels."""
    specific: NDArray[np.bool_] | None
    """Whether the concept is specific to the voxel; None where it cannot be held against the vocabulary."""

    def passes(self, min_z: float | None, max_q: float | None, *, specific: bool) -> NDArray[np.bool_]:
        """Which voxels pass limits, (n_voxels,); none where a limit is asked for and there is nothing to hold to it."""
        mask = np.full(len(self.z), not specific) if self.specific is None else self.specific | (not specific)
        if min_z is not None:
            mask = mask & (self.z >= min_z)
        return mask if max_q is None else mask & (self.q <= max_q)

    def columns(self, rows: NDArray[np.integer] | slice = slice(None)) -> dict[str, pl.Series]:
        """z, concept_q and specific of some voxels; NULL where they are not known."""
        specific = np.full(len(self.z), None) if self.specific is None else self.specific
        return {
            "z": pl.Series(self.z[rows], dtype=pl.Float64).fill_nan(None),
            "concept_q": pl.Series(self.q[rows], dtype=pl.Float64).fill_nan(None),
            "specific": pl.Series(specific[rows], dtype=pl.Boolean),
        }
