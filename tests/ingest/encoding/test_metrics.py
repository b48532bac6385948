import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from voxel_atlas.ingest.encoding.metrics import drop_reasons, pearson, r2


@pytest.fixture
def tables() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((50, 6)) * 3 + 100
    return measured, measured * 0.4 + rng.standard_normal((50, 6)) + 60


def test_r2_is_scikit_learns(tables: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = tables
    np.testing.assert_allclose(r2(measured, predicted), r2_score(measured, predicted, multioutput="raw_values"))


def test_pearson_is_scipys(tables: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = tables
    expected = [pearsonr(a, b).statistic for a, b in zip(measured.T, predicted.T, strict=True)]
    np.testing.assert_allclose(pearson(measured, predicted), expected)


def test_float32_responses_are_scored_in_float64(tables: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = (table.astype(np.float32) for table in tables)
    wide = (measured.astype(np.float64), predicted.astype(np.float64))
    np.testing.assert_allclose(r2(measured, predicted), r2(*wide), rtol=1e-12)
    np.testing.assert_allclose(pearson(measured, predicted), pearson(*wide), rtol=1e-12)


def test_perfect_prediction_scores_one() -> None:
    measured = np.random.default_rng(1).standard_normal((20, 3))
    np.testing.assert_array_equal(r2(measured, measured), 1.0)
    np.testing.assert_allclose(pearson(measured, -2 * measured), -1.0)


def test_voxels_that_do_not_vary_score_zero() -> None:
    flat, varied = np.full((20, 1), 2.5), np.random.default_rng(1).standard_normal((20, 1))
    assert r2(flat, varied) == 0
    assert pearson(flat, varied) == 0
    assert pearson(varied, flat) == 0


def test_voxels_that_cannot_be_fitted_are_named_by_reason() -> None:
    responses = np.random.default_rng(2).standard_normal((30, 5)).astype(np.float32)
    responses[3, 1], responses[:, 2], responses[0, 4] = np.nan, 0.1, np.inf
    assert drop_reasons(responses).tolist() == ["", "nan", "constant", "", "nan"]
