"""A concept over several subjects, as GraphQL gives it out."""

from typing import Annotated

import strawberry

from ....schemas.errors import BadInputError
from ....schemas.limits import LIMITS
from ...maps.group.group_maps import GroupMap, GroupRequest, group_map
from ...maps.group.label_differences import label_differences
from ...maps.picture_cache import PictureAddress
from ..cursors import page_size
from ..request_context import Info
from .enums import (
    Baseline,
    BaselineArgument,
    By,
    ByArgument,
    GroupQuantity,
    PictureFormat,
    ReadoutArgument,
    how_compared,
)
from .fields import field, filled, finite
from .flatmaps import Focus, Format, Outlined, Range, Views, Width, colour_range, picture_url, render_options
from .scorers import MethodArgument, ScorerArgument, scorer_name
from .voxels import First, MaxQ, MinZ, Semantic, Significant, Specific


@strawberry.type(description="A subject of a group.")
class GroupSubject:
    """Whose map is one of those that are averaged."""

    subject_id: str = strawberry.field(description="The subject.")
    model_id: str = strawberry.field(description="Its model.")
    leave_one_out_r: float | None = strawberry.field(
        description="Pearson correlation of its map with the mean of the others', -1 to 1; null where one is constant."
    )


@strawberry.type(description="A concept in the regions of one name, over subjects.")
class GroupRegion:
    """Regions meet by name."""

    roi: str = strawberry.field(description="The region.")
    n_subjects: int = strawberry.field(description="Subjects who have it.")
    mean: float = strawberry.field(description="Mean over subjects of the mean similarity in their own region.")
    low: float | None = strawberry.field(description="Lower end of its 95 % interval over subjects (Student's t).")
    high: float | None = strawberry.field(description="Upper end.")
    t: float | None = strawberry.field(description="Student's t against 0, over subjects.")
    p: float | None = strawberry.field(description="One-sided p, 0 to 1.")
    q: float | None = strawberry.field(description="False discovery rate over the regions, 0 to 1.")
    n_positive: int = strawberry.field(description="Subjects in whose region the mean similarity is above 0.")


@strawberry.type(description="A vertex of the mesh on which subjects meet.")
class GroupVertex:
    """What a concept comes to there, over subjects."""

    number: int = strawberry.field(description="Its number among those of both hemispheres, as `focus` takes it.")
    hemisphere: str = strawberry.field(description="left or right.")
    vertex: int = strawberry.field(description="Its number in the hemisphere.")
    n_subjects: int = strawberry.field(description="Subjects who have a value there.")
    mean: float | None = strawberry.field(description="Mean similarity; null where fewer than half of them have one.")
    t: float | None = strawberry.field(description="Student's t against 0, over subjects.")
    p: float | None = strawberry.field(description="One-sided p, 0 to 1.")
    q: float | None = strawberry.field(description="False discovery rate over the vertices, 0 to 1.")
    n_agree: int = strawberry.field(description="Subjects with a similarity above 0 that passes the limits.")
    similarities: list[float | None] = strawberry.field(description="Each subject's, in the order of `subjects`.")


@strawberry.type(name="GroupMap", description="A concept over subjects, who are the unit of every mean and test.")
class GroupMapNode:
    """What a group's map comes to, and where its picture is."""

    url: str = strawberry.field(description="Path of the picture on this server; its content never changes.")
    sha256: str = strawberry.field(description="SHA-256 of the request, the atlas's generation and the renderer.")
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    unit: str = strawberry.field(description="The quantity that is drawn, as the colour bar names it.")
    colormap: str = strawberry.field(description="Name of the colormap (matplotlib's names).")
    lo: float = strawberry.field(description="Value of the first colour, in `unit`.")
    hi: float = strawberry.field(description="Value of the last colour, in `unit`.")
    held_to: str = strawberry.field(description="What is drawn, and who agrees, in words; empty for no limits.")
    mesh: str = strawberry.field(description="Where subjects meet: fsaverage, fsaverage5, fsaverage6 or fs_LR.")
    subject_id: str = strawberry.field(description="The mesh as the page's addresses name it: group/ and the mesh.")
    subjects: list[GroupSubject] = strawberry.field(description="The subjects, by name.")
    leave_one_out_r: float | None = strawberry.field(description="Mean of theirs.")
    n_vertices: int = strawberry.field(description="Vertices that were tested.")
    n_significant: int = strawberry.field(description="Those with q at most 0.05 over subjects.")
    regions: list[GroupRegion] = strawberry.field(description="Regions that enough subjects have, by name.")
    baseline: Baseline = strawberry.field(description="What the concept is a contrast to.")
    how: str = strawberry.field(description="Readout and baseline, or the labels' scorer, in a few words.")
    simulated: bool = strawberry.field(description="True when a subject's responses were computed, not measured.")
    warnings: list[str] = strawberry.field(description="A sentence for each subject that is left out, and as in maps.")
    generation: int = strawberry.field(description="Number of the atlas's state.")
    found: strawberry.Private[GroupMap]

    @field("Vertices by their numbers; without numbers, those that show most: the greatest values, or the least q.")
    def vertices(
        self,
        numbers: Annotated[
            list[int] | None,
            strawberry.argument(description="At most 100, of both hemispheres, the right ones after the left."),
        ] = None,
        first: First = 20,
    ) -> list[GroupVertex]:
        """Some of them."""
        if len(numbers or ()) > LIMITS.first:
            raise BadInputError(f"{len(numbers or ())} vertices are asked for; take at most {LIMITS.first} at once.")
        chosen = self.found.first_vertices(page_size(first)) if numbers is None else numbers
        rows = self.found.vertices(chosen).iter_rows(named=True)
        return [filled(GroupVertex, row, similarities=list(map(finite, row["similarities"]))) for row in rows]

    @classmethod
    def of(cls, info: Info, found: GroupMap, address: PictureAddress) -> "GroupMapNode":
        """A group's map whose picture was given an address."""
        return filled(
            cls,
            found.about,
            vars(address),
            url=picture_url(info, address),
            subject_id=found.subject_id,
            subjects=[filled(GroupSubject, row) for row in found.subjects().iter_rows(named=True)],
            n_vertices=found.statistics.n_tested,
            regions=[filled(GroupRegion, row) for row in found.regions.iter_rows(named=True)],
            baseline=Baseline(found.request.baseline),
            found=found,
        )


