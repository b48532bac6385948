"""Questions whose failures belong to the answer: comparing two methods, predicting the responses to an image."""

from typing import Annotated

import polars as pl
import strawberry

from ....atlas.search.atlas import Atlas
from ....schemas.errors import BadInputError, MissingWeightsError, NotFoundError
from ..cursors import page_size
from ..uploaded_images import decode_image
from .enums import Baseline
from .fields import filled, finite


@strawberry.type(description="Why a question has no answer, in one sentence that says what to do.")
class Problem:
    """An expected failure."""

    code: str = strawberry.field(description="BAD_INPUT, NOT_FOUND or MISSING_WEIGHTS.")
    message: str = strawberry.field(description="What is wrong, where, and what to do.")


@strawberry.type(description="How far two methods agree on the labels of one voxel.")
class VoxelAgreement:
    """One voxel under two methods."""

    voxel: int = strawberry.field(description="Number within the subject, from 0.")
    label_a: str = strawberry.field(description="First label by method a.")
    label_b: str = strawberry.field(description="First label by method b.")
    same: bool = strawberry.field(description="Whether both methods put the same label first.")
    similarity: float | None = strawberry.field(
        description="Cosine of the two first labels less the baseline, -1 to 1; null where one is not embedded."
    )


@strawberry.type(name="Comparison", description="Two methods of labelling, compared over the voxels that both label.")
class MethodComparison:
    """Agreement over a model's voxels."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    generation: int = strawberry.field(description="Number of the atlas's state.")
    method_a: str = strawberry.field(description="One method.")
    method_b: str = strawberry.field(description="The other method.")
    n_voxels: int = strawberry.field(description="Voxels that both methods label.")
    same_share: float | None = strawberry.field(
        description="Share of them whose first label is the same, 0 to 1; null when there are none."
    )
    mean_similarity: float | None = strawberry.field(
        description="Mean cosine of the first labels less the baseline, -1 to 1; null when there are none."
    )
    baseline: Baseline = strawberry.field(description="What labels are contrasts to where their cosine is taken.")
    voxels: list[VoxelAgreement] = strawberry.field(description="The first of them, by number.")


@strawberry.type(description="What a voxel's model predicts for an image.")
class PredictedResponse:
    """One voxel's prediction."""

    voxel: int = strawberry.field(description="Number within the subject, from 0.")
    response: float = strawberry.field(description="Predicted response, in z-scored beta.")


@strawberry.type(description="A noun that is near to an image.")
class NearConcept:
    """One noun."""

    concept: str = strawberry.field(description="The noun.")
    similarity: float = strawberry.field(
        description="Cosine of the image's features less their mean and the noun less the mean noun, -1 to 1."
    )


@strawberry.type(description="The predicted responses of a model's voxels to an image, strongest first.")
class Prediction:
    """Predictions of a model."""

    model_id: str = strawberry.field(description="The model.")
    subject_id: str = strawberry.field(description="Its subject.")
    simulated: bool = strawberry.field(description="True when the subject's responses were computed, not measured.")
    generation: int = strawberry.field(description="Number of the atlas's state.")
    n_voxels: int = strawberry.field(description="Voxels of the model.")
    mean: float | None = strawberry.field(description="Mean predicted response over them, in z-scored beta.")
    voxels: list[PredictedResponse] = strawberry.field(description="The strongest of them.")
    nearest: list[NearConcept] = strawberry.field(
        description="The ten nouns of the vocabulary that are nearest to the image; none without a text tower."
    )


CompareResult = Annotated[
    MethodComparison | Problem, strawberry.union("CompareResult", description="An answer or a reason.")
]
PredictResult = Annotated[Prediction | Problem, strawberry.union("PredictResult", description="An answer or a reason.")]


def compare(
    atlas: Atlas, model: str | None, a: str | None, b: str | None, first: int, baseline: str, *, semantic: bool
) -> MethodComparison | Problem:
    """Agreement of two methods, each the model's first one where none is named."""
    try:
        owner = atlas.model(model)
        method_a, method_b = owner.method(a), owner.method(b)
        frame = owner.compare(method_a, method_b, baseline=baseline, semantic=semantic)
    except (BadInputError, NotFoundError) as error:
        return problem(error)
    same = frame["label_a"] == frame["label_b"]
    return filled(
        MethodComparison,
        vars(owner),
        generation=atlas.generation(),
        method_a=method_a,
        method_b=method_b,
        baseline=Baseline(baseline),
        n_voxels=len(frame),
        same_share=_mean(same.cast(pl.Float64)),
        mean_similarity=_mean(frame["similarity"]),
        voxels=[
            filled(VoxelAgreement, row, same=row["label_a"] == row["label_b"])
            for row in frame.sort("voxel").head(page_size(first)).iter_rows(named=True)
        ],
    )


def predict(atlas: Atlas, image: str, model: str | None, first: int) -> Prediction | Problem:
    """Predicted responses to an image in base64."""
    try:
        owner = atlas.model(model)
        picture = decode_image(image)
        frame = owner.predict(picture)
        nearest = owner.nearest_concepts(picture).iter_rows(named=True) if owner.has_text else ()
    except (BadInputError, NotFoundError, MissingWeightsError) as error:
        return problem(error)
    strongest = frame.sort(["response", "voxel"], descending=[True, False]).head(page_size(first))
    return filled(
        Prediction,
        vars(owner),
        generation=atlas.generation(),
        n_voxels=len(frame),
        mean=_mean(frame["response"]),
        voxels=[filled(PredictedResponse, row) for row in strongest.iter_rows(named=True)],
        nearest=[filled(NearConcept, row) for row in nearest],
    )


def problem(error: BadInputError | NotFoundError | MissingWeightsError) -> Problem:
    """A failure as part of an answer."""
    return Problem(code=error.code, message=str(error))


def _mean(values: pl.Series) -> float | None:
    mean = values.mean()
    return finite(float(mean)) if isinstance(mean, int | float) else None
