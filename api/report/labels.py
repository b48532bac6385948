"""Sections on labels: Fig. 2 (label and weights), Fig. 3 (regions' labels), whether they hold, and how many."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import polars as pl

from ...atlas.search.contrasts.blocks import estimate, mean_draws
from ...atlas.search.model import Model
from ...schemas.errors import NotFoundError
from . import figures, multiples
from .analysis.label_controls import CONTROLS, EVERYWHERE, INSIDE, SHUFFLED, WITHIN, mean_cosines, region_level_shares
from .analysis.label_statistics import SHARE, label_cosines, label_spread, region_labels, region_overlap
from .analysis.statistics import FEWEST_SUBJECTS, holm, paired_tests
from .analysis.verified_labels import tested_labels, verified_by_chance
from .section import Section, grouped
from .study import Study

MOST_LABELS = 10
"""Labels of a region that Fig. 3 shows."""
MEASURES = {"default": (None, "vocabulary"), "paper": ("weights", "none")}
"""What Fig. 2 is drawn with: readout, None for the backbone's own, and baseline."""
TEST_COLUMNS = ("n", "blocks", "mean_a", "mean_b", "difference", "low", "high", "d", "rank_r", "p", "p_holm")
SUBJECT_COLUMNS = (*(name for name in TEST_COLUMNS if name != "blocks"), "t", "rank_p")

ABOUT_TESTS = (
    "Tests are paired and two-sided. difference: of the means; low and high: its 95 % interval. d: mean difference in "
    "standard deviations of the differences. rank_r: rank-biserial correlation. p_holm: Holm's correction over the "
    "rows of the table. Over voxels, the unit is a block of cortex of one subject, and p says nothing of other people; "
    "the tables' files also have Student's t and Wilcoxon's p as if voxels were independent (t_p, rank_p), as in the "
    "paper, which are too small. Over subjects, the unit is a subject: p is Student's, rank_p Wilcoxon's."
)


def figure_2(study: Study) -> Section:
    """How near the first label of each voxel is to its weights, per region and method."""
    section = Section("fig2", "Labels and weights (Fig. 2)")

    def cosines_of(model: Model) -> pl.DataFrame:
        study.methods(model)
        members = study.members.filter(pl.col("subject_id") == model.subject_id).select("voxel", "roi")
        return pl.concat(
            label_cosines(study.atlas, model, readout, baseline, members).select(
                pl.lit(measure).alias("measure"),
                pl.lit(model.readout(readout)).alias("readout"),
                pl.lit(baseline).alias("baseline"),
                pl.all(),
            )
            for measure, (readout, baseline) in MEASURES.items()
        )

    cosines = section.gather(study.each_model(), cosines_of, by=("model_id", "subject_id", "backbone"))
    if cosines.is_empty():
        return section
    everywhere = _smallest_region(cosines, study.members)
    section.tables["fig2_cosines"] = everywhere.drop("roi", "backbone")
    section.paragraphs += [
        "The cosine of each voxel's first label with the voxel. default: the label less the mean of many nouns, with "
        "the voxel's readout as everywhere in this report; paper: the label as it is, with the ridge weights. Where "
        "labels share a large mean, as those of CLIP do, paper's cosines are alike for all of them. All labelled "
        "voxels count here, also those that contrast and edges may explain.",
        f"Two controls give each voxel the first label of another one: of any ({SHUFFLED}), or of one of its region "
        f"({WITHIN}; for {INSIDE}: of its smallest region; {EVERYWHERE}: with voxels in none, which have no such "
        "control). What the second reaches above the first is region-level: it says that regions differ. Only what "
        "labels reach above the second is voxel-level: that they fit the voxel and not just its region.",
        study.about_blocks(),
    ]
    if cosines["method"].n_unique() < 2:
        section.absent.append(
            f"Only {cosines['method'][0]} has labelled these voxels, so methods are not compared; "
            "ingest with --method clip-msm too."
        )
    inside = cosines.drop_nulls("roi").sort("roi", "model_id", maintain_order=True)
    section.tables["fig2_within_region"] = inside.select(
        "model_id", "subject_id", "measure", "method", "voxel", "roi", "shuffled_within"
    )
    by_region = study.in_blocks(
        pl.concat(
            [
                inside,
                everywhere.drop_nulls("roi").select(inside.columns).with_columns(pl.lit(INSIDE).alias("roi")),
                everywhere.select(inside.columns).with_columns(
                    pl.lit(EVERYWHERE).alias("roi"), pl.lit(None, pl.Float32).alias("shuffled_within")
                ),
            ]
        )
    )
    means = mean_cosines(by_region)
    section.tables["fig2_means"] = means
    for (measure, readout, baseline), part in by_region.group_by("measure", "readout", "baseline", maintain_order=True):
        how = f"{readout}, {'less the mean noun' if baseline == 'vocabulary' else 'not centred (paper)'}"
        # Two lines: one would be longer than the axis.
        name, quantity = f"fig2_{measure}_{readout}", f"cosine of label and voxel\n{how}"
        if study.options.every_model:
            drawn = means.filter(pl.col("measure") == measure, pl.col("readout") == readout)
            about = f"Fig. 2, by the readout {how}: means over voxels, with 95 % intervals over blocks of cortex."
            multiples.estimates(section, study, name, drawn, "roi", quantity, about)
            continue
        groups = {str(roi): dict(_series(rows)) for (roi,), rows in part.group_by("roi", maintain_order=True)}
        section.draw(
            name,
            figures.boxes(groups, quantity=quantity),
            f"Fig. 2, by the readout {how}. Boxes: quartiles over voxels, whiskers: 5th and 95th percentile; below "
            f"each ROI its labelled voxels, of {_subjects(study)}. The controls are of {part['method'][0]}.",
        )
    levels = region_level_shares(by_region)
    if not levels.is_empty():
        section.tables["fig2_levels"] = levels
        section.show(
            "How much of what labels reach above shuffled ones is region-level: the share that labels shuffled within "
            "the region reach, over the labelled voxels that are in a region.",
            levels,
        )
    by = ["model_id", "measure", "a", "b", "roi"]
    tests, units = [], []
    # One pair of methods at a time: all of them together would be the largest table of the report.
    for pairs in _pairs(by_region):
        tests.append(paired_tests(pairs, by, "cosine_a", "cosine_b"))
        sides = pl.col("cosine_a", "cosine_b").mean()
        units.append(pairs.group_by("subject_id", "backbone", *by[1:], maintain_order=True).agg(sides))
    over_voxels = pl.concat(tests).with_columns(_holm())
    section.tables["fig2_tests_over_voxels"] = over_voxels
    section.paragraphs.append(ABOUT_TESTS)
    _over_subjects(section, pl.concat(units), ["backbone", *by[1:]])
    if not study.options.every_model:
        section.show("Fig. 2 tested over voxels: method a against b.", over_voxels.select(*by, *TEST_COLUMNS))
    return section


