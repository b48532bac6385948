"""Sections on ground truth (Fig. 5) and on what a simulated subject was planted with."""

from itertools import combinations

import numpy as np
import polars as pl

from api.report.labels import ABOUT_TESTS, TEST_COLUMNS
from api.report.section import Section, Shown
from api.report.study import Model, Study
from atlas.evaluation.recovery import concept_recovery, planted
from atlas.evaluation.statistics import FEWEST_PAIRS, correlation_difference, paired_tests, pearson
from ingest.evaluation.truth import localiser_truth, response_truth, shown_by
from schemas.errors import BadInputError, NotFoundError
from viz import figures

WEIGHTS = "weights"
"""Stands among the methods for the concept's similarity to the voxels' own vectors, without labels."""


def figure_5(study: Study) -> Section:
    """How far maps of categories agree with measured responses to them."""
    section = Section("fig5", "Concept maps and ground truth (Fig. 5)")
    frames = []
    for model in study.models:
        with section.may_lack():
            frames.append(_joined(section, study, model))
    if not frames:
        return section
    joined = pl.concat(frames)
    section.tables["fig5_maps"] = joined
    correlations = correlated(joined)
    section.tables["fig5_correlations"] = correlations
    section.shown.append(
        Shown("Fig. 5: Pearson correlation over voxels of each map with the ground truth.", _wide(correlations))
    )
    series = {
        str(method): {
            str(category): part["pearson"].to_list()
            for (category,), part in rows.group_by("category", maintain_order=True)
        }
        for (method,), rows in correlations.group_by("method", maintain_order=True)
    }
    categories = correlations["category"].unique(maintain_order=True).to_list()
    n_voxels = correlations.group_by("subject_id").agg(pl.col("n").max())["n"]
    section.draw(
        "fig5",
        figures.points(categories, series, quantity="Pearson r over voxels", one="category"),
        f"Fig. 5: agreement of category maps with ground truth. A point is a model of a subject, a bar their mean. n: "
        f"{', '.join(f'{n:,}' for n in n_voxels)} voxels that every method labels. By a method: mean cosine of the "
        f"category's name with a voxel's labels, weighted by probability; {WEIGHTS}: cosine with the voxel's vector.",
    )
    _tests(section, joined, correlations)
    return section


def recovery(study: Study) -> Section:
    """What is found of what was planted."""
    section = Section("recovery", "Recovery of what was planted")
    frames = []
    for model in study.models:
        with section.may_lack():
            tuned = planted(study.atlas, model["subject_id"])
            categories = study.options.categories or tuple(tuned["category"].unique().sort())
            maps = _maps(study, model, list(categories))
            found = concept_recovery(maps, tuned)
            frames.append(found.select(pl.lit(model["model_id"]).alias("model_id"), pl.all()))
    if not frames:
        return section
    found = pl.concat(frames)
    section.tables["recovery"] = found
    section.paragraphs.append(
        "Area under the ROC curve: the chance that a voxel that was planted with the category scores above one that "
        "was not, by the category's map; 0.5 is chance. The control gives each voxel the planting of another."
    )
    section.shown.append(Shown("Recovery of planted categories, over labelled voxels.", found))
    series = {
        str(method): {str(c): rows["auc"].to_list() for (c,), rows in part.group_by("category", maintain_order=True)}
        for (method,), part in found.group_by("method", maintain_order=True)
    }
    control = found.filter(pl.col("method") == found["method"][0])
    series["shuffled planting"] = {
        str(c): rows["auc_shuffled"].to_list() for (c,), rows in control.group_by("category", maintain_order=True)
    }
    section.draw(
        "recovery",
        figures.points(found["category"].unique(maintain_order=True).to_list(), series, quantity="AUC", one="category"),
        "Recovery of planted categories; a point is a model. n: see the table.",
    )
    return section


def correlated(joined: pl.DataFrame) -> pl.DataFrame:
    """Pearson's r of similarity and truth: model_id, subject_id, category, method, pearson, n."""
    keys = ["model_id", "subject_id", "category", "method"]
    rows = [
        {
            **dict(zip(keys, key, strict=True)),
            "pearson": pearson(part["similarity"].to_numpy(), part["truth"].to_numpy()),
            "n": part.height,
        }
        for key, part in joined.group_by(keys, maintain_order=True)
    ]
    return pl.DataFrame(rows)


