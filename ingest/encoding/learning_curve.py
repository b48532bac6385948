"""How well a voxel would be predicted from fewer images: the released code's 5, 10, … 34 of 40 blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...schemas.config import IngestConfig
from .metrics import Responses, pearson, r2
from .ridge import Ridge
from .split import LEARNING_BLOCKS, Indices, learning_subsets


@dataclass(frozen=True)
class LearningCurveFit:
    """Test scores of voxels at each point of the curve, rows as in `LearningCurve.n_blocks`."""

    r2: NDArray[np.float64]
    """(n_points, n_voxels)."""
    r: NDArray[np.float64]
    """(n_points, n_voxels)."""


class LearningCurve:
    """The same model fitted on ever more training images and tested on the same test images.

    It is prepared once and then fits voxels chunk by chunk. It keeps the rotated features of every point: for the
    default points about four times the memory of the features in float64.

    Args:
        features: features of all images of the subject, (n_images, n_features).
        config: penalties, folds and seed.
        split: training and test images.
        blocks: how many of the 34 training blocks each point uses.
        device: as for `Ridge`.

    Raises:
        BadInputError: a point has too few images to choose a penalty.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        config: IngestConfig,
        split: tuple[Indices, Indices],
        *,
        blocks: Sequence[int] = LEARNING_BLOCKS,
        device: str = "cpu",
    ) -> None:
        train, self._test = split
        self._subsets = learning_subsets(config, len(features), train, blocks)
        self._ridges = [Ridge.from_config(features[rows], config, device) for rows in self._subsets.values()]
        self._test_features = features[self._test]
        self.n_blocks = tuple(self._subsets)
        self.n_train = tuple(len(rows) for rows in self._subsets.values())

    def fit(self, responses: Responses) -> LearningCurveFit:
        """Fit and test some voxels at every point.

        Args:
            responses: responses to all images of the subject, (n_images, n_voxels).
        """
        measured = responses[self._test]
        scores = []
        for ridge, rows in zip(self._ridges, self._subsets.values(), strict=True):
            predicted = ridge.fit(responses[rows]).predict(self._test_features)
            scores.append((r2(measured, predicted), pearson(measured, predicted)))
        return LearningCurveFit(*(np.array(metric) for metric in zip(*scores, strict=True)))
