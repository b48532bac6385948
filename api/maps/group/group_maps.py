"""Maps of a concept over subjects on fsaverage or fs_LR: subjects are the unit of every mean and test."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from ....atlas.search.atlas import Atlas
from ....atlas.search.evidence import Evidence
from ....atlas.search.filters import Limits
from ....atlas.search.model import Model
from ....atlas.search.similarity import Compared
from ....schemas.config import Settings
from ....schemas.errors import BadInputError, NotFoundError
from ....viz.render.colormaps import LOGARITHMIC, SUGGESTED, Scale, fit_scale, logarithmic_scale
from ....viz.render.picture import Picture
from ..shared_space import mesh_name
from ..subject_cortex import GROUP, CortexCache, SubjectCortex
from ..value_maps import MapRequest, ValueMap, value_map
from .members import find_members
from .over_subjects import Doubles, OverSubjects, leave_one_out, over_subjects
from .smoothing import MOST_MM, smoothed

SHOWS = {
    "mean": "mean cosine similarity",
    "t": "t over subjects",
    "q": "q over subjects",
    "agree": "subjects that agree",
}
"""What a group's picture may show, and its unit."""
_HELD = 0.5
"""Weight from which on what is carried between voxels counts as passing."""


@dataclass(frozen=True, kw_only=True)
class GroupRequest(Limits):
    """A concept over subjects. Limits of evidence (z, q, specific) say who agrees, and never whose similarity is taken.

    A mean of what was selected for being large would be tested for being large.
    """

    concept: str
    models: Sequence[str] = ()
    """One of each subject; none: of each subject the newest finished one of the newest model's network."""
    by: str = "weights"
    readout: str | None = None
    baseline: str = "vocabulary"
    significant: bool = False
    smooth: float = 0.0
    """Width (at half maximum, in mm) of the Gaussian that each subject's map is smoothed with along the cortex."""
    show: str = "mean"
    group_q: float | None = None
    """Only vertices with at most this false discovery rate over subjects are drawn."""
    colormap: str | None = None
    lo: float | None = None
    hi: float | None = None

    def __post_init__(self) -> None:
        """Checks that it is clear what is asked for."""
        super().__post_init__()
        if self.show not in SHOWS:
            raise BadInputError(f"A group's map shows {', '.join(SHOWS)}, not {self.show!r}.")
        if not 0 <= self.smooth <= MOST_MM:
            raise BadInputError(f"Maps are smoothed over 0 to {MOST_MM:g} mm, and not over {self.smooth:g}.")
        if self.group_q is not None and not 0 <= self.group_q <= 1:
            raise BadInputError(f"group_q is a false discovery rate, from 0 to 1, and not {self.group_q:g}.")


