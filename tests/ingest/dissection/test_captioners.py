"""Captioners: the true BLIP classes with tiny random weights from disk, and the offline stand-in."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import (
    BlipForConditionalGeneration,
    BlipProcessor,
)

from voxel_atlas.ingest.dissection.blip import BlipCaptioner
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.ingest.simulated.lite_captioner import LiteCaptioner
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(20, 30), (64, 48), (32, 32), (7, 90), (375, 375)]
    return [np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8) for height, width in sizes]


def test_blip_from_a_folder_says_what_the_true_classes_say(blip_folder: Path, images: list[np.ndarray]) -> None:
    captions = BlipCaptioner(str(blip_folder), device="cpu", batch_size=2).caption(images)
    model = BlipForConditionalGeneration.from_pretrained(blip_folder).eval()
    processor = BlipProcessor.from_pretrained(blip_folder)
    literal = []
    for image in images:
        tokens = model.generate(**processor(images=image, return_tensors="pt"), max_new_tokens=20)
        literal.append(processor.decode(tokens[0], skip_special_tokens=True).strip())
    assert captions == literal
    assert len(set(captions)) > 1


def test_captions_do_not_depend_on_the_batch(blip_folder: Path, images: list[np.ndarray]) -> None:
    one, all_at_once = (BlipCaptioner(str(blip_folder), device="cpu", batch_size=size) for size in (1, 8))
    assert one.caption(images) == all_at_once.caption(images)
    assert one.caption([]) == []


def test_another_setting_or_weight_is_another_captioner(blip_folder: Path, tmp_path: Path) -> None:
    name = BlipCaptioner(str(blip_folder), device="cpu").name
    assert name == BlipCaptioner(str(blip_folder), device="cpu", batch_size=3).name
    assert name != BlipCaptioner(str(blip_folder), device="cpu", max_new_tokens=5).name
    copy = tmp_path / blip_folder.name
    model = BlipForConditionalGeneration.from_pretrained(blip_folder)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(copy)
    BlipProcessor.from_pretrained(blip_folder).save_pretrained(copy)
    assert name != BlipCaptioner(str(copy), device="cpu").name


def test_a_folder_with_part_of_a_model_is_missing_weights(blip_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((blip_folder / "config.json").read_bytes())
    with pytest.raises(MissingWeightsError, match=r"no weights .* are there; pass --download"):
        BlipCaptioner(str(tmp_path), device="cpu")
    with pytest.raises(MissingWeightsError, match=r"is a folder without config.json"):
        BlipCaptioner(str(tmp_path.parent), device="cpu")


def test_truncated_weights_are_refused_by_their_file(blip_folder: Path, tmp_path: Path) -> None:
    for path in blip_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 5000 if path.suffix == ".safetensors" else None])
    with pytest.raises(BadInputError, match=r"model.safetensors: not readable weights"):
        BlipCaptioner(str(tmp_path), device="cpu")


class Space:
    """A shared space in which a picture's colour channels are the words red, green and blue, and two words are grey."""

    name, dim, has_text, fingerprint = "space", 3, True, "0" * 64
    words: ClassVar = {
        "apple": (1, 0, 0),
        "lawn": (0, 1, 0),
        "ocean": (0, 0, 1),
        "plum": (0.7, 0, 0.8),
        "fire truck": (0.9, 0.3, 0),
    }

    def features(self, images: list[np.ndarray]) -> np.ndarray:
        self.looked = getattr(self, "looked", 0) + len(images)
        return np.stack([image.mean(axis=(0, 1)) / 255 for image in images]).astype(np.float32)

    def text(self, texts: list[str]) -> np.ndarray:
        vectors = np.array([self.words[text] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_lite_names_the_nearest_nouns_first_and_they_are_found_again() -> None:
    captioner = LiteCaptioner(Space(), list(Space.words), features_are_mine=True)
    red, blue = np.zeros((2, 4, 5, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    captions = captioner.caption([red, blue])
    assert captions == [
        "a photo of an apple, a fire truck and a plum",
        "a photo of an ocean, a plum and an apple",
    ]
    assert NounExtractor().nouns(captions) == [["apple", "fire truck", "plum"], ["ocean", "plum", "apple"]]


def test_lite_reads_no_image_where_it_has_its_own_features() -> None:
    space = Space()
    features = np.eye(3, dtype=np.float32)
    mine = LiteCaptioner(space, list(Space.words), features_are_mine=True)
    assert [caption.split()[4].strip(",") for caption in mine.caption([], features)] == ["apple", "lawn", "ocean"]
    assert not hasattr(space, "looked")
    other = LiteCaptioner(space, list(Space.words), features_are_mine=False)
    green = np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200
    assert other.caption([green], features[:1])[0].startswith("a photo of a lawn")
    assert space.looked == 1
    assert other.caption([]) == []


def test_lite_needs_a_text_tower() -> None:
    space = Space()
    space.has_text = False
    with pytest.raises(BadInputError, match="needs a text tower, and space has none"):
        LiteCaptioner(space, list(Space.words), features_are_mine=True)
