"""Describe-and-Dissect: from a voxel's weights to words that describe what it answers to."""

from pathlib import Path

from ...atlas.backbones.interface import Backbone
from ...atlas.backbones.reloading import reloadable
from ...schemas.errors import BadInputError
from ...schemas.registry import CAPTIONERS, GENERATORS, SCORERS
from .interface import Captioner, CaptionerClass, Generator, GeneratorClass, Scorer


@reloadable
def load_captioner(name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str = "auto") -> Captioner:
    """The captioner of a name, or of a Hugging Face image-to-text model id or folder; see `CaptionerClass.load`."""
    captioner: CaptionerClass = CAPTIONERS[name]
    return captioner.load(name, loaded=loaded, home=home, device=device)


@reloadable
def load_generator(name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str = "auto") -> Generator:
    """The generator of a name, or of a Hugging Face text-to-image model id or folder; see `CaptionerClass.load`."""
    generator: GeneratorClass = GENERATORS[name]
    return generator.load(name, loaded=loaded, home=home, device=device)


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
