"""The questions that the atlas answers."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Annotated, Any

import strawberry
from strawberry import relay

from ...atlas.search import across
from ...atlas.search.filters import Filters
from ...atlas.search.similarity import Compared
from ...schemas.errors import BadInputError, NotFoundError
from ...schemas.tables import FORMAT_VERSION
from ..maps.top_labels import colour_map
from ..maps.value_maps import MapRequest, value_map
from .cursors import Cursor, page_size, question
from .request_context import Info
from .types.atlas_types import AtlasInfo, Run
from .types.comparisons import CompareResult, PredictResult, compare, predict
from .types.contrasts import ContrastQueries
from .types.enums import (
    Baseline,
    BaselineArgument,
    By,
    ByArgument,
    Metric,
    OutsideBand,
    PictureFormat,
    Readout,
    ReadoutArgument,
    how_compared,
)
from .types.fields import field, filled
from .types.flatmaps import (
    Flatmap,
    Focus,
    Format,
    LabelColoursPicture,
    Mark,
    Outlined,
    Range,
    Thick,
    Views,
    Width,
    colour_range,
    render_options,
)
from .types.groups import GroupQueries
from .types.label_types import Label, LabelConnection, ModelArgument, label_of, one_label
from .types.scorers import MethodArgument, ScorerArgument, scorer_name
from .types.subjects import ModelNode, Roi, SubjectNode, all_models, all_rois, all_subjects
from .types.voxels import Concept, First, MaxQ, MinZ, Semantic, Significant, Specific, Voxel, VoxelConnection, one_voxel
from .uploaded_images import decode_image

After = Annotated[
    str | None, strawberry.argument(description="pageInfo.endCursor of the page before; null for the first page.")
]


@strawberry.type(name="Query", description="Everything that can be asked.")
class RootQuery(GroupQueries, ContrastQueries):
    """The root fields."""

    node: relay.Node | None = relay.node(description="Anything that has a global id, by that id.")

    @field("The atlas as a whole.")
    def atlas(self, info: Info) -> AtlasInfo:
        """Counts and versions."""
        subjects, models = all_subjects(info.context.atlas), all_models(info.context.atlas)
        return AtlasInfo(
            format=FORMAT_VERSION,
            generation=info.context.atlas.generation(),
            simulated=any(subject.simulated for subject in subjects),
            n_subjects=len(subjects),
            n_models=len(models),
            n_voxels=sum(model.n_voxels for model in models),
        )

    @field("The subjects.")
    def subjects(self, info: Info) -> list[SubjectNode]:
        """Every subject."""
        return all_subjects(info.context.atlas)

    @field("The encoding models, newest first.")
    def models(self, info: Info) -> list[ModelNode]:
        """Every model."""
        return all_models(info.context.atlas)

    @field("The regions of interest.")
    def rois(
        self,
        info: Info,
        subject: Annotated[str | None, strawberry.argument(description="Only those of this subject.")] = None,
    ) -> list[Roi]:
        """Every ROI."""
        return all_rois(info.context.atlas, subject)

    @field("One region of interest; an error with code NOT_FOUND lists the known ones.")
    def roi(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="Name, for example FFA.")],
        subject: Annotated[str | None, strawberry.argument(description="The subject; the first by default.")] = None,
    ) -> Roi:
        """An ROI by name."""
        known = all_rois(info.context.atlas, subject)
        for roi in known:
            if roi.name == name:
                return roi
        names = ", ".join(dict.fromkeys(roi.name for roi in known)) or "none"
        raise NotFoundError(f"There is no ROI {name[:60]!r}; known are {names}.")

    @field("One voxel of a model.")
    def voxel(
        self,
        info: Info,
        index: Annotated[int, strawberry.argument(description="Number within the subject, from 0.")],
        model: ModelArgument = None,
    ) -> Voxel:
        """A voxel by number."""
        return one_voxel(info.context.atlas, model, index)

    @field("Voxels ranked by similarity to a concept, an image or another voxel; give exactly one of these.")
    def similar_voxels(
        self,
        info: Info,
        concept: Concept = None,
        image: Annotated[
            str | None, strawberry.argument(description="An image file of at most 8 MB, in base64 or as a data URL.")
        ] = None,
        voxel: Annotated[int | None, strawberry.argument(description="Number of a voxel of the same model.")] = None,
        model: ModelArgument = None,
        models: Annotated[
            list[str] | None,
            strawberry.argument(description="Instead of one model: up to 40 of one backbone, ranked together."),
        ] = None,
        rois: Annotated[
            list[str] | None, strawberry.argument(description="Only voxels in at least one of these regions.")
        ] = None,
        among: Annotated[
            list[int] | None, strawberry.argument(description="Only these voxels of the model, by their numbers.")
        ] = None,
        significant: Significant = True,
        semantic: Semantic = True,
        min_r2: Annotated[float | None, strawberry.argument(description="Only voxels with at least this r2.")] = None,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
        min_z: MinZ = None,
        max_q: MaxQ = None,
        specific: Specific = False,
        first: First = 20,
        after: After = None,
    ) -> VoxelConnection:
        """The main question."""
        compared = Compared(
            concept,
            decode_image(image) if image else None,
            voxel,
            **how_compared(by, readout, baseline),
        )
        filters = Filters(
            rois=rois or (),
            among=among,
            significant=significant,
            semantic=semantic,
            min_r2=min_r2,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
        )
        how = (compared.by, compared.readout, compared.baseline)
        asked = question(concept, image, voxel, model, models, *astuple(filters), *how)
        cursor = Cursor.decode(after, asked) if after else None
        atlas, items = info.context.atlas, page_size(first) + 1
        if models is not None:
            if model is not None:
                raise BadInputError("Give `model` or `models`, not both.")
            last = across.LastRow(cursor.score, cursor.model_id, cursor.key) if cursor else None
            hits = across.similar_voxels(
                [atlas.model(each) for each in models], compared, filters, first=items, after=last
            )
        else:
            behind = (cursor.score, cursor.key) if cursor else None
            # Pages of one list are pages of one model, also when a newer model was finished between them.
            owner = atlas.model(cursor.model_id if cursor else model)
            hits = owner.search(compared, filters, first=items, after=behind)
        edges = [
            relay.Edge(
                node=node,
                cursor=Cursor(node.similarity or 0.0, node.voxel, node.model_id, hits.generation, asked).encode(),
            )
            for node in (Voxel.of(row) for row in hits.frame.head(first).iter_rows(named=True))
        ]
        owners = [atlas.model(model_id) for model_id in hits.model_id.split(", ")]
        return filled(
            VoxelConnection,
            vars(hits),
            edges=edges,
            page_info=_page_info(edges, more=len(hits.frame) > first, later=cursor is not None),
            total_count=hits.total,
            hidden_count=hits.hidden,
            held_to=filters.held_to,
            model_id=owners[0].model_id,
            model_ids=[owner.model_id for owner in owners],
            subject_id=owners[0].subject_id,
            simulated=any(owner.simulated for owner in owners),
            by=By(hits.by),
            readout=Readout(hits.readout) if hits.readout else None,
            baseline=Baseline(hits.baseline) if hits.baseline else None,
        )

    @field("Words that describe voxels, those of most voxels first.")
    def labels(
        self,
        info: Info,
        search: Annotated[str, strawberry.argument(description="Only words that contain this.")] = "",
        model: ModelArgument = None,
        semantic: Semantic = True,
        verified: Annotated[
            bool, strawberry.argument(description="Count only voxels in which the word holds on held-out responses.")
        ] = False,
        first: First = 20,
        after: After = None,
    ) -> LabelConnection:
        """Labels and how common they are."""
        asked = question("labels", search, model, semantic, verified)
        cursor = Cursor.decode(after, asked) if after else None
        # As with voxels: pages of one list are pages of one model, and here of one generation.
        owner = info.context.atlas.model(cursor.model_id if cursor else model)
        hits = owner.labels(
            search,
            semantic=semantic,
            verified=verified,
            first=page_size(first) + 1,
            after=(int(cursor.score), cursor.key) if cursor else None,
            generation=cursor.generation if cursor else None,
        )
        edges = [
            relay.Edge(
                node=label_of(owner, hits, row["label"], row["n_voxels"], semantic=semantic),
                cursor=Cursor(row["n_voxels"], row["label_id"], hits.model_id, hits.generation, asked).encode(),
            )
            for row in hits.frame.head(first).iter_rows(named=True)
        ]
        return filled(
            LabelConnection,
            vars(owner),
            vars(hits),
            edges=edges,
            page_info=_page_info(edges, more=len(hits.frame) > first, later=cursor is not None),
            total_count=hits.total,
        )

    @field("How far two methods of labelling agree on a model's voxels.")
    def compare(
        self,
        info: Info,
        method_a: MethodArgument = None,
        method_b: MethodArgument = None,
        scorer_a: ScorerArgument = None,
        scorer_b: ScorerArgument = None,
        model: ModelArgument = None,
        semantic: Semantic = True,
        first: First = 20,
        baseline: BaselineArgument = Baseline.VOCABULARY,
    ) -> CompareResult:
        """Agreement of two methods."""
        methods = scorer_name(method_a, scorer_a), scorer_name(method_b, scorer_b)
        return compare(info.context.atlas, model, *methods, page_size(first), baseline.value, semantic=semantic)

    @field("What a model predicts for an image: the voxels that answer most.")
    def predict(
        self,
        info: Info,
        image: Annotated[
            str, strawberry.argument(description="An image file of at most 8 MB, in base64 or a data URL.")
        ],
        model: ModelArgument = None,
        first: First = 20,
    ) -> PredictResult:
        """Predicted responses."""
        return predict(info.context.atlas, image, model, page_size(first))

    @field("One word that describes voxels.")
    def label(
        self,
        info: Info,
        text: Annotated[str, strawberry.argument(description="The word, in any case.")],
        model: ModelArgument = None,
        semantic: Semantic = True,
    ) -> Label:
        """A label by its text."""
        return one_label(info, text, model, semantic=semantic)

    @field("A picture of the cortex; give exactly one of concept, metric, label and image, or metric Z and a concept.")
    def flatmap(
        self,
        info: Info,
        concept: Concept = None,
        metric: Annotated[Metric | None, strawberry.argument(description="A quantity that every voxel has.")] = None,
        label: Annotated[str | None, strawberry.argument(description="Probability of this label.")] = None,
        image: Annotated[
            str | None, strawberry.argument(description="Predicted response to an image file, in base64 or a data URL.")
        ] = None,
        model: ModelArgument = None,
        by: ByArgument = By.WEIGHTS,
        readout: ReadoutArgument = None,
        baseline: BaselineArgument = Baseline.VOCABULARY,
        method: MethodArgument = None,
        scorer: ScorerArgument = None,
        colormap: Annotated[
            str | None, strawberry.argument(description="matplotlib's name; chosen for the quantity by default.")
        ] = None,
        range: Range = None,  # noqa: A002  the argument's public name
        null_band: OutsideBand = False,
        rois: Outlined = None,
        width: Width = 1024,
        format: Format = PictureFormat.PNG,  # noqa: A002  the argument's public name
        significant: Annotated[
            bool, strawberry.argument(description="Show only voxels with q at most 0.05, curvature elsewhere.")
        ] = False,
        min_z: MinZ = None,
        max_q: MaxQ = None,
        specific: Specific = False,
        semantic: Semantic = True,
        opacity: Annotated[
            Metric | None,
            strawberry.argument(description="Voxels are clear where this is 0, and opaque at its 99th percentile."),
        ] = None,
        views: Views = None,
        focus: Focus = None,
        mark: Mark = None,
        thick: Thick = 1,
    ) -> Flatmap:
        """A map's address and how to read it."""
        lo, hi = colour_range(range)
        request = MapRequest(
            concept=concept,
            metric=metric.value if metric else None,
            label=label,
            picture=decode_image(image) if image else None,
            model=model,
            **how_compared(by, readout, baseline),
            method=scorer_name(method, scorer),
            colormap=colormap,
            lo=lo,
            hi=hi,
            null_band=null_band,
            significant=significant,
            min_z=min_z,
            max_q=max_q,
            specific=specific,
            semantic=semantic,
            alpha=opacity.value if opacity else None,
        )
        values = value_map(info.context.atlas, request)
        options = render_options(width, format, rois, views, focus, mark, thick)
        return Flatmap.of(info, values, info.context.pictures.address(values, options))

    @field("Every voxel in the colour of its first label: near in meaning, near in colour (figure 4 of the paper).")
    def label_colours(
        self,
        info: Info,
        model: ModelArgument = None,
        method: MethodArgument = None,
        scorer: ScorerArgument = None,
        rois: Outlined = None,
        semantic: Semantic = True,
        width: Width = 1024,
        format: Format = PictureFormat.PNG,  # noqa: A002  the argument's public name
        views: Views = None,
        focus: Focus = None,
        mark: Mark = None,
    ) -> LabelColoursPicture:
        """A picture of labels. The first of a model takes minutes; meanwhile the error `BUSY` says how far it is."""
        # First, since what cannot be drawn need not be worked out.
        options = render_options(width, format, rois, views, focus, mark)
        chosen = scorer_name(method, scorer)
        atlas, builds = info.context.atlas, info.context.builds
        coloured = colour_map(atlas, model, atlas.home, chosen, semantic=semantic, run=builds.run)
        return LabelColoursPicture.of(info, coloured, info.context.pictures.address(coloured, options))

    @field("The ingests, the latest first.")
    def runs(self, info: Info, first: First = 20) -> list[Run]:
        """Latest runs."""
        rows = info.context.atlas.runs().head(page_size(first))
        return [filled(Run, row) for row in rows.iter_rows(named=True)]


def _page_info(edges: Sequence[relay.Edge[Any]], *, more: bool, later: bool) -> relay.PageInfo:
    return relay.PageInfo(
        has_next_page=more,
        has_previous_page=later,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
