"""Options that several commands have, and what they stand for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from ...schemas.errors import AtlasError

if TYPE_CHECKING:
    from ...atlas.client import RemoteAtlas
    from ...atlas.search.atlas import Atlas
    from ...atlas.store.store import Store
    from ...schemas.config import Settings


def settings_of(atlas: str = "") -> "Settings":
    """The settings, with the address of `--atlas` where it was given."""
    from ...schemas.config import Settings

    return Settings(atlas=atlas) if atlas else Settings()


def open_atlas(atlas: str, files: Sequence[Path] = ()) -> "Atlas":
    """The atlas of `--atlas`, or the default one, for reading; statements may read these files, too."""
    from ...atlas.search.atlas import Atlas

    settings = settings_of(atlas)
    return Atlas.open(
        settings.address,
        home=settings.home,
        token=settings.token.get_secret_value(),
        memory_limit=settings.memory_limit,
        files=[str(path) for file in files for path in {file, file.resolve()}],
    )


def ask_atlas(atlas: str) -> "Atlas | RemoteAtlas":
    """The same for questions alone: a server that has it on this machine is asked, whose networks are loaded."""
    from ...atlas.client import running

    return running(settings_of(atlas).address) or open_atlas(atlas)


def open_store(
    settings: "Settings", *, read_only: bool = False, create: bool = False, memory_limit: str = ""
) -> "Store":
    """The database of the settings' atlas, for commands that write to it or read a lot."""
    from ...atlas.store.store import Store

    return Store.open(
        settings.address,
        read_only=read_only,
        create=create,
        token=settings.token.get_secret_value(),
        memory_limit=memory_limit or settings.memory_limit,
    )


def _listed(method: str, column: str) -> Callable[[object], list[str]]:
    """What a method of the default atlas lists, for the shell that completes it."""

    def names(_: object) -> list[str]:
        try:
            with open_atlas("") as opened:
                return list(dict.fromkeys(getattr(opened, method)()[column].to_list()))
        except AtlasError:
            return []  # a shell that completes has no place for a message

    return names


def between(least: int, most: int | None = None) -> Parameter:
    """Numbers that an option takes."""
    return Parameter(validator=Number(gte=least, lte=most))


CONTENT = Group.create_ordered("What is done")
"""Section of a command's help for what only this command has."""
DATA = Group.create_ordered("Data")
FIT = Group.create_ordered("Fit")
LABELS = Group.create_ordered("Labels")
OTHER_LABELS = Group.create_ordered("Labels, where not by the model's settings")
COMPARISON = Group.create_ordered("Comparison")
VOXELS = Group.create_ordered("Which voxels")
PICTURE = Group.create_ordered("Picture")
PLACE = Group.create_ordered("Where, and by what")
OUTPUT = Group.create_ordered("Output")
"""Sections for what several have, in this order."""

AtlasOption = Annotated[
    str, Parameter(group=PLACE, help="Address of the atlas; none: the one of VOXEL_ATLAS_ATLAS, or the default one.")
]
ModelArgument = Annotated[
    str,
    Parameter(
        help="Model id, or a part of it that only one model has: its network's name, for one.",
        completer=_listed("models", "model_id"),
    ),
]
PlannedArgument = Annotated[
    str | None,
    Parameter(
        help="Model id, or a part of it that only one model has; none: the study of --config.",
        completer=_listed("models", "model_id"),
    ),
]
ModelOption = Annotated[
    str | None,
    Parameter(
        group=COMPARISON, help="Model id; none: the newest finished one.", completer=_listed("models", "model_id")
    ),
]
RoiOption = Annotated[
    list[str] | None,
    Parameter(
        group=VOXELS,
        help="Only voxels of this ROI; can be given again; none: of all.",
        completer=_listed("rois", "roi"),
    ),
]
ReadoutOption = Annotated[
    Literal["weights", "half", "pattern"] | None,
    Parameter(
        group=COMPARISON,
        help="Which vector of a voxel: ridge weights (paper), half or pattern; none: the backbone's own.",
    ),
]
BaselineOption = Annotated[
    Literal["vocabulary", "none"],
    Parameter(group=COMPARISON, help="What a concept is a contrast to: the mean of many nouns, or nothing (paper)."),
]
AllVoxels = Annotated[
    bool,
    Parameter(
        group=VOXELS,
        negative=(),
        help="Show voxels, too, that contrast and edges may explain (not semantic), and mark them.",
    ),
]
WeightsOption = Annotated[
    Path | None, Parameter(group=PLACE, help="File of the backbone's weights; none: the library's own cache.")
]
WorkersOption = Annotated[
    str,
    Parameter(
        group=PLACE,
        help="Where costly batches are worked on: dask://HOST:PORT, dask:PROCESSES or slurm:JOBS; none: here.",
    ),
]
OnErrorOption = Annotated[
    Literal["stop", "skip"],
    Parameter(
        group=PLACE, help="When an image cannot be read or a picture cannot be made: stop, or skip it and say so."
    ),
]
DownloadOption = Annotated[
    bool,
    Parameter(
        group=PLACE, negative=(), help="Fetch weights that are not on this machine; nothing is downloaded otherwise."
    ),
]
FileOption = Annotated[Path, Parameter(name=("--output", "-o"), group=OUTPUT)]
Switch = Annotated[bool, Parameter(negative=())]
"""An option that is on when it is given."""


class ConceptQuestion(TypedDict):
    """How a concept is compared, as `Model.similar` and requests of maps take it."""

    by: Literal["weights", "labels"]
    readout: Literal["weights", "half", "pattern"] | None
    baseline: Literal["vocabulary", "none"]
    min_z: float | None
    max_q: float | None
    specific: bool
    semantic: bool


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConceptOptions:
    """How a concept is compared with voxels, and what they are held to."""

    model: ModelOption = None
    by: Annotated[Literal["weights", "labels"], Parameter(group=COMPARISON)] = "weights"
    """Compare with the voxels' weights or with their labels."""
    readout: ReadoutOption = None
    baseline: BaselineOption = "vocabulary"
    min_z: Annotated[float | None, Parameter(group=VOXELS)] = None
    """Only voxels whose similarity is at least so many standard errors from no association; none: any."""
    max_q: Annotated[float | None, Parameter(group=VOXELS)] = None
    """Only voxels with at most this false discovery rate of the association, 0 to 1; none: any."""
    specific: Annotated[Switch, Parameter(group=VOXELS)] = False
    """Only voxels to which the concept is specific: max-q 0.05, and more similar than 95 % of many nouns."""
    all_voxels: AllVoxels = False
    atlas: AtlasOption = ""

    @property
    def asked(self) -> ConceptQuestion:
        """These for a question; the model and the atlas are chosen apart."""
        return {
            "by": self.by,
            "readout": self.readout,
            "baseline": self.baseline,
            "min_z": self.min_z,
            "max_q": self.max_q,
            "specific": self.specific,
            "semantic": not self.all_voxels,
        }

    @property
    def of_concept(self) -> bool:
        """Whether something is asked for that only a concept has."""
        return replace(self, model=None, all_voxels=False, atlas="") != BY_DEFAULT


BY_DEFAULT = ConceptOptions()
