"""Stage `learning_curve`: how well voxels are predicted when fewer images are fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ....schemas.stage import Stage
from ...encoding.learning_curve import LearningCurve
from ..context import Context
from ..voxel_batches import append_batches, fitted_numbers
from .fitting import Fitting


@dataclass(frozen=True)
class _Curve(Fitting):
    @cached_property
    def curve(self) -> LearningCurve:
        return LearningCurve(self.features, self.context.config, self.split, device=self.context.device)


def append_learning_curve(context: Context, features: Floats) -> None:
    """Append `learning_curve` rows of every fitted voxel of the model; split, penalties and seed are the model's.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).

    Raises:
        BadInputError: the first blocks have too few images to choose a penalty.
    """
    fitting = _Curve(context.for_workers, features)
    append_batches(context, Stage.LEARNING_CURVE, "learning curve", fitted_numbers(context), _scored, fitting)


def _scored(fitting: _Curve, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """Rows of `learning_curve`: one for each voxel and each point, the points of a voxel together."""
    curve = fitting.curve
    scores = curve.fit(fitting.responses(voxels))
    columns = {
        "model_id": pa.repeat(fitting.context.model_id, scores.r2.size),
        "voxel": np.repeat(voxels, len(curve.n_blocks)),
        "n_blocks": np.tile(curve.n_blocks, len(voxels)),
        "n_train": np.tile(curve.n_train, len(voxels)),
        "r2": scores.r2.T.ravel(),
        "r": scores.r.T.ravel(),
    }
    return {"learning_curve": pa.table(columns)}
