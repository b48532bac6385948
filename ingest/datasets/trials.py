"""From single trials to one response per image: z-scoring and the mean over repeats, for every data set."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.errors import BadInputError
from ...schemas.files import file_sha256
from ...schemas.image_files import no_image, read_picture
from ..encoding.noise_ceiling import ncsnr_of_repeats, noise_ceiling
from .fingerprint import combined_sha256
from .interface import Subject
from .rois import Region, region_frames

Floats = NDArray[np.float32]
Trials = NDArray[np.float32] | NDArray[np.float64]
Indices = NDArray[np.intp]
LEFT_OUT = -1
"""Image of a trial that no image is known of, or whose image is left out."""


@dataclass(frozen=True)
class Block:
    """Trials that are read together, for example a session."""

    name: str
    images: Indices
    """The image of each trial, (n_trials,), as its row in `stimuli`; LEFT_OUT where there is none."""
    groups: Mapping[str, slice | Indices]
    """Trials that are z-scored together, by a name for people, as "run 3"; none leaves the responses as they are."""
    read: Callable[[Indices], Trials]
    """Single-trial responses of the voxels of these numbers, (n_trials, n_voxels); in double precision where they are
    stored so, as small differences of large numbers would be lost before they are centred."""
    copied_bytes: int = 0
    """Disk that a copy which can be read by voxel takes."""


def scored_together(zscore: str, runs: Mapping[str, slice | Indices]) -> Mapping[str, slice | Indices]:
    """The trials of a session that are z-scored together, by name: of each run, of the session, or none.

    Args:
        zscore: run, session or none.
        runs: the trials of each run of the session; asked for where zscore is run.
    """
    return {"run": runs, "session": {"all": slice(None)}, "none": {}}[zscore]


def zscored(trials: Trials, groups: Iterable[slice | Indices]) -> Trials:
    """Each voxel's trials, less their mean and divided by their standard deviation (of the population), per group.

    Args:
        trials: (n_trials, n_voxels); overwritten.
        groups: rows that are standardised together.

    Returns:
        `trials`; NaN where a voxel is NaN, infinite or constant in a group.
    """
    for rows in groups:
        group = trials[rows].astype(np.float64)
        # A constant voxel of single precision is exactly 0 once centred, as sums of equal such numbers are exact in
        # double, and 0 / 0 is the NaN that is wanted.
        with np.errstate(invalid="ignore", divide="ignore"):
            group -= group.mean(axis=0)
            group /= np.sqrt(np.mean(group**2, axis=0))
        trials[rows] = group
    return trials


def mean_responses(blocks: Sequence[Block], n_images: int, voxels: Indices) -> Floats:
    """Responses to every image: z-scored trials, averaged over the repeats of the image.

    Only the given voxels of one block are in memory at a time, beside the result.

    Args:
        blocks: all trials of the subject.
        n_images: rows of the result.
        voxels: numbers of the voxels, (n_voxels,).

    Returns:
        (n_images, n_voxels); NaN in the column of a voxel that is NaN or infinite, all 0 in that of one that does not
        vary within a group.
    """
    total, _ = _sums(blocks, n_images, voxels)
    total /= repeats(blocks, n_images)[:, None]
    return total


def _sums(
    blocks: Sequence[Block], n_images: int, voxels: Indices, *, squared: bool = False
) -> tuple[Floats, NDArray[np.float64]]:
    """Sums of the z-scored trials of each image, (n_images, n_voxels), and of all squares, (n_voxels,), if wanted."""
    total, squares = np.zeros((n_images, len(voxels)), np.float32), np.zeros(len(voxels))
    constant = np.zeros(len(voxels), np.bool_)
    for block in blocks:
        if len(used := np.flatnonzero(block.images != LEFT_OUT)):
            trials = block.read(voxels)
            for rows in block.groups.values():
                constant |= (trials[rows] == trials[rows][:1]).all(axis=0)
            trials = zscored(trials, block.groups.values())
            order = used[np.argsort(block.images[used], kind="stable")]
            # Sums of equal images first: an image may come twice in a block, and `+=` would count it once.
            images, starts = np.unique(block.images[order], return_index=True)
            total[images] += np.add.reduceat(trials[order], starts, axis=0)
            if squared:
                squares += np.square(trials[used], dtype=np.float64).sum(axis=0)
    total[:, constant] = 0
    return total, squares


def repeats(blocks: Sequence[Block], n_images: int) -> NDArray[np.int64]:
    """How many trials show each image, (n_images,)."""
    images = np.concatenate([block.images for block in blocks])
    return np.bincount(images[images != LEFT_OUT], minlength=n_images)


class TrialDataset(ABC):
    """What readers of single trials share; see `Dataset`. Images and responses stay on disk until they are asked for.

    Images of the same bytes are one stimulus, whatever their files are called: it has the id of the first of them, and
    its trials are repeats.

    Args:
        subject: who it is.
        voxels: see `Dataset`.
        regions: the subject's regions.
        blocks: all trials of the subject.
        images: the images that the trials show, as `_image_sha256s` and `_read` find them.
        stimulus_ids: their ids.

    Raises:
        BadInputError: a single trial is to be z-scored by itself.
    """

    def __init__(
        self,
        subject: Subject,
        voxels: pl.DataFrame,
        regions: Sequence[Region],
        blocks: Sequence[Block],
        images: Sequence[Path],
        stimulus_ids: Sequence[str],
    ) -> None:
        _require_several(subject.subject_id, blocks)
        self.subject, self.voxels = subject, voxels
        self.rois, self.voxel_rois = region_frames(regions)
        self.n_listed = repeats(blocks, len(images))
        """Trials that show each image by the names of files, which asks for no look at them."""
        self._listed, self._images, self._stimulus_ids = blocks, images, stimulus_ids

    @cached_property
    def _sha256s(self) -> list[str]:
        return self._image_sha256s()

    @cached_property
    def _firsts(self) -> tuple[Indices, Indices]:
        """Which images are stimuli, ascending, and the row among these of each image."""
        first_of: dict[str, int] = {}
        firsts = np.array([first_of.setdefault(sha256, row) for row, sha256 in enumerate(self._sha256s)], np.intp)
        kept, rows = np.unique(firsts, return_inverse=True)
        return kept, rows

    @cached_property
    def _blocks(self) -> list[Block]:
        _, rows = self._firsts
        rows = np.append(rows, LEFT_OUT)  # where LEFT_OUT points to
        return [replace(block, images=rows[block.images]) for block in self._listed]

    @cached_property
    def n_repeats(self) -> NDArray[np.int64]:
        """See `Dataset`."""
        return repeats(self._blocks, self.stimuli.height)

    @cached_property
    def stimuli(self) -> pl.DataFrame:
        """See `Dataset`."""
        sha256 = pl.Series("sha256", self._sha256s, pl.String)
        kept, _ = self._firsts
        images = pl.DataFrame(
            {
                "stimulus_id": self._stimulus_ids,
                "dataset": [self.subject.dataset] * len(self._stimulus_ids),
                "uri": [str(path.absolute()) for path in self._images],
            }
        )
        return images.with_columns(sha256)[kept]

    def files_of(self) -> pl.DataFrame:
        """See `ManyFiles`."""
        _, rows = self._firsts
        uris = pl.Series("uri", [str(path.absolute()) for path in self._images], pl.String)
        return self.stimuli.select("stimulus_id")[rows].with_columns(uris)

    @cached_property
    def fingerprint(self) -> str:
        """See `Dataset`."""
        return combined_sha256([*self.stimuli["sha256"], *self._trial_sha256s()])

    @property
    def copied_bytes(self) -> int:
        """Disk that copies of compressed responses take."""
        return sum(block.copied_bytes for block in self._listed)

    def image(self, index: int) -> NDArray[np.uint8]:
        """See `Dataset`."""
        kept, _ = self._firsts
        return self._read(int(kept[index]))

    def responses_of(self, voxels: Indices) -> Floats:
        """See `Dataset`; only responses of these voxels are read."""
        return mean_responses(self._blocks, self.stimuli.height, voxels)

    def lost_trial(self, voxel: int) -> str:
        """The first trial in which a voxel's response is no number, in words; empty where there is none."""
        for block in self._listed:
            response = block.read(np.array([voxel]))[:, 0]
            if (lost := np.flatnonzero(~np.isfinite(response) & (block.images != LEFT_OUT))).size:
                return f"trial {lost[0]} of {block.name}"
        return ""

    def ceiling_of(self, voxels: Indices) -> Floats:
        """See `Repeated`."""
        if self.n_repeats.max() == 1:
            return np.full(len(voxels), np.nan, np.float32)
        sums = _sums(self._blocks, self.stimuli.height, voxels, squared=True)
        return noise_ceiling(ncsnr_of_repeats(*sums, self.n_repeats), self.n_repeats)

    def _read(self, row: int) -> NDArray[np.uint8]:
        """An image of those that trials show."""
        return read_picture(self._images[row])

    def _image_sha256s(self) -> list[str]:
        try:
            return [file_sha256(path) for path in self._images]
        except FileNotFoundError as error:
            raise no_image(error.filename) from None

    @abstractmethod
    def _trial_sha256s(self) -> Sequence[str]:
        """What says that responses, or the images that they belong to, are others."""


def _require_several(subject_id: str, blocks: Sequence[Block]) -> None:
    for block in blocks:
        for name, trials in block.groups.items():
            if np.arange(len(block.images))[trials].size == 1:
                raise BadInputError(
                    f"{subject_id}: {name} of {block.name} has one trial, which has no deviation to be z-scored by; "
                    "z-score by --zscore session or none, or leave it out."
                )
