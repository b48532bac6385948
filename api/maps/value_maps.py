"""Maps: one value per voxel for a concept, a metric or a label, with the colours that suit it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.backbones.interface import Image
from ...atlas.search.atlas import Atlas
from ...atlas.search.concepts import parse_concept
from ...atlas.search.evidence import Evidence
from ...atlas.search.filters import Limits
from ...atlas.search.model import Model
from ...atlas.search.similarity import Compared
from ...schemas.config import FDR
from ...schemas.errors import BadInputError
from ...viz.render.colormaps import FROM_ZERO, LOGARITHMIC, SUGGESTED, Scale, fit_scale, logarithmic_scale
from ...viz.render.picture import Picture
from .subject_cortex import SubjectCortex


@dataclass(frozen=True, kw_only=True)
class MapRequest(Limits):
    """What is to be shown: exactly one of concept, metric, label and picture; or a concept's z, with both.

    Voxels stay bare that do not pass limits. On maps of metrics, those that are not semantic are shown, too.
    """

    concept: str | None = None
    metric: str | None = None
    label: str | None = None
    picture: Image | None = None
    """RGB, (height, width, 3): what the model predicts for it."""
    model: str | None = None
    by: str = "weights"
    readout: str | None = None
    baseline: str = "vocabulary"
    method: str | None = None
    """Whose labels a concept is compared with, by labels; None for the model's first."""
    colormap: str | None = None
    lo: float | None = None
    hi: float | None = None
    null_band: bool = False
    """Leave voxels bare in which the concept is as similar as nine in ten of the vocabulary's nouns are."""
    significant: bool = False
    alpha: str | None = None
    """A metric by which voxels are opaque: clear at 0, opaque at its 99th percentile."""

    def __post_init__(self) -> None:
        """Checks that it is clear what is asked for."""
        super().__post_init__()
        given = [name for name in ("concept", "metric", "label") if getattr(self, name)]
        given += ["picture"] * (self.picture is not None)
        if self.metric == "z" and not self.concept:
            raise BadInputError("A map of z is of a concept; name one.")
        if (self.metric == "z" and given != ["concept", "metric"]) or (self.metric != "z" and len(given) != 1):
            raise BadInputError("Give exactly one of concept, metric, label and picture to say what the map shows.")
        if self.of_concept and not self.concept:
            raise BadInputError("Limits of z and q, and specific, are of a concept; name one, or leave them out.")
        if self.null_band and not self.has_band:
            raise BadInputError(
                "The null band is of the similarities of voxels' weights to one word against the vocabulary: sums and "
                "differences, labels and metrics have none; leave it out."
            )
        if (self.by, self.readout, self.baseline, self.method) != _BY_DEFAULT and not self.concept:
            raise BadInputError("What is compared, and its baseline, are of a concept; name one, or leave them out.")

    @property
    def has_band(self) -> bool:
        """Whether it is what the vocabulary's nouns can be held beside in each voxel: a word, by weights."""
        by_weights = self.concept is not None and (self.by, self.baseline) == ("weights", "vocabulary")
        return by_weights and len(parse_concept(str(self.concept))) == 1


_BY_DEFAULT = ("weights", None, "vocabulary", None)


