"""CLIP networks with random weights, built by open_clip's own classes, saved to a file and loaded as a user's is."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image as PILImage
from safetensors.torch import save_file

from voxel_atlas.atlas import backbones
from voxel_atlas.atlas.backbones.checkpoints import Checkpoint
from voxel_atlas.atlas.backbones.interface import Backbone, Image, WordList
from voxel_atlas.atlas.backbones.openclip import OpenClip, prompted
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError

ARCHITECTURES = {"clip-rn50": "RN50-quickgelu", "clip-vit-b32": "ViT-B-32-quickgelu"}
DIMS = {"clip-rn50": 1024, "clip-vit-b32": 512}


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(**open_clip.get_model_config(ARCHITECTURES[name])).eval()


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Backbone, torch.nn.Module]]:
    """A backbone loaded from a file, and the network that was saved there.

    One file is as OpenAI's are: in half precision, with three numbers among the tensors; the other is as the hub's are.
    """
    folder = tmp_path_factory.mktemp("weights")
    model = network(request.param)
    if request.param == "clip-rn50":
        path = folder / "weights.pt"
        numbers = {name: torch.tensor(224) for name in ("input_resolution", "context_length", "vocab_size")}
        torch.save({**model.half().state_dict(), **numbers}, path)
    else:
        path = folder / "weights.safetensors"
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    yield backbones.load(request.param, weights=path, device="cpu", home=folder), model.float()
    path.unlink()  # hundreds of megabytes


@pytest.fixture
def images() -> list[Image]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((300, 400, 3), (224, 224, 3), (500, 100, 3))]


def test_features_are_those_of_the_network_on_its_own_preprocessing(
    pair: tuple[Backbone, torch.nn.Module], images: list[Image]
) -> None:
    backbone, model = pair
    transform = open_clip.image_transform(224, is_train=False)
    with torch.inference_mode():
        batch = torch.stack([transform(PILImage.fromarray(image)) for image in images])
        expected = model.encode_image(batch).numpy()
    found = backbone.features(images)
    assert found.shape == (3, DIMS[backbone.name]) == (3, backbones.backbone_class(backbone.name).dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_features_do_not_depend_on_the_other_images_of_a_call(
    pair: tuple[Backbone, torch.nn.Module], images: list[Image]
) -> None:
    backbone, _ = pair
    alone = np.concatenate([backbone.features([image]) for image in images])
    np.testing.assert_allclose(backbone.features(images), alone, rtol=1e-4, atol=1e-5)


def test_local_features_are_projected_positions_and_maps_the_weights_at_each(
    pair: tuple[Backbone, torch.nn.Module], images: list[Image]
) -> None:
    backbone, model = pair
    captured: dict[str, torch.Tensor] = {}
    visual = model.visual
    last = visual.layer4 if backbone.name == "clip-rn50" else visual.transformer
    handle = last.register_forward_hook(lambda _module, _inputs, output: captured.update(last=output))
    with torch.inference_mode():
        transform = open_clip.image_transform(224, is_train=False)
        model.encode_image(transform(PILImage.fromarray(images[0]))[None])
        handle.remove()
        if backbone.name == "clip-rn50":
            pool = visual.attnpool
            positions = captured["last"][0].flatten(1).T
            expected = (positions @ pool.v_proj.weight.T + pool.v_proj.bias) @ pool.c_proj.weight.T + pool.c_proj.bias
        else:
            expected = visual.ln_post(captured["last"][0, 1:]) @ visual.proj
    found = backbone.local_features(images[:1])
    assert found.shape == (1, backbone.dim, 7, 7)
    np.testing.assert_allclose(found[0].reshape(backbone.dim, 49).T, expected.numpy(), rtol=1e-3, atol=1e-4)
    weights = np.random.default_rng(4).standard_normal((3, backbone.dim)).astype(np.float32)
    maps = backbone.activation_maps(found[0], weights)
    for voxel, y, x in np.ndindex(3, 7, 7):
        literal = sum(w * value for w, value in zip(weights[voxel], expected[7 * y + x].tolist(), strict=True))
        assert maps[voxel, y, x] == pytest.approx(literal, abs=1e-3 * float(np.abs(maps).max()))


def test_the_mean_map_is_the_response_when_attention_is_uniform(images: list[Image]) -> None:
    # With no queries, keys and position code the attention pool averages its positions, and pooling is linear.
    torch.manual_seed(0)
    vision = {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    words = {"context_length": 8, "vocab_size": 49_408, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=words)
    pool = model.visual.attnpool
    with torch.no_grad():
        for part in (pool.q_proj.weight, pool.q_proj.bias, pool.k_proj.bias, pool.positional_embedding):
            part.zero_()
    backbone = OpenClip("tiny", model, PreprocessCfg(), open_clip.tokenize, "cpu")
    weights = np.random.default_rng(2).standard_normal((6, 24)).astype(np.float32)
    for image in images:
        maps = backbone.activation_maps(backbone.local_features([image])[0], weights)
        assert maps.std() > 0.01
        np.testing.assert_allclose(maps.mean(axis=(1, 2)), weights @ backbone.features([image])[0], atol=1e-5)


def test_a_text_is_a_unit_vector_and_a_noun_is_a_caption(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, model = pair
    vectors = backbone.text(["dog", "a photo of a dog", "apple"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(ARCHITECTURES[backbone.name])(["a photo of an apple"])
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)[0].numpy()
    np.testing.assert_allclose(vectors[2], expected, atol=1e-5)


def test_words_are_known_that_are_not_taken_apart(pair: tuple[Backbone, torch.nn.Module]) -> None:
    tower = pair[0]
    assert isinstance(tower, WordList)
    assert [tower.knows_word(word) for word in ("kitchen", "purple", "zzqqx", "")] == [True, True, False, False]


def test_no_texts_give_no_vectors(pair: tuple[Backbone, torch.nn.Module]) -> None:
    assert pair[0].text([]).shape == (0, pair[0].dim)


def test_the_centre_square_is_seen(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    assert "mean=(0.48145466, 0.4578275, 0.40821073)" in backbone.preprocessing
    assert backbone.seen(400, 300) == (50, 0, 350, 300)
    assert backbone.seen(300, 400) == (0, 50, 300, 350)
    assert backbone.seen(224, 224) == (0, 0, 224, 224)


def test_what_is_outside_of_the_seen_box_changes_nothing(pair: tuple[Backbone, torch.nn.Module]) -> None:
    backbone, _ = pair
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (224, 448, 3), np.uint8)
    left, _, right, _ = backbone.seen(448, 224)
    other = image.copy()
    other[:, : left - 4], other[:, right + 4 :] = 0, 255
    # Bicubic resampling by 1 reaches no neighbour here, so 4 pixels of margin are more than enough.
    np.testing.assert_allclose(backbone.features([image]), backbone.features([other]), atol=1e-5)
    other[:, left : left + 20] = 255
    assert np.abs(backbone.features([image]) - backbone.features([other])).max() > 1e-4


def test_missing_weights_are_told_with_both_ways_and_the_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("voxel_atlas.atlas.backbones.openclip.try_to_load_from_cache", lambda _repository, _file: None)
    with pytest.raises(MissingWeightsError) as error:
        backbones.load("clip-rn50", home=tmp_path)
    message = str(error.value)
    assert (
        "pass --download to fetch them, or --weights PATH of open_clip_model.safetensors of timm/resnet50_clip"
        in message
    )
    assert f"or {tmp_path}/.cache/clip: " in message
    assert "SHA-256 afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762" in message


@pytest.mark.parametrize(
    ("architecture", "tag", "said"),
    [
        ("ViT-L-14-quickgelu", "openai", "SHA-256 b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
        ("ViT-B-32", "laion2b_s34b_b79k", "open_clip_model.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    ],
)
def test_another_network_needs_no_more_than_the_names_of_its_architecture_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, tag: str, said: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("voxel_atlas.atlas.backbones.openclip.try_to_load_from_cache", lambda _repository, _file: None)
    another = Checkpoint("openclip", architecture, tag, dim=512)
    with pytest.raises(MissingWeightsError, match=said):
        another.load("another", weights=None, device="cpu", home=tmp_path)


def test_weights_in_the_hub_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr(
        "voxel_atlas.atlas.backbones.openclip.try_to_load_from_cache",
        lambda repository, file: str(tmp_path / file) if repository == "timm/resnet50_clip.openai" else None,
    )
    with pytest.raises(BadInputError, match=r"open_clip_model.safetensors: not a readable file of weights"):
        backbones.load("clip-rn50", home=tmp_path)


def test_a_cut_download_of_openai_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("voxel_atlas.atlas.backbones.openclip.try_to_load_from_cache", lambda _repository, _file: None)
    path = tmp_path / ".cache" / "clip" / "RN50.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    with pytest.raises(BadInputError, match=r"RN50.pt: SHA-256 .* afeb0e10f9e5a86d… expected"):
        backbones.load("clip-rn50", home=tmp_path)


TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49_408, "width": 16, "heads": 2, "layers": 1},
}
LAION = "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K/snapshots/1"


@pytest.mark.parametrize(
    ("name", "folder", "said", "numbers", "quick"),
    [
        ("clip-vit-b32", "", None, False, True),  # nothing tells: as the name says
        ("clip-vit-b32-laion", "", None, False, False),
        ("clip-vit-b32", LAION, None, False, False),  # the repository that it was fetched from
        ("clip-vit-b32", "", {"model_cfg": TINY}, False, False),  # the configuration beside it
        ("clip-vit-b32-laion", "", {"model_cfg": {**TINY, "quick_gelu": True}}, False, True),
        ("clip-vit-b32-laion", "", None, True, True),  # OpenAI's archives hold numbers
    ],
)
def test_weights_are_used_with_the_activation_that_they_were_trained_with(
    name: str, folder: str, said: object, numbers: bool, quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: dict(TINY))
    torch.manual_seed(0)
    other, model = (open_clip.CLIP(**TINY, quick_gelu=activation).eval() for activation in (not quick, quick))
    other.load_state_dict(model.state_dict())
    path = tmp_path / folder / "open_clip_pytorch_model.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict() | ({"input_resolution": torch.tensor(32)} if numbers else {}), path)
    if said:
        (path.parent / "open_clip_config.json").write_text(json.dumps(said))
    backbone = backbones.load(name, weights=path, device="cpu", home=tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with torch.inference_mode():
        batch = open_clip.image_transform(32, is_train=False)(PILImage.fromarray(image))[None]
        expected, wrong = model.encode_image(batch).numpy(), other.encode_image(batch).numpy()
    np.testing.assert_allclose(backbone.features([image]), expected, atol=1e-5)
    assert np.abs(expected - wrong).max() > 1e-3
    preprocess = PreprocessCfg(size=(32, 32), interpolation="bicubic")
    assert backbone.fingerprint != OpenClip(name, model, preprocess, None, "cpu", " GELU" if quick else "").fingerprint


def test_weights_that_are_no_numbers_are_refused_by_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: dict(TINY))
    state = open_clip.CLIP(**TINY).state_dict()
    torch.save({**state, "logit_scale": torch.tensor(torch.nan)}, tmp_path / "nan.pt")
    with pytest.raises(BadInputError, match=r"nan.pt: logit_scale has numbers that are infinite or none"):
        backbones.load("clip-vit-b32", weights=tmp_path / "nan.pt", home=tmp_path)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no such file of weights"):
        backbones.load("clip-rn50", weights=tmp_path / "none.pt", home=tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"layer": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(BadInputError, match="not the weights of clip-vit-b32"):
        backbones.load("clip-vit-b32", weights=tmp_path / "other.pt", home=tmp_path)


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("dog", "a photo of a dog"),
        ("apple", "a photo of an apple"),
        ("hot  dog", "a photo of a hot dog"),
        ("a photo of a dog", "a photo of a dog"),
        ("the sea", "the sea"),
        ("two dogs on grass", "two dogs on grass"),
        ("", ""),
    ],
)
def test_bare_nouns_become_captions(text: str, caption: str) -> None:
    assert prompted(text) == caption
