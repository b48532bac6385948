"""What low-level properties leave: against literal regressions, and on responses to contrast alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voxel_atlas.ingest.encoding.low_level import ControlledRidge, LowLevel
from voxel_atlas.ingest.encoding.metrics import pearson


def without(low: NDArray[np.float64], table: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    design = np.column_stack([np.ones(len(low)), low])
    return table - design @ np.linalg.lstsq(design[train], table[train], rcond=None)[0]


@pytest.mark.parametrize("dim", [12, 90], ids=["fewer features than images", "more"])
def test_residual_predictions_are_those_of_literal_regressions(dim: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(80, 5)) * [1, 100, 0.01, 3, 1] + 7
    features = rng.normal(size=(80, dim)) + low @ rng.normal(size=(5, dim)) * 0.1
    responses = features @ rng.normal(size=(dim, 3)) + rng.normal(size=(80, 3))
    alpha, train, test = np.array([0.5, 3.0, 40.0]), np.arange(60), np.arange(60, 80)
    ridge = ControlledRidge(features.astype(np.float32), low.astype(np.float32), train, test)
    measured, predicted = ridge.residuals(responses[train], responses[test], alpha)
    x, y = without(low, features, train), without(low, responses, train)
    for voxel in range(3):
        weights = np.linalg.solve(x[train].T @ x[train] + alpha[voxel] * np.eye(dim), x[train].T @ y[train, voxel])
        assert predicted[:, voxel] == pytest.approx(x[test] @ weights, abs=1e-3)
    assert measured == pytest.approx(y[test], abs=1e-3)


def test_a_property_that_does_not_vary_explains_nothing() -> None:
    rng = np.random.default_rng(1)
    low = np.column_stack([rng.normal(size=40), np.full(40, 3.0)]).astype(np.float32)
    features, responses = rng.normal(size=(40, 4)).astype(np.float32), rng.normal(size=(40, 2))
    train, test = np.arange(30), np.arange(30, 40)
    with_it, without_it = (
        ControlledRidge(features, given, train, test).residuals(responses[train], responses[test], np.ones(2))
        for given in (low, low[:, :1])
    )
    assert with_it[1] == pytest.approx(without_it[1])


def test_a_voxel_that_answers_to_contrast_is_told_from_one_that_answers_to_a_colour() -> None:
    rng = np.random.default_rng(2)
    contrast, redness = rng.uniform(5, 35, 240), rng.uniform(0, 40, 240)
    noise = rng.normal(size=(240, 40, 40, 1)) * contrast[:, None, None, None]
    pictures = np.clip(128 + noise + np.array([1, -0.509, 0]) * redness[:, None, None, None], 0, 255).astype(np.uint8)
    low = LowLevel().features(list(pictures))
    features = np.column_stack([contrast, redness, rng.normal(size=240)]).astype(np.float32)
    responses = np.column_stack([contrast / 10, redness / 12]) + rng.normal(size=(240, 2)) * 0.3
    train, test = np.arange(180), np.arange(180, 240)
    ridge = ControlledRidge(features, low, train, test)
    r = pearson(*ridge.residuals(responses[train], responses[test], np.ones(2)))
    assert abs(r[0]) < 0.4
    assert r[1] > 0.8


def test_low_level_properties_are_those_of_the_picture_whatever_its_size() -> None:
    rng = np.random.default_rng(3)
    small = np.kron(rng.integers(0, 255, (4, 4, 1)), np.ones((32, 32, 3))).astype(np.uint8)
    large = np.kron(small[..., 0], np.ones((2, 2)))[..., None].repeat(3, axis=2).astype(np.uint8)
    found = LowLevel().features([small, large])
    assert found.shape == (2, LowLevel.dim)
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert found[0, :16] == pytest.approx(small[16::32, 16::32, 0].ravel() / 255, abs=0.01)


def test_oriented_energy_tells_stripes_from_stripes() -> None:
    stripes = np.tile(np.where(np.arange(128) % 4 < 2, 255, 0), (128, 1)).astype(np.uint8)[..., None].repeat(3, axis=2)
    upright, lying = LowLevel().features([stripes, stripes.swapaxes(0, 1)])[:, 32:48].reshape(2, 4, 4).mean(axis=2)
    assert upright.argmax() != lying.argmax()
    assert upright.max() > 5 * upright[lying.argmax()]
