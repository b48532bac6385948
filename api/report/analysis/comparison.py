"""Two models, methods, captioners or generators side by side: what differs, by how much, with intervals."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....schemas.errors import BadInputError, NotFoundError
from .label_statistics import first_labels, label_cosines, label_spread
from .statistics import FEWEST_PAIRS, FEWEST_SUBJECTS, interval, paired_tests

COSINE = "cosine of label and voxel"
EVERY_SUBJECT = "over subjects"
_NOT_COMPARED = ("p_holm", "t_p", "blocks")
"""Columns of tests that a comparison has no use for."""
_NAMED_BY = ("backbone", "captioner", "generator")
"""Settings whose values name a side."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison, for one subject."""

    model: Model
    method: str | None
    """Whose labels; None where the model has none."""

    @property
    def name(self) -> str:
        """Model and method, and what its labels and voxels are compared by."""
        readout = f"; readout {self.model.readout()}, against the vocabulary" if self.model.has_text else ""
        return f"{self.model.model_id} ({self.method or 'no labels'}{readout})"

    def shows(self, voxels: pl.Series, *, semantic: bool) -> pl.Series:
        """Which of some voxels are shown; see `compare`."""
        return pl.Series(self.model.tables.voxels().are_shown(voxels.to_numpy(), semantic=semantic))

    def is_same(self, other: "Side") -> bool:
        """Whether nothing can differ."""
        return (self.model.model_id, self.method) == (other.model.model_id, other.method)


def find_sides(atlas: Atlas, text: str) -> dict[str, Side]:
    """What a side's name stands for: subject → its newest finished model that the name fits.

    Args:
        atlas: the atlas.
        text: a model's id (or its beginning or end), a backbone, a captioner or a generator; then, behind a colon, a
            method. Or a method alone, for the newest model of each subject that it labelled.

    Raises:
        NotFoundError: no finished model fits; the message lists what there is.
    """
    models = [atlas.model(each) for each in atlas.models().filter(pl.col("finished"))["model_id"]]
    methods = {model.model_id: model.methods() for model in models}
    every = sorted({method for known in methods.values() for method in known})
    name, _, method = ("", "", text) if text in every else text.partition(":")
    sides: dict[str, Side] = {}
    for model in models:  # the newest first
        known = methods[model.model_id]
        if _fits(model, name) and (not method or method in known):
            first = method or next((m for m in model.settings.get("methods", ()) if m in known), None)
            sides.setdefault(model.subject_id, Side(model, first))
    if not sides:
        ids = ", ".join(model.model_id for model in models) or "none"
        raise NotFoundError(
            f"Nothing is named {text!r}; there are models {ids} and methods {', '.join(every) or 'none'}."
        )
    return sides


def _fits(model: Model, name: str) -> bool:
    model_id, config = model.model_id, model.settings
    return model_id.startswith(name) or model_id.endswith(name) or name in {config.get(key) for key in _NAMED_BY}


@dataclass(frozen=True)
class Comparison:
    """Two sides over the subjects that both have."""

    a: dict[str, Side]
    b: dict[str, Side]
    settings: pl.DataFrame
    """subject_id, setting, a, b: only those that differ."""
    voxels: pl.DataFrame
    """subject_id, quantity, voxel, a, b."""
    agreement: pl.DataFrame
    """subject_id, n, hidden, same_share, mean_similarity, low, high: of first labels; empty where one side has none.

    hidden: voxels with labels of both that are left out as not semantic.
    """

    @property
    def subjects(self) -> list[str]:
        """Subjects that both sides have."""
        return sorted(self.a)

    def tests(self) -> pl.DataFrame:
        """Each quantity, per subject over its voxels, and over subjects: see `statistics.Paired` for the columns.

        Intervals over subjects are given for five subjects and more, tests for three.
        """
        by = ["quantity", "subject_id"]
        over_voxels = paired_tests(self.voxels, by, "a", "b").drop(_NOT_COMPARED)
        means = self.voxels.group_by(by, maintain_order=True).agg(pl.col("a", "b").mean())
        several = means.with_columns(pl.lit(EVERY_SUBJECT).alias("subject_id"))
        if len(self.subjects) < FEWEST_PAIRS:
            return over_voxels
        over_subjects = paired_tests(several, by, "a", "b").drop(_NOT_COMPARED)
        if len(self.subjects) < FEWEST_SUBJECTS:
            over_subjects = over_subjects.with_columns(low=pl.lit(float("nan")), high=pl.lit(float("nan")))
        return pl.concat([over_voxels, over_subjects]).sort("quantity", maintain_order=True)


