import numpy as np
import pytest
from scipy.stats import spearmanr

from ingest.encoding.metrics import r2
from ingest.encoding.noise_ceiling import noise_ceiling, r2_of_ceiling
from ingest.encoding.ridge import Ridge
from schemas.errors import BadInputError


def test_ceiling_is_the_formula_of_the_data_set() -> None:
    a, b, c = 700, 200, 100
    repeats = np.repeat([3, 2, 1], [a, b, c])
    s = np.array([0.0, 0.25, 1.0, 3.0])
    expected = s**2 / (s**2 + (a / 3 + b / 2 + c) / (a + b + c))
    np.testing.assert_allclose(noise_ceiling(s, repeats), expected, rtol=1e-6)


def test_ceiling_is_the_r2_of_the_true_signal() -> None:
    rng = np.random.default_rng(0)
    repeats = rng.integers(1, 4, 40_000)
    signal = 0.7 * rng.standard_normal(len(repeats))
    averaged = signal + rng.standard_normal(len(repeats)) / np.sqrt(repeats)
    explained = 1 - np.mean((averaged - signal) ** 2) / np.var(averaged)
    assert noise_ceiling(np.array([0.7]), repeats)[0] == pytest.approx(explained, abs=0.01)


def test_r2_reaches_the_ceiling_of_each_voxel_when_the_features_are_right() -> None:
    rng = np.random.default_rng(1)
    n_train, ncsnr = 4_000, np.linspace(0.2, 2, 40)
    repeats = rng.integers(1, 4, n_train + 1_000)
    features = rng.standard_normal((len(repeats), 20))
    signal = features @ rng.standard_normal((20, 40))
    signal *= ncsnr / signal.std(axis=0)
    responses = signal + rng.standard_normal(signal.shape) / np.sqrt(repeats)[:, None]
    fit = Ridge(features[:n_train], np.logspace(-2, 5, 30), [np.arange(600)]).fit(responses[:n_train])
    explained = r2(responses[n_train:], fit.predict(features[n_train:]))
    ceiling = noise_ceiling(ncsnr, repeats[n_train:])
    np.testing.assert_allclose(r2_of_ceiling(explained, ceiling)[10:], 1, atol=0.1)
    assert spearmanr(explained, ceiling).statistic > 0.99


def test_unknown_ncsnr_gives_an_unknown_ceiling() -> None:
    assert np.isnan(noise_ceiling(np.array([np.nan, 1.0]), np.array([3]))).tolist() == [True, False]


def test_impossible_input_is_refused() -> None:
    with pytest.raises(BadInputError, match="one repeat of each"):
        noise_ceiling(np.array([1.0]), np.array([3, 0]))
    with pytest.raises(BadInputError, match="one repeat of each"):
        noise_ceiling(np.array([1.0]), np.array([], dtype=np.int64))
    with pytest.raises(BadInputError, match="negative"):
        noise_ceiling(np.array([-1.0]), np.array([3]))


def test_share_of_ceiling_is_unknown_where_nothing_can_be_explained() -> None:
    share = r2_of_ceiling(np.array([0.2, 0.2, 0.2]), np.array([0.4, 0.0, np.nan]))
    assert share[0] == pytest.approx(0.5)
    assert np.isnan(share[1:]).all()
