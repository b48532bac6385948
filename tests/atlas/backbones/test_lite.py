"""`lite` on its true networks, with a linear map of the test's own: what must hold whatever calibration finds."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.interface import Backbone
from voxel_atlas.atlas.backbones.lite.lite import ALIGNMENT, RECIPE
from voxel_atlas.schemas.errors import MissingWeightsError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lite")
    rng = np.random.default_rng(0)
    (folder / ALIGNMENT).parent.mkdir()
    arrays = {
        "map": rng.normal(0, 0.03, (1280, 384)),
        "mean": rng.random(1280),
        "text_mean": rng.normal(0, 0.01, 384),
        "class_vectors": rng.normal(0, 0.5, (1000, 384)),
    }
    np.savez(folder / ALIGNMENT, recipe=RECIPE, **{name: array.astype(np.float32) for name, array in arrays.items()})
    return folder


@pytest.fixture(scope="module")
def lite(home: Path) -> Backbone:
    return load("lite", device="cpu", home=home)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in ((256, 256, 3), (180, 320, 3), (40, 30, 3))]


def test_features_are_the_mean_of_local_features(lite, images):
    local = lite.local_features(images)
    assert local.shape == (3, 384, 7, 7)
    np.testing.assert_allclose(local.mean(axis=(2, 3)), lite.features(images), atol=1e-5)


def test_the_mean_of_an_activation_map_is_the_response(lite, images):
    weights = np.random.default_rng(2).normal(size=(5, 384)).astype(np.float32)
    local, features = lite.local_features(images), lite.features(images)
    for image in range(len(images)):
        maps = lite.activation_maps(local[image], weights)
        expected = weights @ features[image]
        np.testing.assert_allclose(maps.mean(axis=(1, 2)), expected, atol=1e-5 * np.abs(expected).max() + 1e-4)
        for voxel, y, x in np.ndindex(maps.shape):
            literal = sum(w * value for w, value in zip(weights[voxel], local[image, :, y, x], strict=True))
            assert maps[voxel, y, x] == pytest.approx(literal, abs=1e-4 * float(np.abs(maps).max()))


def test_an_image_has_the_same_features_in_any_company(lite, images):
    np.testing.assert_allclose(lite.features(images)[1], lite.features(images[1:2])[0], atol=1e-4)


def test_texts_are_unit_vectors_and_near_meanings_are_near(lite):
    vectors = lite.text(["cake", "dessert", "bulldozer"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_without_calibration_the_command_that_does_it_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match="voxel-atlas calibrate"):
        load("lite", device="cpu", home=tmp_path)


def test_another_map_is_another_fingerprint(lite, home, tmp_path):
    with np.load(home / ALIGNMENT) as file:
        arrays = {name: file[name] for name in file.files}
    other = tmp_path / "other.npz"
    np.savez(other, **{**arrays, "mean": arrays["mean"] + 1})
    assert load("lite", weights=other, device="cpu", home=home).fingerprint != lite.fingerprint
