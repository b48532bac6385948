"""Which vectors of a voxel concepts are compared with.

`weights` are the ridge weights w themselves, as in the paper. `pattern`, C·w with C the covariance of the features, is
their covariance with the predicted response (Haufe et al. 2014, NeuroImage 87, eq. 6): what the voxel answers to rather
than how it is read out. `half`, C^½·w, lies between them and finds more than either (docs/method.md).
"""

from collections.abc import Mapping

from ..backbones.interface import Readout
from ..store.store import Store
from .evidence import FeatureSpectrum

EXPONENTS: Mapping[Readout, float] = {"weights": 0.0, "half": 0.5, "pattern": 1.0}
"""Readout → the power of the covariance."""


def model_spectrum(store: Store, model_id: str) -> FeatureSpectrum:
    """Eigenvectors and eigenvalues of the covariance of a model's training features; it has a text tower."""
    (row,) = store.arrow(
        "SELECT n_train, len(feature_mean) AS dim FROM model WHERE model_id = ?", [model_id]
    ).to_pylist()
    sql = "SELECT feature_covariance FROM model WHERE model_id = ?"
    covariance = store.vectors(sql, [model_id], row["dim"] ** 2)[0].reshape(row["dim"], row["dim"])
    return FeatureSpectrum.of(covariance, row["n_train"])
