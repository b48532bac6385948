"""Sections on ground truth (Fig. 5) and on what a simulated subject was planted with."""

from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.search.model import Model
from ...schemas.errors import BadInputError, NotFoundError
from . import figures
from .analysis.declared import ABOUT_DECLARED, CATEGORIES, category_t, n_declared
from .analysis.measured_truth import localiser_truth, response_truth, shown_by
from .analysis.recovery import concept_recovery, planted
from .analysis.statistics import FEWEST_PAIRS, correlation_intervals, correlations, paired_tests
from .labels import ABOUT_TESTS, TEST_COLUMNS
from .section import Section, grouped
from .study import Study

WEIGHTS = "weights"
"""Stands among the methods for the concept's similarity to the voxels' own vectors, without labels."""
_KEYS = ("model_id", "subject_id", "category", "voxel", "truth")


def figure_5(study: Study) -> Section:
    """How far maps of categories agree with measured responses to them."""
    section = Section("fig5", "Concept maps and ground truth (Fig. 5)")
    maps = section.gather(study.models, lambda model: _with_truth(section, study, model), by=("model_id", "subject_id"))
    if maps.is_empty():
        return section
    section.tables["fig5_maps"] = maps
    pearsons, differences = correlated(maps)
    section.tables["fig5_correlations"] = pearsons
    section.show(
        "Fig. 5: Pearson correlation over voxels of each map with the ground truth, with its 95 % interval over "
        "voxels (bootstrap; from 2,000 voxels on normal; neighbours are not independent, so that it is too "
        "narrow).",
        pearsons.drop("subject_id"),
    )
    n_voxels = pearsons.group_by("subject_id", maintain_order=True).agg(pl.col("n").max())["n"]
    section.draw(
        "fig5",
        figures.points(
            pearsons["category"].unique(maintain_order=True).to_list(),
            grouped(pearsons, "method", "category", "pearson"),
            quantity="Pearson r over voxels",
            one="category",
        ),
        f"Fig. 5: agreement of category maps with ground truth. A point is a model of a subject, a bar their mean. n: "
        f"{', '.join(f'{n:,}' for n in n_voxels)} voxels that every method labels. By a method: mean cosine of the "
        f"category's name with a voxel's labels, weighted by probability; {WEIGHTS}: cosine with the voxel's "
        f"readout ({', '.join(sorted({model.readout() for model in study.models if model.has_text})) or 'none'}), the "
        "name less the mean of many nouns.",
    )
    if not differences.is_empty():
        section.tables["fig5_differences"] = differences
        section.show("Differences of two methods' correlations, a - b, with intervals as above.", differences)
        _over_subjects(section, pearsons)
    return section


def recovery(study: Study) -> Section:
    """What is found of what was planted."""
    section = Section("recovery", "Recovery of what was planted")

    def recovered(model: Model) -> pl.DataFrame:
        tuned = planted(study.atlas, model.subject_id)
        categories = study.options.categories or tuple(tuned["category"].unique().sort())
        maps = pl.concat(
            _maps(study, model, category)
            .unpivot(index="voxel", variable_name="method", value_name="similarity")
            .with_columns(pl.lit(category).alias("category"))
            for category in categories
        )
        return concept_recovery(maps, tuned)

    areas = section.gather(study.models, recovered)
    if areas.is_empty():
        return section
    section.tables["recovery"] = areas
    section.paragraphs.append(
        "Area under the ROC curve: the chance that a voxel that was planted with the category scores above one that "
        "was not, by the category's map; 0.5 is chance. The control gives each voxel the planting of another."
    )
    section.show("Recovery of planted categories, over labelled voxels.", areas)
    # As in Fig. 5, so that a method has one colour in both.
    in_order = areas.sort(pl.col("method") != WEIGHTS, maintain_order=True)
    series = grouped(in_order, "method", "category", "auc")
    control = areas.filter(pl.col("method") == areas["method"][0]).with_columns(method=pl.lit("shuffled planting"))
    series |= grouped(control, "method", "category", "auc_shuffled")
    section.draw(
        "recovery",
        figures.points(areas["category"].unique(maintain_order=True).to_list(), series, quantity="AUC", one="category"),
        "Recovery of planted categories; a point is a model. n: see the table.",
    )
    return section


