"""By which scorer labels are asked for: one of a list, or any by its name."""

from enum import Enum
from typing import Annotated

import strawberry

from ....schemas.errors import BadInputError
from .fields import choice


@strawberry.enum(description="How labels were scored.")
class Method(Enum):
    """A scorer."""

    BRAINLMM_EQ2 = choice("brainlmm-eq2", "Equation 2 of the BrainLMM paper.")
    BRAINLMM_FUSED = choice("brainlmm-fused", "Ranks by Equation 2 and by the labels' text, added.")
    BRAINLMM_JOINT = choice("brainlmm-joint", "Labels that together make up a voxel's half readout.")
    BRAINLMM_RELEASED = choice("brainlmm-released", "BrainLMM's released code.")
    CLIP_MSM = choice("clip-msm", "The CLIP-MSM baseline with its fixed list of concepts.")


MethodArgument = Annotated[Method | None, strawberry.argument(description="Scorer; the model's first one by default.")]
ScorerArgument = Annotated[
    str | None,
    strawberry.argument(description="Instead of `method`: the scorer's name as SQL has it, also that of a package."),
]


def scorer_name(method: Method | None, scorer: str | None) -> str | None:
    """The name of the scorer that is meant; None for the model's first one.

    A model may be labelled by scorers that no list here knows: those of other packages, perhaps on another machine.

    Raises:
        BadInputError: both are given.
    """
    if method and scorer is not None:
        raise BadInputError(f"Give a method or a scorer, not both ({method.name} and {scorer!r}).")
    return method.value if method else scorer
