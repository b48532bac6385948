"""Singular values and right singular vectors of sets of rows, and of their unions.

Sets of rows are summarised so that every fold of a cross-validation costs one small decomposition. A `Scatter` keeps
RᵀR, which is cheap and squares the condition number; a `Triangle` keeps R, which costs several times as much and leaves
the weak directions their digits. So scatters serve well-conditioned rows, and triangles the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from torch import Tensor

WELL_CONDITIONED = 300.0
"""Condition number of the rows up to which a scatter does: scores were off by 3e-13 there, and by its square beyond."""
COLUMNS_AT_ONCE = 128
"""Columns of a scatter matrix that are made at a time, from the diagonal down."""


@dataclass(frozen=True)
class Rows(ABC):
    """A set of rows (images), up to rotations of the rows themselves."""

    n: int
    """Number of rows."""
    mean: Tensor
    """Mean row, (k,)."""
    summary: Tensor
    """What is kept of the centred rows, (at most k, k)."""

    @classmethod
    def of(cls, rows: Tensor) -> Self:
        """Summarise rows (n, k)."""
        mean = rows.mean(dim=0)
        return cls(len(rows), mean, cls._of_rows(rows, mean))

    @classmethod
    def union(cls, parts: Sequence[Self]) -> Self:
        """All rows of disjoint parts: their summaries, and one row each for where their means lie."""
        if len(parts) == 1:
            return parts[0]
        n = sum(part.n for part in parts)
        mean = torch.stack([part.mean * (part.n / n) for part in parts]).sum(dim=0)
        between = torch.stack([(part.mean - mean) * part.n**0.5 for part in parts])
        return cls(n, mean, cls._joined([part.summary for part in parts], between))

    @abstractmethod
    def spectrum(self) -> "Spectrum | None":
        """The directions that the centred rows extend in, and how far; None where the summary has lost their digits."""

    @staticmethod
    @abstractmethod
    def _of_rows(rows: Tensor, mean: Tensor) -> Tensor:
        """Summarise rows with this mean."""

    @staticmethod
    @abstractmethod
    def _joined(summaries: list[Tensor], between: Tensor) -> Tensor:
        """Join what parts keep with rows for where their means lie."""


class Scatter(Rows):
    """Rows as their scatter matrix, rowsᵀ·rows; it has a spectrum where they are well-conditioned.

    Only the lower triangle counts: it is all that eigh reads, and the upper one is not made.
    """

    def spectrum(self) -> "Spectrum | None":
        values, axes = torch.linalg.eigh(self.summary, UPLO="L")
        if values[0] * WELL_CONDITIONED**2 < values[-1]:
            return None
        return Spectrum.of(values.flip(0).sqrt(), axes.flip(1).T, self.n)

    @staticmethod
    def _of_rows(rows: Tensor, mean: Tensor) -> Tensor:
        # No centred copy of the rows. Where a mean is so far off that this loses digits, the union of all rows is
        # ill-conditioned, and triangles serve.
        scatter = torch.outer(mean, mean).mul_(-len(rows))
        for first in range(0, len(mean), COLUMNS_AT_ONCE):
            few = slice(first, first + COLUMNS_AT_ONCE)
            scatter[first:, few].addmm_(rows[:, first:].T, rows[:, few])
        return scatter

    @staticmethod
    def _joined(summaries: list[Tensor], between: Tensor) -> Tensor:
        return torch.stack(summaries).sum(dim=0) + between.T @ between


class Triangle(Rows):
    """Rows as their triangular factor R (rows = QR)."""

    def spectrum(self) -> "Spectrum":
        _, singular, axes = torch.linalg.svd(self.summary, full_matrices=True)
        return Spectrum.of(singular, axes, self.n)

    @staticmethod
    def _of_rows(rows: Tensor, mean: Tensor) -> Tensor:
        factor: Tensor = torch.linalg.qr(rows - mean, mode="r").R
        return factor

    @staticmethod
    def _joined(summaries: list[Tensor], between: Tensor) -> Tensor:
        return Triangle._of_rows(torch.cat([*summaries, between]), torch.zeros_like(between[0]))


Kind = TypeVar("Kind", bound=Rows)


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


def principal_rows(centred: Tensor) -> tuple[Spectrum, Tensor, Tensor]:
    """The spectrum of centred rows (n, k), and two factors of the rows in its basis, (n, k') and (k', k).

    Each column of the factors' product is accurate for its own length. In rows times basis all bear the error of the
    longest.
    """
    q, triangle = torch.linalg.qr(centred)
    left, singular, axes = torch.linalg.svd(triangle, full_matrices=True)
    spectrum = Spectrum.of(singular, axes, len(centred))
    rank, scaled = len(spectrum.eigenvalues), torch.zeros_like(triangle)
    scaled[:, :rank] = left[:, :rank] * singular[:rank]
    return spectrum, q, scaled


def decomposed(members: Sequence[Tensor], n_folds: int) -> tuple[list[Rows], list[Spectrum]]:
    """What ridge needs to know of rows that come in disjoint parts.

    Args:
        members: the rows of each part, (n, k); each of the first `n_folds` validates one fold.
        n_folds: number of folds.

    Returns:
        The training rows of every fold and then all rows, and the spectrum of each.
    """
    sizes = [len(member) for member in members]
    tall = sum(sizes) - max(sizes[:n_folds]) > members[0].shape[1]  # other rows have directions without extent
    every = _unions(Scatter, members, n_folds) if tall else []
    spectra = [spectrum for rows in every if (spectrum := rows.spectrum())]
    if len(spectra) <= n_folds:
        every = _unions(Triangle, members, n_folds)
        spectra = [spectrum for rows in every if (spectrum := rows.spectrum())]
    return every, spectra


def _unions(kind: type[Kind], members: Sequence[Tensor], n_folds: int) -> list[Rows]:
    """The training rows of every fold, and all rows."""
    parts = [kind.of(member) for member in members]
    return [*(kind.union([*parts[:fold], *parts[fold + 1 :]]) for fold in range(n_folds)), kind.union(parts)]
