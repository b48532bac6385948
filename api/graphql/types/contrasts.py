"""Concepts beside each other and beside the vocabulary."""

from typing import Annotated, Any

import polars as pl
import strawberry

from ....atlas.search.across import roi_means
from ....atlas.search.contrasts.preference import Contrast, in_regions
from ....atlas.search.similarity import Similarities
from ..cursors import page_size
from ..request_context import Info
from .enums import (
    Baseline,
    BaselineArgument,
    By,
    ByArgument,
    Preferred,
    Readout,
    ReadoutArgument,
    how_compared,
)
from .fields import Thing, field, filled
from .label_types import ModelArgument
from .voxels import First, Semantic, Significant


@strawberry.type(name="NullBand", description="What the vocabulary's nouns look like in a model's voxels.")
class NullBandNode:
    """The band of each voxel comes as a frame from /frames/null_band, and inside or not from /values with band=1."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    generation: int = strawberry.field(description="Number of the atlas's state.")
    readout: Readout = strawberry.field(description="Which vector of a voxel is compared.")
    n_words: int = strawberry.field(description="Nouns of the vocabulary.")
    reach: float = strawberry.field(
        description="Similarity at the ends of the scale of concepts' maps: 99 % of the nouns' are nearer to 0."
    )
    reach_z: float = strawberry.field(description="The same of their z; 0 where z is not known.")


@strawberry.type(description="A concept in a region.")
class RoiSimilarity:
    """A mean over voxels, with an interval over blocks of cortex."""

    roi: str = strawberry.field(description="The region.")
    concept: str = strawberry.field(description="The concept.")
    n_voxels: int = strawberry.field(description="Voxels of the region that count.")
    n_blocks: int | None = strawberry.field(
        description="Blocks of 1 cm of cortex that they lie in; null where it is not known where."
    )
    mean: float | None = strawberry.field(description="Mean similarity; null without a voxel.")
    sd: float | None = strawberry.field(description="Standard deviation over voxels.")
    low: float | None = strawberry.field(
        description="Lower end of the mean's 95 % interval over blocks; null for fewer than 3."
    )
    high: float | None = strawberry.field(description="Upper end.")
    specific: float | None = strawberry.field(
        description="Share of the voxels to which the concept is specific, 0 to 1; null where that is not known."
    )


@strawberry.type(description="A concept in a region of one of several models.")
class RoiMean:
    """A row of `across.roi_means`."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    roi: str = strawberry.field(description="The region.")
    concept: str = strawberry.field(description="The concept.")
    n_voxels: int = strawberry.field(description="Voxels of the region that count.")
    mean: float | None = strawberry.field(description="Mean similarity; null without a voxel.")


@strawberry.type(description="Concepts in the regions of several models.")
class RoiMeans:
    """By model and region, and within them as the concepts were asked."""

    rows: list[RoiMean] = strawberry.field(description="A row for each model, region and concept.")
    warnings: list[str] = strawberry.field(description="A sentence for each word that a text tower does not know.")
    generation: int = strawberry.field(description="Number of the atlas's state.")


@strawberry.type(description="How alike two concepts' maps are.")
class ConceptCorrelation:
    """One cell of a matrix."""

    a: str = strawberry.field(description="One concept.")
    b: str = strawberry.field(description="The other one.")
    r: float | None = strawberry.field(description="Pearson's r over voxels; null where a map does not vary.")


@strawberry.type(description="Which of two concepts voxels prefer, in a region or in all.")
class RegionContrast:
    """Counts and means over voxels."""

    roi: str | None = strawberry.field(description="The region; null for all voxels that count.")
    n_voxels: int = strawberry.field(description="Voxels that count.")
    n_blocks: int | None = strawberry.field(
        description="Blocks of 1 cm of cortex that they lie in; null where it is not known where."
    )
    mean_a: float | None = strawberry.field(description="Mean similarity to A.")
    mean_b: float | None = strawberry.field(description="Mean similarity to B.")
    share: float | None = strawberry.field(description="Share of the voxels that prefers A, 0 to 1.")
    low: float | None = strawberry.field(
        description="Lower end of its 95 % interval over blocks; null for fewer than 3."
    )
    high: float | None = strawberry.field(description="Upper end.")
    n_a: int | None = strawberry.field(description="Voxels that prefer A with qA at most 0.05; null without z.")
    n_b: int | None = strawberry.field(description="Voxels that prefer B with qB at most 0.05.")


