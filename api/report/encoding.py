"""Section on the encoding models: R² against its ceiling, histograms, maps, learning curve, shuffled control."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.search.contrasts.blocks import estimate, mean_draws
from ...atlas.search.model import Model
from ...schemas.config import FDR
from ...schemas.errors import NotFoundError
from ..maps.value_maps import MapRequest, value_map
from . import figures
from .analysis.refit import learning_curve, sampled, shuffled_control
from .cortex import bare_map
from .section import Section, grouped
from .study import Study


def encoding(study: Study) -> Section:
    """How well voxels are predicted."""
    section = Section("encoding", "Encoding models")
    sql = (
        "SELECT model_id, subject_id, voxel, r2, r, q, significant, semantic_r, semantic_q, semantic, "
        "noise_ceiling, r2_of_ceiling, alpha FROM voxel_quality WHERE model_id = ? ORDER BY voxel"
    )
    frames = {model.model_id: study.atlas.store.frame(sql, [model.model_id]) for model in study.models}
    quality = pl.concat(frames.values())
    section.tables["encoding"] = quality
    section.show("Scores on the test images, over fitted voxels.", _summary(quality))
    significant = pl.col("significant").fill_null(value=False)
    panels = {
        model_id: {
            "significant": frame.filter(significant)["r2"].to_numpy(),
            "others": frame.filter(~significant)["r2"].to_numpy(),
        }
        for model_id, frame in frames.items()
    }
    section.draw(
        "encoding_r2",
        figures.histograms(panels, quantity="R² on test images (share of variance)"),
        f"R² on the test images. n: voxels. {_sizes(study)} The outermost 0.1 % at either end share the last bar.",
    )
    with section.may_lack():
        _ceilings(section, frames)
    for number, model in enumerate(study.models, 1):
        with section.may_lack():
            _map(section, study, model, number)
    with section.may_lack():
        _curves(section, study)
    return section


def controls(study: Study) -> Section:
    """What the pipeline finds where there is nothing: shuffled responses."""
    section = Section("controls", "Controls")

    def fitted_again(model: Model) -> pl.DataFrame:
        voxels = _sample(study, model, significant=False)
        features = study.features(model)
        return shuffled_control(study.data(model), features, voxels)

    scores = section.gather(study.each_model(), fitted_again)
    if scores.is_empty():
        return section
    section.tables["control_shuffled_responses"] = scores
    counted = scores.group_by("model_id", "responses", maintain_order=True).agg(
        pl.len().alias("n"),
        pl.col("r").median().alias("median r"),
        pl.col("r2").median().alias("median R²"),
        (pl.col("p") < 0.05).mean().alias("share with p < 0.05"),
        (pl.col("q") <= FDR).mean().alias("share with q ≤ 0.05"),
    )
    section.paragraphs.append(
        "A sample of voxels was fitted again, to the measured responses and to responses that were permuted over the "
        "images, each voxel's by a permutation of its own. Of the shuffled ones, at most 5 % may have p < 0.05."
    )
    section.show("Measured and shuffled responses, fitted and tested in the same way.", counted)
    section.draw(
        "control_shuffled",
        figures.histograms(grouped(scores, "model_id", "responses", "r"), quantity="Pearson r on test images"),
        "Prediction of measured and of shuffled responses by the same network. n: voxels of the sample.",
    )
    return section


def _summary(quality: pl.DataFrame) -> pl.DataFrame:
    return quality.group_by("model_id", maintain_order=True).agg(
        pl.len().alias("n"),
        pl.col("significant").sum().alias("significant"),
        (pl.col("significant") & pl.col("semantic")).sum().alias("of these semantic"),
        pl.col("r2").median().alias("median R²"),
        pl.col("r2").quantile(0.95).alias("95th percentile R²"),
        pl.col("r").median().alias("median r"),
        pl.col("r2").filter(pl.col("significant")).median().alias("median R², significant"),
        pl.col("r2_of_ceiling").filter(pl.col("significant")).median().alias("median R² / ceiling, significant"),
    )


def _sizes(study: Study) -> str:
    counts = {f"{model.n_test:,}" for model in study.models}
    return f"{' or '.join(sorted(counts))} test images."


def _ceilings(section: Section, frames: Mapping[str, pl.DataFrame]) -> None:
    known = {model_id: frame.drop_nulls("noise_ceiling") for model_id, frame in frames.items()}
    pairs = {
        model_id: (frame["noise_ceiling"].to_numpy(), frame["r2"].to_numpy())
        for model_id, frame in known.items()
        if not frame.is_empty()
    }
    if not pairs:
        raise NotFoundError("No subject has a noise ceiling, so R² is not shown against it.")
    section.draw(
        "encoding_ceiling",
        figures.against(pairs, x="noise ceiling (share of variance)", y="R² on test images"),
        "R² of each voxel against the share of its variance that is signal. Dashed: all of the signal is predicted. "
        "The ceiling is an estimate, so some voxels lie above it.",
    )


def _map(section: Section, study: Study, model: Model, number: int) -> None:
    cortex = study.cortices.of(model.subject_id)
    r2 = value_map(study.atlas, MapRequest(metric="r2", model=model.model_id, lo=0.0))
    section.draw(
        f"encoding_map_{number}",
        figures.pictures({model.model_id: bare_map(r2, cortex)}, shared=(r2.scale, r2.unit)),
        f"R² on the flattened cortex of {model.subject_id}; n = {len(r2.voxels):,} voxels. Lines: regions.",
    )


def _sample(study: Study, model: Model, *, significant: bool) -> NDArray[np.int32]:
    sql = "SELECT voxel FROM voxel_quality WHERE model_id = ? AND (significant OR NOT ?)"
    voxels = study.atlas.store.frame(sql, [model.model_id, significant])["voxel"].to_numpy().astype(np.int32)
    if not len(voxels):
        raise NotFoundError(f"{model.model_id} has no significant voxel.")
    return sampled(voxels, study.options.sample)


def _curves(section: Section, study: Study) -> None:
    curves = section.gather(study.each_model(), lambda model: _curve(study, model), by=("model_id", "subject_id"))
    if curves.is_empty():
        return
    curves = study.in_blocks(curves)
    section.tables["learning_curve"] = curves.drop("subject_id", "block")
    rows = []
    for (model_id, n_train), point in curves.group_by("model_id", "n_train", maintain_order=True):
        r2 = point["r2"].to_numpy().astype(np.float64)
        found = estimate(mean_draws(r2[:, None], point["block"].to_numpy())[:, 0], float(r2.mean()))
        mean = {"n": point.height, "mean_r2": r2.mean(), "low": found.low, "high": found.high}
        rows.append({"model_id": model_id, "n_train": n_train, **mean})
    means = pl.DataFrame(rows)
    section.tables["learning_curve_means"] = means
    series = {}
    for (model_id,), own in means.group_by("model_id", maintain_order=True):
        points = {name: own[name].to_numpy() for name in ("n_train", "mean_r2", "low", "high")}
        series[f"{model_id} (n = {own['n'][0]:,})"] = tuple(points.values())
    section.draw(
        "learning_curve",
        figures.curves(series, x="training images", y="mean R² on test images"),
        "Test scores of models that were fitted on fewer images: the first 5, 10 … 30 and 34 of 34 blocks. n: "
        "significant voxels, or a sample of them where the ingest kept no curve; band: 95 % interval of the mean over "
        "blocks of cortex. Which voxels are significant was tested on the same images, so that the scores are a little "
        "too high.",
    )


def _curve(study: Study, model: Model) -> pl.DataFrame:
    """n_train, voxel, r2, r of significant voxels: from the atlas, else fitted now on a sample."""
    kept = study.atlas.store.frame(
        "SELECT l.n_train, l.voxel, l.r2::DOUBLE AS r2, l.r::DOUBLE AS r FROM learning_curve l "
        "JOIN voxel_quality q USING (model_id, voxel) WHERE l.model_id = ? AND q.significant ORDER BY ALL",
        [model.model_id],
    )
    if not kept.is_empty():
        return kept
    voxels = _sample(study, model, significant=True)
    return learning_curve(study.data(model), study.features(model), voxels)
