"""The paper's method and figures: what is as in the paper, how far figures agree with the truth, what they cost.

    VOXEL_ATLAS_HOME=… python benchmarks/paper.py --json FILE

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills. Parts:

- report: the demo's subject, reported by the command as a user starts it, with nothing kept from before
  (`report_s_5k`); from its tables `fig5_similarity_r`, the mean over categories of Pearson's r over the voxels of the
  selective ROI between the similarity to a category's name and the mean measured response to test images that show it,
  beside it `fig5_eq2_r`, the same by labels; `fig2_within_region_reported`, whether each measure and method is tested
  against labels shuffled within the region in every region, and `fig2_region_level_share`, how much of the effect those
  reach;
- rows: `rows_as_paper` of `rows_total` rows of the paper's table hold, each checked on what a run gives against loops
  (paper_rows.py, paper_food.py, and here Fig. 5's truth and the small multiples, which take the part appendix); and
  what these modules measure;
- appendix: `report --all` over four simulated subjects, each with two backbones (the second is every other dimension of
  `lite`), whose models are really fitted and whose labels are drawn at random, so that every figure has something to
  show.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import paper_backbone
import paper_food
import paper_rows
import polars as pl
import report as report_benchmark

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.api.report.analysis.measured_truth import truth_by_category
from voxel_atlas.api.report.analysis.study_data import StudyData
from voxel_atlas.atlas.backbones.interface import Floats
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.ingest.simulated.subject import Simulated
from voxel_atlas.schemas.config import IngestConfig, Settings

N_SUBJECTS = 4
CATEGORIES = ("body", "face", "food", "place", "word")
WITHIN = "shuffled within region"
N_ROWS = 10
"""Rows of the paper's table: five of paper_rows.py, three of paper_food.py, and two here."""


def main() -> None:
    """Measure the parts."""
    arguments = figures.arguments(__doc__, _extend)
    home = Settings().home
    measured: dict[str, float] = {}
    if "report" in arguments.parts:
        measured |= reported(home)
    rows: dict[str, bool] = {}
    if "appendix" in arguments.parts:
        measured["appendix_s"], rows["Figs. 2-5 of all subjects and backbones"] = appendix(home)
    if "rows" in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            rows |= {**paper_rows.rows_of_labels(home), **paper_food.rows(Path(folder))}
        rows["Fig. 5, NSD"] = figure_5_is_the_papers(home)
        measured |= {"rows_as_paper": sum(rows.values()), "rows_total": N_ROWS, **paper_food.measure(home)}
        measured["split_leaks"] = paper_rows.split_leaks()
        measured["ceiling_from_repeats_r"] = paper_rows.ceiling_from_repeats_r()
    table = [{"row of the paper's table": name, "as the paper": held} for name, held in rows.items()]
    figures.emit("The paper's method and figures", measured, table, arguments.json)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", default=["report", "rows", "appendix"], help="report, rows, appendix")


def reported(home: Path) -> dict[str, float]:
    """Figures of the report on the demo's subject."""
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as atlas:
        model_id = report_benchmark.first_model(atlas).model_id
    with report_benchmark.fresh_home(home) as fresh:
        seconds, _ = report_benchmark.timed_report(fresh, model_id)
        tables = fresh / "report" / "tables"
        correlations, tests, levels, cosines, regions = (
            pl.read_parquet(tables / f"{name}.parquet")
            for name in ("fig5_correlations", "fig2_tests_over_voxels", "fig2_levels", "fig2_cosines", "voxel_roi")
        )
    five = correlations.filter(pl.col("category").is_in(CATEGORIES))
    by_method = dict(five.group_by("method").agg(pl.col("pearson").mean()).iter_rows())
    labelled = cosines.join(regions, on=["subject_id", "voxel"]).select("measure", "method", "roi").unique()
    within = tests.filter(pl.col("b") == WITHIN, pl.col("difference").is_finite(), pl.col("roi") != "all")
    missing = labelled.join(within, left_on=["measure", "method", "roi"], right_on=["measure", "a", "roi"], how="anti")
    return {
        "report_s_5k": seconds,
        "fig5_similarity_r": by_method["weights"] if five["category"].n_unique() == len(CATEGORIES) else float("nan"),
        "fig5_eq2_r": by_method["brainlmm-eq2"],
        "fig2_within_region_reported": float(missing.is_empty()),
        "fig2_region_level_share": levels.filter(measure="default", method="brainlmm-eq2")["region_level_share"][0],
    }


