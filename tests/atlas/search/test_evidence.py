"""z and q of a concept in a voxel, against refits, and calibrated on noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.evidence import Evidence, FeatureSpectrum, ReadoutGains, concept_q, residual_variance

N, DIM, N_VOXELS = 400, 24, 600
EXPONENTS = {"weights": 0.0, "half": 0.5, "pattern": 1.0}


def features(rng: np.random.Generator) -> NDArray[np.float64]:
    """Correlated features of very different spread, as networks have them."""
    return rng.normal(size=(N, DIM)) * np.geomspace(3, 0.03, DIM) @ np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]


def ridge(x: NDArray[np.float64], y: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    centred = x - x.mean(axis=0)
    return np.linalg.solve(centred.T @ centred + alpha * np.eye(DIM), centred.T @ (y - y.mean(axis=0)))


@pytest.mark.parametrize("exponent", EXPONENTS.values(), ids=EXPONENTS)
def test_powers_of_the_covariance_multiply_to_it(exponent: float) -> None:
    x = features(np.random.default_rng(0))
    spectrum = FeatureSpectrum.of(np.cov(x, rowvar=False), N)
    half = spectrum.power(exponent / 2)
    assert spectrum.power(exponent) == pytest.approx(half @ half, abs=1e-9)
    assert spectrum.power(1.0) == pytest.approx(np.cov(x, rowvar=False), abs=1e-9)


def test_the_residual_variance_is_that_of_a_literal_fit() -> None:
    rng = np.random.default_rng(1)
    x = features(rng)
    y = x @ rng.normal(size=(DIM, 5)) + rng.normal(size=(N, 5)) * [0.1, 0.5, 1, 2, 4]
    spectrum = FeatureSpectrum.of(np.cov(x, rowvar=False), N)
    alphas = np.array([0.01, 1.0, 10.0, 300.0, 1e5])
    weights = np.stack([ridge(x, y[:, voxel], alpha) for voxel, alpha in enumerate(alphas)])
    centred_x, centred_y = x - x.mean(axis=0), y - y.mean(axis=0)
    expected = []
    for voxel, alpha in enumerate(alphas):
        hat = centred_x @ np.linalg.solve(centred_x.T @ centred_x + alpha * np.eye(DIM), centred_x.T)
        residuals = centred_y[:, voxel] - hat @ centred_y[:, voxel]
        expected.append((residuals**2).sum() / (N - 1 - np.trace(hat)))
    found = residual_variance(weights.astype(np.float32), alphas, spectrum, (centred_y**2).sum(axis=0))
    assert found == pytest.approx(np.array(expected), rel=1e-4)


def test_a_fit_through_every_response_has_no_residual_variance() -> None:
    rng = np.random.default_rng(2)
    x = features(rng)
    y = x @ rng.normal(size=(DIM, 1))
    spectrum = FeatureSpectrum.of(np.cov(x, rowvar=False), N)
    weights = ridge(x, y, 1e-9).T
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert np.isnan(residual_variance(weights, np.array([1e-9]), spectrum, total)).all()


@pytest.mark.parametrize("exponent", EXPONENTS.values(), ids=EXPONENTS)
def test_z_of_pure_noise_is_standard_normal(exponent: float) -> None:
    rng = np.random.default_rng(3)
    x = features(rng)
    spectrum, turn = FeatureSpectrum.of(np.cov(x, rowvar=False), N), None
    turn = spectrum.power(exponent)
    alphas = rng.choice([0.1, 10.0, 300.0], N_VOXELS)
    y = rng.normal(size=(N, N_VOXELS)) * rng.uniform(0.5, 2, N_VOXELS)
    weights = np.stack([ridge(x, y[:, voxel], alpha) for voxel, alpha in enumerate(alphas)])
    noise = residual_variance(weights, alphas, spectrum, ((y - y.mean(axis=0)) ** 2).sum(axis=0))
    readouts = weights @ turn
    norms = np.linalg.norm(readouts, axis=1)
    gains = ReadoutGains.of(norms, noise, alphas)
    z = np.concatenate(
        [
            gains.z(readouts @ query / norms, query, spectrum, exponent)
            for query in np.linalg.qr(rng.normal(size=(DIM, DIM)))[0][:8]
        ]
    )
    assert z.mean() == pytest.approx(0, abs=0.05)
    assert z.std() == pytest.approx(1, abs=0.05)
    assert np.mean(norm.sf(z) < 0.05) == pytest.approx(0.05, abs=0.012)


def test_where_the_noise_is_not_known_neither_are_z_and_q() -> None:
    spectrum = FeatureSpectrum.of(np.eye(2), 10)
    gains = ReadoutGains.of(np.ones(3), np.array([1.0, np.nan, 0.0]), np.ones(3))
    z = gains.z(np.ones(3), np.array([1.0, 0.0]), spectrum, 0.5)
    assert np.isfinite(z).tolist() == np.isfinite(concept_q(z)).tolist() == [True, False, False]
    assert np.isnan(concept_q(np.full(2, np.nan))).all()


@given(st.lists(st.none() | st.floats(-6, 12) | st.sampled_from([0.0, 1.7, 3.0]), min_size=1, max_size=60))
def test_false_discovery_rates_are_benjamini_and_hochberg_s(given_z: list[float | None]) -> None:
    z = np.array([np.nan if value is None else value for value in given_z])
    known = ~np.isnan(z)
    expected = np.full(len(z), np.nan)
    expected[known] = false_discovery_control(norm.sf(z[known])) if known.any() else []
    np.testing.assert_allclose(concept_q(z), expected, rtol=1e-12, equal_nan=True)
    small, wanted = concept_q(z, float(norm.isf(0.05)) - 1e-6), expected <= 0.05
    np.testing.assert_allclose(small[wanted], expected[wanted], rtol=1e-12)
    assert not (small[~wanted] <= 0.05).any()
    evidence = Evidence(z, np.ones(len(z), bool))
    for rows in (np.arange(len(z)), np.argsort(-np.nan_to_num(z, nan=-np.inf))[:3], np.array([0]), np.array([], int)):
        told = evidence.columns(rows)
        np.testing.assert_allclose(
            told["concept_q"].to_numpy(), expected[rows].astype(float), rtol=1e-12, equal_nan=True
        )
        specific = [None if np.isnan(q) else bool(q <= 0.05) for q in expected[rows]]
        assert told["specific"].to_list() == specific


@pytest.mark.parametrize(("readout", "baseline"), [("half", "vocabulary"), ("weights", "none")])
def test_one_scale_reaches_as_far_as_most_of_what_ordinary_nouns_give(
    atlas: Atlas, readout: str, baseline: str
) -> None:
    model = atlas.model()
    nouns = model.text_towers.vocabulary(model.backbone).words
    maps = [model.map(noun, readout=readout, baseline=baseline).frame for noun in nouns]
    for column in ("similarity", "z"):
        wanted = np.nanquantile(np.abs(np.concatenate([each[column].to_numpy() for each in maps])), 0.99)
        assert model.reach(readout=readout, baseline=baseline, z=column == "z") == pytest.approx(wanted, rel=2e-3)
