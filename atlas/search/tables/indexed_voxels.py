"""The readout vectors of a model's voxels, indexed for searching."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import StoreError
from ....schemas.stage import Stage
from ...backbones.interface import Readout
from ...backbones.products import unit_rows
from ...store.address import Address
from ...store.store import Store
from ..index import Floats, VectorIndex
from ..readouts import EXPONENTS, model_spectrum
from .ledger import Batches, batches_of, fitted_since
from .model_row import ModelRow

INDEXED = (Stage.MODEL, Stage.FIT, Stage.IMPORT)
"""Stages whose batches hold vectors."""
_BLOCK = 16_384
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class IndexedVoxels:
    """The unit readout vectors of a model's voxels. The index's keys are the voxels' numbers."""

    index: VectorIndex
    batches: Batches
    """What the vectors come from: no row changes or goes but with its row of the ledger."""
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
        cls, store: Store, model: ModelRow, readout: Readout, folder: Path, old: "IndexedVoxels | None"
    ) -> "IndexedVoxels":
        """The present vectors of a model: the old ones where nothing has changed, grown where rows were added.

        Args:
            store: the atlas.
            model: whose vectors.
            readout: weights, half or pattern.
            folder: where the index is kept between runs.
            old: what was loaded before.
        """
        batches = batches_of(store, model.model_id, model.subject_id, *INDEXED)
        if old is not None and old.batches == batches:
            present = old
        elif old is not None and old.batches < batches:
            # What is there already is not read again.
            new = fitted_since(store, model.model_id, old.voxels)
            index = old.index.extended(_unit_vectors(store, model, readout, new), new) if len(new) else old.index
            present = cls(index, batches, saved=False)
        else:
            voxels = fitted_since(store, model.model_id, np.empty(0, np.int64))
            saved = VectorIndex.load(folder, _fingerprint(voxels, batches))
            index = VectorIndex.build(_unit_vectors(store, model, readout, voxels), voxels) if saved is None else saved
            present = cls(index, batches, saved=saved is not None)
        # Asked for now: the model may have been tested since its row was read.
        tested = "SELECT EXISTS (FROM significance WHERE model_id = ?) AS tested"
        if present.saved or not store.arrow(tested, [model.model_id])["tested"][0].as_py():
            return present
        return present.kept(folder)

    def kept(self, folder: Path) -> "IndexedVoxels":
        """These vectors from a file, where the next start finds them; it is written unless it is there."""
        if not len(self.voxels):
            return self
        fingerprint = _fingerprint(np.sort(self.voxels), self.batches)
        try:
            self.index.save(folder, fingerprint)
        except OSError as error:
            # An index that is not kept costs time at the next start and changes no answer.
            _log.warning("The index cannot be kept in %s: %s", folder, error)
            return replace(self, saved=True)
        # From now on the vectors are mapped from the file, in the order of their voxels.
        return replace(self, saved=True, index=VectorIndex.load(folder, fingerprint) or self.index)

    def vector(self, voxel: int) -> Floats | None:
        """Unit vector of a voxel, (dim,); None where it was not fitted."""
        rows = np.flatnonzero(self.index.keys == voxel)
        return self.index.vectors[rows[0]] if len(rows) else None


def index_folder(home: Path, address: str, model_id: str) -> Path:
    """Where a model's indexes are kept between runs, in a folder for each readout.

    Args:
        home: the home folder.
        address: the atlas's, however its path is written: two of one home may hold models of one name.
        model_id: the whole id.
    """
    place = Address.parse(address).target
    return home / "indexes" / hashlib.sha256(place.encode()).hexdigest()[:12] / quote(model_id, safe="")


def _unit_vectors(store: Store, model: ModelRow, readout: Readout, voxels: NDArray[np.int64]) -> Floats:
    """Unit readout vectors (n, dim) of voxels, whose numbers ascend."""
    dim = model.dim
    if not len(voxels):
        return np.empty((0, dim), np.float32)
    # A range and not a list of voxels: DuckDB skips the blocks outside it, and batches are ranges mostly.
    keys, vectors = store.keyed_vectors(
        "SELECT voxel, weights FROM encoding WHERE model_id = ? AND voxel BETWEEN ? AND ?",
        [model.model_id, int(voxels[0]), int(voxels[-1])],
        dim,
    )
    if not np.array_equal(keys, voxels):
        order = np.argsort(keys)
        wanted = np.isin(keys[order], voxels, assume_unique=True)
        vectors = vectors[order[wanted]]
    if len(vectors) != len(voxels):
        raise StoreError(f"{model.model_id} was removed while it was read; ask again.")
    if readout != "weights":
        turn = model_spectrum(store, model.model_id).power(EXPONENTS[readout])
        for start in range(0, len(vectors), _BLOCK):
            vectors[start : start + _BLOCK] = vectors[start : start + _BLOCK].astype(np.float64) @ turn
    return unit_rows(vectors, out=vectors)


def _fingerprint(voxels: NDArray[np.int64], batches: Batches) -> str:
    return hashlib.sha256(voxels.tobytes() + repr(sorted(batches)).encode()).hexdigest()
