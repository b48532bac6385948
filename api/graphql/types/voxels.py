"""Voxels and lists of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self
from urllib.parse import quote

import strawberry
from strawberry import relay

from ....atlas.search.atlas import Atlas
from ....schemas.config import FDR, LOWEST_CEILING
from ....schemas.errors import NotFoundError
from ..cursors import page_size
from ..loaders import VoxelKey
from ..request_context import Info
from .enums import Baseline, By, Readout
from .fields import field, filled, finite
from .scorers import MethodArgument, ScorerArgument, scorer_name

Significant = Annotated[bool, strawberry.argument(description="Only voxels with q at most 0.05.")]
Semantic = Annotated[
    bool,
    strawberry.argument(
        description="Leave out voxels that luminance, contrast and edges of the images may explain, those with "
        "semanticQ above 0.05; where it is not known, none is left out."
    ),
]
Concept = Annotated[
    str | None,
    strawberry.argument(
        description="Words in English, at most 200 letters; `cake - kitchen` and `dog + ball` subtract and add."
    ),
]
MinZ = Annotated[
    float | None, strawberry.argument(description="Only voxels at least so many standard errors from zero.")
]
MaxQ = Annotated[
    float | None,
    strawberry.argument(description="Only voxels with at most this false discovery rate of the association."),
]
Specific = Annotated[bool, strawberry.argument(description="Only voxels to which the concept is specific.")]
First = Annotated[int, strawberry.argument(description="Items at most, 1 to 100.")]
_OUTSIDE_A_SEARCH = dict.fromkeys(("similarity", "z", "concept_q", "specific", "percentile"))


@strawberry.type(description="A word that describes a voxel.")
class VoxelLabel:
    """One row of the voxel_label view."""

    text: str = strawberry.field(description="The noun or noun compound, in lower case.")
    probability: float = strawberry.field(description="Softmax of the scores over the voxel's labels, 0 to 1.")
    score: float | None = strawberry.field(description="The method's raw score; higher is better.")
    rank: int = strawberry.field(description="Place among the voxel's labels, from 1.")
    stability: float | None = strawberry.field(
        description="Share of resamples of the labels' pictures in which it comes first, 0 to 1; null where the method "
        "has none."
    )
    method: str = strawberry.field(description="The method that scored it, for example brainlmm-eq2.")
    verified: bool | None = strawberry.field(
        description="Whether it holds on held-out responses, with labelQ at most 0.05; null where it was not tested."
    )
    n_images: int | None = strawberry.field(description="Test images that show it.")
    auc: float | None = strawberry.field(
        description="Chance that the measured response to such an image exceeds that to another, 0 to 1."
    )
    label_q: float | None = strawberry.field(
        description="False discovery rate of that difference over all labels of the model by the method, 0 to 1."
    )


@strawberry.type(description="A voxel's labels by one scorer.")
class ScorerLabels:
    """Some of them, best first."""

    scorer: str = strawberry.field(description="The scorer, for example brainlmm-eq2.")
    labels: list[VoxelLabel] = strawberry.field(description="Labels, best first.")


@strawberry.type(description="An image, or a crop of one, that a voxel's model answers to most.")
class TopImage:
    """One row of top_image with its caption."""

    rank: int = strawberry.field(description="Place by response, from 1.")
    stimulus_id: str = strawberry.field(description="The image.")
    box: list[int] = strawberry.field(
        description="Crop as left, top, right, bottom in pixels, right and bottom excluded; empty for the whole image."
    )
    response: float | None = strawberry.field(description="Predicted response, in z-scored beta.")
    seen: bool = strawberry.field(description="Whether the subject saw the image.")
    measured: float | None = strawberry.field(
        description="Measured response to the whole image, in z-scored beta; null where the subject did not see it, "
        "and for models of before format 4."
    )
    caption: str | None = strawberry.field(description="What the captioner said of it.")
    url: str = strawberry.field(
        description="Path on this server of the whole image, made small, with a frame around the crop."
    )


@strawberry.type(description="A voxel (or vertex) as one encoding model sees it.")
class Voxel(relay.Node):
    """A fitted voxel; its global id holds model and number."""

    key: relay.NodeID[str]
    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="The subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    voxel: int = strawberry.field(description="Number within the subject, from 0.")
    similarity: float | None = strawberry.field(
        description="Cosine with what was searched for, -1 to 1; null outside a search."
    )
    z: float | None = strawberry.field(
        description="Standard errors of that similarity from no association; null by labels, for a voxel, and outside "
        "a search. It says association, not specificity."
    )
    concept_q: float | None = strawberry.field(
        description="False discovery rate of the association over the model's voxels, 0 to 1; null where z is."
    )
    specific: bool | None = strawberry.field(
        description="Whether conceptQ is at most 0.05 and the concept among the twentieth of the vocabulary's nouns "
        "that are most similar to the voxel; null where it is no single concept."
    )
    percentile: float | None = strawberry.field(
        description="Share of the vocabulary's nouns that are less similar to the voxel, 0 to 1; null likewise."
    )
    rois: list[str] = strawberry.field(description="Regions that it lies in.")
    r2: float | None = strawberry.field(description="Coefficient of determination on the test images, at most 1.")
    r: float | None = strawberry.field(description="Correlation of predicted and measured test responses, -1 to 1.")
    q: float | None = strawberry.field(
        description="False discovery rate of the encoding model, 0 to 1; null until all voxels are fitted."
    )
    significant: bool | None = strawberry.field(description="Whether q is at most 0.05; null until q is known.")
    semantic_r: float | None = strawberry.field(
        description="Correlation of predicted and measured test responses, both without what luminance, contrast and "
        "edges of the images predict, -1 to 1; null for models of before format 4."
    )
    semantic_q: float | None = strawberry.field(
        description="False discovery rate of semanticR, 0 to 1; null where it is not known."
    )
    semantic: bool | None = strawberry.field(
        description="Whether semanticQ is at most 0.05, so that low-level properties do not explain all that is "
        "predicted; null where it is not known."
    )
    noise_ceiling: float | None = strawberry.field(
        description="Share of the response's variance that is signal, 0 to 1; null where unknown."
    )
    r2_of_ceiling: float | None = strawberry.field(
        description="r2 divided by the noise ceiling; null where that is below 0.1; above 1 where that is too low."
    )
    i: int | None = strawberry.field(description="Volume index along x, from 0; null for vertices.")
    j: int | None = strawberry.field(description="Volume index along y, from 0; null for vertices.")
    k: int | None = strawberry.field(description="Volume index along z, from 0; null for vertices.")
    hemisphere: str | None = strawberry.field(description="left or right; null where it is not known.")
    vertex: int | None = strawberry.field(description="Vertex within the hemisphere, from 0; null for voxels.")

    @field("Place along x (right), in mm of the responses' image, or of the surface for vertices; null where unknown.")
    def x_mm(self, info: Info) -> float | None:
        """The voxel's middle, or the vertex half-way between white matter and pia."""
        return _millimetres(info, self, 0)

    @field("Place along y (anterior), likewise.")
    def y_mm(self, info: Info) -> float | None:
        """Likewise."""
        return _millimetres(info, self, 1)

    @field("Place along z (superior), likewise.")
    def z_mm(self, info: Info) -> float | None:
        """Likewise."""
        return _millimetres(info, self, 2)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A voxel from a row of a search."""
        r2, ceiling, q = (finite(row[name]) for name in ("r2", "noise_ceiling", "q"))
        return filled(
            cls,
            _OUTSIDE_A_SEARCH,
            row,
            key=f"{row['model_id']}#{row['voxel']}",
            rois=row["rois"] or [],
            significant=None if q is None else q <= FDR,
            r2_of_ceiling=r2 / ceiling if r2 is not None and ceiling and ceiling >= LOWEST_CEILING else None,
        )

    @classmethod
    def resolve_nodes(cls, *, info: Info, node_ids: Iterable[str], required: bool = False) -> list["Voxel | None"]:  # type: ignore[override]
        """Voxels by the part of their global id that says which; None where there is no such voxel."""
        found: list[Voxel | None] = []
        for identity in node_ids:
            model_id, _, number = identity.rpartition("#")
            try:
                found.append(one_voxel(info.context.atlas, model_id, int(number)))
            except (NotFoundError, ValueError):
                if required:
                    raise
                found.append(None)
        return found

    @field("Number of the atlas's state.")
    def generation(self, info: Info) -> int:
        """The newest one, or with patience that of a moment ago."""
        return info.context.atlas.generation()

    @field("Why `semantic` is null, as a sentence; null where it is not.")
    def semantic_unknown(self, info: Info) -> str | None:
        """What would tell it, or that nothing does."""
        return info.context.atlas.model(self.model_id).semantic_unknown if self.semantic is None else None

    @field("The words that describe it, best first.")
    def labels(
        self,
        info: Info,
        first: First = 5,
        method: MethodArgument = None,
        scorer: ScorerArgument = None,
        verified: Annotated[
            bool, strawberry.argument(description="Only labels that hold on held-out responses.")
        ] = False,
    ) -> list[VoxelLabel]:
        """Labels of this voxel, from a table in memory: no statement, however long the list of voxels."""
        chosen = scorer_name(method, scorer)
        return _labels(info, self, chosen, first, verified=verified)

    @field("Its labels by every scorer that labelled the model, those of the model's settings first.")
    def rankings(self, info: Info, first: First = 5) -> list[ScorerLabels]:
        """Rankings of this voxel; those without a label of it are left out."""
        rankings = (
            ScorerLabels(scorer=scorer, labels=_labels(info, self, scorer, first))
            for scorer in info.context.loaders.scorers(self.model_id)
        )
        return [ranking for ranking in rankings if ranking.labels]

    @field("The images and crops that its model answers to most.")
    async def top_images(self, info: Info, first: First = 10) -> list[TopImage]:
        """Top images of this voxel, loaded together with those of its neighbours in the list."""
        key = VoxelKey(self.model_id, page_size(first), self.voxel)
        return [
            filled(TopImage, row, box=row["box"] or [], url=_image_url(info, row["stimulus_id"], row["box"] or []))
            for row in await info.context.loaders.images.load(key)
        ]

    @field("Voxels whose weights point the same way, nearest first; itself left out.")
    async def neighbours(self, info: Info, first: First = 10) -> list["Voxel"]:
        """Nearest voxels of the same model, searched together with those of its neighbours in the list."""
        rows = await info.context.loaders.neighbours.load(VoxelKey(self.model_id, page_size(first), self.voxel))
        return [Voxel.of(row) for row in rows]


@strawberry.type(description="A page of voxels, best first.")
class VoxelConnection(relay.Connection[Voxel]):
    """A relay connection that says how the ranking was made."""

    total_count: int = strawberry.field(description="Voxels that pass the filters, on all pages.")
    hidden_count: int | None = strawberry.field(
        description="Voxels that would pass, too, and are left out as not semantic; null where that is not known."
    )
    held_to: str = strawberry.field(
        description="What limits of z and q, and specific, ask of them, in words; empty where nothing is."
    )
    model_id: str = strawberry.field(description="The model that was searched; the first by name where several were.")
    model_ids: list[str] = strawberry.field(description="All models that were searched, by name.")
    subject_id: str = strawberry.field(description="Subject of `modelId`.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    by: By = strawberry.field(description="What the concept was compared with.")
    readout: Readout | None = strawberry.field(description="Which vector of a voxel; null when ranked by labels.")
    baseline: Baseline | None = strawberry.field(
        description="What the concept is a contrast to; null for a picture or a voxel."
    )
    method: str | None = strawberry.field(description="The scorer of the labels; null when ranked by weights.")
    warnings: list[str] = strawberry.field(
        description="A sentence for each word that the text tower does not seem to know, and where it is not known "
        "what contrast and edges may explain, or no voxel passes."
    )
    generation: int = strawberry.field(description="Number of the atlas's state; it grows with every committed batch.")


def _labels(info: Info, voxel: Voxel, scorer: str | None, first: int, *, verified: bool = False) -> list[VoxelLabel]:
    chosen, table = info.context.loaders.labels(voxel.model_id, scorer)
    return [
        filled(VoxelLabel, label._asdict(), text=label.label, method=chosen)
        for label in table.of(voxel.voxel, page_size(first), verified=verified)
    ]


def _millimetres(info: Info, voxel: Voxel, axis: int) -> float | None:
    points = info.context.cortices.millimetres(voxel.subject_id)
    place: float | None = finite(float(points[voxel.voxel, axis])) if voxel.voxel < len(points) else None
    return place


def _image_url(info: Info, stimulus_id: str, box: Sequence[int]) -> str:
    query = f"?box={','.join(map(str, box))}" if box else ""
    return info.context.path(f"/stimuli/{quote(stimulus_id)}{query}")


def one_voxel(atlas: Atlas, model: str | None, number: int) -> Voxel:
    """A voxel by its number.

    Raises:
        NotFoundError: there is no such model or voxel.
    """
    owner = atlas.model(model)
    voxels = owner.voxels([number])
    if voxels.is_empty():
        raise NotFoundError(f"Model {owner.model_id!r} has no fitted voxel {number}.")
    return Voxel.of(voxels.row(0, named=True))
