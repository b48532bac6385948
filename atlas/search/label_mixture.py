"""A model's voxels as mixtures of their labels: how near a concept is to what describes a voxel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..backbones.interface import Floats
from ..store.ledger import batches_of
from ..store.store import Store


class LabelMixture:
    """Labels of voxels by one method, with the labels' text vectors. Never changed once made."""

    def __init__(self, voxels: NDArray[np.int64], shares: csr_array, vectors: Floats, fingerprint: object) -> None:
        self.voxels = voxels
        """(n_voxels,) ascending; each has a label with a vector."""
        self._shares, self._vectors = shares, vectors
        self.fingerprint = fingerprint

    @classmethod
    def load(cls, store: Store, model: Mapping[str, Any], method: str, old: "LabelMixture | None") -> "LabelMixture":
        """The present labels of a model; the old ones where nothing has changed."""
        sql = "SELECT count(*) AS n FROM label_embedding WHERE backbone = ?"
        fingerprint = (batches_of(store, model), store.arrow(sql, [model["label_backbone"]])["n"][0].as_py())
        if old is not None and old.fingerprint == fingerprint:
            return old
        scores = store.arrow(
            "SELECT voxel, label_id, probability FROM label_score WHERE model_id = ? AND method = ?",
            [model["model_id"], method],
        )
        ids, vectors = _label_vectors(store, model["label_backbone"], scores["label_id"].to_numpy())
        # Labels without a vector yet do not count; the others share out their probability.
        known = np.isin(scores["label_id"].to_numpy(), ids)
        labels = np.searchsorted(ids, scores["label_id"].to_numpy()[known])
        voxels, rows = np.unique(scores["voxel"].to_numpy()[known].astype(np.int64), return_inverse=True)
        probabilities = scores["probability"].to_numpy()[known].astype(np.float64)
        totals = np.bincount(rows, probabilities, len(voxels))
        shares = csr_array((probabilities / totals[rows], (rows, labels)), shape=(len(voxels), len(ids)))
        return cls(voxels, shares, vectors, fingerprint)

    def scores(self, query: Floats) -> Floats:
        """Mean cosine of a unit query (dim,) with each voxel's labels, weighted by their probabilities, (n_voxels,)."""
        if not len(self.voxels):
            return np.empty(0, np.float32)
        scores: Floats = (self._shares @ (self._vectors @ query).astype(np.float64)).astype(np.float32)
        return scores

    def vector(self, voxel: int) -> Floats | None:
        """Unit vector of a voxel's labels together, (dim,); None where it has none."""
        row = int(np.searchsorted(self.voxels, voxel))
        if row == len(self.voxels) or self.voxels[row] != voxel:
            return None
        mean = (self._shares[[row]] @ self._vectors)[0].astype(np.float32)
        length = float(np.linalg.norm(mean))
        return mean / np.float32(length) if length else None


def _label_vectors(store: Store, backbone: str, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Ids, ascending, and unit vectors of those labels that have one of the backbone's text tower."""
    sql = "SELECT len(vector) AS dim FROM label_embedding WHERE backbone = ? LIMIT 1"
    dims = store.arrow(sql, [backbone])["dim"].to_pylist()
    if not dims or not len(ids):
        return np.empty(0, np.int64), np.empty((0, dims[0] if dims else 0), np.float32)
    keys, vectors = store.keyed_vectors(
        "SELECT label_id, vector FROM label_embedding WHERE backbone = ? ORDER BY label_id", [backbone], dims[0]
    )
    wanted = np.isin(keys, ids)
    return keys[wanted], vectors[wanted]
