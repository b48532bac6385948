from itertools import pairwise

import numpy as np
import pytest

from voxel_atlas.ingest.encoding.split import LEARNING_BLOCKS, folds, learning_subsets, split, split_by
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError


def config(**settings: object) -> IngestConfig:
    return IngestConfig.model_validate({"dataset": "simulated", "subject": "S1", **settings})


@pytest.mark.parametrize(("n_images", "n_train", "n_test"), [(10_000, 8_500, 1_500), (4_120, 3_502, 618)])
def test_sizes_are_those_of_the_paper(n_images: int, n_train: int, n_test: int) -> None:
    for train, test in (
        split(n_images, 0.15, 42),
        split_by(config(), n_images),
        split_by(config(selection="released"), n_images),
    ):
        assert (len(train), len(test)) == (n_train, n_test)


def test_every_image_is_in_exactly_one_part() -> None:
    train, test = split(101, 0.15, 3)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(101))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(test) > 0)


def test_the_seed_decides_and_nothing_else_does() -> None:
    assert np.array_equal(split(200, 0.15, 1)[1], split(200, 0.15, 1)[1])
    assert not np.array_equal(split(200, 0.15, 1)[1], split(200, 0.15, 2)[1])
    np.random.seed(0)  # noqa: NPY002 - the point is that numpy's global state plays no part
    assert np.array_equal(split(200, 0.15, 1)[1], split_by(config(seed=1), 200)[1])


def test_released_split_trains_on_the_first_34_of_40_blocks() -> None:
    train, _ = split_by(config(selection="released", seed=5), 403)
    order = np.random.default_rng(5).permutation(403)
    blocks = np.array_split(order, 40)
    assert np.array_equal(train, np.sort(np.concatenate(blocks[:34])))


def test_too_few_images_are_an_error_that_says_how_many() -> None:
    with pytest.raises(BadInputError, match="5 images leave 4 to train and 1 to test"):
        split(5, 0.15, 0)
    with pytest.raises(BadInputError, match="6 training images are too few for 5"):
        folds(config(selection="kfold", n_folds=5), 6)


def test_kfold_validates_every_training_image_once() -> None:
    parts = folds(config(selection="kfold", n_folds=4), 50)
    assert len(parts) == 4
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(50))


@pytest.mark.parametrize("selection", ["holdout", "released"])
def test_holdout_is_fifteen_percent_of_the_training_images(selection: str) -> None:
    (part,) = folds(config(selection=selection), 8_500)
    assert len(part) == 1_275
    assert len(np.unique(part)) == 1_275


def test_folds_depend_on_the_seed_but_not_on_the_split() -> None:
    assert np.array_equal(folds(config(seed=7), 100)[0], folds(config(seed=7, test_share=0.3), 100)[0])
    assert not np.array_equal(folds(config(seed=7), 100)[0], folds(config(seed=8), 100)[0])


@pytest.mark.parametrize("selection", ["holdout", "kfold", "released"])
def test_learning_subsets_grow_to_the_whole_training_set(selection: str) -> None:
    settings = config(selection=selection)
    train, _ = split_by(settings, 10_000)
    subsets = learning_subsets(settings, 10_000, train)
    assert tuple(subsets) == LEARNING_BLOCKS
    assert [len(rows) for rows in subsets.values()] == [250 * n for n in LEARNING_BLOCKS]
    assert np.array_equal(subsets[34], train)
    sets = [set(rows.tolist()) for rows in subsets.values()]
    assert all(small < large for small, large in pairwise(sets))
