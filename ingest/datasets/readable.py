"""A data set without the images that cannot be read."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from .interface import Dataset

_OPTIONAL = ("files_of", "split_names", "test_images", "all_images", "n_all_images", "region_tests", "region_images")


class _Readable:
    """Some of a data set's images; see Dataset. It is another data set, as its fingerprint says.

    Args:
        dataset: all images.
        kept: rows of those that are kept, ascending.
    """

    def __init__(self, dataset: Dataset, kept: NDArray[np.intp]) -> None:
        self._dataset, self._kept = dataset, kept
        self.subject, self.voxels = dataset.subject, dataset.voxels
        self.rois, self.voxel_rois = dataset.rois, dataset.voxel_rois
        self.stimuli, self.n_repeats = dataset.stimuli[kept], dataset.n_repeats[kept]
        for optional in _OPTIONAL:  # what protocols beside Dataset ask for, by which a data set is known
            if hasattr(dataset, optional):
                setattr(self, optional, getattr(dataset, optional))
        names = "\n".join(self.stimuli["stimulus_id"])
        self.fingerprint = hashlib.sha256(f"{dataset.fingerprint} without all but {names}".encode()).hexdigest()

    def image(self, index: int) -> NDArray[np.uint8]:
        """See Dataset."""
        return self._dataset.image(int(self._kept[index]))

    def responses_of(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Dataset."""
        return self._dataset.responses_of(voxels)[self._kept]


def require_readable(dataset: Dataset, progress: Progress) -> None:
    """Look at every image.

    Raises:
        BadInputError: one cannot be read.
        NotFoundError: one is not there.
    """
    with progress.stage("look at images", dataset.stimuli.height) as advance:
        for index in range(dataset.stimuli.height):
            dataset.image(index)
            advance(1)


def without_unreadable(dataset: Dataset, progress: Progress) -> Dataset:
    """The data set without the images that cannot be read; itself where all can. Looks at every image.

    Args:
        dataset: all images.
        progress: told which images are left out.
    """
    kept = []
    with progress.stage("look at images", dataset.stimuli.height) as advance:
        for index in range(dataset.stimuli.height):
            try:
                dataset.image(index)
                kept.append(index)
            except (OSError, ValueError, LookupError, SyntaxError) as error:
                progress.note(f"Left out {dataset.stimuli['stimulus_id'][index]}: {error}")
            advance(1)
    return dataset if len(kept) == dataset.stimuli.height else _Readable(dataset, np.array(kept, np.intp))
