"""Sections on ground truth (Fig. 5) and on what a simulated subject was planted with."""

from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...atlas.search.contrasts.blocks import correlation_draws, estimate
from ...atlas.search.model import Model
from ...schemas.errors import BadInputError, NotFoundError
from . import figures, multiples
from .analysis.declared import ABOUT_DECLARED, CATEGORIES, category_t, n_declared
from .analysis.measured_truth import FEWEST_SHOWING, truth_by_category
from .analysis.recovery import concept_recovery, planted
from .analysis.statistics import FEWEST_PAIRS, FEWEST_SUBJECTS, correlations, holm, paired_tests
from .analysis.study_data import StudyData
from .labels import ABOUT_TESTS, SUBJECT_COLUMNS
from .section import Section, grouped
from .study import Study

_NAMED = 20
"""Concepts of a list that are named."""
WEIGHTS = "weights"
"""Stands among the methods for the concept's similarity to the voxels' own vectors, without labels."""
BASELINE, OWN = "clip-msm", "clip-msm, own measure"
"""The baseline by the measure that all methods have here, and by its own: the concept's own soft value."""
_KEYS = ("model_id", "subject_id", "backbone", "category", "voxel", "block", "truth")


def figure_5(study: Study) -> Section:
    """How far maps of categories agree with measured responses to them."""
    section = Section("fig5", "Concept maps and ground truth (Fig. 5)")
    by = ("model_id", "subject_id", "backbone")
    maps = section.gather(study.each_model(), lambda model: _with_truth(section, study, model), by=by)
    if maps.is_empty():
        return section
    maps = study.in_blocks(maps)
    section.tables["fig5_maps"] = maps.drop("backbone")
    pearsons, differences = correlated(maps)
    section.tables["fig5_correlations"] = pearsons
    readouts = ", ".join(sorted({model.readout() for model in study.models if model.has_text})) or "none"
    methods = pearsons["method"].unique(maintain_order=True).to_list()
    about_own = f" {OWN}: the soft value of the category itself among its concepts." if OWN in methods else ""
    section.paragraphs += [
        f"{WEIGHTS}: similarity of the category's name, less the mean of many nouns, to the voxel's readout "
        f"({readouts}). By a method: mean cosine of the category's name with a voxel's labels, weighted by "
        f"probability.{about_own}",
        *dict.fromkeys(_about_concepts(study, model) for model in study.models),
        study.about_blocks(),
    ]
    section.show(
        "Fig. 5: Pearson correlation over voxels of each map with the ground truth, with its 95 % interval.",
        pearsons.drop("subject_id", "backbone"),
    )
    if study.options.every_model:
        drawn = pearsons.rename({"method": "series", "pearson": "mean"})
        about = "Fig. 5: agreement of category maps with ground truth, with 95 % intervals over blocks of cortex."
        multiples.estimates(section, study, "fig5", drawn, "category", "Pearson r over voxels", about)
    n_subjects = pearsons["subject_id"].n_unique()
    for (backbone,), part in pearsons.group_by("backbone", maintain_order=True):
        few = n_subjects < FEWEST_SUBJECTS
        if few and study.options.every_model:
            continue
        n_voxels = part.group_by("subject_id", maintain_order=True).agg(pl.col("n").max())["n"]
        section.draw(
            f"fig5_{backbone}",
            figures.points(
                part["category"].unique(maintain_order=True).to_list(),
                grouped(part, "method", "category", "pearson"),
                quantity="Pearson r over voxels",
                one="category",
                ends=_ends(part, "method") if few else None,
            ),
            f"Fig. 5: agreement of category maps with ground truth, {backbone}. A point is a model of a subject, a bar "
            f"their mean; lines: 95 % intervals over {'blocks of cortex' if few else 'subjects'}. n: "
            f"{', '.join(f'{n:,}' for n in n_voxels)} voxels that every method labels.",
        )
    if not differences.is_empty():
        differences = differences.with_columns(pl.Series("p_holm", holm(differences["p"].to_numpy())))
        section.tables["fig5_differences"] = differences
        if not study.options.every_model:
            section.show(
                "Differences of two methods' correlations, a - b. p_holm: Holm's correction over the rows of the "
                "table.",
                differences,
            )
        _over_subjects(section, pearsons)
    return section


