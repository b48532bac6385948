"""Images through a network, a few at a time."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image as PILImage

from atlas.backbones.interface import Floats, Image

_IMAGES_AT_ONCE = 32
"""Bounds memory when a caller passes many; callers that know their device pass fewer."""


def run(
    images: Sequence[Image],
    preprocess: Callable[[PILImage.Image], torch.Tensor],
    network: Callable[[torch.Tensor], torch.Tensor],
    device: str,
) -> Floats:
    """What a network makes of images, (n_images, …).

    Args:
        images: at least one image, of any sizes.
        preprocess: from a PIL image to the network's input.
        network: from (n, 3, height, width) to (n, …).
        device: where the network is.
    """
    outputs = []
    # TF32 would round the convolutions of a GPU to 10 bits, and features must not depend on the machine.
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            group = images[start : start + _IMAGES_AT_ONCE]
            batch = torch.stack([preprocess(PILImage.fromarray(image)) for image in group]).to(device)
            outputs.append(network(batch).float().cpu().numpy())
    return np.ascontiguousarray(np.concatenate(outputs))
