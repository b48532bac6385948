"""What a report is about: some models of an atlas and, where they are on this machine, the data behind them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...atlas.backbones.interface import Floats
from ...atlas.search.atlas import Atlas
from ...atlas.search.contrasts.blocks import BLOCK_MM, N_RESAMPLES, cortex_blocks, unplaced_blocks
from ...atlas.search.model import Model
from ...ingest.datasets import open_dataset
from ...ingest.datasets.rois import SELECTIVE
from ...ingest.progress import Advance, Progress
from ...schemas.config import IngestConfig, Settings
from ...schemas.errors import AtlasError, NotFoundError
from ..maps.subject_cortex import CortexCache
from .analysis.label_statistics import first_labels
from .analysis.measured_truth import require_labels, shown_by
from .analysis.study_data import StudyData

CONCEPTS = ("tennis player", "man", "kitchen", "cake", "sign")
"""Concepts whose maps the paper's Fig. 4 shows."""
SELECTIVE_ROIS = ("FFA", "EBA", "RSC", "VWFA", "FOOD")
"""The paper's category-selective regions; their union is the ROI `selective`."""


@dataclass(frozen=True)
class Options:
    """What a report may be told beside the models.

    Raises:
        NotFoundError: the file `labels` is not there.
    """

    labels: Path | None = None
    """What the images show: a CSV or COCO annotations."""
    categories: tuple[str, ...] = ()
    """Categories of Fig. 5; none means all that there is ground truth for."""
    concepts: tuple[str, ...] = CONCEPTS
    sample: int = 500
    """Voxels that the learning curve and the shuffled control are fitted on."""
    all_voxels: bool = False
    """Whether voxels count that low-level properties may explain; see `Model.similar`."""
    every_model: bool = False
    """Whether it is about every subject and backbone, as small multiples."""

    def __post_init__(self) -> None:
        if self.labels is not None:
            require_labels(self.labels)


def newest_of_each(atlas: Atlas, *, backbone: bool = False) -> list[Model]:
    """The newest model of each subject, or of each subject and backbone; unfinished ones only if nothing is finished.

    Raises:
        NotFoundError: there is no model.
    """
    newest = atlas.model(None)
    if not newest.finished:
        return [newest]
    units = ["subject_id", "backbone"] if backbone else ["subject_id"]
    finished = atlas.models().filter("finished").unique(units, keep="first", maintain_order=True)
    return [atlas.model(model_id) for model_id in finished.sort(units)["model_id"]]


