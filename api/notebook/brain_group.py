"""A concept over subjects in a notebook: statistics at the vertices of the mesh on which they meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.search.tables.answer_html import answer_html
from ...schemas.errors import NotFoundError
from ..maps.group.group_maps import GroupRequest, vertex_frame
from ..maps.rendering import RenderOptions
from .cortex_picture import CortexPicture
from .desk import Desk

_TOLD = (
    "title",
    "unit",
    "mesh",
    "leave_one_out_r",
    "n_tested",
    "n_significant",
    "held_to",
    "simulated",
    "warnings",
)
_NUMBERS = dict.fromkeys(("mean", "low", "high", "t", "p", "q"), pl.Float64)
_REGIONS = {"roi": pl.String, "n_subjects": pl.Int64, **_NUMBERS, "n_positive": pl.Int64}
_SUBJECTS = {"subject_id": pl.String, "model_id": pl.String, "leave_one_out_r": pl.Float64}


@dataclass(frozen=True, eq=False, kw_only=True)
class BrainGroup:
    """A concept over subjects, who are the unit of its means and tests; a notebook shows it on the flat map.

    >>> faces = atlas.group("face", smooth=8)
    >>> faces.frame.filter(pl.col("q") <= 0.05)
    >>> faces.plot(views=["ventral"])
    """

    title: str
    unit: str
    mesh: str
    """Where subjects meet: fsaverage, fsaverage5, fsaverage6 or fs_LR."""
    frame: pl.DataFrame = field(repr=False)
    """hemisphere, vertex, n_subjects, mean, t, p, q, n_agree of each vertex where a subject has a value; float32."""
    regions: pl.DataFrame = field(repr=False)
    """roi, n_subjects, mean, low, high, t, p, q, n_positive: similarity in each subject's own region of that name."""
    subjects: pl.DataFrame
    """subject_id, model_id, leave_one_out_r (Pearson's r of its map with the mean of the others')."""
    leave_one_out_r: float | None
    """The mean of theirs."""
    values: NDArray[np.float32] = field(repr=False)
    """(2 · n,) what is shown at the mesh's vertices, the right hemisphere's after the left's; NaN for nothing."""
    similarities: NDArray[np.float32] = field(repr=False)
    """(n_subjects, 2 · n) each subject's own map there."""
    n_tested: int
    n_significant: int
    """Vertices with q at most 0.05."""
    held_to: str
    simulated: bool
    warnings: list[str]
    request: GroupRequest = field(repr=False)
    desk: Desk = field(repr=False)

    @classmethod
    def of(cls, request: GroupRequest, desk: Desk) -> "BrainGroup":
        """Ask for one.

        Raises:
            BadInputError: one subject, two models of one, or models that are not comparable.
            SpaceMismatchError: a model that was named meets no other one; the message names the files that would help.
            NotFoundError: no such model.
        """
        told, arrays = desk.group(request)
        return cls(
            **{name: told[name] for name in _TOLD},
            frame=vertex_frame(arrays),
            regions=pl.DataFrame(told["regions"], _REGIONS),
            subjects=pl.DataFrame(told["subjects"], _SUBJECTS),
            values=arrays["value"],
            similarities=arrays["similarities"].reshape(len(told["subjects"]), -1),
            request=request,
            desk=desk,
        )

    def plot(
        self,
        *,
        views: Sequence[str] | None = None,
        kind: str = "inflated",
        rois: Sequence[str] | None = None,
        width: int = 1024,
        format: str = "png",  # noqa: A002 - as BrainMap.plot has it
    ) -> CortexPicture:
        """The map on the shared cortex; arguments as in `BrainMap.plot`.

        Raises:
            BadInputError: there is no such picture in this format.
            NotFoundError: no such view or region.
        """
        options = RenderOptions(
            width, format, None if rois is None else tuple(rois), None if views is None else tuple(views), kind
        )
        return CortexPicture(self.desk.group_picture(self.request, options), format)

    @cached_property
    def _picture(self) -> bytes:
        try:
            return self.plot().content
        except NotFoundError:  # this machine has not the mesh
            return b""

    def _repr_png_(self) -> bytes | None:
        return self._picture or None

    def _repr_html_(self) -> str:
        r = "" if self.leave_one_out_r is None else f"leave-one-out r {self.leave_one_out_r:.2f}"
        found = f"{self.n_significant:,} of {self.n_tested:,} vertices at q ≤ 0.05"
        facts = [f"{len(self.subjects)} subjects on {self.mesh}", self.unit, found, r, self.held_to]
        return answer_html(
            f"{self.title} over subjects",
            facts,
            self.regions,
            simulated=self.simulated,
            warnings=self.warnings,
            picture=self._picture,
        )
