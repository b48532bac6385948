"""What describes images, draws labels and scores them, and what a name stands for in each registry."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats, Image
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from .activation import FittedVoxels


class Captioner(Protocol):
    """Describes images in English."""

    name: str
    """Kind and a hash of the settings, for example lite@1f03aa: another name means other captions."""

    def caption(self, images: Sequence[Image], features: Floats | None = None) -> list[str]:
        """Describe each image in one sentence.

        Args:
            images: may be lazy: a captioner that can work on features reads none.
            features: the images' features in the space of the model's backbone, (n_images, dim) float32, where known.

        Returns:
            A caption an image; an empty one where the captioner found nothing to say.
        """
        ...


class CaptionerClass(Protocol):
    """What a captioner's name stands for in the registry."""

    def load(self, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> Captioner:
        """Make the captioner.

        Args:
            name: the name in the settings; a model id or a folder, where the class stands for such.
            loaded: networks that are loaded already, the model's own first.
            home: the atlas's home folder.
            device: auto, cpu, cuda, cuda:1 …

        Raises:
            MissingWeightsError: the weights are not on this machine.
        """
        ...


class Generator(Protocol):
    """Makes pictures for labels."""

    name: str
    """Kind and a hash of the settings, for example collage@77c0de: another name means other pictures."""

    def generate(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """Make pictures of labels, one for each seed of a label; None where the generator can make none of it.

        What else is asked for at once changes no picture.

        Raises:
            BadInputError: a label is empty.
        """
        ...


class GeneratorClass(Protocol):
    """What a generator's name stands for in the registry."""

    def load(self, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> Generator:
        """Make the generator; see `CaptionerClass.load`."""
        ...


@dataclass(frozen=True)
class Pictures:
    """The generated images of all labels. A label may have fewer than the others, or none."""

    label: NDArray[np.int64]
    """Which label each picture shows, (n_pictures,), ascending."""
    features: Floats
    """The model's features of the pictures, (n_pictures, dim) float32."""


@dataclass(frozen=True)
class TextQueries:
    """Labels as text, in the space of the model's own backbone."""

    label: NDArray[np.int64]
    """(n_labels,), ascending."""
    contrasts: Floats
    """Each label's unit contrast to the vocabulary, (n_labels, dim) float32."""
    half: Floats
    """What turns ridge weights (n_voxels, dim) into half readouts, (dim, dim) float32."""


@dataclass(frozen=True)
class Material:
    """What a scorer may look at."""

    config: IngestConfig
    features: Floats
    """The model's features of the images that voxels may be described by, (n_images, dim)."""
    pictures: Pictures | None = None
    """Of the candidate labels; None for a scorer that needs none."""
    space: Backbone | None = None
    """The backbone that the scorer compares images in, where it names one."""
    images: Floats | None = None
    """These images in that space, (n_images, n)."""
    described_by: Floats | None = None
    """What describes voxels in that space, for a scorer that compares it, (n_regions, n); see `Batch`."""
    pictures_in_space: Floats | None = None
    """The generated pictures in that space, (n_pictures, n)."""
    text: TextQueries | None = None
    """The labels, for a scorer that reads text."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some voxels whose labels are scored at once."""

    read: Callable[[], FittedVoxels]
    labels: Sequence[Sequence[str]] | None
    """Candidate labels of each voxel; None for a scorer that chooses from the configured concepts."""
    described_by: Sequence[NDArray[np.intp]] = ()
    """Rows of `Material.described_by` of the images and crops that each voxel is described by, where it is given."""


@dataclass(frozen=True)
class Scores:
    """One row for each voxel and label, in the order of voxel and rank."""

    voxel: NDArray[np.int64]
    """Row of the batch."""
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    """Raw score of the method; higher is better."""
    rank: NDArray[np.int32]
    """Place among the voxel's labels, from 1."""
    probability: Floats
    """Shares of the voxel's labels, which add up to 1 over all that the method looked at."""
    stability: Floats | None = None
    """Share of resamples of the pictures in which the label is first; None, or NaN, where the method has none."""


class Scorer(ABC):
    """Says how well labels describe voxels: what a method's name stands for in the registry inherits this.

    Args:
        material: what it may look at.
        batches: all that it will score; it may look at them before it scores the first.
    """

    from_candidates = True
    """Whether it scores the labels that captions name, by pictures of them; it chooses from a list otherwise."""
    reads_text = False
    """Whether it needs the labels as text, in the space of the model's own backbone."""
    compares_crops = False
    """Whether it needs the images and crops that voxels are described by, in its space."""
    left_out = ""
    """Why it scores some of the labels only, where it does."""

    def __init__(self, material: Material, batches: Sequence[Batch]) -> None:  # noqa: ARG002 - each stands for itself
        self.material = material

    @staticmethod
    def space(config: IngestConfig) -> str:  # noqa: ARG004 - whatever the settings
        """Name of the backbone that images are compared in; empty where none is needed."""
        return ""

    @abstractmethod
    def score(self, batch: Batch) -> Scores:
        """Scores of one of the batches that it was made for."""


def settings_name(kind: str, settings: Mapping[str, object]) -> str:
    """Name of a captioner or generator with its settings: kind@ and six digits of the settings' hash."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return f"{kind}@{hashlib.sha256(canonical.encode()).hexdigest()[:6]}"


def seed_of(label: str, generator: str, ordinal: int) -> int:
    """Seed of a picture: it depends on the label, the generator's name and the picture's number, and on nothing else.

    In the released code the pictures of a label depend on the labels that came before it.

    Returns:
        63 bits, 0 to 2**63 - 1.
    """
    digest = hashlib.sha256(f"{label}\0{generator}\0{ordinal}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def drawable(label: str) -> str:
    """The label, when it is one that can be drawn at all.

    Raises:
        BadInputError: it is empty.
    """
    if not label.strip():
        raise BadInputError("A label to draw is empty; leave it out of the vocabulary.")
    return label