def _joined(section: Section, study: Study, model: Model) -> pl.DataFrame:
    """Similarity and truth of a model's voxels: model_id, subject_id, category, method, voxel, similarity, truth."""
    evidence = study.evidence(model)
    first = study.first_labels.filter(pl.col("model_id") == model["model_id"])
    n_methods = first["method"].n_unique()
    labelled = first.group_by("voxel").agg(pl.col("method").n_unique()).filter(pl.col("method") == n_methods)
    voxels = labelled["voxel"].sort().to_numpy().astype(np.int32)
    if not len(voxels):
        raise NotFoundError(f"{model['model_id']} has no labelled voxel.")
    try:
        truth, kind = localiser_truth(evidence.dataset, voxels), "localiser t"
    except NotFoundError:
        shows = shown_by(evidence.dataset, study.options.labels, evidence.dataset.stimuli)
        if study.options.categories:
            shows = shows.filter(pl.col("category").is_in(study.options.categories))
        truth = response_truth(evidence, shows, voxels)
        n_images = truth.select("category", "n_images").unique().sort("category")
        counts = ", ".join(f"{name} {n}" for name, n in n_images.iter_rows())
        kind = f"mean response (z-scored beta) to the test images that show the category; images: {counts}"
    sentence = f"Ground truth of {model['subject_id']}: {kind}."
    if sentence not in section.paragraphs:
        section.paragraphs.append(sentence)
    categories = truth["category"].unique().sort().to_list()
    if study.options.categories:
        categories = [category for category in categories if category in study.options.categories]
    if not categories:
        raise BadInputError("None of the categories asked for has a ground truth.")
    return (
        _maps(study, model, categories)
        .join(truth.select("category", "voxel", "truth"), on=["category", "voxel"])
        .select(
            pl.lit(model["model_id"]).alias("model_id"),
            pl.lit(model["subject_id"]).alias("subject_id"),
            *("category", "method", "voxel", "similarity", "truth"),
        )
    )


def _maps(study: Study, model: Model, categories: list[str]) -> pl.DataFrame:
    """Maps of categories over the voxels that every method labels: method, category, voxel, similarity."""
    methods = study.methods(model)
    frames = []
    for category in categories:
        if model["has_text"]:
            found = study.atlas.concept_map(category, model=model["model_id"])
            frames.append((WEIGHTS, category, found.frame))
        for method in methods:
            found = study.atlas.concept_map(category, model=model["model_id"], by="labels", method=method)
            frames.append((method, category, found.frame))
    maps = pl.concat(
        frame.select(pl.lit(method).alias("method"), pl.lit(category).alias("category"), "voxel", "similarity")
        for method, category, frame in frames
    )
    everywhere = maps.group_by("voxel").len().filter(pl.col("len") == len(frames))["voxel"]
    return maps.filter(pl.col("voxel").is_in(everywhere.implode()))


def _wide(correlations: pl.DataFrame) -> pl.DataFrame:
    return correlations.pivot("method", index=["model_id", "category", "n"], values="pearson")


def _tests(section: Section, joined: pl.DataFrame, correlations: pl.DataFrame) -> None:
    methods = correlations["method"].unique(maintain_order=True).to_list()
    wide = correlations.pivot("method", index=["model_id", "subject_id", "category"], values="pearson")
    rows, pairs = [], []
    for a, b in combinations(methods, 2):
        for (model_id, category), part in joined.group_by("model_id", "category", maintain_order=True):
            sides = part.pivot("method", index=["voxel", "truth"], values="similarity")
            difference = correlation_difference(*(sides[name].to_numpy() for name in (a, b, "truth")))
            rows.append({"model_id": model_id, "category": category, "a": a, "b": b, **difference._asdict()})
        pairs.append(
            wide.select(
                "subject_id",
                "category",
                pl.lit(a).alias("a"),
                pl.lit(b).alias("b"),
                pl.col(a).alias("pearson_a"),
                pl.col(b).alias("pearson_b"),
            )
        )
    if not rows:
        return
    section.tables["fig5_differences"] = pl.DataFrame(rows)
    section.shown.append(
        Shown(
            "Differences of the correlations of two methods, with 95 % bootstrap intervals over voxels (1,000 "
            "resamples; neighbouring voxels are not independent, so that these are too narrow).",
            section.tables["fig5_differences"],
        )
    )
    n_subjects = wide["subject_id"].n_unique()
    if n_subjects < FEWEST_PAIRS:
        section.absent.append(f"A test over subjects needs {FEWEST_PAIRS} of them; this report has {n_subjects}.")
        return
    # Several models of a subject are one unit.
    every = pl.concat(pairs)
    overall = every.with_columns(pl.lit("mean").alias("category"))
    means = pl.col("pearson_a", "pearson_b").mean()
    units = pl.concat(
        part.group_by("subject_id", "a", "b", "category", maintain_order=True).agg(means) for part in (every, overall)
    )
    found = paired_tests(units, ["a", "b", "category"], "pearson_a", "pearson_b")
    section.tables["fig5_subjects"] = units
    section.tables["fig5_tests_over_subjects"] = found
    if ABOUT_TESTS not in section.paragraphs:
        section.paragraphs.append(ABOUT_TESTS)
    section.shown.append(
        Shown("Fig. 5 tested over subjects: method a against b.", found.select("a", "b", "category", *TEST_COLUMNS))
    )
