"""The fitted voxels of a model, read back from the atlas for the stages that apply them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.interface import Floats
from .context import Context


@dataclass(frozen=True)
class FittedVoxels:
    """Weights (n, dim) and biases (n,) of some voxels, and the mean feature vector (dim,) of their model."""

    weights: Floats
    bias: Floats
    feature_mean: Floats

    def respond(self, features: Floats, rows: NDArray[np.intp] | slice = slice(None)) -> Floats:
        """Predicted responses: features (dim,) -> (n_rows,), features (n, dim) -> (n, n_rows); METHOD §1."""
        responses = (features - self.feature_mean) @ self.weights[rows].T + self.bias[rows]
        return np.asarray(responses, np.float32)


def fitted(context: Context, voxels: NDArray[np.int32]) -> FittedVoxels:
    """The given voxels of the context's model, in the order of `voxels`, which ascends; each has been fitted."""
    sql = " FROM encoding WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel"
    parameters = [context.model_id, voxels.tolist()]
    dim = context.backbone.dim
    return FittedVoxels(
        weights=context.store.vectors("SELECT weights" + sql, parameters, dim),
        bias=np.asarray(context.store.arrow("SELECT bias" + sql, parameters)["bias"].to_numpy(), np.float32),
        feature_mean=context.store.vectors(
            "SELECT feature_mean FROM model WHERE model_id = ?", [context.model_id], dim
        )[0],
    )