def declared_categories(study: Study) -> Section:
    """How many of the declared categories voxels answer to, by measured responses."""
    section = Section("declared", "Declared categories per voxel")
    categories = study.options.categories or CATEGORIES

    def counted(model: Model) -> pl.DataFrame:
        if not model.has_text:
            raise BadInputError(f"{model.model_id} has no text tower, so that no word is a detector of its features.")
        voxels = study.first_labels.filter(pl.col("model_id") == model.model_id)["voxel"].unique().sort()
        contrasts = [study.atlas.text_towers.concept(model.backbone, category) for category in categories]
        data, features = study.data(model), study.features(model)
        numbers = voxels.to_numpy().astype(np.int32)
        found = [
            n_declared(category_t(responses, features, np.stack(contrasts)), len(features))
            for _, responses in data.batches(numbers)
        ]
        return pl.DataFrame({"voxel": numbers, "n": np.concatenate([np.empty(0, np.int64), *found])})

    counts = study.shown(section.gather(study.models, counted, by=("model_id", "subject_id")))
    if counts.is_empty():
        return section
    section.tables["declared"] = counts
    section.paragraphs.append(f"Declared: {', '.join(categories)}. {ABOUT_DECLARED}")
    shares = [(pl.col("n") == n).mean().alias(str(n)) for n in range(len(categories) + 1)]
    inside = counts.join(study.members, on=["subject_id", "voxel"])
    summary = inside.group_by("model_id", "roi").agg(pl.len().alias("voxels"), *shares).sort("model_id", "roi")
    section.show("Share of labelled voxels by number of declared categories, by region.", summary)
    return section


