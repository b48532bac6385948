"""Items through a network, a few at a time, and fewer where a GPU's memory does not hold them."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image as PILImage

from ...schemas.errors import BadInputError
from .interface import Floats, Image

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

_IMAGES_AT_ONCE = 32
"""Bounds memory when a caller passes many; callers that know their device pass fewer."""


class ShrinkingBatches(Generic[_Item, _Result]):
    """Runs a network over batches. One that does not fit is halved, and so are all that follow; the log says so.

    Args:
        run: gives the results of a batch, one an item.
        size: items in a batch.
        doing: what is done, for messages, for example "captioning".
    """

    def __init__(self, run: Callable[[Sequence[_Item]], Sequence[_Result]], size: int, doing: str) -> None:
        self.size = size
        self._run = run
        self._doing = doing

    def __call__(self, items: Sequence[_Item]) -> list[_Result]:
        """Results of all items, in their order.

        Raises:
            BadInputError: memory does not hold even one item.
        """
        results: list[_Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results += self._run(batch)
                continue
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise BadInputError(
                        f"The GPU has no memory for {self._doing} a single item; free some, or pass --device cpu."
                    ) from error
                self.size = len(batch) // 2
            # Out of the except clause the failed batch's tensors are gone, so that this frees them.
            torch.cuda.empty_cache()
            _log.warning("Out of GPU memory while %s: going on with batches of %d.", self._doing, self.size)
        return results


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
