"""What `voxel-atlas check` says of a data set before anything is fitted: what is there, and how big the job is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from ..encoding.memory import bytes_to_fit, require_memory


@dataclass(frozen=True)
class Item:
    """A file or folder that a reader looks for."""

    what: str
    path: Path
    needed: bool = True


@dataclass(frozen=True)
class Size:
    """How much a data set holds for one configuration."""

    n_images: int
    n_trials: int
    n_voxels: int
    """Voxels of the configuration's ROIs; voxels that turn out NaN or constant are among them."""
    copied_bytes: int = 0
    """Disk for copies of compressed responses that can be read by voxel."""


@dataclass(frozen=True)
class Inventory:
    """What is found, what is missing and how big the job is."""

    files: pl.DataFrame
    """what, path, found, needed, bytes (null where it is not there), a row for each file that the reader looks for."""
    problems: tuple[str, ...]
    """Why the data set cannot be ingested as it is, each in one sentence; empty when it can."""
    size: Size | None
    """None when the data set cannot be opened."""
    n_batches: int | None
    ram_bytes: int | None
    """Memory that fitting takes at its peak, estimated."""
    disk_bytes: int | None
    """Disk that the atlas and the caches grow by, estimated."""

    @property
    def ready(self) -> bool:
        """Whether an ingest can start."""
        return not self.problems

    @property
    def missing(self) -> pl.DataFrame:
        """The rows of `files` that are needed and not there."""
        return self.files.filter(~pl.col("found") & pl.col("needed"))


def inventory(
    items: Iterable[Item], size: Size | None, problems: Iterable[str], config: IngestConfig, n_features: int
) -> Inventory:
    """Put an inventory together, with what the job takes.

    Args:
        items: what the reader looks for.
        size: what it found, or None where it cannot tell.
        problems: sentences that say why.
        config: the settings; batch_voxels bounds the memory.
        n_features: features of the backbone.
    """
    problems = list(problems)
    ram = None
    if size is not None:
        ram = bytes_to_fit(size.n_images, n_features, min(size.n_voxels, config.batch_voxels))
        try:
            require_memory(ram)
        except BadInputError as error:
            problems.append(str(error))
    return Inventory(
        files=_files(items),
        problems=tuple(problems),
        size=size,
        n_batches=None if size is None else -(-size.n_voxels // config.batch_voxels),
        ram_bytes=ram,
        disk_bytes=None if size is None else _disk(size, n_features),
    )


def _files(items: Iterable[Item]) -> pl.DataFrame:
    rows = [
        (
            item.what,
            str(item.path),
            item.path.exists(),
            item.needed,
            item.path.stat().st_size if item.path.is_file() else None,
        )
        for item in items
    ]
    schema = {"what": pl.String, "path": pl.String, "found": pl.Boolean, "needed": pl.Boolean, "bytes": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _disk(size: Size, n_features: int) -> int:
    """Weights of every voxel, features of every image, and copies of compressed responses."""
    return (size.n_voxels + size.n_images) * n_features * 4 + size.copied_bytes
