from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as PlainRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import PredefinedSplit

from voxel_atlas.ingest.encoding.ridge import COMMON, Ridge, alpha_grid
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError

ALPHAS = np.logspace(-8, 10, 100)
DEFECTS = ("dead", "constant", "duplicate", "collinear", "one-hot", "unseen")


def svd_scores(
    features: np.ndarray, responses: np.ndarray, alphas: np.ndarray, validation: list[np.ndarray]
) -> np.ndarray:
    """Validation R², one fold and one penalty at a time, through the SVD of the centred training features."""
    scores = np.zeros((len(alphas), responses.shape[1]))
    for fold in validation:
        train = np.setdiff1d(np.arange(len(features)), fold)
        x_mean, y_mean = features[train].mean(axis=0), responses[train].mean(axis=0)
        u, s, vt = np.linalg.svd(features[train] - x_mean, full_matrices=False)
        s[s < 1e-13 * s[0]] = 0  # rounding: these directions do not exist
        for row, alpha in enumerate(alphas):
            weights = vt.T @ ((s / (s**2 + alpha))[:, None] * (u.T @ (responses[train] - y_mean)))
            predicted = (features[fold] - x_mean) @ weights + y_mean
            error = np.square(responses[fold] - predicted).mean(axis=0)
            scores[row] += (1 - error / responses[fold].var(axis=0)) / len(validation)
    return scores


def assert_scores_equal(scores: np.ndarray, expected: np.ndarray) -> None:
    # R² is 1 minus something: near 0 only its distance from 1 has relative digits.
    assert np.max(np.abs(scores - expected) / np.maximum(1, np.abs(expected))) < 1e-10


