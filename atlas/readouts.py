"""The vector of each voxel that concepts are compared with, indexed for searching.

`weights` are the ridge weights themselves, as in the paper. `pattern` is the covariance of the features with the
predicted response (Haufe et al. 2014, NeuroImage 87, eq. 6): what the voxel answers to rather than how it is read out.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from atlas import saved_index
from atlas.codes import Floats
from atlas.index import VectorIndex, unit
from atlas.store import Store
from schemas.errors import StoreError

Readout = Literal["weights", "pattern"]

_BLOCK = 16_384
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class IndexedVoxels:
    """The unit readout vectors of a model's voxels. The index's keys are the voxels' numbers."""

    index: VectorIndex
    hashes: NDArray[np.uint64]
    """(n,) hash of each voxel's row of `encoding`, in the index's order."""
    sources: frozenset[str]
    """Content hashes of the batches that the vectors come from: weights may change where no score does."""
    saved: bool

    @classmethod
    def load(
        cls, store: Store, model: Mapping[str, Any], readout: Readout, folder: Path | None, old: "IndexedVoxels | None"
    ) -> "IndexedVoxels":
        """The present vectors of a model: the old ones where nothing has changed, grown where rows were added.

        Args:
            store: the atlas.
            model: a row of `Catalogue.models`.
            readout: weights or pattern.
            folder: where indexes are kept between runs; None keeps none.
            old: what was loaded before.
        """
        present = store.arrow(
            "SELECT voxel, hash(bias, alpha, r2, r, p) AS h FROM encoding WHERE model_id = ? ORDER BY voxel",
            [model["model_id"]],
        )
        voxels, hashes = present["voxel"].to_numpy().astype(np.int64), present["h"].to_numpy()
        batches = store.arrow(
            "SELECT content_sha256 FROM ledger WHERE stage IN ('model', 'fit') "
            "AND (batch_key = $model OR starts_with(batch_key, $model || '/'))",
            {"model": model["model_id"]},
        )
        sources = frozenset(batches["content_sha256"].to_pylist())
        vectors = _Vectors(store, model, readout)
        finished = model["tested"]
        if old is not None and (grown := old.grown(voxels, hashes, sources, vectors)):
            return grown.kept(folder, voxels, hashes) if finished else grown
        if folder is not None and (index := saved_index.load(folder, _fingerprint(voxels, hashes, sources))):
            return cls(index, hashes, sources, saved=True)
        fresh = cls(VectorIndex.build(vectors.read(voxels), voxels), hashes, sources, saved=False)
        return fresh.kept(folder, voxels, hashes) if finished else fresh

    def grown(
        self,
        voxels: NDArray[np.int64],
        hashes: NDArray[np.uint64],
        sources: frozenset[str],
        vectors: "_Vectors",
    ) -> "IndexedVoxels | None":
        """These vectors and those of voxels that are new; None where a voxel is gone or was fitted anew."""
        order = np.argsort(self.index.keys)
        known, known_hashes = self.index.keys[order], self.hashes[order]
        new = ~np.isin(voxels, known, assume_unique=True)
        same = np.array_equal(voxels[~new], known) and np.array_equal(hashes[~new], known_hashes)
        if not same or not self.sources <= sources:
            return None
        if not new.any():
            return self
        index = self.index.extended(vectors.read(voxels[new]), voxels[new])
        return IndexedVoxels(index, np.concatenate([self.hashes, hashes[new]]), sources, saved=False)

    def kept(self, folder: Path | None, voxels: NDArray[np.int64], hashes: NDArray[np.uint64]) -> "IndexedVoxels":
        """These vectors, written to disk for the next start unless they are there."""
        if folder is None or self.saved or not len(voxels):
            return self
        order = np.argsort(self.index.keys)
        ordered = np.array_equal(order, np.arange(len(order)))
        index = self.index if ordered else VectorIndex.build(self.index.vectors[order], voxels)
        try:
            saved_index.save(index, folder, _fingerprint(voxels, hashes, self.sources))
        except OSError as error:
            # An index that is not kept costs time at the next start and changes no answer.
            _log.warning("The index cannot be kept in %s: %s", folder, error)
        return IndexedVoxels(index, hashes, self.sources, saved=True)

    def vector(self, voxel: int) -> Floats | None:
        """Unit vector of a voxel, (dim,); None where it was not fitted."""
        rows = np.flatnonzero(self.index.keys == voxel)
        return self.index.vectors[rows[0]] if len(rows) else None


@dataclass(frozen=True)
class _Vectors:
    """Where the vectors come from."""

    store: Store
    model: Mapping[str, Any]
    readout: Readout

    def read(self, voxels: NDArray[np.int64]) -> Floats:
        """Unit readout vectors (n, dim) of voxels, whose numbers ascend."""
        dim = self.model["dim"]
        if not len(voxels):
            return np.empty((0, dim), np.float32)
        # A range and not a list of voxels: DuckDB skips the blocks outside it, and batches are ranges mostly.
        keys, vectors = self.store.keyed_vectors(
            "SELECT voxel, weights FROM encoding WHERE model_id = ? AND voxel BETWEEN ? AND ?",
            [self.model["model_id"], int(voxels[0]), int(voxels[-1])],
            dim,
        )
        if not np.array_equal(keys, voxels):
            order = np.argsort(keys)
            wanted = np.isin(keys[order], voxels, assume_unique=True)
            vectors = vectors[order[wanted]]
        if len(vectors) != len(voxels):
            raise StoreError(f"{self.model['model_id']} was removed while it was read; ask again.")
        if self.readout == "pattern":
            sql = "SELECT feature_covariance FROM model WHERE model_id = ?"
            covariance = self.store.vectors(sql, [self.model["model_id"]], dim * dim)[0].reshape(dim, dim)
            for start in range(0, len(vectors), _BLOCK):
                vectors[start : start + _BLOCK] = vectors[start : start + _BLOCK] @ covariance
        return unit(vectors)


def _fingerprint(voxels: NDArray[np.int64], hashes: NDArray[np.uint64], sources: frozenset[str]) -> str:
    return hashlib.sha256(voxels.tobytes() + hashes.tobytes() + "".join(sorted(sources)).encode()).hexdigest()
