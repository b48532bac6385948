"""What `voxel-atlas check` says of a data set before anything is fitted: what is there, and how big the job is."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import AtlasError
from ..encoding.memory import bytes_to_fit, require_memory
from .interface import Dataset, DatasetClass
from .probe import n_probe_images, probe_bytes, require_room, with_probe
from .rois import voxels_in
from .trials import TrialDataset


@dataclass(frozen=True)
class Size:
    """How big a job is: what a data set holds for one configuration, and what fitting it takes."""

    n_probe_images: int
    """Images that voxels are described by, where these are not those that the subject saw; else 0."""
    probe_bytes: int
    """Disk that features of these take."""
    n_images: int
    n_trials: int
    n_voxels: int
    """Voxels of the configuration's ROIs; voxels that turn out NaN or constant are among them."""
    n_batches: int
    ram_bytes: int
    """Memory that fitting takes at its peak, estimated."""
    disk_bytes: int
    """Disk that the atlas and the caches grow by, estimated."""

    @classmethod
    def of(cls, dataset: Dataset, config: IngestConfig, n_features: int) -> "Size":
        """The size of the job that an open data set is.

        Raises:
            NotFoundError: an ROI that the subject has not.
        """
        repeats = dataset.n_listed if isinstance(dataset, TrialDataset) else dataset.n_repeats
        n_images, n_voxels = len(repeats), len(voxels_in(dataset, config.rois))
        # Weights of every voxel, features of every image, and copies of compressed responses.
        copied = dataset.copied_bytes if isinstance(dataset, TrialDataset) else 0
        config = with_probe(config, dataset)
        of_probe = probe_bytes(config, dataset, n_features)
        disk = (n_voxels + n_images) * n_features * 4 + copied + of_probe
        ram = bytes_to_fit(n_images, n_features, min(n_voxels, config.batch_voxels))
        n_probe = n_probe_images(config, dataset)
        return cls(
            n_probe, of_probe, n_images, int(repeats.sum()), n_voxels, -(-n_voxels // config.batch_voxels), ram, disk
        )


@dataclass(frozen=True)
class Inventory:
    """What is found, what is missing and how big the job is."""

    files: pl.DataFrame
    """what, path, found, needed, bytes (null where it is not there), a row for each file that the reader looks for."""
    problems: tuple[str, ...]
    """Why the data set cannot be ingested as it is, each in one sentence; empty when it can."""
    size: Size | None
    """None when the data set cannot be opened."""
    dataset: Dataset | None
    """The data set, open; None when it cannot be."""


def inventory(reader: DatasetClass, config: IngestConfig, home: Path, n_features: int) -> Inventory:
    """Take an inventory of a data set; see `check_dataset`."""
    items = list(reader.files(config))
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
    advice = [f"{item.path}: {item.advice}" for item in items if item.advice and not item.path.exists()]
    size, problems, dataset = None, advice, None
    try:
        dataset = reader.open(config, home)
        size = Size.of(dataset, config, n_features)
        require_memory(size.ram_bytes)
        require_room(size.probe_bytes, home, home / "features")
    except AtlasError as error:
        problems = [*advice, str(error)] if size else [str(error), *advice]
    return Inventory(pl.DataFrame(rows, schema=schema, orient="row"), tuple(dict.fromkeys(problems)), size, dataset)