def _ends(part: pl.DataFrame, outer: str) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Ends of the intervals, (2, n), as `figures.points` takes them."""
    low, high = (grouped(part, outer, "category", name) for name in ("low", "high"))
    return {
        name: {group: np.stack([ends, high[name][group]]) for group, ends in of.items()} for name, of in low.items()
    }


def _about_concepts(study: Study, model: Model) -> str:
    """What the methods of a model choose their labels from."""
    said = []
    for method in study.methods(model) if model.methods() else ():
        sql = "SELECT count(DISTINCT label_id) AS n FROM label_score WHERE model_id = ? AND method = ?"
        n = study.atlas.store.frame(sql, [model.model_id, method])["n"][0]
        concepts = model.settings.get("concepts") or ()
        if method == BASELINE and concepts:
            named = ", ".join(concepts[:_NAMED]) + (" …" if len(concepts) > _NAMED else "")
            said.append(f"{method} from a fixed list of {len(concepts):,} ({named})")
        else:
            said.append(f"{method} from the {n:,} nouns of the captions")
    return f"Concepts of {model.model_id}: {'; '.join(said) or 'it has no labels'}."


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
        own = maps.with_columns(pl.lit(model.subject_id).alias("subject_id"))
        return concept_recovery(study.in_blocks(own), tuned)

    areas = section.gather(study.each_model(), recovered)
    if areas.is_empty():
        return section
    section.tables["recovery"] = areas
    section.paragraphs.append(
        "Area under the ROC curve: the chance that a voxel that was planted with the category scores above one that "
        "was not, by the category's map; 0.5 is chance. The control gives each voxel the planting of another. low and "
        "high: 95 % interval. " + study.about_blocks()
    )
    section.show("Recovery of planted categories, over labelled voxels.", areas.drop("low_shuffled", "high_shuffled"))
    sizes = dict.fromkeys((areas["n_planted"] + areas["n_others"]).to_list())
    # As in Fig. 5, so that a method has one colour in both.
    in_order = areas.sort(pl.col("method") != WEIGHTS, maintain_order=True)
    series = grouped(in_order, "method", "category", "auc")
    first = in_order["method"][0]
    control = in_order.filter(pl.col("method") == first).select(
        "category",
        pl.lit("shuffled planting").alias("method"),
        *(pl.col(f"{name}_shuffled").alias(name) for name in ("auc", "low", "high")),
    )
    series |= grouped(control, "method", "category", "auc")
    ends = _ends(in_order, "method") | _ends(control, "method")
    categories = areas["category"].unique(maintain_order=True).to_list()
    section.draw(
        "recovery",
        figures.points(categories, series, quantity="area under the ROC curve", one="category", ends=ends),
        "Recovery of planted categories; a point is a model, with its 95 % interval over blocks of cortex. The control "
        f"is of {first}. n: {', '.join(f'{n:,}' for n in sizes)} labelled voxels; chance is 0.5.",
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

    counts = study.shown(section.gather(study.each_model(), counted, by=("model_id", "subject_id")))
    if counts.is_empty():
        return section
    section.tables["declared"] = counts
    section.paragraphs += [f"Declared: {', '.join(categories)}. {ABOUT_DECLARED}", study.about_shown()]
    shares = [(pl.col("n") == n).mean().alias(str(n)) for n in range(len(categories) + 1)]
    inside = counts.join(study.members, on=["subject_id", "voxel"])
    summary = inside.group_by("model_id", "roi").agg(pl.len().alias("voxels"), *shares).sort("model_id", "roi")
    section.show("Share of labelled voxels by number of declared categories, by region.", summary)
    return section


def correlated(maps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pearson's r of each method's maps with the truth, and the differences of each two methods.

    Args:
        maps: model_id, subject_id, backbone, category, voxel, block, truth, and a column of similarities for each
            method.

    Returns:
        model_id, subject_id, backbone, category, method, n, pearson, low, high; and model_id, category, a, b, n,
        difference, low, high, p.
    """
    rows, differences = [], []
    for key, part in maps.group_by(*_KEYS[:4], maintain_order=True):
        methods = [name for name in part.columns if name not in _KEYS and part[name].null_count() < part.height]
        whole = part.filter(pl.all_horizontal(pl.col("truth", *methods).is_finite()))
        named = dict(zip(_KEYS[:4], key, strict=True))
        values, truth = whole.select(methods).to_numpy().astype(np.float64), whole["truth"].to_numpy()
        if len(values) < FEWEST_PAIRS:
            r, drawn = np.full(len(methods), np.nan), np.full((1, len(methods)), np.nan)
        else:
            r, drawn = correlations(values, truth), correlation_draws(values, truth, whole["block"].to_numpy())
        for place, method in enumerate(methods):
            found = estimate(drawn[:, place], r[place])
            one = {"method": method, "n": whole.height, "pearson": r[place], "low": found.low, "high": found.high}
            rows.append({**named, **one})
        for a, b in combinations(range(len(methods)), 2):
            apart = r[a] - r[b]
            found = estimate(drawn[:, a] - drawn[:, b], apart)
            pair = {"a": methods[a], "b": methods[b], "n": whole.height, "difference": apart, **found._asdict()}
            differences.append({"model_id": named["model_id"], "category": named["category"], **pair})
    return pl.DataFrame(rows), pl.DataFrame(differences)


