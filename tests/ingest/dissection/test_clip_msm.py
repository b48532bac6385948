"""Soft WPMI against its formula with loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxel_atlas.ingest.dissection.clip_msm import ClipMsm
from voxel_atlas.schemas.errors import BadInputError


def clip_msm(top: np.ndarray, image_text: np.ndarray, prior_weight: float = 1.0) -> np.ndarray:
    method = ClipMsm(image_text, prior_weight)
    method.count(top)
    return method.values(top)


def literal(top: np.ndarray, image_text: np.ndarray, prior_weight: float = 1.0) -> np.ndarray:
    n_voxels, k = top.shape
    n_concepts = image_text.shape[1]
    log_likelihood = np.zeros((n_voxels, n_concepts))
    for voxel in range(n_voxels):
        for place, image in enumerate(top[voxel]):
            p = 0.998 + (0.970 - 0.998) * place / k
            total = sum(math.exp(value) for value in image_text[image])
            for concept in range(n_concepts):
                share = math.exp(image_text[image, concept]) / total
                log_likelihood[voxel, concept] += math.log(1 + p * (share - 1) + 1e-7)
    for concept in range(n_concepts):
        column = log_likelihood[:, concept].copy()
        peak = column.max()
        log_mean = peak + math.log(sum(math.exp(value - peak) for value in column)) - math.log(n_voxels)
        log_likelihood[:, concept] -= prior_weight * log_mean
    return log_likelihood


@given(
    seed=st.integers(0, 10**6),
    n_voxels=st.integers(1, 5),
    k=st.sampled_from([2, 7, 100, 130]),
    scale=st.sampled_from([1, 30]),
)
@settings(max_examples=25)
def test_values_equal_the_formula(seed: int, n_voxels: int, k: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    image_text = (scale * rng.normal(size=(140, 4))).astype(np.float32)
    top = np.stack([rng.permutation(140)[:k] for _ in range(n_voxels)]).astype(np.int32)
    np.testing.assert_allclose(clip_msm(top, image_text), literal(top, image_text), rtol=1e-4, atol=1e-3)


def test_batches_give_what_all_voxels_at_once_give() -> None:
    rng = np.random.default_rng(1)
    image_text = rng.normal(size=(50, 6)).astype(np.float32)
    top = np.stack([rng.permutation(50)[:10] for _ in range(9)]).astype(np.int32)
    method = ClipMsm(image_text, prior_weight=0.5)
    for batch in np.array_split(top, 4):
        method.count(batch)
    batched = np.concatenate([method.values(batch) for batch in np.array_split(top, 4)])
    np.testing.assert_allclose(batched, clip_msm(top, image_text, prior_weight=0.5), atol=1e-6)
    assert method.values(top[:0]).shape == (0, 6)


def test_the_concept_that_the_top_images_show_is_the_hard_label() -> None:
    image_text = np.zeros((60, 3), np.float32)
    image_text[:20, 0], image_text[20:40, 1], image_text[40:, 2] = 5, 5, 5
    top = np.array([np.arange(0, 20), np.arange(20, 40), np.arange(40, 60)], np.int32)
    values = clip_msm(top, image_text)
    assert values.argmax(axis=1).tolist() == [0, 1, 2]


def test_no_concepts_no_count_and_unknown_images_are_refused() -> None:
    with pytest.raises(BadInputError, match="at least one concept"):
        ClipMsm(np.zeros((5, 0), np.float32))
    with pytest.raises(BadInputError, match="prior is empty"):
        ClipMsm(np.zeros((5, 2), np.float32)).values(np.zeros((1, 2), np.int32))
    for stranger in (-1, 5):
        with pytest.raises(BadInputError, match="similarities of 5 images"):
            clip_msm(np.array([[0, stranger]], np.int32), np.zeros((5, 2), np.float32))
