"""Readers: from a data set's files on disk to images, voxels and responses."""

from pathlib import Path

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from .interface import Dataset
from .inventory import Inventory


def open_dataset(config: IngestConfig, home: Path) -> Dataset:
    """Open the data set that a configuration names: nsd, nod or folder.

    Args:
        config: the settings; the reader's class says which of them it uses.
        home: folder for caches.

    Raises:
        NotFoundError: A file is missing; the message says which, and what to do.
        BadInputError: A file is damaged or files disagree; or the data set is simulated, which is not read but made.
    """
    # Each reader brings its file formats' libraries, and one run needs one reader.
    if config.dataset == "nsd":
        from .nsd.nsd import Nsd

        return Nsd(config, home)
    if config.dataset == "nod":
        from .nod.nod import Nod

        return Nod(config)
    if config.dataset == "folder":
        from .folder.folder import Folder

        return Folder(config, home)
    raise BadInputError("A simulated subject has no files to open; `voxel-atlas demo` makes one.")


def check_dataset(config: IngestConfig, home: Path, n_features: int) -> Inventory:
    """What is found of a data set, what is missing, and how big the job is; nothing is written, and little is read.

    Args:
        config: the settings.
        home: folder for caches.
        n_features: features of the backbone, for the job's size.

    Raises:
        NotFoundError: There is no such subject, space or session.
    """
    if config.dataset == "nsd":
        from .nsd import nsd

        return nsd.check(config, n_features)
    if config.dataset == "nod":
        from .nod import nod

        return nod.check(config, n_features)
    if config.dataset == "folder":
        from .folder import folder

        return folder.check(config, n_features, home)
    raise BadInputError("A simulated subject has no files to check; `voxel-atlas demo` makes one.")
