"""Top images against a full sort, and maps against one voxel and one image at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny import TinyBackbone, picture

from voxel_atlas.ingest.dissection import activation
from voxel_atlas.ingest.dissection.activation import FittedVoxels, by_image, diverse_images, image_maps, top_images


@given(
    data=st.data(),
    n=st.integers(1, 40),
    m=st.integers(1, 9),
    k=st.integers(1, 12),
    chunk=st.sampled_from([4, 200, 10**6]),
)
def test_top_images_equal_a_full_stable_sort_for_any_chunk(
    data: st.DataObject, n: int, m: int, k: int, chunk: int
) -> None:
    # Whole numbers are exact in float32 and tie often.
    whole = st.integers(-3, 3)
    features = data.draw(hnp.arrays(np.float32, (n, 3), elements=whole))
    weights = data.draw(hnp.arrays(np.float32, (m, 3), elements=whole))
    bias, mean = (
        data.draw(hnp.arrays(np.float32, m, elements=whole)),
        data.draw(hnp.arrays(np.float32, 3, elements=whole)),
    )
    kept, activation._CHUNK_BYTES = activation._CHUNK_BYTES, chunk
    try:
        indices, values = top_images(features, FittedVoxels(weights, bias, mean), k)
    finally:
        activation._CHUNK_BYTES = kept
    assert (indices.dtype, values.dtype) == (np.int32, np.float32)
    for voxel in range(m):
        literal = [float((x - mean) @ weights[voxel] + bias[voxel]) for x in features]
        expected = sorted(range(n), key=lambda image: (-literal[image], image))[:k]
        assert indices[voxel].tolist() == expected
        assert values[voxel].tolist() == [literal[image] for image in expected]


@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), m=st.integers(1, 40), dim=st.integers(1, 400))
def test_a_response_has_the_same_digits_alone_in_a_batch_and_with_its_sum_in_another_order(
    seed: int, n: int, m: int, dim: int
) -> None:
    rng = np.random.default_rng(seed)
    features, weights = (rng.normal(size=(rows, dim)).astype(np.float32) for rows in (n, m))
    bias, mean = rng.normal(size=m).astype(np.float32), np.zeros(dim, np.float32)
    together = FittedVoxels(weights, bias, mean).respond(features)
    voxel, image, order = int(rng.integers(m)), int(rng.integers(n)), rng.permutation(dim)
    alone = FittedVoxels(weights[[voxel]], bias[[voxel]], mean).respond(features[[image]])
    turned = FittedVoxels(weights[[voxel]][:, order], bias[[voxel]], mean).respond(features[[image]][:, order])
    assert alone.item() == turned.item() == together[voxel, image]


@given(top=hnp.arrays(np.int32, st.tuples(st.integers(0, 6), st.integers(1, 4)), elements=st.integers(0, 5)))
def test_by_image_gives_every_voxel_back_once_for_each_of_its_images(top: np.ndarray) -> None:
    groups = list(by_image(top))
    assert [image for image, _ in groups] == sorted(set(top.ravel().tolist()))
    for image, rows in groups:
        assert rows.tolist() == [row for row, images in enumerate(top) for other in images if other == image]


def test_maps_equal_those_of_one_voxel_and_one_image_at_a_time() -> None:
    backbone = TinyBackbone()
    rng = np.random.default_rng(0)
    pictures = [picture(colour, seed) for seed, colour in enumerate(["rose", "leaf", "lake", "lemon", "rose"])]
    weights = rng.normal(size=(7, 4)).astype(np.float32)
    top = rng.permuted(np.tile(np.arange(5, dtype=np.int32), (7, 1)), axis=1)[:, :3]
    read = []

    def image(index: int) -> np.ndarray:
        read.append(index)
        return pictures[index]

    seen = 0
    for maps in image_maps(backbone, image, by_image(top), weights, batch_images=2):
        np.testing.assert_array_equal(maps.image, pictures[maps.index])
        for row, activation_map in zip(maps.rows, maps.maps, strict=True):
            literal = np.zeros((8, 8))
            for channel, plane in enumerate(backbone.local_features([pictures[maps.index]])[0]):
                literal += weights[row, channel] * plane
            np.testing.assert_allclose(activation_map, literal, atol=1e-6)
            response = weights[row] @ backbone.features([pictures[maps.index]])[0]
            np.testing.assert_allclose(activation_map.mean(), response, atol=1e-6)
            seen += 1
    assert seen == top.size
    assert read == sorted(set(top.ravel().tolist())), "each image is read once"


def test_diverse_images_begin_with_the_strongest_and_then_avoid_what_is_there():
    features = np.array([[1, 0], [1, 0.01], [0, 1], [1, 0.02]], np.float32)
    top, responses = np.array([[0, 1, 3, 2]], np.int32), np.array([[4.0, 3.9, 3.8, 3.0]], np.float32)
    assert diverse_images(features, top, responses, 2).tolist() == [[0, 2]]
    assert diverse_images(features, top, responses, 9)[0, :2].tolist() == [0, 2]
    assert sorted(diverse_images(features, top, responses, 9)[0].tolist()) == [0, 1, 2, 3]


@given(seed=st.integers(0, 99), k=st.integers(1, 6))
def test_diverse_images_are_those_of_a_literal_loop(seed, k):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(12, 4)).astype(np.float32)
    responses = -np.sort(-rng.normal(size=(3, 8)).astype(np.float32), axis=1)
    top = np.stack([rng.permutation(12)[:8] for _ in range(3)]).astype(np.int32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for own, values, found in zip(top, responses, diverse_images(features, top, responses, k), strict=True):
        relevance = dict(zip(own.tolist(), (values - values[-1]) / (values[0] - values[-1]), strict=True))
        chosen = [int(own[0])]
        while len(chosen) < k:
            rest = [image for image in own.tolist() if image not in chosen]
            worth = [0.3 * relevance[i] - 0.7 * max(float(unit[i] @ unit[j]) for j in chosen) for i in rest]
            chosen.append(rest[int(np.argmax(worth))])
        assert found.tolist() == chosen
