"""Images through a network, a few at a time."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image as PILImage

from .interface import Floats, Image
from .shrinking import ShrinkingBatches

_IMAGES_AT_ONCE = 32
"""Bounds memory when a caller passes many; callers that know their device pass fewer."""


class Batches:
    """Puts images through one network; where a GPU's memory does not hold a batch, that one and the later ones shrink.

    Args:
        preprocess: from a PIL image to the network's input.
        network: from (n, 3, height, width) to (n, …).
        device: where the network is.
    """

    def __init__(
        self,
        preprocess: Callable[[PILImage.Image], torch.Tensor],
        network: Callable[[torch.Tensor], torch.Tensor],
        device: str,
    ) -> None:
        self._preprocess, self._network, self._device = preprocess, network, device
        self._run = ShrinkingBatches(self._one, _IMAGES_AT_ONCE, "encoding")

    def __call__(self, images: Sequence[Image]) -> Floats:
        """What the network makes of images, at least one and of any sizes, (n_images, …)."""
        # TF32 would round the convolutions of a GPU to 10 bits, and features must not depend on the machine.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            return np.stack(self._run(images))

    def _one(self, images: Sequence[Image]) -> Sequence[Floats]:
        batch = torch.stack([self._preprocess(PILImage.fromarray(image)) for image in images]).to(self._device)
        return list(self._network(batch).float().cpu().numpy())