class Study:
    """Models of an open atlas. What takes long is worked out once, when a section asks for it.

    Raises:
        NotFoundError: there is no such model, or `Options.labels` name no image of any subject.
        BadInputError: that file is not what it should be.
    """

    def __init__(
        self, atlas: Atlas, settings: Settings, models: Sequence[str], options: Options, progress: Progress
    ) -> None:
        self.atlas, self.settings, self.options, self.progress = atlas, settings, options, progress
        chosen = [atlas.model(name) for name in models] or newest_of_each(atlas, backbone=options.every_model)
        self.models: list[Model] = list({model.model_id: model for model in chosen}.values())
        self.cortices = CortexCache(atlas, settings)
        self._kept: dict[tuple[str, str], object] = {}
        self._unplaced: list[str] = []
        self.advance: Advance = lambda _: None
        """Told of each part of a section that is done."""
        if options.labels is not None:
            self._require_shown(options.labels)

    def _require_shown(self, labels: Path) -> None:
        """Refuse labels that name no image of any subject, before figures are drawn.

        Raises:
            NotFoundError: they name no image of a subject whose data are here.
            BadInputError: the file is not what it should be.
        """
        unmatched: NotFoundError | None = None
        for model in self.models:
            try:
                dataset = self.data(model).dataset
            except AtlasError:
                continue
            try:
                shown_by(dataset, labels)
            except NotFoundError as error:
                unmatched = error
            else:
                return
        if unmatched is not None:
            raise unmatched

    @property
    def subjects(self) -> list[str]:
        """The models' subjects."""
        return sorted({model.subject_id for model in self.models})

    def each_model(self) -> Iterator[Model]:
        """The models, and progress after each."""
        for model in self.models:
            yield model
            self.advance(1)

    @cached_property
    def members(self) -> pl.DataFrame:
        """Which voxels are in which ROI: subject_id, voxel, roi; small multiples have room for the paper's only."""
        every = self.atlas.store.frame(
            "SELECT subject_id, voxel, roi FROM voxel_roi WHERE list_contains(?, subject_id) ORDER BY ALL",
            [self.subjects],
        )
        papers = every.filter(pl.col("roi").is_in(SELECTIVE_ROIS))
        return papers if self.options.every_model and not papers.is_empty() else every

    @cached_property
    def selective(self) -> pl.DataFrame:
        """subject_id, voxel: the voxels in the ROI `selective`, or in one of those that it is the union of."""
        sql = "SELECT DISTINCT subject_id, voxel FROM voxel_roi WHERE list_contains(?, subject_id) AND "
        named = self.atlas.store.frame(sql + "roi = ?", [self.subjects, SELECTIVE])
        parts = self.atlas.store.frame(sql + "list_contains(?, roi)", [self.subjects, list(SELECTIVE_ROIS)])
        others = parts.filter(~pl.col("subject_id").is_in(named["subject_id"].unique().implode()))
        return pl.concat([named, others]).sort("subject_id", "voxel")

    @cached_property
    def blocks(self) -> pl.DataFrame:
        """subject_id, voxel, block: the block of cortex that each voxel is resampled with, see `analysis.blocks`."""
        frames = []
        for subject_id in self.subjects:
            try:
                block = cortex_blocks(self.cortices.of(subject_id).places)
                voxels = np.arange(len(block))
            except AtlasError:
                voxels = np.unique(
                    np.concatenate([m.tables.voxels().voxels for m in self.models if m.subject_id == subject_id])
                )
                block = unplaced_blocks(len(voxels))
                self._unplaced.append(subject_id)
            columns = {"voxel": voxels.astype(np.int32), "block": block}
            frames.append(pl.DataFrame(columns).select(pl.lit(subject_id).alias("subject_id"), "voxel", "block"))
        return pl.concat(frames)

    def in_blocks(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows (subject_id, voxel, …) with the column `block`."""
        return frame.join(self.blocks, on=["subject_id", "voxel"], how="left", maintain_order="left")

    def about_blocks(self) -> str:
        """How intervals over voxels are made."""
        blocks = self.blocks
        unplaced = "".join(
            f" Where the voxels of {subject_id} are is not known, so they are taken for independent and intervals are "
            "too narrow."
            for subject_id in self._unplaced
        )
        n = blocks.group_by("subject_id", maintain_order=True).agg(pl.col("block").n_unique())
        counts = ", ".join(f"{blocks:,} in {subject_id}" for subject_id, blocks in n.iter_rows())
        return (
            f"Intervals and p over voxels: {N_RESAMPLES:,} bootstrap resamples of blocks of cortex, cubes of "
            f"{BLOCK_MM:g} mm ({counts}), since neighbouring voxels are not independent; p = (b + 1)/(B + 1)."
            + unplaced
        )

    def about_simulated(self) -> str:
        """What each caption says of subjects whose responses were not measured."""
        simulated = list(dict.fromkeys(model.subject_id for model in self.models if model.simulated))
        return f" Simulated: {', '.join(simulated)}." if simulated else ""

    def about_similarity(self) -> str:
        """Readout and baseline that maps of concepts are drawn with."""
        readouts = {model.backbone: model.readout() for model in self.models if model.has_text}
        said = [
            f"{name}: {readout} readouts, less the mean noun (baseline vocabulary)"
            for name, readout in readouts.items()
        ]
        said += [
            f"{name}: labels, as it has no text tower" for name in {m.backbone for m in self.models if not m.has_text}
        ]
        return f"Similarity of a concept to a voxel by {'; '.join(said)}."

    @cached_property
    def first_labels(self) -> pl.DataFrame:
        """model_id, subject_id, voxel, method, label: the first label of each voxel by each method."""
        return pl.concat(
            first_labels(self.atlas, model.model_id).select(
                pl.lit(model.model_id).alias("model_id"), pl.lit(model.subject_id).alias("subject_id"), pl.all()
            )
            for model in self.models
        )

    def shown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows (model_id, voxel, …) of the voxels that figures of labels show: see `Options.all_voxels`."""
        for model in () if frame.is_empty() else self.models:
            semantic = not self.options.all_voxels
            shown = model.tables.voxels().are_shown(frame["voxel"].to_numpy(), semantic=semantic)
            frame = frame.filter((pl.col("model_id") != model.model_id) | pl.Series(shown))
        return frame

    def about_shown(self) -> str:
        """What is said of the voxels that are not shown."""
        tables = {model.model_id: model.tables.voxels() for model in self.models}
        left_out = []
        for name, table in tables.items():
            labelled = self.first_labels.filter(pl.col("model_id") == name)["voxel"].unique()
            hidden = np.count_nonzero(~table.are_shown(labelled.to_numpy(), semantic=True))
            n_hidden, n = np.count_nonzero(~table.semantic), len(table.voxels)
            left_out.append(
                f"of {name} {n_hidden:,} of {n:,} fitted and {hidden:,} of {len(labelled):,} labelled voxels"
            )
        unknown = [model.semantic_unknown for model in self.models if not tables[model.model_id].semantic_known]
        shown = "are among them" if self.options.all_voxels else "are left out; --all-voxels shows them"
        return (
            "Voxels whose predicted responses luminance, contrast and edges of the images may explain (semantic_q "
            f"above 0.05: {'; '.join(left_out)}) {shown}." + "".join(f" {sentence}" for sentence in unknown)
        )

    def methods(self, model: Model) -> list[str]:
        """Methods that have labelled a model's voxels.

        Raises:
            NotFoundError: none has.
        """
        methods = model.methods()
        if not methods:
            raise NotFoundError(f"{model.model_id} has no labelled voxel.")
        return methods

    def data(self, model: Model) -> StudyData:
        """The data that a model was fitted to.

        Raises:
            AtlasError: they are not on this machine, or are others.
        """

        def make() -> StudyData:
            config = IngestConfig.model_validate_json(model.config)
            if config.root and not Path(config.root).is_dir():
                raise NotFoundError(
                    f"{config.root}: the data of {model.model_id} are not there any more; the same ingest with --root "
                    "where they are now tells the atlas, and fits nothing anew."
                )
            return StudyData.of(model.model_id, config, open_dataset(config, self.settings.home))

        data: StudyData = self._once("data", model, make)
        return data

    def features(self, model: Model) -> Floats:
        """Features of all images of a model's subject by its backbone, (n_images, dim).

        Raises:
            AtlasError: the network or the images are not on this machine.
        """

        def make() -> Floats:
            data = self.data(model)
            backbone = self.atlas.text_towers.backbone(model.backbone)
            return data.features(backbone, self.settings.home, self.settings.batch_images)

        features: Floats = self._once("features", model, make)
        return features

    def _once(self, what: str, model: Model, make: Callable[[], Any]) -> Any:
        key = (what, model.model_id)
        if key not in self._kept:
            try:
                self._kept[key] = make()
            except AtlasError as error:
                self._kept[key] = error
        kept = self._kept[key]
        if isinstance(kept, AtlasError):
            raise kept
        return kept