def correlated(maps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pearson's r of each method's maps with the truth, and the differences of each two methods.

    Args:
        maps: model_id, subject_id, category, voxel, truth, and a column of similarities for each method.

    Returns:
        model_id, subject_id, category, method, n, pearson, low, high; and model_id, category, a, b, n, difference,
        low, high.
    """
    rows, differences = [], []
    for (model_id, subject_id, category), part in maps.group_by(*_KEYS[:3], maintain_order=True):
        methods = [name for name in part.columns if name not in _KEYS and part[name].null_count() < part.height]
        whole = part.filter(pl.all_horizontal(pl.col("truth", *methods).is_finite()))
        named = {"model_id": model_id, "category": category, "n": whole.height}
        values, truth = whole.select(methods).to_numpy().astype(np.float64), whole["truth"].to_numpy()
        r, (lows, highs), (lows_apart, highs_apart) = _with_intervals(values, truth)
        for place, method in enumerate(methods):
            low, high = lows[place], highs[place]
            one = {"subject_id": subject_id, "method": method, "pearson": r[place], "low": low, "high": high}
            rows.append({**named, **one})
        for a, b in combinations(range(len(methods)), 2):
            low, high = lows_apart[a, b], highs_apart[a, b]
            pair = {"a": methods[a], "b": methods[b], "difference": r[a] - r[b], "low": low, "high": high}
            differences.append({**named, **pair})
    order = ["model_id", "subject_id", "category", "method", "n", "pearson", "low", "high"]
    return pl.DataFrame(rows).select(order), pl.DataFrame(differences)


def _with_intervals(
    values: NDArray[np.floating], truth: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    n, m = values.shape
    if n < FEWEST_PAIRS:
        return np.full(m, np.nan), np.full((2, m), np.nan), np.full((2, m, m), np.nan)
    return correlations(values, truth), *correlation_intervals(values, truth)


def _with_truth(section: Section, study: Study, model: Model) -> pl.DataFrame:
    """Similarity and truth of a model's voxels, a row for each category and voxel; see `correlated`."""
    data = study.data(model)
    first = study.first_labels.filter(pl.col("model_id") == model.model_id)
    n_methods = first["method"].n_unique()
    labelled = first.group_by("voxel").agg(pl.col("method").n_unique()).filter(pl.col("method") == n_methods)
    voxels = labelled["voxel"].sort().to_numpy().astype(np.int32)
    if not len(voxels):
        raise NotFoundError(f"{model.model_id} has no labelled voxel.")
    try:
        truth, kind = localiser_truth(data.dataset, voxels), "localiser t"
    except NotFoundError:
        shows = shown_by(data.dataset, study.options.labels)
        if study.options.categories:
            shows = shows.filter(pl.col("category").is_in(study.options.categories))
        truth = response_truth(data, shows, voxels)
        n_images = truth.select("category", "n_images").unique().sort("category")
        counts = ", ".join(f"{name} {n}" for name, n in n_images.iter_rows())
        kind = f"mean response (z-scored beta) to the test images that show the category; images: {counts}"
    sentence = f"Ground truth of {model.subject_id}: {kind}."
    if sentence not in section.paragraphs:
        section.paragraphs.append(sentence)
    parts = []
    for (category,), true in truth.group_by("category", maintain_order=True):
        if not study.options.categories or category in study.options.categories:
            maps = _maps(study, model, str(category)).join(true.select("voxel", "truth"), on="voxel")
            parts.append(
                maps.select(pl.lit(category).alias("category"), "voxel", "truth", pl.exclude("voxel", "truth"))
            )
    if not parts:
        raise BadInputError("None of the categories asked for has a ground truth.")
    return pl.concat(parts)


def _maps(study: Study, model: Model, category: str) -> pl.DataFrame:
    """A category's map by each method, over the voxels that every method labels: voxel, and a column a method."""
    maps = {}
    if model.has_text:
        maps[WEIGHTS] = model.map(category)
    for method in study.methods(model):
        maps[method] = model.map(category, by="labels", method=method)
    joined: pl.DataFrame | None = None
    for method, concept_map in maps.items():
        named = concept_map.frame.select("voxel", pl.col("similarity").alias(method))
        joined = named if joined is None else joined.join(named, on="voxel", maintain_order="left")
    assert joined is not None  # noqa: S101 - methods() is never empty
    return joined


def _over_subjects(section: Section, pearsons: pl.DataFrame) -> None:
    methods = pearsons["method"].unique(maintain_order=True).to_list()
    # Several models of a subject are one unit.
    wide = pearsons.pivot(
        "method", index=["subject_id", "category"], values="pearson", aggregate_function="mean", maintain_order=True
    )
    n_subjects = wide["subject_id"].n_unique()
    if n_subjects < FEWEST_PAIRS:
        section.absent.append(f"A test over subjects needs {FEWEST_PAIRS} of them; this report has {n_subjects}.")
        return
    means = wide.group_by("subject_id", maintain_order=True).agg(pl.col(methods).mean())
    every = pl.concat([wide, means.with_columns(pl.lit("mean").alias("category")).select(wide.columns)])
    units = pl.concat(
        every.select(
            "subject_id",
            "category",
            pl.lit(a).alias("a"),
            pl.lit(b).alias("b"),
            pl.col(a).alias("pearson_a"),
            pl.col(b).alias("pearson_b"),
        )
        for a, b in combinations(methods, 2)
    )
    tests = paired_tests(units, ["a", "b", "category"], "pearson_a", "pearson_b")
    section.tables["fig5_subjects"] = units
    section.tables["fig5_tests_over_subjects"] = tests
    section.paragraphs.append(ABOUT_TESTS)
    section.show("Fig. 5 tested over subjects: method a against b.", tests.select("a", "b", "category", *TEST_COLUMNS))
