import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, pearsonr

from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import benjamini_hochberg, bootstrap_p, correlation_p, p_values
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError


def naive_bootstrap_count(measured: np.ndarray, predicted: np.ndarray, n_resamples: int, seed: int) -> int:
    """One voxel, one resample at a time, as the definition reads."""
    rng = np.random.default_rng(seed)
    below = 0
    for _ in range(n_resamples):
        drawn = rng.integers(0, len(measured), len(measured))
        y, guess = measured[drawn], predicted[drawn]
        error, spread = np.sum((y - guess) ** 2), np.sum((y - y.mean()) ** 2)
        below += int(error > spread)  # R² = 1 - error / spread < 0
    return below


@given(
    n_images=st.integers(3, 60),
    n_resamples=st.integers(1, 1200),
    strength=st.floats(0, 1),
    offset=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 2**32),
)
def test_bootstrap_counts_are_those_of_a_naive_loop(
    n_images: int, n_resamples: int, strength: float, offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.standard_normal((n_images, 3)) * 0.5 + offset
    measured = (strength * predicted + rng.standard_normal((n_images, 3)) + (1 - strength) * offset).astype(np.float32)
    p = bootstrap_p(measured, predicted, n_resamples, seed)
    wide = measured.astype(np.float64)
    expected = [naive_bootstrap_count(wide[:, v], predicted[:, v], n_resamples, seed) for v in range(3)]
    assert np.rint(p * n_resamples).astype(int).tolist() == expected
    assert np.array_equal(p, np.array(expected) / n_resamples)


def test_bootstrap_of_a_chunk_is_the_chunk_of_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((80, 9))
    measured = 0.2 * predicted + rng.standard_normal((80, 9))
    whole = bootstrap_p(measured, predicted, 700, 1)
    assert np.array_equal(whole[4:7], bootstrap_p(measured[:, 4:7], predicted[:, 4:7], 700, 1))
    assert not np.array_equal(whole, bootstrap_p(measured, predicted, 700, 2))


def test_bootstrap_knows_the_extremes() -> None:
    measured = np.random.default_rng(0).standard_normal((50, 1))
    assert bootstrap_p(measured, measured, 200, 0) == 0
    assert bootstrap_p(measured, -measured, 200, 0) == 1
    assert bootstrap_p(np.ones((50, 1)), measured, 200, 0) == 1


def test_correlation_p_is_scipys_one_sided_test() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((40, 20))
    measured = np.linspace(-0.5, 1.5, 20) * predicted + rng.standard_normal((40, 20))
    expected = [pearsonr(a, b, alternative="greater").pvalue for a, b in zip(measured.T, predicted.T, strict=True)]
    np.testing.assert_allclose(correlation_p(measured, predicted), expected, rtol=1e-8)


def test_correlation_p_knows_the_extremes() -> None:
    measured = np.arange(30.0)[:, None]
    assert correlation_p(measured, 2 * measured) == pytest.approx(0, abs=1e-30)
    assert correlation_p(measured, -measured) == pytest.approx(1)
    assert correlation_p(np.ones((30, 1)), measured) == 0.5


def test_correlation_p_is_uniform_where_predictions_say_nothing() -> None:
    rng = np.random.default_rng(3)
    p = correlation_p(rng.standard_normal((200, 20_000)), rng.standard_normal((200, 20_000)))
    for level in (0.01, 0.05, 0.5):  # within four standard errors of a share of 20,000
        assert np.mean(p < level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / len(p)))


def test_configuration_names_the_test() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((60, 5))
    measured = 0.3 * predicted + rng.standard_normal((60, 5))
    config = IngestConfig(dataset="simulated", subject="S1", n_bootstrap=300, seed=4)
    assert np.array_equal(p_values(config, measured, predicted), bootstrap_p(measured, predicted, 300, 4))
    other = config.model_copy(update={"significance": "correlation"})
    assert np.array_equal(p_values(other, measured, predicted), correlation_p(measured, predicted))


def test_shuffled_responses_are_not_significant() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((500, 30))
    responses = features @ rng.standard_normal((30, 200)) / 5 + rng.standard_normal((500, 200))
    ridge = Ridge(features[:400], np.logspace(-8, 10, 40), [np.arange(60)])
    shares: dict[str, list[float]] = {"bootstrap": [], "correlation": []}
    passed = dict.fromkeys(shares, 0)
    for seed in range(20):
        shuffled = responses[np.random.default_rng(seed).permutation(500)]
        tested = shuffled[400:], ridge.fit(shuffled[:400]).predict(features[400:])
        for name, p in (("bootstrap", bootstrap_p(*tested, 500, seed)), ("correlation", correlation_p(*tested))):
            shares[name].append(float(np.mean(p < 0.05)))
            passed[name] += int(np.sum(benjamini_hochberg(p) <= 0.05))
    assert np.mean(shares["bootstrap"]) <= 0.01  # strict, as the module says
    # Shuffles, not voxels, are what is independent here: four of their standard errors.
    error = 4 * np.std(shares["correlation"]) / np.sqrt(20)
    assert np.mean(shares["correlation"]) == pytest.approx(0.05, abs=error)
    assert error < 0.03
    assert passed["bootstrap"] == 0
    assert passed["correlation"] <= 20  # of 4,000


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_false_discovery_rates_are_scipys(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(np.array(p)), false_discovery_control(p), rtol=1e-12)


def test_false_discovery_rates_need_p_values() -> None:
    for bad in ([0.1, np.nan], [1.2], [-0.1]):
        with pytest.raises(BadInputError, match="between 0 and 1"):
            benjamini_hochberg(np.array(bad))
    assert benjamini_hochberg(np.array([])).size == 0


def test_tables_of_different_shape_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"\(10, 2\).*\(10, 3\)"):
        bootstrap_p(np.zeros((10, 2)), np.zeros((10, 3)), 10, 0)
    with pytest.raises(BadInputError, match="at least 3 images"):
        correlation_p(np.zeros((2, 2)), np.zeros((2, 2)))