def figure_5_is_the_papers(home: Path) -> bool:
    """Whether a localiser's map is the truth of its category, and measured responses are that of the others."""
    subject = demo.subject(home, None)
    t = np.random.default_rng(0).normal(size=subject.voxels.height).astype(np.float32)
    train, test = np.arange(1500), np.arange(1500, 2000)
    data = StudyData(_Localised(subject, {"faces": t}), demo.CONFIG, train, test)
    voxels = np.arange(0, subject.voxels.height, 100, dtype=np.int32)
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.csv"
        subject.contents().rename({"stimulus_id": "image"}).write_csv(labels)
        truths = {true.category: true.values for true in truth_by_category(data, labels, ("face", "food"), voxels)}
    shows = set(subject.contents().filter(category="food")["stimulus_id"])
    rows = [row for row in test if subject.stimuli["stimulus_id"][int(row)] in shows]
    food = [sum(subject.responses_of(np.array([v]))[rows, 0].tolist()) / len(rows) for v in voxels]
    as_paper = set(truths) == {"face", "food"} and np.array_equal(truths["face"], t[voxels])
    return as_paper and bool(np.allclose(truths["food"], food, atol=1e-5))


class _Localised:
    """A subject of whom there are localiser maps; see `Dataset` and `measured_truth.Localised`."""

    def __init__(self, subject: Simulated, maps: dict[str, Floats]) -> None:
        self._subject, self._maps = subject, maps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)

    def localisers(self) -> dict[str, Floats]:
        """Category → t of every voxel."""
        return self._maps


def appendix(home: Path) -> tuple[float, bool]:
    """Seconds of `voxel-atlas report --all` over the simulated subjects, and whether every model is in every figure."""
    with report_benchmark.fresh_home(home, atlas=False) as fresh, tempfile.TemporaryDirectory() as package:
        paper_backbone.install(Path(package))
        sys.path.append(package)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [package, str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        fill(fresh, home)
        seconds, _ = report_benchmark.timed_report(fresh, "--all")
        tables = fresh / "report" / "tables"
        names = ("fig2_means", "fig3_labels", "fig4_concept_maps", "fig5_correlations")
        drawn = [pl.read_parquet(tables / f"{name}.parquet")["model_id"].n_unique() for name in names]
        coloured = len(list(tables.glob("fig4_colours_*.parquet")))
        return seconds, {*drawn, coloured} == {N_SUBJECTS * 2}


def fill(home: Path, demo_home: Path) -> None:
    """Models of every subject and backbone in an atlas of `home`, with labels drawn at random."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        for number in range(1, N_SUBJECTS + 1):
            subject = demo.subject(home, None, name=f"S{number}")
            for backbone in ("lite", paper_backbone.NAME):
                settings = {"subject": f"S{number}", "backbone": backbone, "dissect": "none", "n_bootstrap": 200}
                listed = {"methods": report_benchmark.METHODS, "concepts": CATEGORIES}
                config = IngestConfig.model_validate({**demo.CONFIG.model_dump(), **settings, **listed})
                parts = open_parts(config, home=home, dataset=subject)
                model_id = Pipeline(store=store, home=home).ingest(config, parts)
                significant = store.frame(
                    "SELECT voxel FROM significance WHERE model_id = ? AND q <= 0.05 ORDER BY voxel", [model_id]
                )["voxel"].to_numpy()
                report_benchmark.append_labels(store, demo_home, model_id, significant)
        words = store.frame("SELECT label_id, vector FROM label_embedding WHERE backbone = 'lite'")
        vectors = paper_backbone.halved(np.array(words["vector"].to_list(), np.float32))
        halved = pl.DataFrame(
            {"label_id": words["label_id"], "backbone": paper_backbone.NAME, "vector": vectors.tolist()}
        )
        batch = {"label_embedding": halved.cast({"vector": pl.List(pl.Float32)}).to_arrow()}
        store.append(batch, run_id="benchmark", stage="embed", key=f"benchmark/{paper_backbone.NAME}")


if __name__ == "__main__":
    main()
