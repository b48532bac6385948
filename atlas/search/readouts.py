"""The vector of each voxel that concepts are compared with, indexed for searching.

`weights` are the ridge weights themselves, as in the paper. `pattern` is the covariance of the features with the
predicted response (Haufe et al. 2014, NeuroImage 87, eq. 6): what the voxel answers to rather than how it is read out.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import StoreError
from ..backbones.interface import Readout
from ..store.ledger import Batches, batches_of, fitted_since
from ..store.store import Store
from .index import Floats, VectorIndex, unit
from .tables.model_row import ModelRow

_BLOCK = 16_384
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class IndexedVoxels:
    """The unit readout vectors of a model's voxels. The index's keys are the voxels' numbers."""

    index: VectorIndex
    hashes: NDArray[np.uint64]
    """(n,) hash of each voxel's row of `encoding`, in the index's order."""
    batches: Batches
    """What the vectors come from: weights may change where no score does."""
    saved: bool

    @property
    def voxels(self) -> NDArray[np.int64]:
        """(n,) number of each vector's voxel, in the index's order."""
        return self.index.keys

    def scores(self, query: Floats) -> Floats:
        """Cosine of every voxel's vector with a unit query (dim,), (n,)."""
        return self.index.scores(query)

    @classmethod
    def load(
        cls, store: Store, model: ModelRow, readout: Readout, folder: Path | None, old: "IndexedVoxels | None"
    ) -> "IndexedVoxels":
        """The present vectors of a model: the old ones where nothing has changed, grown where rows were added.

        Args:
            store: the atlas.
            model: whose vectors.
            readout: weights or pattern.
            folder: where indexes are kept between runs; None keeps none.
            old: what was loaded before.
        """
        batches = batches_of(store, model.model_id, model.subject_id, "model", "fit", "import")
        vectors = _Vectors(store, model, readout)
        if old is not None and old.batches <= batches:
            # No batch changes or goes but with its row of the ledger, so what is there already is not read again.
            present = old.grown(batches, vectors)
        else:
            voxels, hashes = vectors.rows()
            saved = VectorIndex.load(folder, _fingerprint(voxels, hashes, batches)) if folder is not None else None
            index = VectorIndex.build(vectors.read(voxels), voxels) if saved is None else saved
            present = cls(index, hashes, batches, saved=saved is not None)
        # Asked for now: the model may have been tested since its row was read.
        tested = "SELECT EXISTS (FROM significance WHERE model_id = ?) AS tested"
        if present.saved or not store.arrow(tested, [model.model_id])["tested"][0].as_py():
            return present
        return present.kept(folder)

    def grown(self, batches: Batches, vectors: "_Vectors") -> "IndexedVoxels":
        """These vectors and those of voxels that are new."""
        if batches == self.batches:
            return self
        new = fitted_since(vectors.store, vectors.model.model_id, self.index.keys)
        index, hashes = self.index, self.hashes
        if len(new):
            index = index.extended(vectors.read(new), new)
            hashes = np.concatenate([hashes, vectors.rows(new)[1]])
        return IndexedVoxels(index, hashes, batches, saved=False)

    def kept(self, folder: Path | None) -> "IndexedVoxels":
        """These vectors from a file, where the next start finds them; it is written unless it is there."""
        voxels = self.index.keys
        if folder is None or self.saved or not len(voxels):
            return self
        order = np.argsort(voxels)
        hashes = self.hashes[order]
        fingerprint = _fingerprint(voxels[order], hashes, self.batches)
        try:
            self.index.save(folder, fingerprint)
        except OSError as error:
            # An index that is not kept costs time at the next start and changes no answer.
            _log.warning("The index cannot be kept in %s: %s", folder, error)
            return replace(self, saved=True)
        # From now on the vectors are mapped from the file, in the order of their voxels.
        index = VectorIndex.load(folder, fingerprint)
        return replace(self, saved=True) if index is None else replace(self, index=index, hashes=hashes, saved=True)

    def vector(self, voxel: int) -> Floats | None:
        """Unit vector of a voxel, (dim,); None where it was not fitted."""
        rows = np.flatnonzero(self.index.keys == voxel)
        return self.index.vectors[rows[0]] if len(rows) else None


@dataclass(frozen=True)
class _Vectors:
    """Where the vectors come from."""

    store: Store
    model: ModelRow
    readout: Readout

    def rows(self, voxels: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Some voxels, whose numbers ascend, or all: their numbers and a hash of each one's row, ascending."""
        found = self.store.arrow(
            "SELECT voxel, hash(bias, alpha, r2, r, p) AS h FROM encoding "
            "WHERE model_id = ? AND voxel BETWEEN ? AND ? ORDER BY voxel",
            [self.model.model_id, *_range(voxels)],
        )
        keys, hashes = found["voxel"].to_numpy().astype(np.int64), found["h"].to_numpy()
        wanted = slice(None) if voxels is None else np.isin(keys, voxels, assume_unique=True)
        return keys[wanted], hashes[wanted]

    def read(self, voxels: NDArray[np.int64]) -> Floats:
        """Unit readout vectors (n, dim) of voxels, whose numbers ascend."""
        dim = self.model.dim
        if not len(voxels):
            return np.empty((0, dim), np.float32)
        keys, vectors = self.store.keyed_vectors(
            "SELECT voxel, weights FROM encoding WHERE model_id = ? AND voxel BETWEEN ? AND ?",
            [self.model.model_id, *_range(voxels)],
            dim,
        )
        if not np.array_equal(keys, voxels):
            order = np.argsort(keys)
            wanted = np.isin(keys[order], voxels, assume_unique=True)
            vectors = vectors[order[wanted]]
        if len(vectors) != len(voxels):
            raise StoreError(f"{self.model.model_id} was removed while it was read; ask again.")
        if self.readout == "pattern":
            sql = "SELECT feature_covariance FROM model WHERE model_id = ?"
            covariance = self.store.vectors(sql, [self.model.model_id], dim * dim)[0].reshape(dim, dim)
            for start in range(0, len(vectors), _BLOCK):
                vectors[start : start + _BLOCK] = vectors[start : start + _BLOCK] @ covariance
        return unit(vectors)


def _range(voxels: NDArray[np.int64] | None) -> tuple[int, int]:
    """First and last of voxels, whose numbers ascend; of all there can be for None.

    A range and not a list of voxels: DuckDB skips the blocks outside it, and batches are ranges mostly.
    """
    return (0, np.iinfo(np.int32).max) if voxels is None else (int(voxels[0]), int(voxels[-1]))


def _fingerprint(voxels: NDArray[np.int64], hashes: NDArray[np.uint64], batches: Batches) -> str:
    return hashlib.sha256(voxels.tobytes() + hashes.tobytes() + repr(sorted(batches)).encode()).hexdigest()
