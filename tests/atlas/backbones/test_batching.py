"""Batches that do not fit into a GPU's memory: halved, said, and with the same results."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from voxel_atlas.atlas.backbones.batching import Batches, ShrinkingBatches
from voxel_atlas.atlas.backbones.lite.efficientnet import ImageTower
from voxel_atlas.schemas.errors import BadInputError


def test_out_of_gpu_memory_halves_the_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sizes = []

    def double(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return [2 * item for item in batch]

    batches = ShrinkingBatches(double, 16, "doubling")
    with caplog.at_level(logging.WARNING):
        assert batches(list(range(10))) == [2 * item for item in range(10)]
    assert sizes == [10, 5, 2, 2, 2, 2, 2]
    assert caplog.messages == [
        "Out of GPU memory while doubling: going on with batches of 5.",
        "Out of GPU memory while doubling: going on with batches of 2.",
    ]
    assert batches([1, 2, 3]) == [2, 4, 6]
    assert sizes[7:] == [2, 1]


def test_no_memory_for_one_item_is_an_error() -> None:
    def never(batch: list[int]) -> list[int]:
        raise torch.OutOfMemoryError

    with pytest.raises(BadInputError, match="no memory for captioning a single item"):
        ShrinkingBatches(never, 4, "captioning")([1, 2])


def test_a_network_sees_the_same_images_in_smaller_batches(caplog: pytest.LogCaptureFixture) -> None:
    def small(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return batch.mean(dim=(2, 3))

    def tensor(image: PILImage.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()

    images = [np.full((4, 5, 3), value, np.uint8) for value in range(10)]
    features = Batches(tensor, small, "cpu")(images)
    assert features[:, 0].tolist() == list(range(10))
    assert caplog.messages[-1] == "Out of GPU memory while encoding: going on with batches of 2."


def test_lite_on_a_gpu_shrinks_its_batches(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    images = [np.full((224, 224, 3), 20 * value, np.uint8) for value in range(6)]
    expected, _ = ImageTower("cpu").pooled(images)
    tower, softmax = ImageTower("cpu:0"), torch.softmax  # the way of a GPU, on this processor

    def small(scores: torch.Tensor, dim: int) -> torch.Tensor:
        if len(scores) > 2:
            raise torch.OutOfMemoryError
        return softmax(scores, dim=dim)

    monkeypatch.setattr(torch, "softmax", small)
    found, _ = tower.pooled(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert "Out of GPU memory while encoding: going on with batches of" in caplog.messages[-1]
