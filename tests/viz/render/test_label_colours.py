from pathlib import Path

import numpy as np
import pytest

from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.render.label_colours import LabelColours, kept, label_colours


@pytest.fixture
def three() -> LabelColours:
    rgb = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    return LabelColours(("cake", "dog", "house"), rgb, 1.0)


def test_labels_get_their_colours(three: LabelColours) -> None:
    found = three.of(["dog", None, "cake", "dog"])
    assert found[[0, 2, 3]].tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert np.isnan(found[1]).all()
    assert three.legend(["house"]) == [("house", (0, 0, 255))]


def test_a_label_without_a_colour_is_named(three: LabelColours) -> None:
    with pytest.raises(NotFoundError, match="zebra"):
        three.of(["cake", "zebra"])


@pytest.mark.parametrize(
    ("images", "vectors", "n_labels"),
    [((4, 8), (3, 8), 3), ((9, 8), (1, 8), 1), ((9, 8), (3, 7), 3), ((9, 8), (3, 8), 4), ((9,), (3, 8), 3)],
)
def test_bad_shapes_are_refused(images: tuple[int, ...], vectors: tuple[int, ...], n_labels: int) -> None:
    with pytest.raises(BadInputError):
        label_colours(np.ones(images, np.float32), ["x"] * n_labels, np.ones(vectors, np.float32))


def test_values_that_are_not_finite_are_refused() -> None:
    images = np.ones((9, 8), np.float32)
    images[2, 3] = np.inf
    with pytest.raises(BadInputError, match="NaN or infinite"):
        label_colours(images, ["a", "b"], np.ones((2, 8), np.float32))


def test_colours_that_were_fitted_once_are_kept(three: LabelColours, tmp_path: Path) -> None:
    path = tmp_path / "colours" / "model.npz"
    first = kept(path, lambda: three)
    again = kept(path, lambda: pytest.fail("they were fitted a second time"))
    for found in (first, again):
        assert found.labels == three.labels
        assert np.array_equal(found.rgb, three.rgb)
        assert found.trustworthiness == 1.0


@pytest.mark.slow
def test_neighbours_in_meaning_are_neighbours_in_colour() -> None:
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(8, 32))
    images = (np.repeat(topics, 60, 0) + 0.5 * rng.normal(size=(480, 32))).astype(np.float32)
    vectors = (np.repeat(topics, 20, 0) + 0.5 * rng.normal(size=(160, 32)) + 3).astype(np.float32)
    names = [f"label {number}" for number in range(160)]
    one, other = (label_colours(images, names, vectors, seed=1) for _ in range(2))
    assert np.array_equal(one.rgb, other.rgb)
    assert one.trustworthiness > 0.9
    assert (one.rgb >= 0).all()
    assert (one.rgb <= 1).all()
    by_topic = one.rgb.reshape(8, 20, 3)
    assert by_topic.std(1).mean() < by_topic.mean(1).std(0).mean() / 3
    shuffled = label_colours(images, names, rng.permutation(vectors.ravel()).reshape(vectors.shape), seed=1)
    assert shuffled.trustworthiness < one.trustworthiness
    few = label_colours(images[:5], ["a", "b"], vectors[:2])
    assert np.isnan(few.trustworthiness)
