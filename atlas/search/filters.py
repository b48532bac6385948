"""Which voxels may be in an answer: the switches that every door hands on."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an answer or a map holds voxels to; `Model.similar` describes each."""

    significant: bool = True
    semantic: bool = True
    min_z: float | None = None
    max_q: float | None = None
    specific: bool = False

    @property
    def of_concept(self) -> bool:
        """Whether only voxels pass that show evidence of the concept."""
        return self.min_z is not None or self.max_q is not None or self.specific


@dataclass(frozen=True, kw_only=True)
class Filters(Limits):
    """The same, and what a search has further."""

    rois: Sequence[str] = ()
    min_r2: float | None = None


ALL_VOXELS = Filters(significant=False, semantic=False)
"""Every fitted voxel passes."""
