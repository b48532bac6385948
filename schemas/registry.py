"""Parts that are chosen by name, ours and those of other packages: name → class, imported when it is first asked for.

Another package adds a part without a change here: it names its class in an entry point of the registry's group, see
docs/extending.md. Ours stand here by their addresses, so that settings can be checked and explained without importing
any network or file format.
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from .errors import BadInputError, NotFoundError, meant


class Registry:
    """Names of one kind of part and the classes that they stand for.

    Args:
        kind: what errors call such a part, for example "backbone".
        group: entry point group in which other packages name theirs.
        own: name → "module:attribute" of ours, where the module stands below voxel_atlas.
        other: "module:attribute" of the class that stands for every name which nobody has registered; none: such a
            name is an error.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str], other: str = "") -> None:
        self.kind, self.group = kind, group
        self._own, self._other = dict(own), other

    @property
    def names(self) -> tuple[str, ...]:
        """All known names: ours, then those of other packages."""
        return (*self._own, *sorted({entry.name for entry in self._entries()} - self._own.keys()))

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self.names

    def require(self, name: str) -> str:
        """The name, if somebody has registered it.

        Raises:
            NotFoundError: nobody has.
        """
        if name not in self:
            raise NotFoundError(
                f"There is no {self.kind} {name!r}; there are {', '.join(self.names)}.{meant(name, self.names)}"
            )
        return name

    def __getitem__(self, name: str) -> Any:
        """The class of a name.

        Raises:
            NotFoundError: nobody has registered that name, and no class stands for such names.
            BadInputError: two packages have, or the one that has cannot be imported.
        """
        entries = [] if name in self._own else list(self._entries(name))
        if len(entries) > 1:
            packages = " and ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in entries))
            raise BadInputError(f"{packages} both bring a {self.kind} {name!r}; uninstall one of them.")
        if entries:
            return self._imported(entries[0])
        address = self._own.get(name) or self._other or self._own[self.require(name)]
        module, _, attribute = address.partition(":")
        return getattr(import_module(f"..{module}", __package__), attribute)

    def _entries(self, name: str | None = None) -> metadata.EntryPoints:
        of_kind: metadata.EntryPoints = _entry_points(tuple(sys.path)).select(group=self.group)
        return of_kind if name is None else of_kind.select(name=name)

    def _imported(self, entry: metadata.EntryPoint) -> Any:
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            package = entry.dist.name if entry.dist else entry.value
            raise BadInputError(
                f"The {self.kind} {entry.name!r} of {package} cannot be imported: {error}; install {package} again."
            ) from error


@lru_cache
def _entry_points(path: tuple[str, ...]) -> Any:  # noqa: ARG001 - another path has other packages
    """Kept, since looking through all installed packages takes longer than answering a query."""
    return metadata.entry_points()


BACKBONES = Registry(
    "backbone",
    "voxel_atlas.backbones",
    {
        "lite": "atlas.backbones.lite.lite:Lite",
        "word-cards": "atlas.backbones.lite.word_cards:WordCards",
        "clip-rn50": "atlas.backbones.checkpoints:CLIP_RN50",
        "clip-vit-b32": "atlas.backbones.checkpoints:CLIP_VIT_B32",
        "clip-vit-b32-laion": "atlas.backbones.checkpoints:CLIP_VIT_B32_LAION",
        "clip-vit-b16": "atlas.backbones.checkpoints:CLIP_VIT_B16",
        "resnet50": "atlas.backbones.checkpoints:RESNET50",
        "resnet50-v2": "atlas.backbones.checkpoints:RESNET50_V2",
        "alexnet": "atlas.backbones.checkpoints:ALEXNET",
    },
)
"""See atlas.backbones.interface.BackboneClass."""

DATASETS = Registry(
    "data set",
    "voxel_atlas.datasets",
    {
        "nsd": "ingest.datasets.nsd.nsd:Nsd",
        "nod": "ingest.datasets.nod.nod:Nod",
        "laion-fmri": "ingest.datasets.laion.laion:LaionFmri",
        "algonauts": "ingest.datasets.algonauts.algonauts:Algonauts",
        "folder": "ingest.datasets.folder.folder:Folder",
        "simulated": "ingest.simulated.subject:Simulated",
    },
)
"""See ingest.datasets.interface.DatasetClass."""

CAPTIONERS = Registry(
    "captioner",
    "voxel_atlas.captioners",
    {"lite": "ingest.simulated.lite_captioner:LiteCaptioner", "blip": "ingest.dissection.blip:BlipCaptioner"},
    other="ingest.dissection.blip:BlipCaptioner",
)
"""See ingest.dissection.interface.CaptionerClass; any other name is a Hugging Face model id, or a model's folder."""

GENERATORS = Registry(
    "generator",
    "voxel_atlas.generators",
    {"collage": "ingest.simulated.collage:CollageGenerator", "sd15": "ingest.dissection.diffusion:DiffusionGenerator"},
    other="ingest.dissection.diffusion:DiffusionGenerator",
)
"""See ingest.dissection.interface.GeneratorClass; any other name is a Hugging Face model id, or a pipeline's folder."""

SCORERS = Registry(
    "method",
    "voxel_atlas.scorers",
    {
        "brainlmm-eq2": "ingest.dissection.brainlmm:Eq2Scorer",
        "brainlmm-fused": "ingest.dissection.brainlmm:FusedScorer",
        "brainlmm-joint": "ingest.dissection.joint:JointScorer",
        "brainlmm-released": "ingest.dissection.brainlmm:ReleasedScorer",
        "clip-msm": "ingest.dissection.clip_msm:ClipMsmScorer",
    },
)
"""See ingest.dissection.interface.Scorer."""
