"""ImageNet networks with random weights, built by torchvision, saved to a file and loaded as a user's is."""

from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image as PILImage

from voxel_atlas.atlas import backbones
from voxel_atlas.atlas.backbones.interface import Backbone, Image
from voxel_atlas.atlas.backbones.torchvision import TorchVision
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError, NotFoundError

DIMS = {"resnet50": 2048, "alexnet": 9216}


@pytest.fixture(scope="module", params=list(DIMS))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Backbone, torch.nn.Module]]:
    """A backbone loaded from a file, and the network that was saved there."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = torchvision.models.get_model(request.param, weights=None).eval()
    path = folder / "weights.pth"
    torch.save(model.state_dict(), path)
    yield backbones.load(request.param, weights=path, device="cpu", home=folder), model
    path.unlink()


@pytest.fixture
def images() -> list[Image]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((300, 400, 3), (256, 256, 3), (500, 100, 3))]


def test_features_are_those_before_the_classifier(pair: tuple[Backbone, torch.nn.Module], images: list[Image]) -> None:
    backbone, model = pair
    transform = torchvision.models.get_model_weights(backbone.name)["IMAGENET1K_V1"].transforms()
    captured = []
    handle = model.avgpool.register_forward_hook(lambda _m, _i, output: captured.append(output.flatten(1)))
    with torch.inference_mode():
        model(torch.stack([transform(PILImage.fromarray(image)) for image in images]))
    handle.remove()
    found = backbone.features(images)
    assert found.shape == (3, DIMS[backbone.name])
    assert found.dtype == np.float32
    assert backbone.dim == DIMS[backbone.name] == backbones.backbone_class(backbone.name).dim
    np.testing.assert_allclose(found, captured[0].numpy(), rtol=1e-5, atol=1e-6)


def test_a_map_is_the_weights_at_each_position_of_the_networks_last_map(
    pair: tuple[Backbone, torch.nn.Module], images: list[Image]
) -> None:
    backbone, model = pair
    captured: list[torch.Tensor] = []
    last = model.layer4 if backbone.name == "resnet50" else model.avgpool
    handle = last.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
    transform = torchvision.models.get_model_weights(backbone.name)["IMAGENET1K_V1"].transforms()
    with torch.inference_mode():
        model(transform(PILImage.fromarray(images[0]))[None])
    handle.remove()
    literal = captured[0][0].numpy()
    weights = np.random.default_rng(4).standard_normal((3, backbone.dim)).astype(np.float32)
    maps = backbone.activation_maps(backbone.local_features(images[:1])[0], weights)
    channels, height, width = literal.shape
    for voxel, y, x in np.ndindex(maps.shape):
        # AlexNet has a weight for each channel at each position, channels outermost; ResNet one a channel.
        first, step = (y * width + x, height * width) if backbone.name == "alexnet" else (0, 1)
        total = sum(weights[voxel, first + channel * step] * literal[channel, y, x] for channel in range(channels))
        assert maps[voxel, y, x] == pytest.approx(total, abs=1e-4 * float(np.abs(maps).max()))


def test_the_map_pools_to_the_response(pair: tuple[Backbone, torch.nn.Module], images: list[Image]) -> None:
    backbone, _ = pair
    rng = np.random.default_rng(2)
    weights = (rng.standard_normal((7, backbone.dim)) / np.sqrt(backbone.dim)).astype(np.float32)
    features, local = backbone.features(images), backbone.local_features(images)
    assert local.shape == ((3, 2048, 7, 7) if backbone.name == "resnet50" else (3, 256, 6, 6))
    for feature, positions in zip(features, local, strict=True):
        maps = backbone.activation_maps(positions, weights)
        pooled = maps.mean(axis=(1, 2)) if backbone.name == "resnet50" else maps.sum(axis=(1, 2))
        response = weights @ feature
        np.testing.assert_allclose(pooled, response, rtol=0, atol=1e-5 * np.abs(response).max())


def test_the_map_is_high_where_the_image_is(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    image = np.full((256, 256, 3), 124, np.uint8)
    image[16:80, 16:80] = np.random.default_rng(3).integers(0, 256, (64, 64, 3))
    local = backbone.local_features([image])[0]
    # A voxel that wants whatever a flat picture does not have.
    flat = backbone.local_features([np.full((256, 256, 3), 124, np.uint8)])[0]
    change = np.abs(local - flat).sum(axis=0)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert row < change.shape[0] / 2
    assert column < change.shape[1] / 2


def test_the_centre_of_the_resized_image_is_seen(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    assert "crop_size=[224] resize_size=[256] mean=[0.485, 0.456, 0.406]" in backbone.preprocessing
    assert backbone.seen(256, 256) == (16, 16, 240, 240)
    left, top, right, bottom = backbone.seen(400, 300)
    assert right - left == pytest.approx(300 * 224 / 256, abs=1)
    assert bottom - top == pytest.approx(300 * 224 / 256, abs=1)
    assert left == pytest.approx(400 - right, abs=1)
    assert top == pytest.approx(300 - bottom, abs=1)


def test_what_is_outside_of_the_seen_box_changes_nothing(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    image = np.random.default_rng(4).integers(0, 256, (256, 256, 3), np.uint8)
    left, top, right, bottom = backbone.seen(256, 256)
    other = np.zeros_like(image)
    other[top:bottom, left:right] = image[top:bottom, left:right]
    np.testing.assert_array_equal(backbone.features([image]), backbone.features([other]))


def test_there_is_no_text_tower(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    assert not backbone.has_text
    with pytest.raises(BadInputError, match="no text tower"):
        backbone.text(["dog"])


def test_missing_weights_are_told_with_both_ways_and_the_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeightsError) as error:
        backbones.load("resnet50", home=tmp_path)
    message = str(error.value)
    assert f"are not in {tmp_path}/hub/checkpoints: pass --download to fetch them, put https://download.pyt" in message
    assert "resnet50-0676ba61.pth there" in message
    assert "--weights PATH" in message
    assert "SHA-256 begins with 0676ba61" in message


def test_a_cut_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    with pytest.raises(BadInputError, match=r"alexnet-owt-7be5be79.pth: SHA-256 .* 7be5be79… expected"):
        backbones.load("alexnet", home=tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(BadInputError, match="not the weights of alexnet"):
        backbones.load("alexnet", weights=tmp_path / "other.pth", home=tmp_path)


@pytest.fixture
def resnet50_file(tmp_path: Path) -> Path:
    """Random weights under the name of those that torchvision published as V2."""
    path = tmp_path / "resnet50-11ad3fa6.pth"
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)
    return path


def test_weights_of_the_second_version_get_its_preprocessing(
    resnet50_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInputError, match=r"resnet50-11ad3fa6.pth: SHA-256 .* 11ad3fa6… expected"):
        backbones.load("resnet50", weights=resnet50_file, device="cpu", home=tmp_path)
    renamed = resnet50_file.rename(tmp_path / "weights.pth")
    first, second = (
        backbones.load(name, weights=renamed, device="cpu", home=tmp_path) for name in ("resnet50", "resnet50-v2")
    )
    assert "resize_size=[256]" in first.preprocessing
    assert "resize_size=[232]" in second.preprocessing
    assert first.fingerprint != second.fingerprint
    # The published file cannot be had here: this one is taken for it by its SHA-256.
    monkeypatch.setattr("voxel_atlas.atlas.backbones.torchvision.file_sha256", lambda _: "11ad3fa6" + "0" * 56)
    recognised = backbones.load("resnet50", weights=renamed, device="cpu", home=tmp_path)
    assert recognised.preprocessing == second.preprocessing
    assert recognised.fingerprint == second.fingerprint


def test_published_weights_are_fetched_where_that_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr("torch.hub.urlopen", lambda request: asked.append(request.full_url) or _refused())
    with pytest.raises(MissingWeightsError, match="pass --download"):
        backbones.load("alexnet", home=tmp_path)
    assert asked == []
    with pytest.raises(MissingWeightsError, match=r"The weights of alexnet cannot be fetched: .*no network"):
        backbones.load("alexnet", home=tmp_path, download=True)
    assert asked == ["https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"]


def _refused() -> None:
    raise URLError("no network in this test")


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_another_network_needs_its_names_only(name: str) -> None:
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None)
    transform = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].transforms()
    backbone = TorchVision(name, model, transform, "cpu")
    image = np.random.default_rng(5).integers(0, 256, (240, 240, 3), np.uint8)
    weights = np.random.default_rng(6).standard_normal((3, backbone.dim)).astype(np.float32) / backbone.dim
    maps = backbone.activation_maps(backbone.local_features([image])[0], weights)
    pooled = maps.sum(axis=(1, 2)) if name == "vgg11" else maps.mean(axis=(1, 2))
    np.testing.assert_allclose(pooled, weights @ backbone.features([image])[0], atol=1e-5)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="lite, word-cards, clip-rn50, clip-vit-b32"):
        backbones.load("resnet51", home=tmp_path)
