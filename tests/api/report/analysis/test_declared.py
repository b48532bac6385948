"""Counting declared categories in responses that were made of known ones."""

import numpy as np
import pytest
from scipy.stats import linregress

from voxel_atlas.api.report.analysis.declared import SHARE_OF_STRONGEST, category_t, n_declared


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
    assert n_declared(category_t(responses, features, np.eye(6))).tolist() == [1, 2, 3]


def test_what_is_weak_beside_the_strongest_does_not_count() -> None:
    t = np.array([[10.0, 10.0, -1.0], [10 * SHARE_OF_STRONGEST + 0.01, 10 * SHARE_OF_STRONGEST - 0.01, -2.0]])
    assert n_declared(t).tolist() == [2, 1, 0]
