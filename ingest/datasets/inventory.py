"""What `voxel-atlas check` says of a data set before anything is fitted: what is there, and how big the job is."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from ..encoding.memory import bytes_to_fit, require_memory
from .interface import Dataset, Item
from .rois import voxels_in
from .trials import TrialDataset


@dataclass(frozen=True)
class Size:
    """How much a data set holds for one configuration."""

    n_images: int
    n_trials: int
    n_voxels: int
    """Voxels of the configuration's ROIs; voxels that turn out NaN or constant are among them."""
    copied_bytes: int
    """Disk for copies of compressed responses that can be read by voxel."""

    @classmethod
    def of(cls, dataset: Dataset, config: IngestConfig) -> "Size":
        """What an open data set holds.

        Raises:
            NotFoundError: An ROI that the subject has not.
        """
        copied = dataset.copied_bytes if isinstance(dataset, TrialDataset) else 0
        n_repeats = dataset.n_repeats
        return cls(len(n_repeats), int(n_repeats.sum()), len(voxels_in(dataset, config.rois)), copied)


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


def inventory(
    items: Sequence[Item], size: Size | None, problems: Sequence[str], config: IngestConfig, n_features: int
) -> Inventory:
    """Put an inventory together, with what the job takes.

    Args:
        items: what the reader looks for.
        size: what it found, or None where it cannot tell.
        problems: sentences that say why.
        config: the settings; batch_voxels bounds the memory.
        n_features: features of the backbone.
    """
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
    files = pl.DataFrame(rows, schema=schema, orient="row")
    advice = [f"{item.path}: {item.advice}" for item in items if item.advice and not item.path.exists()]
    problems = list(dict.fromkeys([*problems, *advice]))
    if size is None:
        return Inventory(files, tuple(problems), None, None, None, None)
    ram = bytes_to_fit(size.n_images, n_features, min(size.n_voxels, config.batch_voxels))
    try:
        require_memory(ram)
    except BadInputError as error:
        problems.append(str(error))
    # Weights of every voxel, features of every image, and copies of compressed responses.
    disk = (size.n_voxels + size.n_images) * n_features * 4 + size.copied_bytes
    return Inventory(files, tuple(problems), size, -(-size.n_voxels // config.batch_voxels), ram, disk)