def problem(
    n: int, d: int, n_voxels: int = 8, *, noise: float = 1.0, defects: frozenset[str] = frozenset(), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Random features of uneven scale and offset with the defects that real ones have, and responses to them."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, d)) * np.exp(rng.standard_normal(d)) + rng.standard_normal(d)
    if "one-hot" in defects:  # many equal eigenvalues
        features = np.eye(d)[rng.integers(0, d, n)]
    if "dead" in defects:
        features[:, 0] = 0
    if "constant" in defects:
        features[:, 1] = 3
    if "duplicate" in defects:
        features[:, 2] = features[:, 3]
    if "collinear" in defects:
        features[:, 4] = features[:, 3] - 2 * features[:, 5]
    if "unseen" in defects:  # alive in one image only, which one fold has not
        features[:, 5] = np.arange(n) == 0
    weights = rng.standard_normal((d, n_voxels)) / np.sqrt(d)
    return features, features @ weights + noise * rng.standard_normal((n, n_voxels)) + rng.standard_normal(n_voxels)


def validation_folds(n: int, n_folds: int, seed: int = 0) -> list[np.ndarray]:
    """A hold-out of a sixth for one fold, else a partition."""
    order = np.random.default_rng(seed).permutation(n)
    return [order[: max(4, n // 6)]] if n_folds == 1 else np.array_split(order, n_folds)


@settings(max_examples=40)
@given(
    n=st.integers(30, 80),
    d=st.integers(6, 90),
    noise=st.sampled_from([0.1, 1.0, 10.0]),
    defects=st.frozensets(st.sampled_from(DEFECTS)),
    seed=st.integers(0, 2**32),
)
def test_holdout_scores_are_those_of_a_slow_svd(
    n: int, d: int, noise: float, defects: frozenset[str], seed: int
) -> None:
    features, responses = problem(n, d, noise=noise, defects=defects, seed=seed)
    validation = validation_folds(n, 1, seed)
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


@settings(max_examples=40)
@given(
    n=st.integers(30, 80),
    # Near as many features as images are badly conditioned, and folds share products that lose digits as that grows.
    features_per_image=st.one_of(st.floats(0.2, 0.4), st.floats(2, 3)),
    n_folds=st.integers(2, 5),
    noise=st.sampled_from([0.1, 1.0, 10.0]),
    defects=st.frozensets(st.sampled_from(DEFECTS)),
    seed=st.integers(0, 2**32),
)
def test_kfold_scores_are_those_of_a_slow_svd(
    n: int, features_per_image: float, n_folds: int, noise: float, defects: frozenset[str], seed: int
) -> None:
    features, responses = problem(n, int(n * features_per_image), noise=noise, defects=defects, seed=seed)
    validation = validation_folds(n, n_folds, seed)
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


def test_folds_need_not_cover_the_training_images() -> None:
    features, responses = problem(80, 20)
    validation = validation_folds(80, 5)[:3]
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


@pytest.mark.parametrize("distance", [1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("n_folds", [1, 5])
def test_scores_of_nearly_collinear_features_are_those_of_a_slow_svd(distance: float, n_folds: int) -> None:
    features, responses = problem(300, 40)
    features[:, 5] = features[:, 6] + distance * features[:, 5]
    features[:, 7] = features[:, 8] - features[:, 9] + distance * features[:, 7]
    validation = validation_folds(300, n_folds)
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


@pytest.mark.parametrize("distance", [1e1, 1e2, 1e3])
@pytest.mark.parametrize("n_folds", [1, 4])
def test_scores_are_those_of_a_slow_svd_where_the_images_of_a_fold_lie_far_from_the_others(
    distance: float, n_folds: int
) -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.standard_normal((300, 40)), rng.standard_normal((40, 8))
    validation = validation_folds(300, n_folds)
    features[validation[0]] += distance
    responses = features @ weights / np.linalg.norm(features @ weights, axis=0) + rng.standard_normal((300, 8))
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


@pytest.mark.parametrize("condition", [10, 100, 250, 350, 3000])
@pytest.mark.parametrize("n_folds", [1, 4])
def test_scores_are_those_of_a_slow_svd_on_both_sides_of_the_condition_that_is_squared(
    condition: float, n_folds: int
) -> None:
    rng = np.random.default_rng(0)
    features, _ = np.linalg.qr(rng.standard_normal((300, 40)))
    scales = np.logspace(0, -np.log10(condition), 40)
    features = 17 * features * scales @ np.linalg.qr(rng.standard_normal((40, 40)))[0]
    # Half of the voxels answer to all directions alike, the weak ones, too.
    weights = np.linalg.pinv(features) @ rng.standard_normal((300, 4))
    responses = features @ np.hstack([weights, rng.standard_normal((40, 4))]) + 0.1 * rng.standard_normal((300, 8))
    validation = validation_folds(300, n_folds)
    scores = Ridge(features, ALPHAS, validation).scores(responses)
    assert_scores_equal(scores, svd_scores(features, responses, ALPHAS, validation))


@pytest.mark.parametrize(("n", "d"), [(90, 12), (40, 70)])
@pytest.mark.parametrize("n_folds", [1, 3])
def test_alpha_is_that_of_a_grid_of_scikit_learns_ridge(n: int, d: int, n_folds: int) -> None:
    features, responses = problem(n, d, 12, noise=2.0)
    validation, alphas = validation_folds(n, n_folds), np.logspace(-3, 5, 33)
    scores = np.zeros((len(alphas), 12))
    for fold in validation:
        train = np.setdiff1d(np.arange(n), fold)
        for row, alpha in enumerate(alphas):
            plain = PlainRidge(alpha, solver="svd").fit(features[train], responses[train])
            scores[row] += r2_score(responses[fold], plain.predict(features[fold]), multioutput="raw_values")
    ridge = Ridge(features, alphas, validation)
    fit = ridge.fit(responses)
    assert np.array_equal(fit.alpha, alphas[scores.argmax(axis=0)])
    np.testing.assert_allclose(ridge.scores(responses).max(axis=0), scores.max(axis=0) / n_folds, rtol=1e-10)
    for voxel, alpha in enumerate(fit.alpha):
        plain = PlainRidge(alpha, solver="svd").fit(features, responses[:, voxel])
        np.testing.assert_allclose(fit.weights[voxel], plain.coef_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(300, 30), (60, 90)])
def test_alpha_is_himalayas_on_every_voxel(n: int, d: int) -> None:
    himalaya_ridge = pytest.importorskip("himalaya.ridge")
    himalaya_backend = pytest.importorskip("himalaya.backend")
    scoring = pytest.importorskip("himalaya.scoring")
    features, responses = problem(n, d, 60, noise=3.0)
    (fold,) = validation_folds(n, 1)
    member = np.full(n, -1)
    member[fold] = 0
    himalaya_backend.set_backend("torch")
    peer = himalaya_ridge.RidgeCV(
        alphas=ALPHAS,
        fit_intercept=True,
        cv=PredefinedSplit(member),
        solver_params={"score_func": scoring.r2_score, "warn": False},
    ).fit(torch.from_numpy(features), torch.from_numpy(responses))
    fit = Ridge(features, ALPHAS, [fold]).fit(responses)
    np.testing.assert_allclose(fit.alpha, peer.best_alphas_.numpy(), rtol=1e-9)
    np.testing.assert_allclose(fit.weights, peer.coef_.numpy().T, atol=1e-5)
    np.testing.assert_allclose(fit.bias, responses.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(80, 20), (40, 120)])
def test_weights_solve_the_normal_equations(n: int, d: int) -> None:
    features, responses = problem(n, d, defects=frozenset({"dead", "duplicate"}))
    fit = Ridge(features, np.array([2.5]), validation_folds(n, 1)).fit(responses)
    x, y = features - features.mean(axis=0), responses - responses.mean(axis=0)
    expected = np.linalg.solve(x.T @ x + 2.5 * np.eye(d), x.T @ y)
    np.testing.assert_allclose(fit.weights, expected.T, atol=1e-6)
    assert np.abs(fit.weights[:, 0]).max() < 1e-12


@pytest.mark.parametrize("n_folds", [1, 3])
@pytest.mark.parametrize(("n", "d"), [(120, 30), (60, 90)])
@pytest.mark.parametrize("defects", [frozenset(), frozenset({"dead", "duplicate", "collinear"})])
def test_weights_of_common_penalties_are_those_of_rare_ones(
    n: int,
    d: int,
    n_folds: int,
    defects: frozenset[str],
    use_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, responses = problem(n, d, 200, noise=3.0, defects=defects)
    folds = validation_folds(n, n_folds)
    use_threads(1)
    fit = Ridge(features, ALPHAS, folds).fit(responses)
    counts = np.unique(fit.alpha, return_counts=True)[1]
    assert counts.min() < 25 * COMMON < d * COMMON < counts.max()  # some penalties are rare, and some are common
    monkeypatch.setattr("voxel_atlas.ingest.encoding.ridge.SOLUTION_BYTES", 0)
    expected = Ridge(features, ALPHAS, folds).fit(responses).weights
    np.testing.assert_allclose(fit.weights, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())


def test_weights_do_not_depend_on_what_was_fitted_before(
    use_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, responses = problem(120, 30, 400, noise=3.0)
    folds = validation_folds(120, 1)
    use_threads(1)
    monkeypatch.setattr("voxel_atlas.ingest.encoding.ridge.VOXELS_AT_ONCE", 20)
    # Room for the solutions of one chunk: those of the first half are dropped in the second, and some are made again.
    monkeypatch.setattr("voxel_atlas.ingest.encoding.ridge.SOLUTION_BYTES", 11 * 31 * 30 * 8)
    ridge = Ridge(features, ALPHAS, folds)
    first, fit = ridge.fit(responses[:, :200]), ridge.fit(responses[:, 200:])
    assert len(np.unique([first.alpha, fit.alpha])) > 11
    fresh = Ridge(features, ALPHAS, folds).fit(responses[:, 200:])
    assert np.array_equal(fit.weights, fresh.weights)


def test_prediction_is_centred_features_times_weights_plus_bias() -> None:
    features, responses = problem(200, 15, noise=0.01)
    fit = Ridge(features[:150], ALPHAS, validation_folds(150, 1)).fit(responses[:150])
    predicted = fit.predict(features[150:])
    expected = (features[150:] - features[:150].mean(axis=0)) @ fit.weights.T + responses[:150].mean(axis=0)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert r2_score(responses[150:], predicted) > 0.999


def test_voxels_do_not_depend_on_their_chunk_or_on_the_number_of_threads(
    use_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, responses = problem(120, 30, 25, noise=3.0)
    ridge = Ridge(features, ALPHAS, validation_folds(120, 3))
    whole, scores = ridge.fit(responses), ridge.scores(responses)
    monkeypatch.setattr("voxel_atlas.ingest.encoding.ridge.VOXELS_AT_ONCE", 7)
    monkeypatch.setattr("voxel_atlas.ingest.encoding.ridge.IMAGES_AT_ONCE", 13)
    use_threads(3)
    pieces = ridge.fit(responses)
    assert np.array_equal(whole.alpha, pieces.alpha)
    np.testing.assert_allclose(whole.weights, pieces.weights, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scores.max(axis=0), ridge.scores(responses).max(axis=0), rtol=1e-12)


def test_order_of_the_images_does_not_matter() -> None:
    features, responses = problem(100, 20, noise=3.0)
    fold, order = np.arange(17), np.random.default_rng(1).permutation(100)
    fit = Ridge(features, ALPHAS, [fold]).fit(responses)
    moved = Ridge(features[order], ALPHAS, [np.flatnonzero(np.isin(order, fold))]).fit(responses[order])
    assert np.array_equal(fit.alpha, moved.alpha)
    np.testing.assert_allclose(fit.weights, moved.weights, rtol=1e-5, atol=1e-7)


def test_responses_may_be_of_any_layout() -> None:
    features, responses = problem(70, 10, noise=3.0)
    ridge = Ridge(features.astype(np.float32), ALPHAS, validation_folds(70, 1))
    narrow = responses.astype(np.float32)
    narrow.flags.writeable = False
    expected = ridge.fit(narrow)
    for same in (np.asfortranarray(narrow), narrow[::-1].copy()[::-1], narrow.astype(np.float64)):
        assert np.array_equal(ridge.fit(same).weights, expected.weights)


def test_no_voxels_give_an_empty_fit() -> None:
    features, responses = problem(70, 10)
    fit = Ridge(features, ALPHAS, validation_folds(70, 1)).fit(responses[:, :0])
    assert fit.weights.shape == (0, 10)
    assert fit.predict(features).shape == (70, 0)


def test_mean_of_a_voxel_moves_its_bias_only() -> None:
    features, responses = problem(100, 20, noise=3.0)
    ridge = Ridge(features, ALPHAS, validation_folds(100, 2))
    fit, moved = ridge.fit(responses), ridge.fit(responses + 100)
    assert np.array_equal(fit.alpha, moved.alpha)
    np.testing.assert_allclose(fit.weights, moved.weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fit.bias + 100, moved.bias, rtol=1e-6)


def test_of_equal_scores_the_largest_penalty_is_taken() -> None:
    features, responses = problem(60, 5, noise=0.0)  # exactly linear: every small penalty scores 1
    ridge = Ridge(features, ALPHAS, validation_folds(60, 1))
    fit, scores = ridge.fit(responses), ridge.scores(responses)
    for voxel, alpha in enumerate(fit.alpha):
        equal = ALPHAS[scores[:, voxel] >= scores[:, voxel].max() - 1e-10]
        assert len(equal) > 1
        assert alpha == equal[-1]


def test_voxel_that_does_not_vary_gets_its_mean() -> None:
    features, responses = problem(60, 5)
    responses[:, 2] = 1.5
    ridge = Ridge(features, ALPHAS, validation_folds(60, 3))
    fit, best = ridge.fit(responses), ridge.scores(responses).max(axis=0)
    assert best[2] == 0
    assert fit.bias[2] == 1.5
    np.testing.assert_allclose(fit.predict(features)[:, 2], 1.5, atol=1e-12)
    assert np.all(best[[0, 1, 3]] > 0)


def test_configuration_decides_penalties_and_folds() -> None:
    def config(**settings: object) -> IngestConfig:
        return IngestConfig.model_validate({"dataset": "simulated", "subject": "S1", **settings})

    np.testing.assert_allclose(alpha_grid(config(), 512), np.logspace(-8, 10, 100))
    np.testing.assert_allclose(
        alpha_grid(config(selection="released"), 512), np.logspace(-8, 0.5 * np.log10(512) + 8, 100)
    )
    features, responses = problem(90, 10, noise=5.0)
    first = Ridge.from_config(features, config(seed=1)).scores(responses)
    assert np.array_equal(first, Ridge.from_config(features, config(seed=1)).scores(responses))
    assert not np.allclose(first, Ridge.from_config(features, config(seed=2)).scores(responses))
    assert not np.allclose(first, Ridge.from_config(features, config(seed=1, selection="kfold")).scores(responses))


def test_responses_that_are_not_numbers_are_refused_by_column() -> None:
    features, responses = problem(50, 5)
    ridge = Ridge(features, ALPHAS, validation_folds(50, 1))
    responses[3, 6] = np.nan
    with pytest.raises(BadInputError, match=r"1 voxel.* first at column 6"):
        ridge.fit(responses)
    with pytest.raises(BadInputError, match=r"\(49, 8\).* 50 training images"):
        ridge.fit(responses[1:])


def test_impossible_problems_are_refused() -> None:
    features, _ = problem(20, 5)
    fold = np.arange(4)
    with pytest.raises(BadInputError, match="finite"):
        Ridge(np.where(features > 1, np.nan, features), ALPHAS, [fold])
    with pytest.raises(BadInputError, match="do not vary"):
        Ridge(np.ones((20, 5)), ALPHAS, [fold])
    with pytest.raises(BadInputError, match="positive"):
        Ridge(features, np.array([0.0, 1.0]), [fold])
    for bad in ([], [fold, fold], [np.array([0])], [np.array([18, 20])], [np.arange(19)]):
        with pytest.raises(BadInputError, match="fold"):
            Ridge(features, ALPHAS, bad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
@pytest.mark.parametrize(("n", "d"), [(300, 40), (60, 90)])
def test_cuda_gives_what_the_cpu_gives(n: int, d: int) -> None:
    features, responses = problem(n, d, 50, noise=3.0)
    here, there = (
        Ridge(features, ALPHAS, validation_folds(n, 3), device=device).fit(responses) for device in ("cpu", "cuda")
    )
    assert np.array_equal(here.alpha, there.alpha)
    np.testing.assert_allclose(here.weights, there.weights, rtol=1e-6, atol=1e-6)