@dataclass(frozen=True, eq=False)
class GroupMap:
    """A concept over subjects, at each vertex of a shared mesh and in each region."""

    request: GroupRequest
    models: Sequence[Model]
    mesh: str
    """fsaverage, fsaverage5, fsaverage6 or fs_LR."""
    similarities: NDArray[np.float32]
    """(n_subjects, 2 · n) of each subject, smoothed where that was asked for; NaN where it has none."""
    statistics: OverSubjects
    """Of similarities, at the vertices of both hemispheres, the right ones after the left."""
    agree: NDArray[np.int64]
    """(2 · n,) subjects whose similarity is above 0 and passes the limits."""
    leave_one_out: Doubles
    """(n_subjects,) how well the mean of the others tells each subject's map: Pearson's r over vertices."""
    regions: pl.DataFrame
    """roi, n_subjects, mean, low, high, t, p, q, n_positive: similarity in each subject's own region of that name."""
    how: str
    warnings: list[str]
    generation: int

    @property
    def subject_id(self) -> str:
        """By which `CortexCache` knows the mesh."""
        return f"{GROUP}{self.mesh}"

    @property
    def simulated(self) -> bool:
        """Whether a subject is."""
        return any(model.simulated for model in self.models)

    @property
    def mean_leave_one_out(self) -> float:
        """Mean of `leave_one_out`; NaN where no r is defined."""
        known = self.leave_one_out[np.isfinite(self.leave_one_out)]
        return float(known.mean()) if len(known) else float("nan")

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """What is shown, (2 · n,); NaN where nothing is."""
        found, show = self.statistics, self.request.show
        agree = np.where(np.isfinite(found.mean), self.agree, np.nan)
        values = (agree if show == "agree" else getattr(found, show)).astype(np.float32)
        if self.request.group_q is None:
            return values
        with np.errstate(invalid="ignore"):
            return np.where(found.q <= self.request.group_q, values, np.float32(np.nan))

    @property
    def voxels(self) -> NDArray[np.int32]:
        """(2 · n,) numbers of the vertices, as `CortexCache` has the mesh."""
        return np.arange(len(self.values), dtype=np.int32)

    @cached_property
    def scale(self) -> Scale:
        """Colours of `values`."""
        request, show = self.request, self.request.show
        if show in LOGARITHMIC:
            return logarithmic_scale(request.colormap or SUGGESTED[show], request.lo, request.hi)
        count = show == "agree"
        lo, hi = (0.0, float(len(self.models))) if count else (None, None)
        return fit_scale(
            self.values,
            request.colormap or ("viridis" if count else "RdBu_r"),
            lo if request.lo is None else request.lo,
            hi if request.hi is None else request.hi,
        )

    @cached_property
    def scale_of_subjects(self) -> Scale:
        """Colours of `similarities`, the same for all subjects."""
        return fit_scale(self.similarities.ravel(), "RdBu_r")

    @property
    def unit(self) -> str:
        """The quantity, as the colour bar names it."""
        return f"{SHOWS[self.request.show]} ({self.how})"

    @property
    def held_to(self) -> str:
        """What is drawn, and who agrees, in a few words."""
        request = self.request
        said = (
            f"q over subjects ≤ {request.group_q:g}" if request.group_q is not None else "",
            f"smoothed over {request.smooth:g} mm" if request.smooth else "",
            "only significant voxels" * request.significant,
            f"who agrees: {request.held_to}" if request.held_to and request.show == "agree" else "",
        )
        return "; ".join(part for part in said if part)

    @property
    def about(self) -> dict[str, object]:
        """What is told of the numbers beside them, as JSON has it."""
        loo = self.mean_leave_one_out
        return {
            "subject": self.subject_id,
            "mesh": self.mesh,
            "subjects": self.subjects().to_dicts(),
            "leave_one_out_r": loo if math.isfinite(loo) else None,
            "regions": self.regions.to_dicts(),
            "n_tested": self.statistics.n_tested,
            "n_significant": self.statistics.n_significant,
            "simulated": self.simulated,
            "title": self.request.concept.strip(),
            "unit": self.unit,
            "how": self.how,
            "warnings": self.warnings,
            "held_to": self.held_to,
            "generation": self.generation,
            "colormap": self.scale.colormap,
            "lo": self.scale.vmin,
            "hi": self.scale.vmax,
            "logarithmic": self.scale.logarithmic,
            "subjects_lo": self.scale_of_subjects.vmin,
            "subjects_hi": self.scale_of_subjects.vmax,
        }

    @property
    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """value, mean, t, p, q, n, agree, (2 · n,) each; similarities, (n_subjects · 2 · n,), subject by subject."""
        over = self.statistics
        numbers: dict[str, NDArray[Any]]
        numbers = {"value": self.values, "mean": over.mean, "t": over.t, "p": over.p, "q": over.q, "n": over.n}
        numbers |= {"agree": self.agree, "similarities": self.similarities.ravel()}
        return {name: array.astype(np.float32) for name, array in numbers.items()}

    @property
    def canonical(self) -> str:
        """All that the colours of a picture depend on, as text."""
        parts = {**asdict(self.request), "models": [model.model_id for model in self.models]}
        return json.dumps({**parts, "mesh": self.mesh, "generation": self.generation}, sort_keys=True)

    def picture(self, cortex: SubjectCortex, focus: Sequence[int] | None = None) -> Picture:
        """The map on the shared mesh, of which `cortex` is; vertices out of focus are pale."""
        subjects = f"{len(self.models)} subjects{' (simulated)' if self.simulated else ''}"
        empty = not np.isfinite(self.values).any()
        return Picture(
            cortex.on_surface(self.voxels, self.values),
            self.scale,
            cortex.opacity(self.voxels, None, focus),
            title=f"{self.request.concept.strip()}, {len(self.models)} subjects",
            unit=self.unit,
            note=f"{subjects} on {self.mesh}",
            left_out="no vertex is shown" * empty,
            held_to=self.held_to,
        )

    def frame(self) -> pl.DataFrame:
        """hemisphere, vertex, n_subjects, mean, t, p, q, n_agree of each vertex where a subject has a value."""
        return vertex_frame({**vars(self.statistics), "agree": self.agree})

    def vertices(self, numbers: Sequence[int]) -> pl.DataFrame:
        """Columns of `frame`, number (of both hemispheres) and similarities (each subject's), in the order asked for.

        Raises:
            NotFoundError: the mesh has no vertex of a number.
        """
        n = len(self.agree) // 2
        if wrong := [number for number in numbers if not 0 <= number < 2 * n]:
            raise NotFoundError(f"There is no vertex {wrong[0]}; {self.mesh} has {2 * n}, numbered from 0.")
        rows = np.array(numbers, np.int64)
        frame = vertex_frame({**vars(self.statistics), "agree": self.agree}, rows)
        return frame.with_columns(number=pl.Series(rows), similarities=pl.Series(self.similarities[:, rows].T.tolist()))

    def first_vertices(self, n: int) -> list[int]:
        """Numbers of the vertices that show most, the first of them first: the greatest values, or the least q."""
        ranked = self.values if self.request.show == "q" else -self.values
        shown = np.flatnonzero(np.isfinite(ranked))
        return [int(at) for at in shown[np.argsort(ranked[shown], kind="stable")][:n]]

    def subjects(self) -> pl.DataFrame:
        """subject_id, model_id, leave_one_out_r of each."""
        rows = [(model.subject_id, model.model_id) for model in self.models]
        frame = pl.DataFrame(rows, {"subject_id": pl.String, "model_id": pl.String}, orient="row")
        return frame.with_columns(leave_one_out_r=pl.Series(self.leave_one_out, nan_to_null=True))


