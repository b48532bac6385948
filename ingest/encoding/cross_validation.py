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

    def without(self, part: int) -> Tensor:
        """[features, 1]ᵀ Y over all parts but one."""
        return self.parts[1 - part] if len(self.parts) == 2 else self.total - self.parts[part]


@dataclass(frozen=True)
class Fold:
    """One fold: which part validates, and what its training and validation rows look like to ridge."""

    part: int
    n_train: int
    n_validation: int
    turn: Tensor
    """[features, 1]ᵀ Y to the same along the fold's principal directions, centred by its training mean,
    (rank + 1, k + 1); empty where that is what it is."""
    mixing: Tensor
    """2·G_ij/(e_j − e_i) where the eigenvalues are apart, else 0, and a last column that multiplies the sum of the
    responses: what of h comes from their mean. (rank, rank + 1), or (rank, k + 1) where `turn` is empty."""
    close: Tensor
    """Principal directions that have a close neighbour, (n_close,)."""
    near: Tensor
    """G_ij between close neighbours, else 0, (n_close, n_close)."""
    shrink: Tensor
    """For every penalty what multiplies the terms: D, D²·G_ii, and D² of `close`, (n_alphas, 2·rank + n_close)."""

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
            part: number of the part that validates.
            validation: its rows, (n_validation, k).
            n_train: number of training rows.
            train_mean: their mean, (k,); zero where `turn` is empty.
            eigenvalues: of the training rows' scatter matrix, (rank,), descending, positive.
            turn: from the rows' basis to the principal directions, (rank, k); empty where they are its first.
            alphas: penalties, (n_alphas,).
        """
        rank = len(eigenvalues)
        centred = validation - train_mean
        turned = centred @ turn.T if len(turn) else centred[:, :rank]
        gram = turned.T @ turned
        gap = eigenvalues - eigenvalues[:, None]
        is_close = gap.abs() <= CLOSE * torch.minimum(eigenvalues, eigenvalues[:, None])
        mixing = gram.new_zeros(rank, 1 + (rank if len(turn) else len(train_mean)))
        mixing[:, :rank] = (2.0 * gram / gap).masked_fill(is_close, 0.0)
        mixing[:, -1] = 2.0 / n_train * turned.sum(dim=0)
        is_close.fill_diagonal_(False)
        close = is_close.any(dim=0).nonzero().flatten()
        shrink = 1.0 / (eigenvalues + alphas[:, None])
        squared = shrink.square()
        if len(turn):
            turn = torch.cat([turn, -turn @ train_mean[:, None]], dim=1)
            turn = torch.cat([turn, torch.eye(len(train_mean) + 1, dtype=turn.dtype, device=turn.device)[-1:]])
        return cls(
            part=part,
            n_train=n_train,
            n_validation=len(validation),
            turn=turn,
            mixing=mixing,
            close=close,
            near=(gram * is_close)[close][:, close],
            shrink=torch.cat([shrink, squared * gram.diagonal(), squared[:, close]], dim=1),
        )

    def scores(self, products: Products) -> Tensor:
        """Validation R² of every penalty and voxel, (n_alphas, n_voxels); 0 where validation responses do not vary."""
        validation, training = products.parts[self.part], products.without(self.part)
        if len(self.turn):
            validation, training = self.turn @ validation, self.turn @ training
        rank = len(self.mixing)
        z = training[:rank]
        terms = z.new_empty(self.shrink.shape[1], z.shape[1])
        linear, quadratic, neighbours = terms[:rank], terms[rank : 2 * rank], terms[2 * rank :]
        torch.addmm(validation[:rank], self.mixing, training, beta=-2, out=linear)
        linear.mul_(z)
        torch.mul(z, z, out=quadratic)
        if len(self.close):
            torch.mul(z[self.close], self.near @ z[self.close], out=neighbours)

        variation = products.variation[self.part]
        offset = validation[-1] / self.n_validation - training[-1] / self.n_train
        error = (variation + self.n_validation * offset.square()).addmm(self.shrink, terms)
        return torch.where(variation > 0, 1.0 - error / variation, 0.0)
