"""Options that several commands have, and what they stand for."""

from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.config import Settings
from ...schemas.errors import BadInputError

if TYPE_CHECKING:
    from ...atlas.search.atlas import Atlas
    from .console import Format

AtlasOption = Annotated[
    str, typer.Option("--atlas", envvar="VOXEL_ATLAS_ATLAS", help="Address of the atlas; empty: the default one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def settings_of(atlas: str) -> Settings:
    """The settings, with the address of `--atlas` where it was given."""
    return Settings(atlas=atlas) if atlas else Settings()


def open_atlas(atlas: str) -> "Atlas":
    """The atlas of `--atlas`, or the default one, for reading."""
    from ...atlas.search.atlas import Atlas

    settings = settings_of(atlas)
    return Atlas.open(settings.address, home=settings.home, token=settings.token.get_secret_value())


def style_of(json: bool, csv: bool) -> "Format":
    """How to print.

    Raises:
        BadInputError: Both ways were asked for.
    """
    if json and csv:
        raise BadInputError("--json and --csv exclude each other; give one.")
    return "json" if json else "csv" if csv else "table"


def complete_model(incomplete: str) -> list[str]:
    """Model ids of the default atlas that begin so, for the shell."""
    return _known("models", "model_id", incomplete)


def complete_roi(incomplete: str) -> list[str]:
    """Names of regions of the default atlas that begin so, for the shell."""
    return _known("rois", "roi", incomplete)


def complete_by(incomplete: str) -> list[str]:
    """What concepts are compared with."""
    return [name for name in ("weights", "labels") if name.startswith(incomplete)]


def _known(method: str, column: str, incomplete: str) -> list[str]:
    from ...schemas.errors import AtlasError

    try:
        with open_atlas("") as opened:
            names = dict.fromkeys(getattr(opened, method)()[column].to_list())
    except AtlasError:
        return []  # a shell that completes has no place for a message
    return [name for name in names if name.startswith(incomplete)]


ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Model id; none: the newest finished one.", autocompletion=complete_model),
]
RoiOption = Annotated[
    list[str] | None,
    typer.Option("--roi", help="Only voxels of this ROI; can be given again.", autocompletion=complete_roi),
]
ByOption = Annotated[
    str,
    typer.Option(help="Compare with the voxels' WEIGHTS or with their LABELS.", autocompletion=complete_by),
]
