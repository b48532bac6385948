"""Counting declared categories in responses that were made of known ones."""

import numpy as np
import pytest
from scipy.stats import linregress

from voxel_atlas.api.report.analysis.declared import CHANCE, SHARE_OF_STRONGEST, category_t, n_declared


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)


def detected(features: np.ndarray) -> np.ndarray:
    return np.maximum(features - np.median(features, axis=0), 0)


def test_t_of_one_category_is_that_of_a_simple_regression(features: np.ndarray) -> None:
    responses = np.random.default_rng(1).normal(size=(400, 3))
    t = category_t(responses, features, np.eye(6)[:1])
    for voxel in range(3):
        fit = linregress(detected(features)[:, 0], responses[:, voxel])
        assert t[0, voxel] == pytest.approx(fit.slope / fit.stderr)


def test_categories_that_a_voxel_answers_to_are_counted_and_those_that_it_avoids_are_not(features: np.ndarray) -> None:
    shown, noise = detected(features), np.random.default_rng(2).normal(size=(400, 3))
    mixtures = np.array([[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, -1]], float)
    responses = shown @ mixtures.T + 0.1 * noise
    assert n_declared(category_t(responses, features, np.eye(6)), 400).tolist() == [1, 2, 3]


def test_what_is_weak_beside_the_strongest_does_not_count() -> None:
    t = np.array([[30.0, 30.0, 1.9], [30 * SHARE_OF_STRONGEST + 0.01, 30 * SHARE_OF_STRONGEST - 0.01, -2.0]])
    assert n_declared(t, 400).tolist() == [2, 1, 0]


@pytest.mark.parametrize("n_categories", [1, 5])
def test_voxels_that_answer_to_nothing_have_no_category_but_by_chance(features: np.ndarray, n_categories: int) -> None:
    responses = np.random.default_rng(3).normal(size=(400, 4000))
    numbers = n_declared(category_t(responses, features, np.eye(6)[:n_categories]), 400)
    assert 0.3 * CHANCE < (numbers > 0).mean() <= CHANCE + 0.01


def test_voxels_that_answer_to_what_was_not_declared_have_no_category(features: np.ndarray) -> None:
    other = detected(features)[:, 5:] + 0.5 * np.random.default_rng(4).normal(size=(400, 300))
    numbers = n_declared(category_t(other, features, np.eye(6)[:5]), 400)
    assert (numbers == 0).mean() > 0.9
