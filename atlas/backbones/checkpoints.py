"""Published weights of CLIP and ImageNet networks: which they are, and what is known of each before it is loaded."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .interface import Backbone, Readout


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


CLIP_RN50 = Checkpoint("openclip", "RN50-quickgelu", "openai", 1024)
CLIP_VIT_B32 = Checkpoint("openclip", "ViT-B-32-quickgelu", "openai", 512)
CLIP_VIT_B16 = Checkpoint("openclip", "ViT-B-16-quickgelu", "openai", 512)
RESNET50 = Checkpoint("torchvision", "resnet50", "IMAGENET1K_V1", 2048)
ALEXNET = Checkpoint("torchvision", "alexnet", "IMAGENET1K_V1", 9216)
