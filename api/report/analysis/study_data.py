"""A model beside the images and responses that it was fitted to. The atlas holds neither, so they are read again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....atlas.backbones.feature_cache import FeatureCache
from ....atlas.backbones.interface import Backbone, Floats
from ....ingest.datasets.interface import Dataset
from ....ingest.encoding.split import Indices
from ....ingest.stages.context import ranges
from ....ingest.stages.model_split import split_of
from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError


@dataclass(frozen=True, eq=False)
class StudyData:
    """Images, responses and the split of one model."""

    dataset: Dataset
    config: IngestConfig
    train: Indices
    test: Indices

    @classmethod
    def of(cls, model_id: str, config: IngestConfig, dataset: Dataset) -> "StudyData":
        """The data of a model by its configuration.

        Raises:
            BadInputError: the data, or the file of its split, are not those that the model was fitted to.
            NotFoundError: the file of its split is not there.
        """
        if dataset.fingerprint != config.data_sha256:
            subject_id = dataset.subject.subject_id
            raise BadInputError(
                f"The data of {subject_id} on this machine have fingerprint {dataset.fingerprint[:12]}, and "
                f"{model_id} was fitted to {config.data_sha256[:12]}; give the same data, or ingest again."
            )
        return cls(dataset, config, *split_of(config, dataset))

    def features(
        self, backbone: Backbone, home: Path, batch_images: int, images: Indices | slice = slice(None)
    ) -> Floats:
        """Features of images, all by default, (n_images, dim); from files that the ingest kept, where they are there.

        Raises:
            BadInputError: the network's weights are not those that the model was fitted with.
        """
        fitted_with = self.config.backbone_sha256
        if backbone.name == self.config.backbone and backbone.fingerprint != fitted_with:
            raise BadInputError(
                f"The weights of {backbone.name} on this machine ({backbone.fingerprint[:12]}) are not those that the "
                f"model was fitted with ({fitted_with[:12]}); give the same weights, or ingest again."
            )
        cache = FeatureCache(home, backbone, batch_images)
        rows = np.arange(self.dataset.stimuli.height)[images]
        sha256s = self.dataset.stimuli["sha256"].gather(rows).to_list()
        return cache.get(sha256s, lambda row: self.dataset.image(int(rows[row])))

    def batches(self, voxels: NDArray[np.int32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Responses to all images, (n_images, n) for some of the voxels at a time, with their places in `voxels`."""
        for start, stop in ranges(len(voxels), self.config.batch_voxels):
            yield slice(start, stop), self.dataset.responses_of(voxels[start:stop].astype(np.intp))
