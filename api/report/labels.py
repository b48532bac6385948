"""Sections on labels: Fig. 2 (label and weights), Fig. 3 (regions' labels), whether they hold, and how many."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import polars as pl

from ...atlas.search.model import Model
from ...schemas.errors import NotFoundError
from . import figures
from .analysis.label_statistics import SHARE, label_cosines, label_spread, region_labels, region_overlap
from .analysis.statistics import FEWEST_PAIRS, holm, paired_tests
from .analysis.verified_labels import tested_labels, verified_by_chance
from .section import Section, grouped
from .study import Study

EVERYWHERE = "all"
"""Stands for all labelled voxels, among the names of regions."""
MEASURES = {"default": (None, "vocabulary"), "paper": ("weights", "none")}
"""What Fig. 2 is drawn with: readout, None for the backbone's own, and baseline."""
SHUFFLED = "shuffled labels"
TEST_COLUMNS = ("n", "mean_a", "mean_b", "difference", "low", "high", "t", "p", "p_holm", "d", "rank_p", "rank_r")

ABOUT_TESTS = (
    "Tests are paired and two-sided: Student's t (differences are independent and their mean is nearly normal) and "
    "Wilcoxon's signed rank (independent and symmetric). low and high: 95 % interval of the mean difference. d: mean "
    "difference in standard deviations of the differences. rank_r: rank-biserial correlation. p_holm: Holm's "
    "correction over the rows of the table. Over voxels: the unit is a voxel of one subject; neighbours are not "
    "independent, so these p are too small and say nothing of other people. Over subjects: the unit is a subject."
)


def figure_2(study: Study) -> Section:
    """How near the first label of each voxel is to its weights, per region and method."""
    section = Section("fig2", "Labels and weights (Fig. 2)")

    def cosines_of(model: Model) -> pl.DataFrame:
        study.methods(model)
        return pl.concat(
            label_cosines(study.atlas, model, readout, baseline).select(
                pl.lit(measure).alias("measure"),
                pl.lit(model.readout(readout)).alias("readout"),
                pl.lit(baseline).alias("baseline"),
                pl.all(),
            )
            for measure, (readout, baseline) in MEASURES.items()
        )

    cosines = section.gather(study.models, cosines_of, by=("model_id", "subject_id"))
    if cosines.is_empty():
        return section
    section.tables["fig2_cosines"] = cosines
    section.paragraphs.append(
        "The cosine of each voxel's first label with the voxel. default: the label less the mean of many nouns, with "
        "the voxel's readout as everywhere in this report; paper: the label as it is, with the ridge weights. Labels "
        "share a large mean, so that paper's cosines are alike for all of them. The control gives each voxel the first "
        "label of another."
    )
    if cosines["method"].n_unique() < 2:
        section.absent.append(
            f"Only {cosines['method'][0]} has labelled these voxels, so methods are not compared; "
            "ingest with --method clip-msm too."
        )
    by_region = _in_regions(cosines, study.members)
    for (measure, readout, baseline), part in by_region.group_by("measure", "readout", "baseline", maintain_order=True):
        how = f"{readout}, {'less the mean noun' if baseline == 'vocabulary' else 'not centred (the paper)'}"
        groups = {str(roi): dict(_series(rows)) for (roi,), rows in part.group_by("roi", maintain_order=True)}
        section.draw(
            f"fig2_{measure}_{readout}",
            figures.boxes(groups, quantity=f"cosine of label and {how}"),
            f"Fig. 2 with {how}. Boxes: quartiles over voxels, whiskers: 5th and 95th percentile; below each ROI "
            f"its labelled voxels, of {_subjects(study)}. The control is of the first method.",
        )
    by = ["model_id", "measure", "a", "b", "roi"]
    tests, means = [], []
    # One pair of methods at a time: all of them together would be the largest table of the report.
    for pairs in _pairs(by_region):
        tests.append(paired_tests(pairs, by, "cosine_a", "cosine_b"))
        sides = pl.col("cosine_a", "cosine_b").mean()
        means.append(pairs.group_by("subject_id", *by[1:], maintain_order=True).agg(sides))
    over_voxels = pl.concat(tests).with_columns(_holm())
    section.tables["fig2_tests_over_voxels"] = over_voxels
    section.paragraphs.append(ABOUT_TESTS)
    section.show("Fig. 2 tested over voxels: method a against b.", over_voxels.select(*by, *TEST_COLUMNS))
    _over_subjects(section, pl.concat(means), by[1:])
    return section


