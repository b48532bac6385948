import numpy as np
import pytest
from scipy.stats import spearmanr

from voxel_atlas.ingest.encoding.metrics import r2
from voxel_atlas.ingest.encoding.noise_ceiling import ncsnr_of_repeats, noise_ceiling
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.simulated.planting import CONCEPTS, EARLY, Cortex, choose_voxels, plant
from voxel_atlas.schemas.errors import BadInputError


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
    np.testing.assert_allclose((explained / ceiling)[10:], 1, atol=0.1)
    assert spearmanr(explained, ceiling).statistic > 0.99


def test_the_explained_share_of_simulated_voxels_is_recovered() -> None:
    rng = np.random.default_rng(2)
    mask = np.zeros((6, 40, 40), bool)
    mask[2:4] = True
    names = (*EARLY, "OFA", "FFA", "EBA", "PPA", "OPA", "RSC")
    rois = {name: np.zeros_like(mask) for name in names}
    for column, roi in enumerate(rois.values()):
        roi[2:4, 10:20, 4 * column : 4 * column + 3] = True
    planting = plant(choose_voxels(Cortex(mask, rois, "toy", "toy"), 600), rng)
    n_train, n_test = 3_000, 3_000
    contents = rng.random((n_train + n_test, len(CONCEPTS))) * (rng.random((n_train + n_test, len(CONCEPTS))) < 0.3)
    contrast = rng.random((n_train + n_test, 64))
    signal = planting.noise_free(contents, contrast)
    measured = planting.measured(signal, rng)
    seen = contents[:, ::2] + 0.1 * rng.standard_normal(contents[:, ::2].shape)  # half of it, and not well
    features = np.hstack([seen, contrast[:, ::3]])
    fit = Ridge(features[:n_train], np.logspace(-2, 5, 30), [np.arange(600)]).fit(measured[:n_train])
    predicted = fit.predict(features[n_train:])
    r2_found = r2(measured[n_train:], predicted)
    share = r2_found / planting.ceiling
    left = np.mean((np.sqrt(planting.ceiling) * signal[n_train:] - predicted) ** 2, axis=0)
    true_share = 1 - left / planting.ceiling
    sure = planting.ceiling > 0.1
    assert np.ptp(true_share[sure]) > 0.5
    assert spearmanr(share[sure], true_share[sure]).statistic > 0.9
    assert np.median(np.abs(share - true_share)[sure]) < 0.05
    assert spearmanr(r2_found, planting.ceiling * true_share).statistic > 0.95


def test_unknown_ncsnr_gives_an_unknown_ceiling() -> None:
    assert np.isnan(noise_ceiling(np.array([np.nan, 1.0]), np.array([3]))).tolist() == [True, False]


def test_impossible_input_is_refused() -> None:
    with pytest.raises(BadInputError, match="one repeat of each"):
        noise_ceiling(np.array([1.0]), np.array([3, 0]))
    with pytest.raises(BadInputError, match="one repeat of each"):
        noise_ceiling(np.array([1.0]), np.array([], dtype=np.int64))
    with pytest.raises(BadInputError, match="negative"):
        noise_ceiling(np.array([-1.0]), np.array([3]))


@pytest.mark.parametrize("n_repeats", [(3, 3), (1, 3), (3, 12)])
def test_ceilings_from_repeats_are_the_known_ones(n_repeats: tuple[int, int]) -> None:
    """400 images, of repeats by turns, and 200 voxels of known ceilings; trials are z-scored in sessions."""
    rng = np.random.default_rng(0)
    repeats = np.array(n_repeats)[np.arange(400) % 2]
    shown = rng.permutation(np.repeat(np.arange(400), repeats))
    ncsnr = np.linspace(0.05, 1.5, 200)
    trials = (rng.standard_normal((400, 200)) * ncsnr)[shown] + rng.standard_normal((len(shown), 200))
    for session in np.array_split(np.arange(len(shown)), 5):
        trials[session] = (trials[session] - trials[session].mean(axis=0)) / trials[session].std(axis=0)
    totals = np.stack([trials[shown == image].sum(axis=0) for image in range(400)])
    found = noise_ceiling(ncsnr_of_repeats(totals, (trials**2).sum(axis=0), repeats), repeats)
    known = noise_ceiling(ncsnr, repeats)
    assert np.corrcoef(found, known)[0, 1] >= 0.95
    assert np.abs(found - known).mean() < 0.05


def test_ceilings_from_repeats_equal_a_literal_loop_and_take_twenty_repeats() -> None:
    rng = np.random.default_rng(1)
    repeats = rng.integers(1, 4, 40)
    trials = [rng.standard_normal(n) + rng.standard_normal() for n in repeats]
    everything = np.concatenate(trials)
    within = sum(float(((own - own.mean()) ** 2).sum()) for own in trials)
    noise = within / sum(len(own) - 1 for own in trials)
    expected = np.sqrt(max(everything.var() - noise, 0) / noise)
    totals = np.array([[own.sum()] for own in trials])
    assert ncsnr_of_repeats(totals, np.array([(everything**2).sum()]), repeats)[0] == pytest.approx(expected, rel=1e-9)
    few = np.repeat([1, 2], [21, 19])
    assert np.isnan(ncsnr_of_repeats(totals, np.ones(1), few)).all()