@strawberry.type(description="A voxel between two concepts.")
class VoxelContrast:
    """A row of `Model.contrast`."""

    voxel: int = strawberry.field(description="Number within the subject, from 0.")
    a: float = strawberry.field(description="Similarity to A.")
    b: float = strawberry.field(description="Similarity to B.")
    similarity: float = strawberry.field(description="Similarity to A - B; above 0 where it prefers A.")
    z: float | None = strawberry.field(description="Standard errors of that from 0; null where it is not known.")
    q_a: float | None = strawberry.field(description="False discovery rate of its being above 0, 0 to 1.")
    q_b: float | None = strawberry.field(description="False discovery rate of its being below 0, 0 to 1.")


@strawberry.interface(description="What an answer about concepts says of itself.")
class OfConcepts:
    """How voxels were compared."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    how: str = strawberry.field(description="Readout and baseline, or the labels' scorer, in a few words.")
    warnings: list[str] = strawberry.field(description="A sentence for each word that the text tower does not know.")
    generation: int = strawberry.field(description="Number of the atlas's state.")


@strawberry.type(description="Concepts in regions.")
class RoiSimilarities(OfConcepts):
    """By region, and within it as the concepts were asked."""

    rows: list[RoiSimilarity] = strawberry.field(description="A row for each region and concept.")


@strawberry.type(description="How alike the maps of some concepts are.")
class ConceptCorrelations(OfConcepts):
    """A matrix, row by row."""

    rows: list[ConceptCorrelation] = strawberry.field(description="A row for every two of the concepts, both ways.")


@strawberry.type(name="Contrast", description="Two concepts against each other.")
class ContrastNode(OfConcepts):
    """Aggregates first; voxels where they are asked for."""

    a: str = strawberry.field(description="One concept.")
    b: str = strawberry.field(description="The other one.")
    found: strawberry.Private[Contrast]

    @field("All voxels that count, and then each region.")
    def regions(self, info: Info) -> list[RegionContrast]:
        """`Model.contrast_regions`, of the voxels that were compared already."""
        return _rows(RegionContrast, in_regions(self.found, info.context.atlas.model(self.model_id).tables).frame)

    @field("Voxels that prefer one of the two, those that prefer it most first.")
    def voxels(
        self,
        prefer: Annotated[Preferred, strawberry.argument(description="Which one.")] = Preferred.A,
        max_q: Annotated[
            float | None, strawberry.argument(description="Only voxels with at most this q of the preference.")
        ] = None,
        first: First = 20,
    ) -> list[VoxelContrast]:
        """The strongest preferences."""
        first = page_size(first)
        is_a = prefer is Preferred.A
        chosen = self.found.frame.filter(pl.col("similarity") > 0 if is_a else pl.col("similarity") < 0)
        if max_q is not None:
            chosen = chosen.filter(pl.col("q_a" if is_a else "q_b") <= max_q)
        best = chosen.sort("similarity", "voxel", descending=[is_a, False]).head(first)
        return [filled(VoxelContrast, row) for row in best.iter_rows(named=True)]


Concepts = Annotated[list[str], strawberry.argument(description="1 to 100, each as in `similarVoxels`.")]
Regions = Annotated[list[str] | None, strawberry.argument(description="Only these regions; all by default.")]
Within = Annotated[list[str] | None, strawberry.argument(description="Only voxels in at least one of these regions.")]


@strawberry.type
class ContrastQueries:
    """Root fields about concepts beside each other."""

    @field("The scale of a model's maps, by the vocabulary's nouns; `flatmap` takes it, and the band, too.")
    def null_band(self, info: Info, model: ModelArgument = None, readout: ReadoutArgument = None) -> NullBandNode:
        """One scale for the maps of all concepts."""
        owner = info.context.atlas.model(model)
        chosen = readout.value if readout else None
        band, reach = owner.null_band(readout=chosen), owner.reach(readout=chosen)
        reach_z = owner.reach(readout=chosen, z=True)
        about = vars(owner) | vars(band)
        return filled(NullBandNode, about, readout=Readout(band.readout), reach=reach, reach_z=reach_z)

    @field("How similar the voxels of regions are to up to 100 concepts, with intervals, in one answer.")
    def roi_similarities(
        self,
        info: Info,
        concepts: Concepts,
        rois: Regions = None,
        model: ModelArgument = None,
        significant: Significant = True,
        semantic: Semantic = True,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
    ) -> RoiSimilarities:
        """`Model.roi_table`."""
        how, owner = how_compared(by, readout, baseline), info.context.atlas.model(model)
        found = owner.roi_table(concepts, rois=rois or (), significant=significant, semantic=semantic, **how)
        return _answer(info, RoiSimilarities, found, rows=_rows(RoiSimilarity, found.frame))

    @field("Mean similarities of the regions of up to 40 models to up to 100 concepts, in one answer.")
    def roi_means(
        self,
        info: Info,
        concepts: Concepts,
        models: Annotated[
            list[str] | None, strawberry.argument(description="Of any subjects and backbones; all by default.")
        ] = None,
        rois: Regions = None,
        significant: Significant = True,
        semantic: Semantic = True,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
    ) -> RoiMeans:
        """`across.roi_means`."""
        atlas = info.context.atlas
        every = atlas.models().filter("has_text", pl.col("n_voxels") > 0)["model_id"].to_list()
        chosen = [atlas.model(each) for each in (every or [None] if models is None else models)]
        found = roi_means(
            chosen,
            concepts,
            rois=rois or (),
            significant=significant,
            semantic=semantic,
            readout=readout.value if readout else None,
            baseline=baseline.value,
        )
        rows = _rows(RoiMean, found.frame)
        return RoiMeans(rows=rows, warnings=found.warnings, generation=atlas.generation())

    @field("How alike the maps of up to 100 concepts are.")
    def concept_correlations(
        self,
        info: Info,
        concepts: Concepts,
        rois: Within = None,
        model: ModelArgument = None,
        significant: Significant = True,
        semantic: Semantic = True,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
    ) -> ConceptCorrelations:
        """`Model.concept_matrix`."""
        how, owner = how_compared(by, readout, baseline), info.context.atlas.model(model)
        found = owner.concept_matrix(concepts, rois=rois or (), significant=significant, semantic=semantic, **how)
        return _answer(info, ConceptCorrelations, found, rows=_rows(ConceptCorrelation, found.frame))

    @field("Which of two concepts voxels prefer: the share in all and in each region, and voxels with z and q.")
    def contrast(
        self,
        info: Info,
        a: Annotated[str, strawberry.argument(description="One concept.")],
        b: Annotated[str, strawberry.argument(description="The other one.")],
        model: ModelArgument = None,
        significant: Significant = True,
        semantic: Semantic = True,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
    ) -> ContrastNode:
        """`Model.contrast`."""
        how, owner = how_compared(by, readout, baseline), info.context.atlas.model(model)
        found = owner.contrast(a, b, significant=significant, semantic=semantic, **how)
        return _answer(info, ContrastNode, found, found=found)


def _rows(kind: type[Thing], frame: pl.DataFrame) -> list[Thing]:
    return [filled(kind, row) for row in frame.iter_rows(named=True)]


def _answer(info: Info, kind: type[Thing], of: Similarities, **others: Any) -> Thing:
    owner = info.context.atlas.model(of.model_id)
    return filled(kind, vars(owner), vars(of), how=of.how, **others)