def _over_subjects(section: Section, means: pl.DataFrame, by: list[str]) -> None:
    n_subjects = means["subject_id"].n_unique()
    if n_subjects < FEWEST_PAIRS:
        section.absent.append(f"A test over subjects needs {FEWEST_PAIRS} of them; this report has {n_subjects}.")
        return
    over_subjects = paired_tests(means, by, "cosine_a", "cosine_b").filter(pl.col("n") >= FEWEST_PAIRS)
    section.tables["fig2_subject_means"] = means
    section.tables["fig2_tests_over_subjects"] = over_subjects
    section.show("Fig. 2 tested over subjects' means.", over_subjects.select(*by, *TEST_COLUMNS))


def _holm() -> pl.Expr:
    """Holm's correction over all rows of a table that was made in parts."""
    return pl.col("p").map_batches(lambda p: pl.Series(holm(p.to_numpy())), return_dtype=pl.Float64).alias("p_holm")


def figure_3(study: Study) -> Section:
    """The ten commonest first labels of each region."""
    section = Section("fig3", "Labels of regions (Fig. 3)")
    if study.members.is_empty():
        section.absent.append("The subjects have no regions of interest.")
        return section
    if (shown := study.shown(study.first_labels)).is_empty():
        section.absent.append("No voxel is labelled.")
        return section
    section.paragraphs.append(study.about_shown())
    members = study.members
    frames = []
    for (model_id, subject_id), first in shown.group_by("model_id", "subject_id", maintain_order=True):
        own = members.filter(pl.col("subject_id") == subject_id)
        counted = region_labels(first, own)
        frames.append(counted.select(pl.lit(model_id).alias("model_id"), pl.all()))
    counted = pl.concat(frames)
    section.tables["fig3_labels"] = counted
    for number, ((model_id, method), part) in enumerate(counted.group_by("model_id", "method", maintain_order=True), 1):
        panels = {}
        for (roi,), rows in part.group_by("roi", maintain_order=True):
            first = rows.filter(pl.col("rank") <= 10)
            bars = list(zip(first["label"].to_list(), (100 * first["share"]).to_list(), strict=True))
            panels[f"{roi} (n = {rows['n_voxels'].sum():,})"] = bars
        section.draw(
            f"fig3_{number}",
            figures.ranked_bars(panels, quantity="share of voxels (%)"),
            f"Fig. 3: the ten commonest first labels of each region by {method}, {model_id}. n: labelled voxels.",
        )
    return section


def verified(study: Study) -> Section:
    """How many first labels hold on held-out responses, per region, and how many would by chance."""
    section = Section("verified", "Labels on held-out responses")
    atlas, settings = study.atlas, study.settings
    tested = section.gather(study.models, lambda model: tested_labels(atlas, model), by=("model_id", "subject_id"))
    if tested.is_empty():
        section.absent.append("No label was held against responses: `voxel-atlas dissect MODEL` adds that to a model.")
        return section

    def chance_of(model: Model) -> pl.DataFrame:
        own = tested.filter(pl.col("model_id") == model.model_id)
        return verified_by_chance(atlas, model, own, study.data(model), settings.home, settings.batch_images)

    chance = section.gather(study.models, chance_of)
    if chance.is_empty():
        tested = tested.with_columns(by_chance=pl.lit(None, pl.Boolean))
    else:
        tested = tested.join(chance, on=["model_id", "method", "voxel"], how="left")
    section.tables["verified_labels"] = tested
    summary = (
        _in_regions(tested, study.members)
        .group_by("model_id", "method", "roi", maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("verified").sum(),
            pl.col("verified").mean().alias("share"),
            pl.col("by_chance").mean().alias("by chance"),
            pl.col("auc").median().alias("median AUC"),
        )
    )
    section.tables["verified_by_region"] = summary
    section.paragraphs.append(
        "Each label is held against the measured responses to the test images that show it, by one-sided "
        "tests, the more cautious of Welch's and Mann and Whitney's; verified: a false discovery rate of at most 0.05 "
        "over all labels of all voxels of the model and method. By chance: the same first labels and images, with the "
        "responses of each voxel permuted over the test images. A verified label goes with higher responses; it need "
        "not be the best word, nor the cause."
    )
    section.show("Verified first labels by region. n: voxels whose first label was tested.", summary)
    return section


