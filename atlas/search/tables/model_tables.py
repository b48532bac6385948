"""All that is kept in memory of one model, each made when it is first asked for and again when the atlas has grown."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from ....schemas.errors import BadInputError
from ...backbones.interface import Floats, Readout
from ...store.store import Store
from ..evidence import Doubles, FeatureSpectrum
from ..readouts import model_spectrum
from .band_table import BandTable
from .derived import DerivedValues
from .indexed_voxels import IndexedVoxels
from .label_table import LabelIndex, LabelMixture, LabelTable
from .located import Located
from .model_row import ModelRow
from .readout_table import Penalties, ReadoutTable
from .voxel_table import VoxelTable


@dataclass(frozen=True, eq=False)
class ModelTables:
    """The tables and indexes of a model. Its methods give them with the generation of the atlas that they belong to."""

    model: ModelRow
    derived: DerivedValues
    indexes: Path
    """Folder where the model's indexes are kept between runs."""
    located: Located
    """Where voxels lie."""

    @property
    def store(self) -> Store:
        """The atlas."""
        return self.derived.store

    def voxels(self) -> VoxelTable:
        """All fitted voxels."""
        load = partial(VoxelTable.load, self.store, self.model)
        table: VoxelTable = self.derived.get(("voxels", self.model.model_id), load)[0]
        return table

    def labels(self, method: str, *, semantic: bool) -> tuple[LabelTable, int]:
        """All labels by a method, or those of semantic voxels only."""
        every: tuple[LabelTable, int] = self.derived.get(
            ("labels", self.model.model_id, method), partial(LabelTable.load, self.store, self.model, method)
        )
        return (every[0].of_semantic(self.voxels()), every[1]) if semantic else every

    def label_counts(
        self, method: str, generation: int | None = None, *, semantic: bool, verified: bool = False
    ) -> tuple[pl.DataFrame, int]:
        """All words by how many voxels have them, as they were at a generation; None for the present one.

        Verified ones only count voxels in which they hold on held-out responses.

        Raises:
            BadInputError: the list of that generation is not kept any more.
        """
        table, made = self.labels(method, semantic=semantic)
        key = ("label counts", self.model.model_id, method, str(semantic), str(verified))
        if generation is None or generation == made:
            present = table.verified_counts if verified else table.counts
            self.derived.remember(key, made, present)
            return present, made
        counts: pl.DataFrame | None = self.derived.remembered(key, generation)
        if counts is None:
            raise BadInputError("The list of labels has changed since its first page was taken; take that one again.")
        return counts, generation

    def label_index(self) -> LabelIndex:
        """All labels of the atlas that have a vector of the model's label backbone."""
        backbone = self.model.label_backbone
        index: LabelIndex = self.derived.get(("label index", backbone), partial(LabelIndex.load, self.store, backbone))[
            0
        ]
        return index

    def indexed(self, readout: Readout, generation: int | None = None) -> tuple[IndexedVoxels, int]:
        """The voxels' vectors; of the newest generation where that is known."""
        load = partial(IndexedVoxels.load, self.store, self.model, readout, self.indexes / readout)
        return self.derived.get(("index", self.model.model_id, readout), load, generation)

    def spectrum(self) -> FeatureSpectrum:
        """Of the training features of a model with a text tower; it never changes."""

        def make(old: FeatureSpectrum | None) -> FeatureSpectrum:
            return old or model_spectrum(self.store, self.model.model_id)

        return self.derived.get(("spectrum", self.model.model_id), make)[0]

    def readout(self, readout: Readout) -> ReadoutTable:
        """What evidence takes of each voxel."""

        def make(old: ReadoutTable | None) -> ReadoutTable:
            return ReadoutTable.load(self.store, self.model, readout, old, self.spectrum())

        return self.derived.get(("readout", self.model.model_id, readout), make)[0]

    def penalties(self) -> Doubles:
        """The different penalties of the fitted voxels, ascending."""
        load = partial(Penalties.load, self.store, self.model)
        penalties: Penalties = self.derived.get(("penalties", self.model.model_id), load)[0]
        return penalties.values

    def band(self, readout: Readout, baseline: str, nouns: Floats) -> tuple[BandTable, int]:
        """What the vocabulary's nouns (n_nouns, dim) look like by a baseline, and the generation that it belongs to."""

        def make(old: BandTable | None) -> BandTable:
            return BandTable.load(self.indexed(readout)[0], self.readout(readout), nouns, old)

        return self.derived.get(("band", self.model.model_id, readout, baseline), make)

    def mixture(self, method: str, generation: int) -> tuple[LabelMixture, int]:
        """The voxels as mixtures of their labels by a method."""
        return self.derived.get(
            ("mixture", self.model.model_id, method),
            partial(LabelMixture.load, self.store, self.model, method),
            generation,
        )
