"""The choices that queries offer."""

from enum import Enum
from typing import Annotated, Any

import strawberry

from .fields import choice


@strawberry.enum(description="What a concept is compared with.")
class By(Enum):
    """How voxels are ranked."""

    WEIGHTS = choice("weights", "Cosine of the concept with the voxel's ridge weights (backbones with a text tower).")
    LABELS = choice("labels", "Similarity of the concept to the voxel's labels, weighted by probability; any backbone.")


@strawberry.enum(description="Which vector of a voxel a concept is compared with, when ranking by weights.")
class Readout(Enum):
    """A power of the features' covariance."""

    WEIGHTS = choice("weights", "The ridge weights themselves, as in the paper.")
    HALF = choice("half", "Between the two: the covariance's square root times the weights; finds most.")
    PATTERN = choice("pattern", "Feature covariance times the weights (Haufe et al. 2014), where features correlate.")


@strawberry.enum(description="What a concept is a contrast to.")
class Baseline(Enum):
    """Whether a concept is centred."""

    VOCABULARY = choice("vocabulary", "The mean of many nouns: what all words share is taken off.")
    NONE = choice("none", "Nothing, as in the paper.")


ByArgument = Annotated[By, strawberry.argument(description="What the concept is compared with.")]
ReadoutArgument = Annotated[
    Readout | None, strawberry.argument(description="Which vector of a voxel; the backbone's own by default.")
]
BaselineArgument = Annotated[Baseline, strawberry.argument(description="What the concept is a contrast to.")]


def how_compared(by: By, readout: Readout | None, baseline: Baseline) -> dict[str, Any]:
    """The three as a model takes them by name."""
    return {"by": by.value, "readout": readout.value if readout else None, "baseline": baseline.value}


@strawberry.enum(description="A quantity that every voxel of a model has.")
class Metric(Enum):
    """A column to be shown on the cortex."""

    R2 = choice("r2", "Coefficient of determination on the test images, at most 1.")
    R = choice("r", "Correlation of predicted and measured test responses, -1 to 1.")
    Q = choice("q", "False discovery rate, 0 to 1; significant at 0.05 and below.")
    NOISE_CEILING = choice("noise_ceiling", "Share of the response's variance that is signal, 0 to 1.")
    Z = choice("z", "Standard errors of a concept's similarity from no association; give the concept, too.")
    FOOD_T = choice("food_t", "t of food against other categories, by which FOOD was made; within the ventral stream.")
    FOOD_Q = choice("food_q", "Its false discovery rate, 0 to 1; in FOOD at 0.05 and below.")
    R2_OF_CEILING = choice("r2_of_ceiling", "r2 divided by the noise ceiling.")


@strawberry.enum(description="One of two concepts.")
class Preferred(Enum):
    """Which way."""

    A = choice("a", "The first one.")
    B = choice("b", "The second one.")


OutsideBand = Annotated[
    bool,
    strawberry.argument(description="Leave voxels bare in which a concept is as similar as nine in ten nouns."),
]


@strawberry.enum(description="What a group's map shows.")
class GroupQuantity(Enum):
    """A number over subjects."""

    MEAN = choice("mean", "Mean similarity.")
    T = choice("t", "Student's t of the mean against 0.")
    Q = choice("q", "False discovery rate of t over the vertices.")
    AGREE = choice("agree", "How many subjects have a similarity above 0 that passes the limits.")


@strawberry.enum(name="View", description="A side that both hemispheres are seen from.")
class ViewSide(Enum):
    """A still picture of the inflated cortex."""

    LATERAL = choice("lateral", "From outside.")
    MEDIAL = choice("medial", "From between the hemispheres.")
    VENTRAL = choice("ventral", "From below.")
    POSTERIOR = choice("posterior", "From behind.")
    DORSAL = choice("dorsal", "From above.")
    ANTERIOR = choice("anterior", "From the front.")


@strawberry.enum(description="A picture's file format.")
class PictureFormat(Enum):
    """A suffix."""

    PNG = choice("png", "Pixels, for screens.")
    SVG = choice("svg", "Vector outlines over an embedded picture, for papers.")
    PDF = choice("pdf", "The same, for LaTeX and print.")