@strawberry.type(description="Two labels that come first in two subjects at the same vertices.")
class LabelPair:
    """Where subjects differ."""

    label_a: str = strawberry.field(description="First label in subject A.")
    label_b: str = strawberry.field(description="First label in subject B.")
    n_vertices: int = strawberry.field(description="Vertices of the shared surface where it is so.")
    similarity: float | None = strawberry.field(
        description="Cosine of the two less the baseline, -1 to 1; null where one has no vector."
    )


@strawberry.type(description="How far two subjects' first labels agree in a region.")
class RegionAgreement:
    """Means over vertices."""

    roi: str | None = strawberry.field(description="The region; null for all vertices.")
    n_vertices: int = strawberry.field(description="Vertices that are labelled in both subjects.")
    same_share: float | None = strawberry.field(description="Share of them with the same first label, 0 to 1.")
    mean_similarity: float | None = strawberry.field(description="Mean cosine of the two labels, -1 to 1.")


@strawberry.type(name="LabelDifferences", description="First labels of two subjects on a surface that they share.")
class LabelDifferencesNode:
    """Aggregates over vertices."""

    model_a: str = strawberry.field(description="Model of subject A.")
    model_b: str = strawberry.field(description="Model of subject B.")
    mesh: str = strawberry.field(description="Where subjects meet: fsaverage, fsaverage5, fsaverage6 or fs_LR.")
    simulated: bool = strawberry.field(description="True when a subject's responses were computed, not measured.")
    n_pairs: int = strawberry.field(description="Pairs of labels that differ.")
    pairs: list[LabelPair] = strawberry.field(description="The first of them, those of most vertices first.")
    regions: list[RegionAgreement] = strawberry.field(description="All vertices, and then each region.")


@strawberry.type
class GroupQueries:
    """Root fields about groups."""

    @field("A concept over subjects on fsaverage or fs_LR; subjects are the unit of its means and tests.")
    def group_map(
        self,
        info: Info,
        concept: Annotated[str, strawberry.argument(description="Words in English, as in `similarVoxels`.")],
        models: Annotated[
            list[str] | None,
            strawberry.argument(
                description="One of each subject; by default its newest one of the newest model's network."
            ),
        ] = None,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
        significant: Significant = False,
        semantic: Semantic = True,
        smooth: Annotated[
            float, strawberry.argument(description="Smooth each map over so many mm (full width at half maximum).")
        ] = 0.0,
        min_z: MinZ = None,
        max_q: MaxQ = None,
        specific: Specific = False,
        show: Annotated[
            GroupQuantity, strawberry.argument(description="What is drawn; minZ, maxQ and specific say who agrees.")
        ] = GroupQuantity.MEAN,
        group_q: Annotated[
            float | None, strawberry.argument(description="Draw only vertices with at most this q over subjects.")
        ] = None,
        colormap: Annotated[str | None, strawberry.argument(description="matplotlib's name.")] = None,
        range: Range = None,  # noqa: A002  the argument's public name
        rois: Outlined = None,
        width: Width = 1024,
        format: Format = PictureFormat.PNG,  # noqa: A002  the argument's public name
        views: Views = None,
        focus: Focus = None,
    ) -> GroupMapNode:
        """A group's map."""
        lo, hi = colour_range(range)
        options = render_options(width, format, rois, views, focus, None)
        request = GroupRequest(
            concept=concept,
            models=tuple(models or ()),
            **how_compared(by, readout, baseline),
            significant=significant,
            semantic=semantic,
            smooth=smooth,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
            show=show.value,
            group_q=group_q,
            colormap=colormap,
            lo=lo,
            hi=hi,
        )
        found = group_map(info.context.atlas, request, info.context.cortices)
        return GroupMapNode.of(info, found, info.context.pictures.address(found, options))

    @field("Where the first labels of two subjects differ on a surface that they share.")
    def label_differences(
        self,
        info: Info,
        model_a: Annotated[str, strawberry.argument(description="Model of one subject.")],
        model_b: Annotated[str, strawberry.argument(description="Model of the other one.")],
        method: MethodArgument = None,
        scorer: ScorerArgument = None,
        semantic: Semantic = True,
        first: First = 20,
    ) -> LabelDifferencesNode:
        """Two subjects' labels."""
        first, chosen = page_size(first), scorer_name(method, scorer)
        found = label_differences(
            info.context.atlas, model_a, model_b, method=chosen, semantic=semantic, cortices=info.context.cortices
        )
        return LabelDifferencesNode(
            model_a=found.a.model_id,
            model_b=found.b.model_id,
            mesh=found.mesh,
            simulated=found.a.simulated or found.b.simulated,
            n_pairs=len(found.pairs),
            pairs=[filled(LabelPair, row) for row in found.pairs.head(first).iter_rows(named=True)],
            regions=[filled(RegionAgreement, row) for row in found.regions.iter_rows(named=True)],
        )