def _smallest_region(cosines: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """One row for each voxel: that of the smallest of its regions."""
    keys = ["model_id", "measure", "method", "voxel"]
    sizes = members.group_by("subject_id", "roi").agg(pl.len().alias("size"))
    sized = cosines.join(sizes, on=["subject_id", "roi"], how="left", maintain_order="left")
    first = sized.sort("size", "roi").unique(keys, keep="first", maintain_order=True)
    order = cosines.select(keys).unique(maintain_order=True)
    return order.join(first, on=keys, maintain_order="left").select(cosines.columns)


def _over_subjects(section: Section, means: pl.DataFrame, by: list[str]) -> None:
    most = int(means.group_by("backbone").agg(pl.col("subject_id").n_unique())["subject_id"].max())  # type: ignore[arg-type]  # a count
    if most < FEWEST_SUBJECTS:
        section.absent.append(f"A test over subjects needs {FEWEST_SUBJECTS} of them; this report has {most}.")
        return
    over_subjects = paired_tests(means, by, "cosine_a", "cosine_b").filter(pl.col("n") >= FEWEST_SUBJECTS)
    section.tables["fig2_subject_means"] = means
    section.tables["fig2_tests_over_subjects"] = over_subjects
    section.show("Fig. 2 tested over subjects' means.", over_subjects.select(*by, *SUBJECT_COLUMNS))


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
        if not counted.is_empty():
            counted = _with_intervals(counted, study.in_blocks(first.join(own, on=["subject_id", "voxel"])))
        frames.append(counted.select(pl.lit(model_id).alias("model_id"), pl.all()))
        study.advance(1)
    counted = pl.concat(frames, how="diagonal_relaxed")
    section.tables["fig3_labels"] = counted
    if study.options.every_model:
        multiples.commonest_labels(section, study, counted)
        return section
    for number, ((model_id, method), part) in enumerate(counted.group_by("model_id", "method", maintain_order=True), 1):
        panels = {}
        for (roi,), rows in part.group_by("roi", maintain_order=True):
            first = rows.filter(pl.col("rank") <= MOST_LABELS).with_columns(pl.col("share", "low", "high") * 100)
            bars = list(first.select("label", "share", "low", "high").iter_rows())
            panels[f"{roi} (n = {rows['n_voxels'].sum():,})"] = bars
        section.draw(
            f"fig3_{number}",
            figures.ranked_bars(panels, quantity="share of voxels (%)"),
            f"Fig. 3: the ten commonest first labels of each region by {method}, {model_id}. n: labelled voxels. "
            "Lines: 95 % intervals over blocks of cortex.",
        )
    return section


def _with_intervals(counted: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """The commonest labels of each region with 95 % intervals of their shares over blocks.

    Args:
        counted: from `region_labels`.
        first: method, voxel, block, roi, label.
    """
    frames = []
    for (method, roi), rows in first.group_by("method", "roi", maintain_order=True):
        own = counted.filter(pl.col("method") == method, pl.col("roi") == roi)
        common = own.filter(pl.col("rank") <= MOST_LABELS)
        shows = np.column_stack([rows["label"] == label for label in common["label"]])
        drawn = mean_draws(shows, rows["block"].to_numpy())
        found = [estimate(column, share) for column, share in zip(drawn.T, common["share"], strict=True)]
        ends = pl.DataFrame({name: [getattr(each, name) for each in found] for name in ("low", "high")})
        frames.append(common.select("method", "roi", "label").hstack(ends))
    return counted.join(pl.concat(frames), on=["method", "roi", "label"], how="left", maintain_order="left")


def verified(study: Study) -> Section:
    """How many first labels hold on held-out responses, per region, and how many would by chance."""
    section = Section("verified", "Labels on held-out responses")
    atlas, settings = study.atlas, study.settings
    tested = section.gather(
        study.each_model(), lambda model: tested_labels(atlas, model), by=("model_id", "subject_id")
    )
    if tested.is_empty():
        section.absent.append("No label was held against responses: `voxel-atlas dissect MODEL` adds that to a model.")
        return section

    def chance_of(model: Model) -> pl.DataFrame:
        own = tested.filter(pl.col("model_id") == model.model_id)
        return verified_by_chance(atlas, model, own, study.data(model), settings.home, settings.batch_images)

    chance = section.gather(study.each_model(), chance_of)
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

    spread = study.shown(section.gather(study.each_model(), spread_of, by=("model_id", "subject_id")))
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
        counted = region_labels(first, own)
        overlap = region_overlap(counted)
        frames.append(overlap.select(pl.lit(model_id).alias("model_id"), pl.all()))
        for (method,), part in overlap.group_by("method", maintain_order=True):
            sizes = counted.filter(pl.col("method") == method).group_by("roi").agg(pl.col("n_voxels").sum()).sort("roi")
            names = [f"{roi} ({n:,})" for roi, n in sizes.iter_rows()]
            panels[f"{model_id}\n{method}"] = names, part["overlap"].to_numpy().reshape(len(names), len(names))
    section.tables["region_overlap"] = pl.concat(frames)
    section.draw(
        "region_overlap",
        figures.matrices(panels, quantity="overlap (0 to 1)"),
        "How much two regions' first labels overlap: the sum over labels of the smaller of the two shares. 1: equal "
        "distributions; 0: no label in common. In brackets: labelled voxels; where they are few, regions share fewer "
        "labels by chance.",
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
    for name, column in CONTROLS.items():
        if len(drawn := rows.filter(pl.col("method") == methods[0])[column].drop_nulls()):
            yield name, drawn.to_numpy()


def _pairs(by_region: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Each two methods on the voxels that both label, and each method beside its shuffled labels."""
    keys = ["model_id", "subject_id", "backbone", "measure", "roi", "voxel", "block"]
    methods = by_region["method"].unique(maintain_order=True).to_list()

    def named(frame: pl.DataFrame, a: str, b: str) -> pl.DataFrame:
        return frame.select(*keys, pl.lit(a).alias("a"), pl.lit(b).alias("b"), "cosine_a", "cosine_b")

    for a, b in combinations(methods, 2):
        one, other = (by_region.filter(pl.col("method") == method) for method in (a, b))
        joined = one.join(other.select(*keys, pl.col("cosine").alias("cosine_b")), on=keys)
        yield named(joined.rename({"cosine": "cosine_a"}), a, b)
    for method in methods:
        own = by_region.filter(pl.col("method") == method)
        for name, column in CONTROLS.items():
            pairs = own.rename({"cosine": "cosine_a", column: "cosine_b"}).drop_nulls("cosine_b")
            if not pairs.is_empty():
                yield named(pairs, method, name)


def _subjects(study: Study) -> str:
    subjects = dict.fromkeys(model.subject_id for model in study.models)
    return next(iter(subjects)) if len(subjects) == 1 else f"{len(subjects)} subjects"