@dataclass(frozen=True)
class ValueMap:
    """Values of a model's voxels and how to show them."""

    request: MapRequest
    model: Model
    frame: pl.DataFrame
    """What the model answered: as `Model.map` or `Model.metric_map` gives it."""
    voxels: NDArray[np.int32]
    """(n,) voxel numbers."""
    values: NDArray[np.float32]
    """(n,) one value each; NaN where there is none."""
    alpha: NDArray[np.float32] | None
    """(n,) opacity of each voxel, 0 to 1; None where all are opaque."""
    scale: Scale
    title: str
    unit: str
    readout: str | None
    method: str | None
    """Which labels are shown; None where none are."""
    warnings: list[str]
    """A sentence for each word that the text tower does not seem to know, and where no voxel is shown."""
    generation: int
    how: str
    """Readout and baseline, or the labels' scorer, of a concept's map; "" for others."""
    bare: int
    """Voxels that are left out as contrast and edges may explain them."""
    evidence: Mapping[str, NDArray[np.float32]]
    """z, concept_q and specific (0 or 1) of every voxel, (n,), NaN where not known; empty where no concept is shown."""
    fixed: bool
    """Whether the colours mean the same in the maps of all concepts of the model."""

    @property
    def subject_id(self) -> str:
        """Whose cortex it is drawn on."""
        return self.model.subject_id

    @property
    def about(self) -> dict[str, object]:
        """What is told of the values beside them, as JSON has it."""
        return {
            "model": self.model.model_id,
            "subject": self.model.subject_id,
            "simulated": self.model.simulated,
            "title": self.title,
            "unit": self.unit,
            "readout": self.readout,
            "baseline": self.request.baseline if self.readout else None,
            "method": self.method,
            "how": self.how,
            "warnings": self.warnings,
            "left_out": left_out(self.bare),
            "held_to": self.held_to,
            "generation": self.generation,
            "colormap": self.scale.colormap,
            "lo": self.scale.vmin,
            "hi": self.scale.vmax,
            "logarithmic": self.scale.logarithmic,
            "fixed": self.fixed,
        }

    @property
    def empty(self) -> bool:
        """Whether no voxel is shown."""
        return not np.isfinite(self.values).any()

    @property
    def canonical(self) -> str:
        """All that the colours of a picture depend on, as text: what its address is the hash of."""
        parts = {**asdict(self.request), "model": self.model.model_id, "readout": self.readout}
        # Of a picture, which is not kept, what it comes to.
        parts["picture"] = parts["picture"] is not None and hashlib.sha256(self.values.tobytes()).hexdigest()
        return json.dumps({**parts, "generation": self.generation}, sort_keys=True)

    def picture(self, cortex: SubjectCortex, focus: Sequence[int] | None = None) -> Picture:
        """The map on its subject's surface; voxels out of focus are pale."""
        return Picture(
            cortex.on_surface(self.voxels, self.values),
            self.scale,
            cortex.opacity(self.voxels, self.alpha, focus),
            title=self.title,
            unit=f"{self.unit} ({self.how})" if self.how else self.unit,
            note=about(self.model),
            left_out=", ".join(said for said in ("no voxel is shown" * self.empty, left_out(self.bare)) if said),
            held_to=self.held_to,
        )

    @property
    def held_to(self) -> str:
        """What voxels had to pass, in a few words; "" where all are shown that have a value and are semantic."""
        request = self.request
        all_voxels = not request.semantic and bool(request.concept or request.label)
        outside = "only outside the null band" * request.null_band
        said = (request.held_to, outside, "only significant" * request.significant, SHOWN_TOO * all_voxels)
        return "; ".join(part for part in said if part)


SHOWN_TOO = "voxels that contrast may explain are shown"
"""What a picture says where they are not left out."""


def left_out(n: int) -> str:
    """What a picture says of so many voxels that low-level properties of the images may explain."""
    return f"{n:,} voxels that contrast may explain are bare" if n else ""


def about(model: Model) -> str:
    """What a picture says of the model that it shows."""
    return f"{model.model_id}{' (simulated)' if model.simulated else ''}"


