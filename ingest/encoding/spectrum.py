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

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Squared singular values of the centred rows, and the directions that they belong to.

        Returns:
            Eigenvalues of the scatter matrix above rounding error, (rank,), descending; and an orthogonal basis of
            all directions, (k, k), whose first `rank` columns belong to them.
        """
        _, singular, directions = torch.linalg.svd(self.triangle, full_matrices=True)
        rounding = torch.finfo(singular.dtype).eps * max(self.n, self.triangle.shape[1])
        rank = int((singular > singular[0] * rounding).sum())
        return singular[:rank].square(), directions.T.contiguous()


def _triangle(rows: Tensor) -> Tensor:
    factor: Tensor = torch.linalg.qr(rows, mode="r").R
    return factor
