"""Labels: the words that describe voxels."""

from collections.abc import Iterable
from typing import Annotated

import strawberry
from strawberry import relay

from ....atlas.search.model import Model
from ....atlas.search.tables.label_table import LabelHits
from ....schemas.errors import NotFoundError
from ..cursors import page_size
from ..request_context import Info
from .enums import Baseline, BaselineArgument
from .fields import field, filled, finite
from .voxels import First, Voxel

ModelArgument = Annotated[
    str | None,
    strawberry.argument(description="Model id, or a part that only one has; the newest finished by default."),
]


@strawberry.type(description="A voxel that a label describes.")
class LabelVoxel:
    """One row of label_score, seen from the label."""

    voxel: Voxel = strawberry.field(description="The voxel.")
    probability: float = strawberry.field(description="Probability of the label in this voxel, 0 to 1.")
    rank: int = strawberry.field(description="Place of the label among the voxel's labels, from 1.")


@strawberry.type(description="A label close to another in the space of the text tower.")
class LabelNeighbour:
    """A neighbour and how near it is."""

    text: str = strawberry.field(description="The label.")
    similarity: float = strawberry.field(description="Cosine of the two labels less the baseline, -1 to 1.")


@strawberry.type(description="How many voxels of a region a label comes first in.")
class RoiCount:
    """One bar of a label's distribution."""

    roi: str = strawberry.field(description="The region.")
    n_voxels: int = strawberry.field(description="Voxels of the region whose first label it is.")
    share: float = strawberry.field(description="The same as a share of the region's labelled voxels, 0 to 1.")


@strawberry.type(description="A word that describes voxels.")
class Label(relay.Node):
    """One row of the label table."""

    text: relay.NodeID[str]
    n_voxels: int = strawberry.field(description="Voxels of the model that have it as a label.")
    model_id: str = strawberry.field(description="The model whose voxels are counted.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    method: str = strawberry.field(description="The method that scored it, for example brainlmm-eq2.")
    generation: int = strawberry.field(description="Number of the atlas's state that is counted.")

    semantic: strawberry.Private[bool] = True

    @field("The noun or noun compound, in lower case.", name="text")
    def word(self) -> str:
        """The lemma."""
        return self.text

    @classmethod
    def resolve_nodes(cls, *, info: Info, node_ids: Iterable[str], required: bool = False) -> list["Label | None"]:  # type: ignore[override]
        """Labels by their text; None where there is none."""
        found: list[Label | None] = []
        for text in node_ids:
            try:
                found.append(one_label(info, text, None))
            except NotFoundError:
                if required:
                    raise
                found.append(None)
        return found

    @field("The voxels that it describes best.")
    def voxels(self, info: Info, first: First = 20) -> list[LabelVoxel]:
        """Voxels by the probability of this label."""
        rows = info.context.atlas.model(self.model_id).label_voxels(
            self.text, semantic=self.semantic, first=page_size(first)
        )
        return [
            LabelVoxel(voxel=Voxel.of(row), probability=row["probability"], rank=row["rank"])
            for row in rows.iter_rows(named=True)
        ]

    @field("The labels nearest to it in meaning.")
    def neighbours(
        self, info: Info, first: First = 10, baseline: BaselineArgument = Baseline.VOCABULARY
    ) -> list[LabelNeighbour]:
        """Nearest labels, itself left out."""
        rows = info.context.atlas.model(self.model_id).label_neighbours(
            self.text, semantic=self.semantic, first=page_size(first), baseline=baseline.value
        )
        return [
            LabelNeighbour(text=row["label"], similarity=finite(row["similarity"]) or 0.0)
            for row in rows.iter_rows(named=True)
        ]

    @field("The regions where it comes first, most voxels first.")
    def by_roi(self, info: Info) -> list[RoiCount]:
        """Counts per ROI."""
        rows = info.context.atlas.model(self.model_id).label_rois(self.text, semantic=self.semantic)
        return [filled(RoiCount, row) for row in rows.iter_rows(named=True)]


@strawberry.type(description="A page of labels, those of most voxels first.")
class LabelConnection(relay.Connection[Label]):
    """A relay connection of labels."""

    total_count: int = strawberry.field(description="Labels that contain what was searched for.")
    model_id: str = strawberry.field(description="The model whose labels they are.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    method: str = strawberry.field(description="The method that scored them, for example brainlmm-eq2.")
    generation: int = strawberry.field(description="Number of the atlas's state; later pages show the same one.")


def one_label(info: Info, text: str, model: str | None, *, semantic: bool = True) -> Label:
    """A label by its text.

    Raises:
        NotFoundError: no voxel has it; the message lists the nearest spellings.
    """
    owner = info.context.atlas.model(model)
    hits = owner.label(text.strip().lower(), semantic=semantic)
    return label_of(owner, hits, *hits.frame.select("label", "n_voxels").row(0), semantic=semantic)


def label_of(owner: Model, hits: LabelHits, text: str, n_voxels: int, *, semantic: bool) -> Label:
    """A label of a list of labels."""
    return filled(Label, vars(owner), vars(hits), text=text, n_voxels=n_voxels, semantic=semantic)