def compare(atlas: Atlas, text_a: str, text_b: str, *, semantic: bool = True) -> Comparison:
    """Compare two sides, named as `find_sides` takes them, on the voxels that both have.

    Args:
        atlas: the atlas.
        text_a: one side.
        text_b: the other.
        semantic: what is said of labels leaves out voxels that contrast and edges may explain by either side's model.

    Raises:
        NotFoundError: nothing fits a name.
        BadInputError: the two are the same, or have no subject in common.
    """
    all_a, all_b = find_sides(atlas, text_a), find_sides(atlas, text_b)
    common = sorted(set(all_a) & set(all_b))
    if not common:
        raise BadInputError(
            f"{text_a!r} has subjects {', '.join(sorted(all_a))} and {text_b!r} {', '.join(sorted(all_b))}; voxels are "
            "compared within a subject, so name two sides of the same one."
        )
    a, b = ({subject: sides[subject] for subject in common} for sides in (all_a, all_b))
    if all(a[subject].is_same(b[subject]) for subject in common):
        raise BadInputError(f"{text_a!r} and {text_b!r} are the same model and method; name two that differ.")
    parts = [_compared(atlas, subject, a[subject], b[subject], semantic) for subject in common]
    settings = pl.concat([_settings(subject, a[subject], b[subject]) for subject in common])
    agreement = [row for subject in common if (row := _agreement(atlas, subject, a[subject], b[subject], semantic))]
    return Comparison(a, b, settings, pl.concat(parts), pl.DataFrame(agreement))


def _settings(subject: str, a: Side, b: Side) -> pl.DataFrame:
    one, other = ({"method": side.method, **side.model.settings} for side in (a, b))
    rows = [
        (subject, name, json.dumps(one.get(name)), json.dumps(other.get(name)))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]
    return pl.DataFrame(rows, dict.fromkeys(("subject_id", "setting", "a", "b"), pl.String), orient="row")


def _compared(atlas: Atlas, subject: str, a: Side, b: Side, semantic: bool) -> pl.DataFrame:
    one, other = (_values(atlas, side, semantic) for side in (a, b))
    joined = one.join(other.rename({"a": "b"}), on=["quantity", "voxel"])
    joined = joined.filter(pl.col("a").is_finite() & pl.col("b").is_finite())
    if a.model.model_id == b.model.model_id:
        # One model encodes as itself: only what is said of its labels can differ.
        joined = joined.filter(~pl.col("quantity").is_in(["R²", "r"]))
    return joined.select(pl.lit(subject).alias("subject_id"), "quantity", "voxel", "a", "b").sort("quantity", "voxel")


def _values(atlas: Atlas, side: Side, semantic: bool) -> pl.DataFrame:
    """quantity, voxel, a: all that can be compared of one side; of labels, of the voxels that it shows."""
    model = side.model
    scores = {"R²": model.metric_map("r2"), "r": model.metric_map("r")}
    of_labels = {}
    if side.method is not None and model.has_text:
        cosines = label_cosines(atlas, model).filter(pl.col("method") == side.method)
        of_labels[COSINE] = cosines.select("voxel", pl.col("cosine").alias("value"))
    if side.method is not None:
        sql = "SELECT voxel, probability FROM label_score WHERE model_id = ? AND method = ? AND rank IS NOT NULL"
        spread = label_spread(atlas.store.frame(sql, [model.model_id, side.method]))
        of_labels["spread of labels"] = spread.select("voxel", pl.col("spread").alias("value"))
        of_labels["entropy (bits)"] = spread.select("voxel", pl.col("entropy").alias("value"))
    shown = {name: part.filter(side.shows(part["voxel"], semantic=semantic)) for name, part in of_labels.items()}
    return pl.concat(
        part.select(pl.lit(quantity).alias("quantity"), "voxel", pl.col("value").cast(pl.Float64).alias("a"))
        for quantity, part in (scores | shown).items()
    )


def _agreement(atlas: Atlas, subject: str, a: Side, b: Side, semantic: bool) -> Mapping[str, object] | None:
    firsts = [
        first_labels(atlas, side.model.model_id).filter(pl.col("method") == side.method).select("voxel", "label")
        for side in (a, b)
    ]
    both = firsts[0].join(firsts[1], on="voxel", suffix="_b")
    labelled = both.height
    for side in (a, b):
        both = both.filter(side.shows(both["voxel"], semantic=semantic))
    if both.is_empty():
        return None
    similarity = a.model.label_cosines(both["label"], both["label_b"]).drop_nulls().to_numpy()
    low, high = interval(similarity)
    same = (both["label"] == both["label_b"]).sum() / both.height
    mean = float(similarity.mean()) if len(similarity) else float("nan")
    return {
        "subject_id": subject,
        "n": both.height,
        "hidden": labelled - both.height,
        "same_share": same,
        "mean_similarity": mean,
        "low": low,
        "high": high,
    }
