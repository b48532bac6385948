"""Published weights of CLIP and ImageNet networks: which they are, what is known of each, and how any are fetched."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from ...schemas.errors import AtlasError, MissingWeightsError, first_line
from .interface import Backbone, Fetchable, Readout

_Network = TypeVar("_Network")


def load_or_fetch(part: object, name: str, load: Callable[[], _Network], *, download: bool) -> _Network:
    """What `load` gives; where its weights are not on this machine and that is allowed, they are fetched before.

    Nothing but this asks a publisher for anything.

    Args:
        part: what the name stands for in its registry.
        name: of the network.
        load: looks on this machine only.
        download: whether weights may be fetched.

    Raises:
        MissingWeightsError: the weights are not here, and may not or cannot be fetched.
    """
    try:
        return load()
    except MissingWeightsError:
        if not download or not isinstance(part, Fetchable):
            raise
    try:
        part.fetch(name)
    except AtlasError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise MissingWeightsError(f"The weights of {name} cannot be fetched: {first_line(error)}.") from error
    return load()


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights of an architecture; see `BackboneClass`."""

    family: str
    """Module beside this one whose `load` makes the network; it is imported when that is to be done."""
    architecture: str
    """The library's name of the architecture."""
    tag: str
    """The library's name of the weights."""
    dim: int
    default_readout: Readout = "half"

    def load(self, name: str, *, weights: Path | None, device: str, home: Path) -> Backbone:  # noqa: ARG002
        """See `BackboneClass`; nothing is kept in `home`, since these weights live in their libraries' caches."""
        family = import_module(f".{self.family}", __package__)
        network: Backbone = family.load(name, self.architecture, self.tag, weights=weights, device=device)
        return network

    def fetch(self, name: str) -> None:  # noqa: ARG002 - the interface's
        """See `Fetchable`."""
        import_module(f".{self.family}", __package__).fetch(self.architecture, self.tag)


CLIP_RN50 = Checkpoint("openclip", "RN50-quickgelu", "openai", 1024)
CLIP_VIT_B32 = Checkpoint("openclip", "ViT-B-32-quickgelu", "openai", 512)
CLIP_VIT_B32_LAION = Checkpoint("openclip", "ViT-B-32", "laion2b_s34b_b79k", 512)
CLIP_VIT_B16 = Checkpoint("openclip", "ViT-B-16-quickgelu", "openai", 512)
RESNET50 = Checkpoint("torchvision", "resnet50", "IMAGENET1K_V1", 2048)
RESNET50_V2 = Checkpoint("torchvision", "resnet50", "IMAGENET1K_V2", 2048)
ALEXNET = Checkpoint("torchvision", "alexnet", "IMAGENET1K_V1", 9216)
