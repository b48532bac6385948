"""Networks whose feature spaces voxels' weights live in: one name each, imported when it is first loaded."""

from pathlib import Path

from ...schemas.registry import BACKBONES
from .checkpoints import load_or_fetch
from .interface import Backbone, BackboneClass, Readout
from .reloading import reloadable


def backbone_class(name: str) -> BackboneClass:
    """What is known of a backbone before it is loaded, and how to load it; imports no network.

    Raises:
        NotFoundError: no backbone of that name.
    """
    backbone: BackboneClass = BACKBONES[name]
    return backbone


def default_readout(name: str) -> Readout:
    """What a model's voxels are compared by unless one says otherwise; half for a backbone that is not known here.

    A model that came with a release may have a backbone of a package that is not installed.
    """
    return backbone_class(name).default_readout if name in BACKBONES else "half"


@reloadable
def load(
    name: str, *, weights: Path | None = None, device: str = "auto", home: Path, download: bool = False
) -> Backbone:
    """Make a backbone with its pretrained weights.

    Args:
        name: one of `BACKBONES.names`.
        weights: file of the weights; None takes those that the family finds by itself.
        device: auto, cpu, cuda, cuda:1 …
        home: folder where a family keeps what it makes.
        download: fetch weights that are not on this machine; a file that is named is never fetched.

    Raises:
        NotFoundError: no backbone of that name.
        MissingWeightsError: the weights are not on this machine.
    """
    part = backbone_class(name)
    return load_or_fetch(
        part,
        name,
        lambda: part.load(name, weights=weights, device=device, home=home),
        download=download and weights is None,
    )
