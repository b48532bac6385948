"""Networks whose feature spaces voxels' weights live in: one name each, imported when it is first loaded."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...schemas.errors import NotFoundError
from .interface import Backbone
from .reloading import reloadable

if TYPE_CHECKING:
    from collections.abc import Callable

_MODELS = {
    "lite": ("voxel_atlas.atlas.backbones.lite.lite",),
    "clip-rn50": ("voxel_atlas.atlas.backbones.openclip", "RN50-quickgelu", "openai"),
    "clip-vit-b32": ("voxel_atlas.atlas.backbones.openclip", "ViT-B-32-quickgelu", "openai"),
    "clip-vit-b16": ("voxel_atlas.atlas.backbones.openclip", "ViT-B-16-quickgelu", "openai"),
    "resnet50": ("voxel_atlas.atlas.backbones.torchvision", "resnet50", "IMAGENET1K_V1"),
    "alexnet": ("voxel_atlas.atlas.backbones.torchvision", "alexnet", "IMAGENET1K_V1"),
}
"""Name → module of the family, then what its `load` needs to know of the model: the library's names of the
architecture and of the weights."""

NAMES = tuple(_MODELS)
"""The backbones that `load` knows."""

_FEATURES = {
    "lite": 384,
    "clip-rn50": 1024,
    "clip-vit-b32": 512,
    "clip-vit-b16": 512,
    "resnet50": 2048,
    "alexnet": 9216,
}


def n_features(name: str) -> int:
    """Features of a backbone before it is loaded, for estimates of a job's size; 2048 where nobody wrote it down.

    Raises:
        NotFoundError: no backbone of that name.
    """
    _require_known(name)
    return _FEATURES.get(name, 2048)


@reloadable
def load(name: str, *, weights: Path | None = None, device: str = "auto", home: Path) -> Backbone:
    """Make a backbone with its pretrained weights.

    Args:
        name: one of `NAMES`.
        weights: file of the weights; None takes those that the family finds by itself.
        device: auto, cpu, cuda, cuda:1 …
        home: folder where a family keeps what it makes or fetches.

    Raises:
        NotFoundError: no backbone of that name.
        MissingWeightsError: the weights are not on this machine.
    """
    _require_known(name)
    family, *model = _MODELS[name]
    loader = cast("Callable[..., Backbone]", import_module(family).load)
    return loader(name, *model, weights=weights, device=device, home=home)


def _require_known(name: str) -> None:
    if name not in _MODELS:
        raise NotFoundError(f"There is no backbone {name!r}; there are {', '.join(NAMES)}.")
