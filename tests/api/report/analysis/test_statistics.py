"""Tests, effect sizes and intervals beside scipy, literal versions and simulations."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxel_atlas.api.report.analysis.statistics import (
    auc,
    correlations,
    holm,
    interval,
    paired,
    paired_tests,
    rank_biserial,
)
from voxel_atlas.schemas.errors import BadInputError


def draws(n: int, effect: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(effect, 1, n), rng.normal(0, 1, n)


@pytest.mark.parametrize("n", [3, 8, 200])
def test_paired_says_what_scipy_and_the_formulas_say(n):
    a, b = draws(n, 0.3)
    found, difference = paired(a, b), a - b
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(n))
    assert found.n == n
    assert found.t == pytest.approx(t)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), n - 1))
    assert found.d == pytest.approx(t / np.sqrt(n))
    assert (found.t_p, found.blocks) == (found.p, None)
    assert (found.t, found.p) == pytest.approx(tuple(stats.ttest_rel(a, b)))
    assert found.rank_p == pytest.approx(stats.wilcoxon(a, b).pvalue)


def test_the_rank_test_is_exact_for_few_pairs():
    """Every way in which the signs could have fallen, counted."""
    a, b = draws(7, 0.8, seed=4)
    difference = a - b
    ranks = stats.rankdata(np.abs(difference))
    observed = abs((ranks * np.sign(difference)).sum())
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((-1, 1), repeat=7)]
    assert paired(a, b).rank_p == pytest.approx(np.mean([total >= observed - 1e-9 for total in sums]))


@pytest.mark.parametrize("n", [3, 6, 9])
def test_the_rank_test_leaves_zeros_out_and_is_exact_with_ties(n):
    """Every way in which the signs could have fallen, counted."""
    rng = np.random.default_rng(n)
    for _ in range(4):
        difference = np.append(rng.integers(-3, 5, n - 1), 1.0)
        nonzero = difference[difference != 0]
        ranks = stats.rankdata(np.abs(nonzero))
        sums = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(nonzero))])
        observed = ranks[nonzero > 0].sum()
        exact = min(1, 2 * min(np.mean(sums <= observed + 1e-9), np.mean(sums >= observed - 1e-9)))
        if np.ptp(difference):
            assert paired(difference, np.zeros(n)).rank_p == pytest.approx(exact)


@pytest.mark.parametrize("n", [4, 10, 14, 60])
def test_the_rank_test_is_that_of_scipy_where_ranks_are_tied(n):
    difference = np.random.default_rng(n).integers(-3, 6, n).astype(float)
    assert paired(difference, np.zeros(n)).rank_p == pytest.approx(stats.wilcoxon(difference).pvalue)


def test_pairs_with_a_missing_value_are_left_out():
    a, b = draws(20)
    gappy = np.append(a, [np.nan, 5.0])
    assert paired(gappy, np.append(b, [1.0, np.nan])) == paired(a, b)


def test_too_few_pairs_and_equal_differences_give_no_test():
    assert np.isnan(paired(np.array([1.0, 2.0]), np.array([0.0, 0.5])).p)
    constant = paired(np.arange(10.0) + 1, np.arange(10.0))
    assert constant.difference == 1
    assert np.isnan(constant.t)
    assert paired(np.empty(0), np.empty(0)).n == 0


def test_sides_of_other_lengths_are_refused():
    with pytest.raises(BadInputError, match="3 and 2"):
        paired(np.zeros(3), np.zeros(2))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=30))
def test_rank_biserial_is_the_literal_ratio_and_turns_with_the_sign(values):
    difference = np.array(values, float)
    nonzero = difference[difference != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    literal = (ranks[nonzero > 0].sum() - ranks[nonzero < 0].sum()) / ranks.sum() if len(nonzero) else 0.0
    assert rank_biserial(difference) == pytest.approx(literal)
    assert rank_biserial(-difference) == pytest.approx(-literal)


def test_false_positives_are_nominal_where_there_is_no_effect_and_an_effect_is_found():
    null = [paired(*draws(30, seed=seed)) for seed in range(800)]
    effect = [paired(*draws(30, 1.0, seed=seed)) for seed in range(100)]
    for test in ("p", "rank_p"):
        false = np.mean([getattr(found, test) < 0.05 for found in null])
        assert 0.03 < false < 0.07  # 0.05 and three standard errors of 800 draws
        assert np.mean([getattr(found, test) < 0.05 for found in effect]) > 0.9


def test_intervals_hold_the_truth_nineteen_times_in_twenty():
    inside = 0
    for seed in range(300):
        low, high = interval(np.random.default_rng(seed).exponential(1.0, 80), seed=seed)
        inside += low <= 1 <= high
    assert 0.89 < inside / 300 < 0.98


def resampled_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    return values[np.random.default_rng(seed).integers(0, len(values), (2000, len(values)))].mean(axis=1)


def test_the_interval_of_few_values_is_that_of_resampled_means():
    values = np.random.default_rng(0).exponential(2, 50)
    assert interval(values, seed=3) == pytest.approx(np.quantile(resampled_means(values, 3), [0.025, 0.975]), rel=1e-12)


def test_the_interval_of_many_values_is_nearly_that_of_resampled_means():
    values = np.random.default_rng(0).normal(2, 3, 2500)
    assert interval(values) == pytest.approx(np.quantile(resampled_means(values), [0.025, 0.975]), abs=0.02)


def test_the_interval_of_equal_values_is_a_point_and_of_one_value_is_none():
    for n in (2, 2500):
        assert interval(np.full(n, 3.0)) == (3, 3)
    assert np.isnan(interval(np.ones(1))).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_as_the_step_down_does(p_values):
    p = np.array(p_values)
    rejected = np.zeros(len(p), bool)
    for place, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] * (len(p) - place) > 0.05:
            break
        rejected[i] = True
    assert ((holm(p) <= 0.05) == rejected).all()
    assert (holm(p) >= p).all()


def test_holm_leaves_missing_values_out():
    adjusted = holm(np.array([0.01, np.nan, 0.04]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted[1])


def test_auc_is_the_share_of_pairs_in_the_right_order():
    score, positive = np.array([3.0, 1.0, 2.0, 2.0, 0.0]), np.array([True, False, True, False, False])
    pairs = [(x > y) + 0.5 * (x == y) for x in score[positive] for y in score[~positive]]
    assert auc(score, positive) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc(score, np.ones(5, bool)))
    assert auc(np.ones(5), positive) == 0.5


def test_correlations_are_pearsons_and_unknown_where_nothing_varies():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    values = np.column_stack([truth + rng.normal(size=300), truth + 3 * rng.normal(size=300), np.ones(300)])
    found = correlations(values, truth)
    assert found[:2] == pytest.approx([stats.pearsonr(values[:, place], truth).statistic for place in range(2)])
    assert np.isnan(found[2])


def test_each_group_of_a_frame_is_tested_by_itself():
    a, b = draws(40, 0.5)
    frame = pl.DataFrame({"roi": ["FFA"] * 20 + ["PPA"] * 20, "a": a, "b": b})
    found = paired_tests(frame, ["roi"], "a", "b")
    assert found["roi"].to_list() == ["FFA", "PPA"]
    assert found["t"][1] == pytest.approx(paired(a[20:], b[20:]).t)
    assert found["p_holm"].to_list() == pytest.approx(holm(found["p"].to_numpy()).tolist())
    assert paired_tests(frame.clear(), ["roi"], "a", "b").is_empty()


def test_voxels_are_tested_by_the_blocks_that_they_lie_in():
    """Forty voxels of each block say the same, so that there are 50 numbers and not 2,000."""
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(50), 40)
    a = rng.normal(0.1, 1, 50)[block] + rng.normal(0, 0.1, 2000)
    by_block, by_voxel = paired(a, np.zeros(2000), blocks=block), paired(a, np.zeros(2000))
    assert (by_block.n, by_block.blocks, by_block.d, by_block.t_p) == (2000, 50, by_voxel.d, by_voxel.p)
    assert by_block.high - by_block.low > 4 * (by_voxel.high - by_voxel.low)
    assert by_block.p > 0.05 > by_voxel.p
    frame = pl.DataFrame({"roi": "FFA", "a": a, "b": np.zeros(2000), "block": block})
    assert paired_tests(frame, ["roi"], "a", "b")["p"][0] == by_block.p
