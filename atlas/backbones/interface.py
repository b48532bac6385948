"""What a backbone is: a pretrained network whose feature space the voxels' weights live in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""One RGB image, (height, width, 3)."""
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the original image, right and bottom excluded."""
Readout = Literal["weights", "half", "pattern"]
"""Which vector of a voxel concepts are compared with: Cᵏ times its ridge weights, with C the covariance of the features
and k = 0, ½ or 1. Weights are the paper's, patterns those of Haufe et al. (2014)."""


class ImageEncoder(Protocol):
    """What turns images into vectors."""

    dim: int
    """Number of features."""
    fingerprint: str
    """SHA-256 over weights and preprocessing: two encoders with the same fingerprint give the same features."""

    def features(self, images: Sequence[Image]) -> Floats:
        """Pooled features of images of any size, (n_images, dim); preprocessing is the encoder's own."""
        ...


class Backbone(ImageEncoder, Protocol):
    """A network that turns images, and where it has a text tower words, into vectors of one space."""

    name: str
    """Name in the registry, for example clip-rn50."""
    has_text: bool
    """Whether `text` works: the network has a text tower in the space of its image features."""
    preprocessing: str
    """How images are prepared for the network, in the words of its library."""

    def local_features(self, images: Sequence[Image]) -> Floats:
        """Features before pooling, (n_images, channels, height, width); see METHOD in docs/ for each family."""
        ...

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """Weights applied at every position: local (channels, h, w), weights (n_voxels, dim) -> (n_voxels, h, w)."""
        ...

    def seen(self, width: int, height: int) -> Box:
        """The part of an image of that size that the network sees (a centre crop, or all of it)."""
        ...

    def text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, (n_texts, dim). Raises BadInputError where `has_text` is False."""
        ...


@runtime_checkable
class WordList(Protocol):
    """What a text tower may have beside `text`: a list of words, those that its tokenizer does not take apart."""

    def knows_word(self, word: str) -> bool:
        """Whether a word, in lower case, is in the list."""
        ...


class BackboneClass(Protocol):
    """What a backbone's name stands for in the registry: its class, or one of the sets of weights that it comes with.

    It is imported to answer questions about a name, so that what takes seconds to import is left to `load`.
    """

    dim: int
    """Number of features."""
    default_readout: Readout
    """What voxels are compared by unless one says otherwise."""

    def load(self, name: str, *, weights: Path | None, device: str, home: Path) -> Backbone:
        """Make the network; see `atlas.backbones.load`."""
        ...


@runtime_checkable
class Fetchable(Protocol):
    """A class of networks whose weights can be had from their publisher, where the user allows that."""

    def fetch(self, name: str) -> None:
        """Bring what `load` needs for a name into the cache of the library that publishes it.

        Raises:
            OSError, RuntimeError, ValueError: it cannot be had.
        """
        ...


def centre_crop(width: int, height: int, resized: int, crop: int) -> Box:
    """The part of an image that remains when its shorter side is resized and the centre is cut out, as a square.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        resized: length of the shorter side after resizing.
        crop: side of the square that is cut out; at most `resized`.

    Returns:
        The box in pixels of the original image.
    """
    scale = resized / min(width, height)
    # torchvision's Resize rounds the longer side down, and its CenterCrop rounds the margin.
    new_width, new_height = max(resized, int(width * scale)), max(resized, int(height * scale))
    left, top = round((new_width - crop) / 2), round((new_height - crop) / 2)
    x, y = width / new_width, height / new_height
    return round(left * x), round(top * y), round((left + crop) * x), round((top + crop) * y)
