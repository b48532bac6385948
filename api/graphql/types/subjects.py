"""Subjects, their regions and the models that were fitted to them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import strawberry
from strawberry import relay

from ....atlas.search.atlas import Atlas
from ....schemas.errors import NotFoundError
from ..cursors import page_size
from ..request_context import Info
from .fields import field, filled
from .scorers import MethodArgument, ScorerArgument, scorer_name
from .voxels import First, Semantic

Thing = TypeVar("Thing")


@strawberry.type(name="Subject", description="Whose responses an atlas holds.")
class SubjectNode(relay.Node):
    """One row of the subject table."""

    subject_id: relay.NodeID[str]
    dataset: str = strawberry.field(description="nsd, nod, laion-fmri, algonauts, folder or simulated.")
    simulated: bool = strawberry.field(description="True when the responses were computed, not measured.")
    space: str = strawberry.field(description="volume (voxels) or surface (vertices).")
    surface: str | None = strawberry.field(description="pycortex subject that shows it; null when there is none.")
    shape: list[int] | None = strawberry.field(
        description="Volume as (z, y, x) in voxels, or (left, right) in vertices."
    )
    n_voxels: int = strawberry.field(description="Voxels or vertices that the atlas holds of it.")
    description: str = strawberry.field(description="One sentence for people.")

    @field("Readable id, for example nsd/subj05.", name="subjectId")
    def readable_id(self) -> str:
        """The id as SQL knows it."""
        return self.subject_id

    @classmethod
    def resolve_nodes(  # type: ignore[override]
        cls, *, info: Info, node_ids: Iterable[str], required: bool = False
    ) -> list["SubjectNode | None"]:
        """Subjects by id; None where there is none."""
        known = {subject.subject_id: subject for subject in all_subjects(info.context.atlas)}
        return pick(known, node_ids, required=required)

    @field("Its regions of interest.")
    def rois(self, info: Info) -> list["Roi"]:
        """ROIs of this subject."""
        return all_rois(info.context.atlas, self.subject_id)

    @field("The models that were fitted to it, newest first.")
    def models(self, info: Info) -> list["ModelNode"]:
        """Models of this subject."""
        return [model for model in all_models(info.context.atlas) if model.subject_id == self.subject_id]


@strawberry.type(description="How often a label comes first in a region.")
class LabelShare:
    """One bar of the paper's figure 3."""

    text: str = strawberry.field(description="The label.")
    n_voxels: int = strawberry.field(description="Voxels of the region whose first label it is.")
    share: float = strawberry.field(description="The same as a share of the region's labelled voxels, 0 to 1.")
    model_id: str = strawberry.field(description="The model whose labels are counted.")
    method: str = strawberry.field(description="The method that scored them, for example brainlmm-eq2.")


@strawberry.type(description="A region of interest of one subject.")
class Roi(relay.Node):
    """One row of the roi table."""

    key: relay.NodeID[str]
    subject_id: str = strawberry.field(description="The subject.")
    name: str = strawberry.field(description="Name, for example FFA.")
    source: str = strawberry.field(description="Where it comes from: localiser, drawn, atlas, user or simulated.")
    description: str = strawberry.field(description="What defines it, with the threshold where there is one.")
    n_voxels: int = strawberry.field(description="Voxels in it.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")

    @field("Number of the atlas's state.")
    def generation(self, info: Info) -> int:
        """The newest one, or with patience that of a moment ago."""
        return info.context.atlas.generation()

    @classmethod
    def resolve_nodes(cls, *, info: Info, node_ids: Iterable[str], required: bool = False) -> list["Roi | None"]:  # type: ignore[override]
        """ROIs by the part of their global id that says which; None where there is none."""
        known = {roi.key: roi for roi in all_rois(info.context.atlas)}
        return pick(known, node_ids, required=required)

    @field("The labels that most often come first in its voxels (figure 3 of the paper).")
    def top_labels(
        self,
        info: Info,
        first: First = 10,
        model: Annotated[
            str | None, strawberry.argument(description="Model id; the subject's newest finished one by default.")
        ] = None,
        method: MethodArgument = None,
        scorer: ScorerArgument = None,
        semantic: Semantic = True,
    ) -> list[LabelShare]:
        """The commonest first labels."""
        if model is None:
            models = [m for m in all_models(info.context.atlas) if m.subject_id == self.subject_id]
            if not models:
                return []
            model = models[0].model_id
        owner = info.context.atlas.model(model)
        chosen = owner.method(scorer_name(method, scorer))
        rows = owner.roi_top_labels(self.name, method=chosen, semantic=semantic, first=page_size(first))
        return [
            filled(LabelShare, row, text=row["label"], model_id=owner.model_id, method=chosen)
            for row in rows.iter_rows(named=True)
        ]


@strawberry.type(name="Model", description="An encoding model: a subject, a backbone and a configuration.")
class ModelNode(relay.Node):
    """One row of the model table."""

    model_id: relay.NodeID[str]
    subject_id: str = strawberry.field(description="The subject.")
    backbone: str = strawberry.field(description="Network whose features the model uses.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    config: str = strawberry.field(description="Every setting that the results depend on, as JSON.")
    n_train: int = strawberry.field(description="Images that it was fitted on.")
    n_test: int = strawberry.field(description="Images that it was tested on.")
    n_voxels: int = strawberry.field(description="Voxels that were fitted.")
    n_dropped: int = strawberry.field(description="Voxels that were left out: a response was NaN or did not vary.")
    n_significant: int = strawberry.field(description="Voxels with q at most 0.05.")
    finished: bool = strawberry.field(description="Whether its ingest has ended well.")

    @field("subject/backbone/first six digits of the configuration's hash.", name="modelId")
    def readable_id(self) -> str:
        """The id as SQL knows it."""
        return self.model_id

    @classmethod
    def resolve_nodes(cls, *, info: Info, node_ids: Iterable[str], required: bool = False) -> list["ModelNode | None"]:  # type: ignore[override]
        """Models by id; None where there is none."""
        known = {model.model_id: model for model in all_models(info.context.atlas)}
        return pick(known, node_ids, required=required)


def pick(known: Mapping[str, Thing], identities: Iterable[str], *, required: bool) -> list[Thing | None]:
    """The things of these ids; None for one that is not known.

    Raises:
        NotFoundError: one is not known, and all are required.
    """
    found = [known.get(identity) for identity in identities]
    if required and None in found:
        raise NotFoundError("There is no object with this id in the atlas.")
    return found


def all_subjects(atlas: Atlas) -> list[SubjectNode]:
    """Every subject."""
    return [filled(SubjectNode, row) for row in atlas.subjects().iter_rows(named=True)]


def all_models(atlas: Atlas) -> list[ModelNode]:
    """Every model, newest first."""
    return [filled(ModelNode, row) for row in atlas.models().iter_rows(named=True)]


def all_rois(atlas: Atlas, subject_id: str | None = None) -> list[Roi]:
    """Every ROI, or those of one subject."""
    return [
        filled(Roi, row, key=f"{row['subject_id']}#{row['roi']}", name=row["roi"])
        for row in atlas.rois(subject_id).iter_rows(named=True)
    ]
