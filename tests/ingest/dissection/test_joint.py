"""Labels that together make up a voxel, beside trying all sets of them."""

from itertools import combinations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import nnls

from voxel_atlas.ingest.dissection.joint import LEAST_GAIN, MOST, fitted_labels


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def squared_cosine(readout: np.ndarray, vectors: np.ndarray) -> float:
    weights, _ = nnls(vectors.T, readout)
    made = weights @ vectors
    return float((readout @ made) ** 2 / (made @ made)) if made.any() else 0.0


@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
@example(977, 8)  # one of five is needless once the fifth is there
def test_each_label_is_the_one_that_adds_most_and_enough(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, readout = unit(rng.normal(size=(n, 6))), unit(rng.normal(size=6))
    chosen, weights = fitted_labels(readout, vectors)
    assert len(chosen) == len(weights) <= MOST
    assert (weights > 0).all()
    # As good as least squares on the chosen ones, and no other would have added enough to that.
    expected, _ = nnls(vectors[chosen].T, readout) if chosen else (np.empty(0), 0)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)  # nearly parallel labels have large ones
    reached = squared_cosine(readout, vectors[chosen]) if chosen else 0.0
    for other in set(range(n)) - set(chosen) if len(chosen) < MOST else ():
        assert squared_cosine(readout, vectors[[*chosen, other]]) < reached + LEAST_GAIN + 1e-6


def test_the_parts_of_a_mixture_are_found_among_others() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(20, 64)))
    for pair in combinations(range(5), 2):
        chosen, weights = fitted_labels(unit(vectors[list(pair)].sum(axis=0)), vectors)
        assert set(chosen) == set(pair)
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)
