"""Tests of labels on held-out responses, against scipy's one pair at a time, and calibrated on noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, ttest_ind

from voxel_atlas.ingest.dissection.verification import FEWEST, compare_labels, detected


@given(seed=st.integers(0, 2**32 - 1), n_images=st.integers(12, 60), steps=st.sampled_from([0, 3]))
def test_a_comparison_is_the_more_cautious_of_welchs_and_the_rank_test_of_scipy(
    seed: int, n_images: int, steps: int
) -> None:
    rng = np.random.default_rng(seed)
    responses = rng.normal(size=(n_images, 4)) * [1, 5, 0.1, 1] + [0, 100, 0, 3]
    if steps:  # responses with ties
        responses = np.round(responses * steps) / steps
    shows = rng.random((n_images, 3)) < [0.1, 0.5, 0.9]
    voxel, label = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    tests = compare_labels(responses, shows, voxel, label)
    for row, (v, c) in enumerate(zip(voxel, label, strict=True)):
        inside, rest = responses[shows[:, c], v], responses[~shows[:, c], v]
        assert tests.n_images[row] == len(inside)
        if min(len(inside), len(rest)) < FEWEST or np.var(inside) + np.var(rest) < 1e-12:
            continue
        expected = ttest_ind(inside, rest, equal_var=False, alternative="greater")
        assert tests.t[row] == pytest.approx(expected.statistic, rel=1e-6, abs=1e-8)
        ranks = mannwhitneyu(inside, rest, alternative="greater", method="asymptotic")
        assert tests.p[row] == pytest.approx(max(expected.pvalue, ranks.pvalue), rel=1e-6, abs=1e-9)
        assert tests.auc[row] == pytest.approx(ranks.statistic / len(inside) / len(rest))


def test_too_few_images_on_either_side_are_not_compared() -> None:
    responses = np.random.default_rng(0).normal(size=(20, 1))
    shows = np.zeros((20, 3), np.bool_)
    shows[: FEWEST - 1, 0], shows[:FEWEST, 1], shows[: 20 - FEWEST + 1, 2] = True, True, True
    tests = compare_labels(responses, shows, np.zeros(3, np.int64), np.arange(3))
    assert np.isnan(tests.p).tolist() == [True, False, True]
    assert np.isnan(tests.auc).tolist() == [True, False, True]


def test_noise_passes_as_often_as_it_should() -> None:
    rng = np.random.default_rng(1)
    responses = rng.normal(size=(300, 400))
    shows = detected(rng.normal(size=(300, 10)))
    voxel, label = np.repeat(np.arange(400), 10), np.tile(np.arange(10), 400)
    assert np.mean(compare_labels(responses, shows, voxel, label).p < 0.05) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("skewed", [-1, 0, 1])
@pytest.mark.parametrize("n_shown", [FEWEST, 10, 50])
def test_small_p_are_no_more_frequent_in_noise_than_they_say(n_shown: int, skewed: int) -> None:
    rng = np.random.default_rng(3)
    shape = (10 * n_shown, 100_000 // n_shown)
    responses = skewed * rng.lognormal(size=shape) if skewed else rng.normal(size=shape)
    shows = np.arange(10 * n_shown)[:, None] // n_shown == np.arange(10)
    voxel, label = np.repeat(np.arange(shape[1]), 10), np.tile(np.arange(10), shape[1])
    p = compare_labels(responses, shows, voxel, label).p
    for level in (0.05, 0.01, 0.001):
        chance = level + 3 * np.sqrt(level / len(p))
        assert np.mean(p <= level) <= min(1.1 * chance, 2 * level)


def test_a_detector_shows_its_label_in_a_tenth_of_the_images() -> None:
    rng = np.random.default_rng(2)
    answers = rng.normal(size=(95, 4))
    shows = detected(answers)
    assert shows.sum(axis=0).tolist() == [10] * 4
    assert (answers[shows[:, 0], 0].min() > answers[~shows[:, 0], 0]).all()
    assert detected(np.zeros((20, 1)))[:, 0].nonzero()[0].tolist() == [0, 1]