def _with_truth(section: Section, study: Study, model: Model) -> pl.DataFrame:
    """Similarity and truth of a model's voxels, a row for each category and voxel; see `correlated`."""
    data = study.data(model)
    first = study.first_labels.filter(pl.col("model_id") == model.model_id)
    n_methods = first["method"].n_unique()
    labelled = first.group_by("voxel").agg(pl.col("method").n_unique()).filter(pl.col("method") == n_methods)
    if labelled.is_empty():
        raise NotFoundError(f"{model.model_id} has no labelled voxel.")
    selective = study.selective.filter(pl.col("subject_id") == model.subject_id)
    where = "voxels of the selective ROI"
    if selective.is_empty():
        where = "labelled voxels, as the subject has no category-selective ROI"
    else:
        labelled = labelled.filter(pl.col("voxel").is_in(selective["voxel"].implode()))
        if labelled.is_empty():
            raise NotFoundError(f"{model.model_id} has no labelled voxel in the selective ROI.")
    voxels = labelled["voxel"].sort().to_numpy().astype(np.int32)
    truths = truth_by_category(data, study.options.labels, study.options.categories, voxels)
    sentence = (
        f"Ground truth of {model.subject_id}, over {where}: {'; '.join(f'{t.category}: {t.kind}' for t in truths)}."
    )
    for text in [sentence, *_about_made_regions(study, model, data)]:
        if text not in section.paragraphs:
            section.paragraphs.append(text)
    lacking = sorted(set(study.options.categories) - {true.category for true in truths})
    blank = [true.category for true in truths if not np.isfinite(true.values).any()]
    if lacking:
        section.absent.append(
            f"{model.subject_id} has no ground truth of {', '.join(lacking)}: no localiser map, and not "
            f"{FEWEST_SHOWING} test images that are known to show it."
        )
    if blank:
        section.absent.append(f"The ground truth of {', '.join(blank)} in {model.subject_id} is NaN in every voxel.")
    parts = []
    for true in truths:
        if true.category not in blank:
            values = pl.DataFrame({"voxel": voxels, "truth": true.values})
            maps = _maps(study, model, true.category).join(values, on="voxel")
            named = pl.lit(true.category).alias("category")
            parts.append(maps.select(named, "voxel", "truth", pl.exclude("voxel", "truth")))
    if not parts:
        raise BadInputError(f"None of the categories asked for has a ground truth in {model.subject_id}.")
    return pl.concat(parts, how="diagonal")


