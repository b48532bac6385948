"""Which vectors of a voxel concepts are compared with.

`weights` are the ridge weights w themselves, as in the paper. `pattern`, C·w with C the covariance of the features, is
their covariance with the predicted response (Haufe et al. 2014, NeuroImage 87, eq. 6): what the voxel answers to rather
than how it is read out. `half`, C^½·w, lies between them and finds more than either (docs/method.md).
"""

from collections.abc import Mapping

from ..backbones.interface import Readout
from ..store.maintenance import require_model
from ..store.store import Store
from .evidence import FeatureSpectrum

EXPONENTS: Mapping[Readout, float] = {"weights": 0.0, "half": 0.5, "pattern": 1.0}
"""Readout → the power of the covariance."""


def model_spectrum(store: Store, model_id: str) -> FeatureSpectrum:
    """Eigenvectors and eigenvalues of the covariance of a model's training features; it has a text tower.

    Raises:
        NotFoundError: the model was removed.
    """
    rows = store.arrow("SELECT n_train, len(feature_mean) AS dim FROM model WHERE model_id = ?", [model_id]).to_pylist()
    dim, sql = rows[0]["dim"] if rows else 1, "SELECT feature_covariance FROM model WHERE model_id = ?"
    covariances = store.vectors(sql, [model_id], dim**2)
    if not len(covariances):
        require_model(store, model_id)
    return FeatureSpectrum.of(covariances[0].reshape(dim, dim), rows[0]["n_train"])
