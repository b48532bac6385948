"""What appends batches to an atlas, and what its batches are about."""

from enum import StrEnum
from typing import Literal, Self

About = Literal["subject", "run", "model", "shared", "maintenance"]
"""A release has the batches of its subjects, runs and models; rows that models share come without."""


class Stage(StrEnum):
    """A stage, as `ledger.stage` names it. Its `about` says what the keys of its batches begin with.

    Keys of `shared` stages, and of those of maintenance, begin with anything.
    """

    about: About

    def __new__(cls, name: str, about: About) -> Self:
        """A stage of a name."""
        stage = str.__new__(cls, name)
        stage._value_, stage.about = name, about
        return stage

    RUN = "run", "run"
    SUBJECT = "subject", "subject"
    PLANTING = "planting", "subject"
    STIMULI = "stimuli", "shared"
    VOCABULARY = "vocabulary", "shared"
    MODEL = "model", "model"
    FIT = "fit", "model"
    SIGNIFICANCE = "significance", "model"
    LOW_LEVEL = "low_level", "model"
    SEMANTIC = "semantic", "model"
    READOUTS = "readouts", "model"
    QUERIES = "queries", "model"
    LEARNING_CURVE = "learning_curve", "model"
    DESCRIBE = "describe", "model"
    CAPTION = "caption", "shared"
    GENERATE = "generate", "shared"
    CONCEPTS = "concepts", "shared"
    SCORE = "score", "model"
    EMBED = "embed", "shared"
    VERIFY = "verify", "model"
    IMPORT = "import", "maintenance"
    REMOVED = "removed", "maintenance"
    """What batches of a model become that is removed."""
    RM = "rm", "maintenance"

    @classmethod
    def sql(cls, about: About) -> str:
        """The stages of a kind as a list in SQL."""
        return ", ".join(f"'{stage}'" for stage in cls if stage.about == about)