def _about_made_regions(study: Study, model: Model, data: StudyData) -> list[str]:
    """What is to be said where FOOD was made from responses to images that the truth is measured with."""
    sql = "SELECT roi FROM roi WHERE subject_id = ? AND roi = 'FOOD' AND source = 'contrast'"
    if data.dataset.subject.simulated or study.atlas.store.frame(sql, [model.subject_id]).is_empty():
        return []
    return [
        f"The region FOOD of {model.subject_id} was made from responses to images that may be among the test images, "
        "so that its voxels were partly chosen for the truth of food."
    ]


def _maps(study: Study, model: Model, category: str) -> pl.DataFrame:
    """A category's map by each method, over the voxels that every method labels: voxel, and a column a method."""
    maps = {}
    if model.has_text:
        maps[WEIGHTS] = model.map(category)
    for method in study.methods(model):
        maps[method] = model.map(category, by="labels", method=method)
    frames = {method: concept_map.frame for method, concept_map in maps.items()}
    if BASELINE in frames and category in (model.settings.get("concepts") or ()):
        frames[OWN] = _soft_values(study, model, category, frames[BASELINE])
    joined: pl.DataFrame | None = None
    for method, frame in frames.items():
        named = frame.select("voxel", pl.col("similarity").alias(method))
        joined = named if joined is None else joined.join(named, on="voxel", maintain_order="left")
    assert joined is not None  # noqa: S101 - methods() is never empty
    return joined


def _soft_values(study: Study, model: Model, category: str, labelled: pl.DataFrame) -> pl.DataFrame:
    """CLIP-MSM's own map of a concept of its list: voxel, similarity; 0 where it is not among the voxel's concepts."""
    sql = (
        "SELECT voxel, probability AS similarity FROM label_score JOIN label l USING (label_id) "
        "WHERE model_id = ? AND method = ? AND l.lemma = ?"
    )
    soft = study.atlas.store.frame(sql, [model.model_id, BASELINE, category])
    return labelled.select("voxel").join(soft, on="voxel", how="left").with_columns(pl.col("similarity").fill_null(0.0))


def _over_subjects(section: Section, pearsons: pl.DataFrame) -> None:
    methods = pearsons["method"].unique(maintain_order=True).to_list()
    # Several models of a subject and backbone are one unit.
    by = ["subject_id", "backbone"]
    wide = pearsons.pivot(
        "method", index=[*by, "category"], values="pearson", aggregate_function="mean", maintain_order=True
    )
    n_subjects = int(wide.group_by("backbone").agg(pl.col("subject_id").n_unique())["subject_id"].max())  # type: ignore[arg-type]  # a count
    if n_subjects < FEWEST_SUBJECTS:
        section.absent.append(f"A test over subjects needs {FEWEST_SUBJECTS} of them; this report has {n_subjects}.")
        return
    means = wide.group_by(by, maintain_order=True).agg(pl.col(methods).mean())
    every = pl.concat([wide, means.with_columns(pl.lit("mean").alias("category")).select(wide.columns)])
    units = pl.concat(
        every.select(
            *by,
            "category",
            pl.lit(a).alias("a"),
            pl.lit(b).alias("b"),
            pl.col(a).alias("pearson_a"),
            pl.col(b).alias("pearson_b"),
        )
        for a, b in combinations(methods, 2)
    )
    named = ["backbone", "a", "b", "category"]
    tests = paired_tests(units, named, "pearson_a", "pearson_b")
    section.tables["fig5_subjects"] = units
    section.tables["fig5_tests_over_subjects"] = tests
    section.paragraphs.append(ABOUT_TESTS)
    section.show("Fig. 5 tested over subjects: method a against b.", tests.select(*named, *SUBJECT_COLUMNS))
