"""Singular values and right singular vectors of sets of rows, without ever squaring the matrix.

A set of rows is kept as its triangular factor R (rows − mean = QR). Factors of disjoint sets stack to the factor of
their union, so that every fold of a cross-validation costs one small decomposition. Going through R and not through
RᵀR keeps the accuracy of the weak directions: their error grows with the condition number and not with its square.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """A set of rows (images), up to rotations of the rows themselves."""

    n: int
    """Number of rows."""
    mean: Tensor
    """Mean row, (k,)."""
    triangle: Tensor
    """Triangular factor of the centred rows, (at most k, k)."""

    @classmethod
    def of(cls, rows: Tensor) -> "Rows":
        """Reduce rows (n, k) to their factor."""
        mean = rows.mean(dim=0)
        return cls(len(rows), mean, _triangle(rows - mean))

    @classmethod
    def union(cls, parts: Sequence["Rows"]) -> "Rows":
        """The factor of all rows of disjoint parts: their factors, and one row each for where their means lie."""
        if len(parts) == 1:
            return parts[0]
        n = sum(part.n for part in parts)
        mean = torch.stack([part.mean * (part.n / n) for part in parts]).sum(dim=0)
        between = torch.stack([(part.mean - mean) * part.n**0.5 for part in parts])
        return cls(n, mean, _triangle(torch.cat([*(part.triangle for part in parts), between])))

    def spectrum(self) -> "Spectrum":
        """The directions that the centred rows extend in, and how far."""
        _, singular, axes = torch.linalg.svd(self.triangle, full_matrices=True)
        return Spectrum.of(singular, axes, self.n)


@dataclass(frozen=True)
class Spectrum:
    """Squared singular values of centred rows, and the directions that they belong to."""

    eigenvalues: Tensor
    """Of the rows' scatter matrix, those above rounding error, (rank,), descending."""
    basis: Tensor
    """An orthogonal basis of all directions, (k, k); its first `rank` columns belong to the eigenvalues."""

    @classmethod
    def of(cls, singular: Tensor, axes: Tensor, n: int) -> "Spectrum":
        """From the singular values, descending, and right singular vectors (k, k) of n rows."""
        rounding = torch.finfo(singular.dtype).eps * max(n, axes.shape[0])
        rank = int((singular > singular[0] * rounding).sum())
        return cls(singular[:rank].square(), axes.T.contiguous())

    @property
    def directions(self) -> Tensor:
        """The directions that belong to the eigenvalues, (k, rank)."""
        return self.basis[:, : len(self.eigenvalues)]

    def condition(self, penalty: float) -> float:
        """Largest singular value over the smallest that a ridge penalty leaves its say; 1 where there is none."""
        if len(self.eigenvalues) == 0:
            return 1.0
        return float((self.eigenvalues[0] / self.eigenvalues[-1].clamp(min=penalty)).sqrt())


def principal_rows(centred: Tensor) -> tuple[Spectrum, Tensor]:
    """The spectrum of centred rows (n, k), and the rows in its basis, (n, k), each column accurate for its own length.

    Rows times basis would do for good conditions and costs half: there all columns bear the error of the longest.
    """
    q, triangle = torch.linalg.qr(centred)
    left, singular, axes = torch.linalg.svd(triangle, full_matrices=True)
    spectrum = Spectrum.of(singular, axes, len(centred))
    rows, rank = torch.zeros_like(centred), len(spectrum.eigenvalues)
    rows[:, :rank] = q @ (left[:, :rank] * singular[:rank])
    return spectrum, rows


def _triangle(rows: Tensor) -> Tensor:
    factor: Tensor = torch.linalg.qr(rows, mode="r").R
    return factor
