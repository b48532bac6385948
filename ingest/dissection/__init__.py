"""Describe-and-Dissect: from a voxel's weights to words that describe what it answers to."""

from pathlib import Path

from ...atlas.backbones.checkpoints import load_or_fetch
from ...atlas.backbones.interface import Backbone
from ...atlas.backbones.reloading import reloadable
from ...schemas.errors import BadInputError
from ...schemas.registry import CAPTIONERS, GENERATORS, SCORERS
from .interface import Captioner, CaptionerClass, Generator, GeneratorClass, Scorer


@reloadable
def load_captioner(
    name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str = "auto", download: bool = False
) -> Captioner:
    """The captioner of a name, or of a Hugging Face image-to-text model id or folder; see `CaptionerClass.load`."""
    part: CaptionerClass = CAPTIONERS[name]
    return load_or_fetch(
        part, name, lambda: part.load(name, loaded=loaded, home=home, device=device), download=download
    )


@reloadable
def load_generator(
    name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str = "auto", download: bool = False
) -> Generator:
    """The generator of a name, or of a Hugging Face text-to-image model id or folder; see `CaptionerClass.load`."""
    part: GeneratorClass = GENERATORS[name]
    return load_or_fetch(
        part, name, lambda: part.load(name, loaded=loaded, home=home, device=device), download=download
    )


def scorer_class(method: str) -> type[Scorer]:
    """What a method of scoring needs, and how to make it.

    Raises:
        NotFoundError: there is no such method.
        BadInputError: another package brings it, and not as a `Scorer`.
    """
    scorer = SCORERS[method]
    if not (isinstance(scorer, type) and issubclass(scorer, Scorer)):
        raise BadInputError(f"The method {method!r} is no subclass of voxel_atlas.ingest.dissection.interface.Scorer.")
    return scorer