def vertex_frame(arrays: Mapping[str, NDArray[Any]], rows: NDArray[np.int64] | None = None) -> pl.DataFrame:
    """The arrays n, mean, t, p, q and agree of a group as a frame: see `GroupMap.frame`; or of the vertices given."""
    rows = np.flatnonzero(arrays["n"] > 0) if rows is None else rows
    side, vertex = np.divmod(rows, len(arrays["agree"]) // 2)
    return pl.DataFrame(
        {
            "hemisphere": pl.Series(["left", "right"])[side],
            "vertex": vertex.astype(np.int32),
            "n_subjects": arrays["n"][rows].astype(np.int64),
            **{name: pl.Series(arrays[name][rows], nan_to_null=True) for name in ("mean", "t", "p", "q")},
            "n_agree": arrays["agree"][rows].astype(np.int64),
        }
    )


def group_map(atlas: Atlas, request: GroupRequest, cortices: CortexCache | None = None) -> GroupMap:
    """Work a group's map out.

    Args:
        atlas: the open atlas.
        request: what is asked.
        cortices: where subjects' surfaces are kept; None for those of the settings.

    Raises:
        BadInputError: one subject, two models of one, or models that are not comparable.
        SpaceMismatchError: a model that was named meets no other one; the message names the files that would help.
        NotFoundError: no such model.
    """
    cortices = cortices or CortexCache(atlas, Settings(home=atlas.home))
    generation = atlas.generation()
    members, warnings = find_members(atlas, cortices, request.models, request.by)
    family, n = members[0].space.family, min(member.space.n for member in members)
    if request.smooth:
        # Along the mesh that is drawn: where a denser one is not at hand, nothing says where its vertices lie.
        surface = cortices.of(f"{GROUP}{mesh_name(family, n)}").surface
        n = surface.n_vertices[0]
    similarities, agreeing, mapped = [], [], []
    for member in members:
        own = value_map(atlas, _of_subject(request, member.model))
        passes = np.where(np.isfinite(own.values), _passes(own, request) & (own.values > 0), np.nan)
        on_surface = [member.cortex.on_surface(own.voxels, each.astype(np.float32)) for each in (own.values, passes)]
        values, agrees = (member.space.carried(each, n) for each in on_surface)
        similarities.append(values)
        agreeing.append(np.nan_to_num(agrees) >= _HELD)
        mapped.append(own)
    stacked = np.stack(similarities)
    if request.smooth:
        stacked = smoothed(stacked, surface.mesh("fiducial"), request.smooth)
    return GroupMap(
        request,
        [member.model for member in members],
        mesh_name(family, n),
        stacked,
        over_subjects(stacked),
        np.sum(agreeing, axis=0, dtype=np.int64),
        leave_one_out(stacked),
        _regions(mapped),
        mapped[0].how,
        list(dict.fromkeys([*warnings, *(said for each in mapped for said in each.warnings)])),
        generation,
    )


def _of_subject(request: GroupRequest, model: Model) -> MapRequest:
    return MapRequest(
        concept=request.concept,
        model=model.model_id,
        by=request.by,
        readout=request.readout,
        baseline=request.baseline,
        significant=request.significant,
        semantic=request.semantic,
    )


def _passes(own: ValueMap, request: GroupRequest) -> NDArray[np.bool_]:
    """Which voxels of a subject's map pass the limits of evidence."""
    evidence = Evidence.of_map(own.frame)
    if request.of_concept:
        compared = Compared(request.concept, by=request.by, readout=request.readout, baseline=request.baseline)
        compared.check_evidence(evidence, own.model.model_id, specific=request.specific)
    return evidence.passes(request)


def _regions(mapped: Sequence[ValueMap]) -> pl.DataFrame:
    """Each subject's mean similarity in its own region of a name, over subjects."""
    names = sorted({name for each in mapped for name in each.model.tables.voxels().rois})
    means = np.full((len(mapped), len(names)), np.nan)
    for row, each in enumerate(mapped):
        table = each.model.tables.voxels()
        rows = table.rows(each.voxels.astype(np.int64))
        for column, name in enumerate(names):
            if name in table.rois:
                own = each.values[table.rois[name][rows] & np.isfinite(each.values)]
                means[row, column] = own.mean(dtype=np.float64) if len(own) else np.nan
    found = over_subjects(means)
    reach = stats.t.ppf(0.975, np.maximum(found.n - 1, 1)) * found.error
    numbers = {
        "mean": found.mean,
        "low": found.mean - reach,
        "high": found.mean + reach,
        "t": found.t,
        "p": found.p,
        "q": found.q,
    }
    frame = pl.DataFrame(
        {
            "roi": pl.Series(names, dtype=pl.String),
            "n_subjects": found.n,
            **{name: pl.Series(values, nan_to_null=True) for name, values in numbers.items()},
            "n_positive": np.count_nonzero(means > 0, axis=0),
        }
    )
    return frame.filter(pl.col("mean").is_not_null())
