"""Which images a model is fitted, tuned and tested on. Everything follows from the number of images and one seed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError

Indices = NDArray[np.intp]

N_BLOCKS = 40
"""Blocks that the released code cuts the shuffled images into."""
N_TRAIN_BLOCKS = 34
"""The first of them, which train; the others test."""
LEARNING_BLOCKS = (5, 10, 15, 20, 25, 30, 34)
"""Training blocks of each point of the released learning curve."""
HOLDOUT_SHARE = 0.15
"""Share of the training images that choose alpha when one hold-out does (released code)."""
_FEWEST = 3
"""Images of a part: of two, any correlation is 1 or −1."""


def split(n_images: int, test_share: float, seed: int) -> tuple[Indices, Indices]:
    """Shuffle the images and cut them in two (paper: 85:15, seed 42; NSD 8,500/1,500, NOD 3,502/618).

    Args:
        n_images: number of images.
        test_share: share of the images that test, between 0 and 1.
        seed: seed of the shuffle.

    Returns:
        Indices of the training images and of the test images, each ascending.

    Raises:
        BadInputError: either part would have fewer than three images.
    """
    order, n_train = _shuffled(n_images, seed), n_images - round(n_images * test_share)
    return _cut(order, n_train)


def split_by(config: IngestConfig, n_images: int) -> tuple[Indices, Indices]:
    """Training and test images as the configuration says: `split`, or the released code's 34 of 40 blocks."""
    return _cut(_shuffled(n_images, config.seed), _n_train(config, n_images))


def folds(config: IngestConfig, n_train: int) -> list[Indices]:
    """Validation rows of each fold, as positions among the training images.

    `holdout` and `released` have one fold of 15 % (the released code draws it unseeded; here the seed decides);
    `kfold` has `n_folds` that together are all training images.

    Raises:
        BadInputError: there are too few training images for these folds.
    """
    order = np.random.default_rng([config.seed, 1]).permutation(n_train)
    n_folds = config.n_folds if config.selection == "kfold" else 1
    if n_train < 2 * n_folds + 2:
        raise BadInputError(
            f"{n_train} training images are too few for {n_folds} validation fold(s); "
            "use more images or fewer folds (n_folds)."
        )
    if config.selection == "kfold":
        return [np.sort(fold) for fold in np.array_split(order, n_folds)]
    return [np.sort(order[: max(2, round(n_train * HOLDOUT_SHARE))])]


def learning_subsets(
    config: IngestConfig, n_images: int, train: Indices, blocks: Sequence[int] = LEARNING_BLOCKS
) -> dict[int, Indices]:
    """Training images of each point of the learning curve: the first blocks of the shuffled training images.

    Args:
        config: the configuration whose seed shuffles.
        n_images: number of images of the subject.
        train: indices of those that train.
        blocks: how many of the 34 training blocks each point has (released code: 5, 10, … 30, 34).

    Returns:
        Number of blocks → indices of the images, ascending; each set holds the smaller ones, the last is all of them.
    """
    order = _shuffled(n_images, config.seed)
    cut = np.array_split(order[np.isin(order, train)], N_TRAIN_BLOCKS)
    return {n: np.sort(np.concatenate(cut[:n])) for n in blocks}


def _n_train(config: IngestConfig, n_images: int) -> int:
    if config.selection == "released":
        return sum(len(block) for block in np.array_split(np.arange(n_images), N_BLOCKS)[:N_TRAIN_BLOCKS])
    return n_images - round(n_images * config.test_share)


def _shuffled(n_images: int, seed: int) -> Indices:
    return np.random.default_rng(seed).permutation(n_images)


def _cut(order: Indices, n_train: int) -> tuple[Indices, Indices]:
    n_test = len(order) - n_train
    if min(n_train, n_test) < _FEWEST:
        raise BadInputError(
            f"{len(order)} images leave {n_train} to train and {n_test} to test; both need at least {_FEWEST}: "
            "use more images or another test_share."
        )
    return np.sort(order[:n_train]), np.sort(order[n_train:])
