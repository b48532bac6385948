"""Stage `learning_curve`: test scores of the fitted voxels from fewer training images, where they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.device import resolve_device
from ...atlas.backbones.interface import Floats
from ..encoding.learning_curve import LearningCurve
from .context import Bench, Context
from .voxel_batches import append_batches


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
    append_batches(context, "learning_curve", "learning curve", voxels, _rows, _Fitting(context.bench, features))


@dataclass(frozen=True)
class _Fitting:
    """What fitting a batch of voxels takes."""

    bench: Bench
    features: Floats
    """Of all images, (n_stimuli, dim)."""

    @cached_property
    def curve(self) -> LearningCurve:
        """As in `fit`: it takes seconds to make."""
        return LearningCurve(self.features, self.bench.config, device=resolve_device(self.bench.device))


def _rows(fitting: _Fitting, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """One row for each voxel and each point, the points of a voxel together."""
    bench, curve = fitting.bench, fitting.curve
    scores = curve.fit(bench.dataset.responses_of(voxels.astype(np.intp)))
    columns = {
        "model_id": pa.repeat(bench.model_id, scores.r2.size),
        "voxel": np.repeat(voxels, len(curve.n_blocks)),
        "n_blocks": np.tile(curve.n_blocks, len(voxels)),
        "n_train": np.tile(curve.n_train, len(voxels)),
        "r2": scores.r2.T.ravel(),
        "r": scores.r.T.ravel(),
    }
    return {"learning_curve": pa.table(columns)}
