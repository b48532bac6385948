"""Other programs' ridge regression of many voxels, for `ridge.py`: the same images, and one penalty chosen for each.

Each takes features (n_images, n_features), responses (n_images, n_voxels) and the rows of the hold-out that chooses.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from fracridge import fracridge as solve
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV as HimalayaCV
from himalaya.scoring import r2_score
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from voxel_atlas.ingest.encoding.metrics import r2

Array = NDArray[np.floating]
ALPHAS = np.logspace(-8, 10, 100)
FRACTIONS = np.linspace(0.05, 1, 20)


class Fitted(NamedTuple):
    """What a peer found; it predicts features @ weights + constant."""

    weights: Array
    """(n_features, n_voxels)."""
    constant: Array
    """(n_voxels,)."""
    alpha: Array
    """The penalties that it chose, (n_voxels,)."""


Peer = Callable[[Array, Array, NDArray[np.int64]], Fitted]


def himalaya(features: Array, responses: Array, holdout: NDArray[np.int64]) -> Fitted:
    """himalaya on torch, in the precision of the features: 100 penalties, the hold-out, a refit."""
    set_backend("torch")
    member = np.full(len(features), -1)
    member[holdout] = 0
    model = HimalayaCV(
        alphas=ALPHAS,
        fit_intercept=True,
        cv=PredefinedSplit(member),
        # Ten penalties at a time: all at once need 3 GB for the solutions of 512 features alone.
        solver_params={"score_func": r2_score, "n_alphas_batch": 10, "warn": False},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(torch.from_numpy(features), torch.from_numpy(responses.astype(features.dtype)))
    return Fitted(model.coef_.numpy(), model.intercept_.numpy(), model.best_alphas_.numpy())


def sklearn(features: Array, responses: Array, _: NDArray[np.int64]) -> Fitted:
    """scikit-learn's RidgeCV: 100 penalties, by leaving out one image at a time, which is all it has for each voxel."""
    model = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(features, responses.astype(np.float64))
    return Fitted(model.coef_.T, model.intercept_, model.alpha_)


def fracridge(features: Array, responses: Array, holdout: NDArray[np.int64]) -> Fitted:
    """Fractional ridge regression: 20 fractions of the unpenalised weights' length, the hold-out, a refit."""
    kept = np.setdiff1d(np.arange(len(features)), holdout)
    x_mean, y_mean = features[kept].mean(axis=0), responses[kept].mean(axis=0, dtype=np.float64)
    # Not by functions that it compiles: LAPACK does the work either way, and compiling would count.
    tried, _ = solve(features[kept] - x_mean, responses[kept] - y_mean, FRACTIONS, jit=False)
    validation = features[holdout] - x_mean
    scores = [r2(responses[holdout], validation @ tried[:, each] + y_mean) for each in range(len(FRACTIONS))]
    choice = np.argmax(scores, axis=0)
    x_mean, y_mean = features.mean(axis=0), responses.mean(axis=0, dtype=np.float64)
    refitted, alphas = solve(features - x_mean, responses - y_mean, FRACTIONS, jit=False)
    voxels = np.arange(len(choice))
    weights = refitted[:, choice, voxels]
    return Fitted(weights, y_mean - x_mean @ weights, alphas[choice, voxels])