def spread_of_labels(study: Study) -> Section:
    """Over how many labels a voxel's probability spreads, how evenly, and what regions share."""
    section = Section("spread", "Spread of labels")

    def spread_of(model: Model) -> pl.DataFrame:
        # A method at a time: all labels of all voxels are the atlas's longest table.
        sql = "SELECT voxel, probability FROM label_score WHERE model_id = ? AND method = ? AND rank IS NOT NULL"
        return pl.concat(
            label_spread(study.atlas.store.frame(sql, [model.model_id, method])).select(
                pl.lit(method).alias("method"), pl.all()
            )
            for method in study.methods(model)
        )

    spread = study.shown(section.gather(study.models, spread_of, by=("model_id", "subject_id")))
    if spread.is_empty():
        return section
    section.tables["spread"] = spread
    by_region = _in_regions(spread, study.members)
    summary = by_region.group_by("model_id", "method", "roi", maintain_order=True).agg(
        pl.len().alias("n"),
        pl.col("n_labels").mean().alias("labels"),
        pl.col("spread").mean().alias("spread"),
        pl.col("spread").median().alias("median spread"),
        pl.col("entropy").mean().alias("entropy (bits)"),
    )
    section.tables["spread_by_region"] = summary
    # Names of 0.1, deprecated: until the release after the next.
    section.tables["meanings"] = spread.rename({"spread": "needed"})
    section.tables["meanings_by_region"] = summary.rename({"spread": "needed", "median spread": "median needed"})
    section.paragraphs.append(
        f"spread: the fewest labels that together hold {SHARE:.0%} of a voxel's label probability; entropy: of that "
        "distribution. Both depend on the temperature of the softmax, which is the same for all voxels of a model, and "
        "on the labels that were stored, whose probabilities are scaled to sum to 1. Neither says how many meanings a "
        "voxel has: on the simulated subject the spread hardly follows the number of planted categories. "
        + study.about_shown()
    )
    section.show("Labels per voxel, by region. n: labelled voxels.", summary)
    for column, quantity in (("spread", f"labels for {SHARE:.0%} of probability"), ("entropy", "entropy (bits)")):
        section.draw(
            f"spread_{column}",
            figures.boxes(grouped(by_region, "roi", "method", column), quantity=quantity),
            f"{quantity[0].upper()}{quantity[1:]}, per region; boxes as in Fig. 2, of {_subjects(study)}.",
        )
    with section.may_lack():
        _overlap(section, study)
    return section


def _overlap(section: Section, study: Study) -> None:
    if study.members.is_empty():
        raise NotFoundError("The subjects have no regions of interest, so none can share labels.")
    frames, panels = [], {}
    for (model_id, subject_id), first in study.shown(study.first_labels).group_by(
        "model_id", "subject_id", maintain_order=True
    ):
        own = study.members.filter(pl.col("subject_id") == subject_id)
        overlap = region_overlap(region_labels(first, own))
        frames.append(overlap.select(pl.lit(model_id).alias("model_id"), pl.all()))
        for (method,), part in overlap.group_by("method", maintain_order=True):
            names = part["roi"].unique().sort().to_list()
            panels[f"{model_id}\n{method}"] = names, part["overlap"].to_numpy().reshape(len(names), len(names))
    section.tables["region_overlap"] = pl.concat(frames)
    section.draw(
        "region_overlap",
        figures.matrices(panels, quantity="overlap (0 to 1)"),
        "How much two regions' first labels overlap: the sum over labels of the smaller of the two shares. 1: equal "
        "distributions; 0: no label in common.",
    )


def _in_regions(frame: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Rows by region, a voxel once for each region that it is in, and once for "all"."""
    everywhere = frame.with_columns(pl.lit(EVERYWHERE).alias("roi"))
    inside = frame.join(members, on=["subject_id", "voxel"]).sort("roi", "model_id", maintain_order=True)
    return pl.concat([inside.select(everywhere.columns), everywhere])


def _series(rows: pl.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    methods = rows["method"].unique(maintain_order=True).to_list()
    for method in methods:
        yield method, rows.filter(pl.col("method") == method)["cosine"].to_numpy()
    yield SHUFFLED, rows.filter(pl.col("method") == methods[0])["shuffled"].to_numpy()


def _pairs(by_region: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Each method beside its shuffled labels, and each two methods on the voxels that both label."""
    keys = ["model_id", "subject_id", "measure", "roi", "voxel"]
    methods = by_region["method"].unique(maintain_order=True).to_list()

    def named(frame: pl.DataFrame, a: str, b: str) -> pl.DataFrame:
        return frame.select(*keys, pl.lit(a).alias("a"), pl.lit(b).alias("b"), "cosine_a", "cosine_b")

    for a, b in combinations(methods, 2):
        one, other = (by_region.filter(pl.col("method") == method) for method in (a, b))
        joined = one.join(other.select(*keys, pl.col("cosine").alias("cosine_b")), on=keys)
        yield named(joined.rename({"cosine": "cosine_a"}), a, b)
    for method in methods:
        own = by_region.filter(pl.col("method") == method)
        yield named(own.rename({"cosine": "cosine_a", "shuffled": "cosine_b"}), method, SHUFFLED)


def _subjects(study: Study) -> str:
    subjects = dict.fromkeys(model.subject_id for model in study.models)
    return next(iter(subjects)) if len(subjects) == 1 else f"{len(subjects)} subjects"
