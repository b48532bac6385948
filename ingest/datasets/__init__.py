"""Readers: from a data set's files on disk to images, voxels and responses."""

from pathlib import Path

from ...schemas.config import IngestConfig
from ...schemas.registry import DATASETS
from .interface import Dataset, DatasetClass
from .inventory import Inventory, inventory


def dataset_class(name: str) -> DatasetClass:
    """The reader of that name; it brings the libraries of its file formats.

    Raises:
        NotFoundError: there is none.
    """
    reader: DatasetClass = DATASETS[name]
    return reader


def open_dataset(config: IngestConfig, home: Path) -> Dataset:
    """Open the data set that a configuration names; see `DatasetClass.open`."""
    return dataset_class(config.dataset).open(config, home)


def check_dataset(config: IngestConfig, home: Path, n_features: int) -> Inventory:
    """What is found of a data set, what is missing, and how big the job is; nothing is written, and little is read.

    Args:
        config: the settings.
        home: folder for caches.
        n_features: features of the backbone, for the job's size.

    Raises:
        NotFoundError: there is no such subject, space or session.
    """
    return inventory(dataset_class(config.dataset), config, home, n_features)
