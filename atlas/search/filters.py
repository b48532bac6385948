"""Which voxels may be in an answer: the switches that every door hands on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from ...schemas.errors import BadInputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an answer or a map holds voxels to; `Model.similar` describes each."""

    significant: bool = True
    semantic: bool = True
    min_z: float | None = None
    max_q: float | None = None
    specific: bool = False

    def __post_init__(self) -> None:
        """Checks that the limits are numbers that can be passed.

        Raises:
            BadInputError: one that is no finite number, or a false discovery rate that is not from 0 to 1.
        """
        for name in ("min_r2", "min_z", "max_q"):
            limit = getattr(self, name, None)
            if limit is not None and not (isinstance(limit, Real) and math.isfinite(limit)):
                raise BadInputError(f"{name} is a number that voxels are held to, and not {limit!r}.")
        if self.max_q is not None and not 0 <= self.max_q <= 1:
            raise BadInputError(f"max_q is a false discovery rate, from 0 to 1, and not {self.max_q:g}.")

    @property
    def held_to(self) -> str:
        """What voxels of a concept's answer must pass, in a few words; "" for nothing beyond the defaults."""
        limits = [
            *([f"z ≥ {self.min_z:g}"] if self.min_z is not None else []),
            *([f"q of the concept ≤ {self.max_q:g}"] if self.max_q is not None else []),
            *(["specific"] if self.specific else []),
        ]
        return f"only {', '.join(limits)}" if limits else ""

    @property
    def of_concept(self) -> bool:
        """Whether only voxels pass that show evidence of the concept."""
        return self.min_z is not None or self.max_q is not None or self.specific


@dataclass(frozen=True, kw_only=True)
class Filters(Limits):
    """The same, and what a search has further."""

    rois: Sequence[str] = ()
    among: Sequence[int] | None = None
    min_r2: float | None = None


ALL_VOXELS = Filters(significant=False, semantic=False)
"""Every fitted voxel passes."""
