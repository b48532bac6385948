"""Stage `learning_curve`: test scores of the fitted voxels from fewer training images, where they are asked for."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atlas.backbones.device import resolve_device
from atlas.backbones.interface import Floats
from ingest.encoding.learning_curve import LearningCurve
from ingest.stages.context import Context, ranges


def append_learning_curve(context: Context, features: Floats) -> None:
    """Append `learning_curve` rows of every fitted voxel of the model; split, penalties and seed are the model's.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).

    Raises:
        BadInputError: the first blocks have too few images to choose a penalty.
    """
    sql = "SELECT voxel FROM encoding WHERE model_id = ? ORDER BY voxel"
    voxels = np.asarray(context.store.arrow(sql, [context.model_id])["voxel"].to_numpy(), np.int32)
    done = context.store.committed("learning_curve")
    curve: LearningCurve | None = None  # as in `fit`: it takes seconds to make
    with context.progress.stage("learning curve", len(voxels)) as advance:
        for start, stop in ranges(len(voxels), context.config.batch_voxels):
            key = f"{context.model_id}/{start}"
            if key not in done:
                curve = curve or LearningCurve(features, context.config, device=resolve_device(context.device))
                batch = {"learning_curve": _rows(context, curve, voxels[start:stop])}
                context.store.append(batch, run_id=context.run_id, stage="learning_curve", key=key)
            advance(stop - start)


def _rows(context: Context, curve: LearningCurve, voxels: NDArray[np.int32]) -> pa.Table:
    """One row for each voxel and each point, the points of a voxel together."""
    scores = curve.fit(context.dataset.responses_of(voxels.astype(np.intp)))
    return pa.table(
        {
            "model_id": pa.repeat(context.model_id, scores.r2.size),
            "voxel": np.repeat(voxels, len(curve.n_blocks)),
            "n_blocks": np.tile(curve.n_blocks, len(voxels)),
            "n_train": np.tile(curve.n_train, len(voxels)),
            "r2": scores.r2.T.ravel(),
            "r": scores.r.T.ravel(),
        }
    )
