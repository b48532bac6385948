"""What a data set is: images that were seen, voxels, and the voxels' responses to the images."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.config import IngestConfig
from ...schemas.errors import NotFoundError


@dataclass(frozen=True)
class Subject:
    """One row of the `subject` table; schemas/tables.sql describes each field."""

    subject_id: str
    dataset: str
    simulated: bool
    space: Literal["volume", "surface"]
    surface: str | None
    transform: str | None
    shape: tuple[int, ...]
    description: str
    affine: tuple[float, ...] | None = None
    affine_code: int | None = None
    listed: bool = False
    """Whether `shape` is no file's, but only as large as the places of the voxels that are listed; no column."""
    own_surface: str = ""
    """pycortex subject that shows it, where none is named and the user's store has it; no column."""
    recognised: str = ""
    """How the responses' file was understood, where that has to be said; no column."""


class Images(Protocol):
    """Pictures by number."""

    stimuli: pl.DataFrame
    """stimulus_id, dataset, uri, sha256 (see the `stimulus` table)."""

    def image(self, index: int) -> NDArray[np.uint8]:
        """The image of row `index` of `stimuli`, RGB, (height, width, 3)."""
        ...


class Dataset(Images, Protocol):
    """Images and responses of one subject: `stimuli` are those with responses, and row i of these is row i of them."""

    subject: Subject
    fingerprint: str
    """SHA-256 that changes when the images or the responses do."""
    n_repeats: NDArray[np.int64]
    """Trials that show each image, (n_stimuli,)."""
    voxels: pl.DataFrame
    """voxel (0 … n-1), i, j, k, hemisphere, vertex, noise_ceiling (see the `voxel` table)."""
    rois: pl.DataFrame
    """roi, source, description (see the `roi` table)."""
    voxel_rois: pl.DataFrame
    """voxel, roi, t (see the `voxel_roi` table)."""

    def responses_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """Responses of the given voxel numbers, (n_stimuli, n_voxels): z-scored betas averaged over repeats.

        A column with NaN, or one that does not vary, is a voxel that the fit leaves out and counts.
        """
        ...


@runtime_checkable
class AllImages(Protocol):
    """A data set that has images which the subject did not see."""

    n_all_images: int

    def all_images(self) -> Images:
        """All of them, those that the subject saw among them, by the same ids."""
        ...


@runtime_checkable
class SlowlyHashed(Protocol):
    """Images that take minutes to read: to know their SHA-256 is a stage of its own, before `stimuli` is asked for."""

    n_images: int

    def sha256s(self, advance: Callable[[int], None]) -> list[str]:
        """SHA-256 of each, kept in a file; `advance` is told how many more are known."""
        ...


@runtime_checkable
class Repeated(Protocol):
    """A data set that reads single trials, so that those of one image can be compared."""

    def ceiling_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """Noise ceiling of some voxels from images shown again, 0 to 1, (n_voxels,); NaN where it cannot be known."""
        ...


@runtime_checkable
class NamedSplits(Protocol):
    """A data set that has splits of its own."""

    split_names: tuple[str, ...]

    def test_images(self, name: str) -> list[str]:
        """Ids of the images that one of them tests on; the others train."""
        ...


@runtime_checkable
class ZScored(Protocol):
    """A data set that decides which trials are z-scored together where the setting is `auto`."""

    zscore: str
    """run, session or none: what a model's settings are to say."""


@runtime_checkable
class MadeRegions(Protocol):
    """A data set that made a region of the subject's responses to its images."""

    region_tests: pl.DataFrame
    """roi, voxel, t, q (see the `region_test` table)."""
    region_images: pl.DataFrame
    """roi, stimulus_id (see the `region_image` table)."""


@dataclass(frozen=True)
class Item:
    """A file or folder that a reader looks for."""

    what: str
    path: Path
    needed: bool = True
    advice: str = ""
    """What to do where it is needed and not there, for readers that can be opened without it."""


class DatasetClass(Protocol):
    """What a data set's name stands for in the registry: its reader."""

    def open(self, config: IngestConfig, home: Path) -> Dataset:
        """The subject that a configuration names; what takes minutes to read is read when it is asked for.

        Args:
            config: the settings; the reader's class says which of them it uses.
            home: folder for caches.

        Raises:
            NotFoundError: a file is missing; the message says which, and what to do.
            BadInputError: a file is damaged, or files disagree.
        """
        ...

    def files(self, config: IngestConfig) -> Iterable[Item]:
        """All that the reader looks for.

        Raises:
            NotFoundError: there is no such subject, space or session.
        """
        ...


def subject_number(subject: str, prefix: str, known: Sequence[int], dataset: str) -> int:
    """5 of 5, 05 or, where that is the prefix, subj05.

    Raises:
        NotFoundError: the data set has no such subject.
    """
    match = re.fullmatch(rf"(?:{prefix})?0*([0-9]{{1,2}})", subject)
    if match is None or int(match[1]) not in known:
        listed = f"{known[0]} … {known[-1]}" if isinstance(known, range) else ", ".join(map(str, known))
        raise NotFoundError(f"{dataset} has no subject {subject!r}; it has {listed}.")
    return int(match[1])
