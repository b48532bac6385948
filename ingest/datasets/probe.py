"""The images that voxels are described by: those that the subject saw, all of the data set, or a user's folder."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError, NotFoundError
from ...schemas.files import file_sha256
from ...schemas.image_files import read_picture
from .fingerprint import combined_sha256
from .interface import AllImages, Dataset, Images

ALL, SEEN = "all", "seen"
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


class FolderImages:
    """The pictures below a folder, in the order of their paths, each content once; see `Images`.

    Args:
        folder: the folder.
        seen: the images that the subject saw: a picture that is one of them has its id.

    Raises:
        NotFoundError: there is no such folder, or no picture in it.
        BadInputError: a picture cannot be read.
    """

    def __init__(self, folder: Path, seen: pl.DataFrame) -> None:
        files = _pictures(folder)
        if not files:
            raise NotFoundError(f"{folder}: no folder with pictures; --probe takes all, seen or such a folder.")
        if unreadable := [path for path in files if not _is_picture(path)]:
            raise BadInputError(
                f"{unreadable[0]}: not a readable picture ({len(unreadable)} of the {len(files)} in {folder}); take "
                "such files out of the folder of --probe."
            )
        paths = {file_sha256(path): path for path in reversed(files)}
        found = pl.DataFrame(
            {"sha256": list(paths)[::-1], "path": [str(path.absolute()) for path in paths.values()][::-1]}
        )
        known = seen.unique("sha256").select("sha256", pl.col("stimulus_id", "dataset", "uri"))
        self.stimuli = found.join(known, on="sha256", how="left", maintain_order="left").select(
            pl.col("stimulus_id").fill_null("probe/" + pl.col("sha256").str.head(16)),
            pl.col("dataset").fill_null("probe"),
            pl.col("uri").fill_null(pl.col("path")),
            "sha256",
        )
        self._paths = found["path"]

    def image(self, index: int) -> NDArray[np.uint8]:
        """See `Images`."""
        return read_picture(Path(self._paths[index]))


def with_probe(config: IngestConfig, dataset: Dataset, images: Images | None = None) -> IngestConfig:
    """The configuration of a new model, which says by name what its voxels are described by."""
    name = config.probe or (ALL if isinstance(dataset, AllImages) else SEEN)
    if not images or name in (ALL, SEEN):
        return config.model_copy(update={"probe": name, "probe_sha256": ""})
    content = combined_sha256(images.stimuli["sha256"])
    return config.model_copy(update={"probe": str(Path(name).absolute()), "probe_sha256": content})


def probe_of(config: IngestConfig, dataset: Dataset) -> Images:
    """The images that a configuration names; those that were seen where it names none.

    Raises:
        BadInputError: the data set knows of no other images, or a picture of the folder cannot be read.
        NotFoundError: there is no such folder, or no picture in it.
    """
    if config.probe in ("", SEEN):
        return dataset
    if config.probe != ALL:
        return FolderImages(Path(config.probe), dataset.stimuli)
    if not isinstance(dataset, AllImages):
        raise BadInputError(
            f"{dataset.subject.dataset} knows of no images that the subject did not see; pass --probe seen or a folder."
        )
    return dataset.all_images()


def n_probe_images(config: IngestConfig, dataset: Dataset) -> int:
    """How many images voxels are described by which the subject need not have seen; 0 where nothing is labelled."""
    if config.probe in ("", SEEN) or config.dissect == "none":
        return 0
    if config.probe == ALL:
        return dataset.n_all_images if isinstance(dataset, AllImages) else 0
    return len(_pictures(Path(config.probe)))


def probe_bytes(config: IngestConfig, dataset: Dataset, n_features: int) -> int:
    """Disk that features of images take which the subject did not see, cached and while they are used."""
    return 2 * 4 * n_features * n_probe_images(config, dataset)


def require_room(n_bytes: int, home: Path, cache: Path) -> None:
    """Refuse what the disk has no room for, before any work.

    Args:
        n_bytes: as `probe_bytes` gives them.
        home: the folder that features go to.
        cache: where those lie that are there already.

    Raises:
        BadInputError: there is too little room.
    """
    needed = n_bytes - sum(path.stat().st_size for path in cache.rglob("*.npz"))
    if needed > (free := free_bytes(home)):
        raise BadInputError(
            f"{home}: features of all images take {needed / 2**30:.2f} GiB of disk and {free / 2**30:.2f} GiB are "
            "free; make room, or pass --probe seen."
        )


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder, or of the one that it will be made in."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """A folder, or the nearest one around it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False
    return True
