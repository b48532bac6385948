"""What z and specificity take of each voxel, for one readout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....schemas.stage import Stage
from ...backbones.interface import Floats, Readout
from ...store.store import Store
from ..evidence import Doubles, Evidence, FeatureSpectrum, ReadoutGains
from ..readouts import EXPONENTS
from .ledger import Batches, batches_of
from .model_row import ModelRow

_SQL = """
    SELECT e.voxel, e.alpha, e.residual_variance::DOUBLE AS noise, n.norm, n.q95 FROM encoding e
    LEFT JOIN readout_norm n ON n.model_id = e.model_id AND n.voxel = e.voxel AND n.readout = ?
    WHERE e.model_id = ? ORDER BY e.voxel
"""


@dataclass(frozen=True, eq=False)
class Penalties:
    """The different penalties of a model's voxels: what a concept in SQL needs, of however many voxels."""

    values: Doubles
    """Ascending, (n_penalties,)."""
    batches: Batches

    @classmethod
    def load(cls, store: Store, model: ModelRow, old: "Penalties | None") -> "Penalties":
        """The present ones; the old ones where nothing has changed."""
        batches = batches_of(store, model.model_id, model.subject_id, Stage.MODEL, Stage.FIT, Stage.IMPORT)
        if old is not None and old.batches == batches:
            return old
        sql = "SELECT DISTINCT alpha FROM encoding WHERE model_id = ? ORDER BY alpha"
        return cls(store.frame(sql, [model.model_id])["alpha"].cast(float).to_numpy(), batches)


@dataclass(frozen=True, eq=False)
class ReadoutTable:
    """Fitted voxels in ascending order. NaN stands for what the atlas does not hold of a voxel."""

    voxels: NDArray[np.int64]
    gains: ReadoutGains
    q95: Doubles
    """The .95 quantile of the vocabulary's similarities."""
    spectrum: FeatureSpectrum
    readout: Readout
    batches: Batches

    @classmethod
    def load(
        cls, store: Store, model: ModelRow, readout: Readout, old: "ReadoutTable | None", spectrum: FeatureSpectrum
    ) -> "ReadoutTable":
        """The present table of a model; the old one where nothing has changed."""
        stages = Stage.MODEL, Stage.FIT, Stage.READOUTS, Stage.IMPORT
        batches = batches_of(store, model.model_id, model.subject_id, *stages)
        if old is not None and old.batches == batches:
            return old
        rows = store.frame(_SQL, [readout, model.model_id])
        norm, noise, alpha, q95 = (rows[name].cast(float).to_numpy() for name in ("norm", "noise", "alpha", "q95"))
        voxels = rows["voxel"].to_numpy().astype(np.int64)
        return cls(voxels, ReadoutGains.of(norm, noise, alpha), q95, spectrum, readout, batches)

    def evidence(
        self, query: Floats, voxels: NDArray[np.int64], similarity: Floats, *, against_vocabulary: bool
    ) -> Evidence:
        """How sure the similarities of voxels to a query are.

        Args:
            query: unit vector, (dim,).
            voxels: all fitted voxels, in any order, (n,).
            similarity: of each, (n,).
            against_vocabulary: whether it is one concept that can be held against the vocabulary's nouns.
        """
        gains, q95 = self.gains, self.q95
        if not np.array_equal(self.voxels, voxels):
            rows = np.searchsorted(self.voxels, voxels).clip(max=max(len(self.voxels) - 1, 0))
            gains, q95 = gains.of_rows(rows), q95[rows]
        z = gains.z(similarity, query, self.spectrum, EXPONENTS[self.readout])
        return Evidence(z, similarity > q95 if against_vocabulary else None)