def value_map(atlas: Atlas, request: MapRequest) -> ValueMap:
    """Work a map out.

    Raises:
        BadInputError: the concept is empty or too long, or the range is upside down.
        NotFoundError: no such model, label or colormap.
    """
    model = atlas.model(request.model)
    generation = atlas.generation()
    readout = method = passes = None
    how, bare = "", 0
    warnings: list[str] = []
    known: dict[str, NDArray[np.float32]] = {}
    if request.concept:
        # Not model.map: a notebook's model answers that with maps that are made here.
        hits = Model.map(
            model,
            request.concept,
            by=request.by,
            readout=request.readout,
            baseline=request.baseline,
            method=request.method,
        )
        frame, title, warnings = hits.frame, request.concept.strip(), hits.warnings
        readout, method = hits.readout, hits.method
        column, unit, how = "similarity", "cosine similarity", hits.how
        quantity = "contrast" if len(parse_concept(request.concept)) > 1 else "similarity"
        if request.metric:
            column, quantity, unit = "z", "contrast", "z of the similarity"
        compared = Compared(request.concept, by=request.by, readout=request.readout, baseline=request.baseline)
        evidence = Evidence.of_map(frame)
        columns = frame.select(pl.col("z", "concept_q", "specific").cast(pl.Float32).fill_null(np.nan))
        known = {column.name: column.to_numpy() for column in columns}
        if request.metric or request.of_concept:
            compared.check_evidence(evidence, model.model_id, specific=request.specific)
        passes = evidence.passes(request)
        if request.null_band:
            band = model.null_band(readout=readout)
            passes &= ~band.contains(frame["voxel"].to_numpy(), frame["similarity"].to_numpy())
    elif request.picture is not None:
        frame = model.predict(request.picture)
        request = replace(request, picture=np.zeros((0, 0, 3), np.uint8))  # it may be large, and nobody's to keep
        column, quantity, title, unit = "response", "response", "a picture", "predicted response (z-scored beta)"
    elif request.label:
        frame = model.metric_map(f"label_probability:{request.label}")
        column, quantity, title = "value", "label_probability", request.label.strip()
        unit = _UNITS[quantity]
        method = model.method()
    else:
        frame = model.metric_map(str(request.metric))
        column, title, quantity = "value", str(request.metric), str(request.metric).partition(":")[0]
        unit = _UNITS[quantity]
    voxels = frame["voxel"].to_numpy().astype(np.int32)
    values = frame[column].cast(float).to_numpy().astype(np.float32)
    if passes is not None:
        values = np.where(passes, values, np.float32(np.nan))
    if request.significant:
        q = _of(model, "q", voxels)
        values = np.where(q <= FDR, values, np.float32(np.nan))
    if request.concept or request.label:
        shown = model.tables.voxels().are_shown(voxels, semantic=request.semantic)
        bare = int(np.count_nonzero(~shown & np.isfinite(values)))
        values = np.where(shown, values, np.float32(np.nan))
    if not np.isfinite(values).any():
        beyond = f"; {bare:,} that contrast and edges may explain are left out" if bare else ""
        limited = request.of_concept or request.significant or request.null_band or bare
        lacking = "passes the limits" if limited else "has a value"
        warnings = [*warnings, f"No voxel of {model.model_id} is shown: none {lacking}{beyond}."]
    alpha = _opacity(_of(model, request.alpha, voxels)) if request.alpha else None
    lo = request.lo
    if lo is None and quantity in FROM_ZERO and (request.hi is None or request.hi > 0):
        lo = 0.0
    colormap = request.colormap or SUGGESTED.get(quantity, "auto")
    fixed = bool(request.concept) and request.by == "weights" and (lo, request.hi) == (None, None)
    if fixed:
        # One scale for all concepts of a model: a word that means nothing must not glow like one that does.
        reach = model.reach(readout=readout, baseline=request.baseline, z=request.metric == "z")
        lo, hi = (-reach, reach) if reach > 0 else (None, None)
        scale = fit_scale(values, colormap, lo, hi)
    elif quantity in LOGARITHMIC:
        scale = logarithmic_scale(colormap, lo, request.hi)
    else:
        scale = fit_scale(values, colormap, lo, request.hi)
    return ValueMap(
        request,
        model,
        frame,
        voxels,
        values,
        alpha,
        scale,
        title,
        unit,
        readout,
        method,
        warnings,
        generation,
        how=how,
        bare=bare,
        evidence=known,
        fixed=fixed,
    )


def _of(model: Model, metric: str, voxels: NDArray[np.int32]) -> NDArray[np.float32]:
    """A metric of these voxels, (n,); NaN where it is not known."""
    frame = model.metric_map(metric)
    known = pl.DataFrame({"voxel": voxels}).join(frame, on="voxel", how="left", maintain_order="left")
    return known["value"].cast(pl.Float32).fill_null(np.nan).to_numpy()


def _opacity(values: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = values[np.isfinite(values)]
    most = float(np.percentile(finite, 99)) if len(finite) else 0.0
    return np.nan_to_num(values / np.float32(most)).clip(0, 1) if most > 0 else np.zeros_like(values)


_UNITS = {
    "r2": "R² on test images",
    "r": "correlation with test responses",
    "q": "q of the prediction",
    "noise_ceiling": "noise ceiling",
    "r2_of_ceiling": "R² as share of the ceiling",
    "food_t": "t of food against other categories",
    "food_q": "q of food against other categories",
    "label_probability": "label probability",
}
"""Metric → what its colour bar says."""
