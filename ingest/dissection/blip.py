"""Captions by BLIP, or by any other captioning model of transformers that needs no prompt."""

from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForImageTextToText, AutoProcessor

from ...atlas.backbones.batching import ShrinkingBatches
from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.interface import Backbone, Floats, Image
from ...atlas.backbones.weights import require_hub
from .interface import settings_name
from .pretrained import CONFIGURATIONS, WEIGHTS, found, read_network, version_of, whole

MODELS = {"blip": "Salesforce/blip-image-captioning-base"}
"""Short names; the paper's captioner is BLIP base."""


class BlipCaptioner:
    """BLIP (Li et al. 2022) with greedy decoding, in half precision on a GPU.

    Args:
        name: blip, a Hugging Face model id, or a folder that holds a model and its processor.
        device: auto, cpu, cuda, cuda:1 …
        max_new_tokens: length of a caption at most; the released code's default of 20.
        batch_size: images at once; halved when the GPU's memory does not hold them.

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: a file of them is damaged or lacks some.
    """

    def __init__(
        self, name: str, device: str = "auto", max_new_tokens: int = 20, batch_size: int | None = None
    ) -> None:
        self._device = resolve_device(device)
        on_gpu = self._device != "cpu"
        self._dtype = torch.float16 if on_gpu else torch.float32
        folder = found(name, "captioner", [MODELS.get(name, name)], "config.json")
        with whole(name, "captioner", folder):
            model, variant = read_network(AutoModelForImageTextToText, folder, dtype=self._dtype)
            self._processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self._model = model.to(self._device).eval()
        self._max_new_tokens = max_new_tokens
        settings = {"revision": version_of(folder), "dtype": str(self._dtype), "max_new_tokens": max_new_tokens}
        settings |= {"variant": variant} if variant else {}
        self.name = settings_name(Path(name).name, settings)
        self._batches = ShrinkingBatches(self._describe, batch_size or (64 if on_gpu else 8), "captioning")

    @classmethod
    def load(cls, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> "BlipCaptioner":  # noqa: ARG003
        """See `CaptionerClass`; its weights live in the hub's cache."""
        return cls(name, device)

    @classmethod
    def fetch(cls, name: str) -> None:
        """See `Fetchable`."""
        require_hub()
        snapshot_download(MODELS.get(name, name), allow_patterns=[*CONFIGURATIONS, *WEIGHTS])

    def caption(self, images: Sequence[Image], features: Floats | None = None) -> list[str]:  # noqa: ARG002 - looks itself
        """See Captioner."""
        return self._batches(images)

    @torch.inference_mode()
    def _describe(self, images: Sequence[Image]) -> list[str]:
        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        tokens = self._model.generate(
            pixel_values=pixels.to(self._device, self._dtype),
            max_new_tokens=self._max_new_tokens,
            num_beams=1,
            do_sample=False,
        )
        texts = self._processor.batch_decode(tokens, skip_special_tokens=True)
        return [str(text).strip() for text in texts]
