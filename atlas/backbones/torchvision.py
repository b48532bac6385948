"""ImageNet networks as torchvision builds them: no text tower, and a pooling that is linear.

Weights are taken from torch's hub cache or from a file; only `fetch` asks anybody for them.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import nn

from ...schemas.errors import BadInputError, MissingWeightsError
from ...schemas.files import file_sha256
from .batching import Batches
from .device import resolve_device
from .interface import Box, Floats, Image, centre_crop
from .products import weighted
from .weights import check_sha256, fingerprint, given_file, load_into, read_state

_log = logging.getLogger(__name__)


class TorchVision:
    """An ImageNet network up to its pooling; see `Backbone`.

    Where the network averages over positions (ResNet), the mean of an activation map is the response; where it keeps
    them (AlexNet: 256 × 6 × 6 features), the sum of the map is. Both are without the voxel's bias.

    Args:
        name: name in the registry.
        model: the network, with its weights.
        transform: torchvision's preprocessing of these weights.
        device: where it runs.
    """

    has_text = False
    weights_file: Path | None = None
    """From which it was loaded."""

    def __init__(self, name: str, model: nn.Module, transform: Any, device: str) -> None:
        self.name = name
        self._trunk = _trunk(model).eval().to(device)
        if not isinstance(pool := getattr(model, "avgpool", None), nn.AdaptiveAvgPool2d):
            raise BadInputError(
                f"{name}: activation maps are known for networks with an average pool, and it has none."
            )
        self._pool = pool
        self._transform = transform
        self._embed = Batches(transform, lambda batch: self._pool(self._positions(batch)).flatten(1), device)
        self._embed_positions = Batches(transform, self._positions, device)
        side = transform.crop_size[0]
        with torch.inference_mode():
            local = self._positions(torch.zeros(1, 3, side, side, device=device))
            self.dim = int(self._pool(local).flatten(1).shape[1])
        self.preprocessing = " ".join(str(transform).split())
        self.fingerprint = fingerprint(self._trunk, transform)

    def features(self, images: Sequence[Image]) -> Floats:
        """Pooled features, (n_images, dim)."""
        return self._embed(images)

    def local_features(self, images: Sequence[Image]) -> Floats:
        """Features before they are averaged, or, where they are kept by position, as they are; (n_images, c, h, w)."""
        return self._embed_positions(images)

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """Weights (n_voxels, dim) at every position of local (channels, height, width), (n_voxels, height, width)."""
        return weighted(local, weights)

    def seen(self, width: int, height: int) -> Box:
        """The square in the centre of the image that remains after resizing and cropping."""
        return centre_crop(width, height, self._transform.resize_size[0], self._transform.crop_size[0])

    def text(self, texts: Sequence[str]) -> Floats:
        """Raises BadInputError: the network was trained without text."""
        raise BadInputError(
            f"{self.name} has no text tower, so it cannot embed {len(texts)} texts; search by labels, or use a CLIP "
            "model."
        )

    def _positions(self, batch: torch.Tensor) -> torch.Tensor:
        local: torch.Tensor = self._trunk(batch)
        averaged = self._pool.output_size in (1, (1, 1))
        # AlexNet's pooling resizes to 6 × 6 and its features keep all positions: the map is what comes out of it.
        return local if averaged else self._pool(local)


def load(name: str, architecture: str, tag: str, *, weights: Path | None, device: str) -> TorchVision:
    """Make an ImageNet network, with the preprocessing that its weights were trained with.

    Args:
        name: name in the registry.
        architecture: torchvision's name of it.
        tag: torchvision's name of the weights; those of a file that was published under another are taken as such.
        weights: file of the weights; None looks into torch's hub cache.
        device: auto, cpu, cuda …

    Raises:
        MissingWeightsError: the weights are not on this machine.
        BadInputError: the file is damaged, or holds another network.
    """
    published = torchvision.models.get_model_weights(architecture)
    path = given_file(weights) or _cached(name, published[tag].url)
    trained = published[tag] if weights is None else _trained_as(path, [published[tag], *published])
    if trained is not published[tag]:
        _log.warning("%s is %s, and is used with its preprocessing.", path, trained)
    model = torchvision.models.get_model(architecture, weights=None)
    load_into(model, read_state(path), name, path)
    network = TorchVision(name, model, trained.transforms(), resolve_device(device))
    network.weights_file = path
    return network


def fetch(architecture: str, tag: str) -> None:
    """Bring published weights into torch's hub cache; see `Fetchable`."""
    url = torchvision.models.get_model_weights(architecture)[tag].url
    path, sha256 = _place(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)


def _trained_as(path: Path, known: Sequence[Any]) -> Any:
    """Which of the known weights a file is by its SHA-256, whatever it is called; the first of them where none is.

    Raises:
        BadInputError: it has the name of some, and is not what was published.
    """
    places = [(weights, *_place(weights.url)) for weights in known]
    for weights, cached, sha256 in places:
        if cached.name == path.name:
            check_sha256(path, sha256)
            return weights
    actual = file_sha256(path)
    return next((weights for weights, _, sha256 in places if sha256 and actual.startswith(sha256)), known[0])


def _trunk(model: nn.Module) -> nn.Module:
    """The network up to its pooling."""
    if isinstance(features := getattr(model, "features", None), nn.Module):
        return features
    layers = dict(model.named_children())
    return nn.Sequential(
        *[layer for name, layer in layers.items() if name not in ("avgpool", "fc", "classifier", "heads")]
    )


def _place(url: str) -> tuple[Path, str]:
    """Where torch's hub cache has a file, and the first digits of its SHA-256, with which its name ends."""
    file = Path(urlparse(url).path).name
    match = re.search(r"-([0-9a-f]{8,})\.pth$", file)
    return Path(torch.hub.get_dir()) / "checkpoints" / file, match[1] if match else ""


def _cached(name: str, url: str) -> Path:
    path, sha256 = _place(url)
    if path.exists():
        check_sha256(path, sha256)
        return path
    raise MissingWeightsError(
        f"The weights of {name} are not in {path.parent}: pass --download to fetch them, put {url} there, or pass "
        "--weights PATH" + (f" (its SHA-256 begins with {sha256})." if sha256 else ".")
    )
