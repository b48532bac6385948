"""Validation scores of every ridge penalty at once, for one fold; ridge.py has the identity that this computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor

CLOSE = 3e-6
"""Eigenvalues nearer than this, relative to the smaller, count as a pair for which D_i·D_j = (D_i² + D_j²)/2: wrong by
CLOSE²/2, while partial fractions would lose digits as 1/CLOSE."""


@dataclass(frozen=True)
class Products:
    """All that the fit needs of a chunk of responses Y. The training rows come in parts: one per fold, and the rest."""

    parts: Sequence[Tensor]
    """[features, 1]ᵀ Y of each part, (k + 1, n_voxels): the last row is the sum of the responses."""
    variation: Sequence[Tensor]
    """Squared distance of the responses from their mean, summed over each fold's part, (n_voxels,)."""

    @cached_property
    def total(self) -> Tensor:
        """[features, 1]ᵀ Y over all parts."""
        return reduce(add, self.parts)


@dataclass(frozen=True)
class Fold:
    """One fold: which part validates, and what its training rows and validation rows look like to ridge."""

    part: int
    n_train: int
    n_validation: int
    mean: Tensor
    """Mean of the training rows, (k,)."""
    validation_shift: Tensor
    """Sum of the validation rows, each less the training mean, (k,)."""
    turn: Tensor
    """From the basis of the rows to the fold's principal directions, (rank, k); empty where they are the same."""
    gram: Tensor
    """Squared length of the validation rows along each principal direction, G_ii, (rank,)."""
    far: Tensor
    """G_ij / (e_j − e_i) where the eigenvalues are apart, else 0, (rank, rank)."""
    close: Tensor
    """Principal directions that have a close neighbour, (n_close,)."""
    near: Tensor
    """G_ij between close neighbours, else 0, (n_close, n_close)."""
    shrink: Tensor
    """D and D² side by side for every penalty, (n_alphas, 2·rank)."""

    @classmethod
    def of(
        cls,
        part: int,
        validation: Tensor,
        n_train: int,
        train_mean: Tensor,
        eigenvalues: Tensor,
        turn: Tensor,
        alphas: Tensor,
    ) -> "Fold":
        """Prepare a fold; all tensors are on one device, where `scores` will run.

        Args:
            part: Number of the part that validates.
            validation: Its rows, (n_validation, k).
            n_train: Number of training rows.
            train_mean: Their mean, (k,).
            eigenvalues: Of the training rows' scatter matrix, (rank,), descending, positive.
            turn: (rank, k), see above.
            alphas: Penalties, (n_alphas,).
        """
        rank = len(eigenvalues)
        centred = validation - train_mean
        turned = centred @ turn.T if len(turn) else centred[:, :rank]
        gram = turned.T @ turned
        gap = eigenvalues - eigenvalues[:, None]
        is_close = gap.abs() <= CLOSE * torch.minimum(eigenvalues, eigenvalues[:, None])
        far = (gram / gap).masked_fill(is_close, 0.0)
        is_close.fill_diagonal_(False)
        close = is_close.any(dim=0).nonzero().flatten()
        near = (gram * is_close)[close][:, close]
        shrink = 1.0 / (eigenvalues + alphas[:, None])
        return cls(
            part=part,
            n_train=n_train,
            n_validation=len(validation),
            mean=train_mean,
            validation_shift=centred.sum(dim=0),
            turn=turn,
            gram=gram.diagonal().clone(),
            far=far,
            close=close,
            near=near,
            shrink=torch.cat([shrink, shrink.square()], dim=1),
        )

    def scores(self, products: Products) -> Tensor:
        """Validation R² of every penalty and voxel, (n_alphas, n_voxels); 0 where validation responses do not vary."""
        validation, training = products.parts[self.part], products.total - products.parts[self.part]
        sums, train_mean = validation[-1], training[-1] / self.n_train
        z = self._turned(training[:-1].addr_(self.mean, training[-1], alpha=-1))
        h = validation[:-1].addr(self.mean, sums, alpha=-1).addr_(self.validation_shift, train_mean, alpha=-1)
        h = self._turned(h)

        rank = len(z)
        terms = z.new_empty(2 * rank, z.shape[1])
        linear, quadratic = terms[:rank], terms[rank:]
        torch.mm(self.far, z, out=linear)
        linear.sub_(h).mul_(z).mul_(2.0)
        torch.mul(z, self.gram[:, None], out=quadratic)
        if len(self.close):
            quadratic.index_add_(0, self.close, self.near @ z[self.close])
        quadratic.mul_(z)

        variation = products.variation[self.part]
        offset = sums / self.n_validation - train_mean
        error = (variation + self.n_validation * offset.square()).addmm(self.shrink, terms)
        return torch.where(variation > 0, 1.0 - error / variation, 0.0)

    def _turned(self, product: Tensor) -> Tensor:
        return self.turn @ product if len(self.turn) else product[: self.far.shape[0]]
