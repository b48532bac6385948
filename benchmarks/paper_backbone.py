"""A second network for the appendix's benchmark: every other dimension of `lite`, brought as another package would."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.interface import Backbone, Box, Floats, Image, Readout
from voxel_atlas.atlas.backbones.products import weighted

NAME = "half-lite"
PACKAGE = f"""{NAME}-1.0.dist-info"""
FILES = {
    "METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
    "entry_points.txt": f"[voxel_atlas.backbones]\n{NAME} = paper_backbone:HalfLite\n",
}
"""What an installer leaves of a package with this network."""


def install(folder: Path) -> None:
    """Make Python know the network, where `folder` and this file's are on its path."""
    (folder / PACKAGE).mkdir(parents=True)
    for name, text in FILES.items():
        (folder / PACKAGE / name).write_text(text, encoding="utf-8")


class HalfLite:
    """See `Backbone`."""

    name, dim, has_text, preprocessing = NAME, 192, True, "as lite"
    default_readout: Readout = "half"

    def __init__(self, whole: Backbone) -> None:
        self._whole = whole
        self.fingerprint = hashlib.sha256(f"half {whole.fingerprint}".encode()).hexdigest()

    @classmethod
    def load(cls, name: str, *, weights: Path | None, device: str, home: Path) -> "HalfLite":  # noqa: ARG003 - the interface's
        """See `BackboneClass`."""
        return cls(load("lite", weights=weights, device=device, home=home))

    def features(self, images: Sequence[Image]) -> Floats:
        """See `ImageEncoder`."""
        return self._whole.features(images)[:, ::2]

    def text(self, texts: Sequence[str]) -> Floats:
        """See `Backbone`."""
        return halved(self._whole.text(texts))

    def local_features(self, images: Sequence[Image]) -> Floats:
        """See `Backbone`."""
        return self._whole.local_features(images)[:, ::2]

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """See `Backbone`."""
        return weighted(local, weights)

    def seen(self, width: int, height: int) -> Box:
        """See `Backbone`."""
        return self._whole.seen(width, height)


def halved(vectors: Floats) -> Floats:
    """Every other dimension of vectors, as unit vectors."""
    half = vectors[:, ::2]
    unit: Floats = half / np.linalg.norm(half, axis=1, keepdims=True).clip(1e-12)
    return unit
