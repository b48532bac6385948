"""How long a report takes, how much memory it needs, how often its tests find what is not there, and what is.

    VOXEL_ATLAS_HOME=… python benchmarks/report.py --json FILE

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills. Three parts:

- the demo's subject (5,405 voxels), reported by the command as a user starts it, with nothing kept from before;
- a subject of 304,380 vertices on the same cortex: pictures of the demo, responses of 400 of them, fitted by a real
  ingest, and labels of two methods drawn at random, so that every section has something to show;
- tests on simulated methods, of 200 voxels each: both label voxels at random (every rejection is a false positive), or
  one of them knows the label of a quarter or of half of them (every rejection is right). Weights and vectors of labels
  are the demo's. The power beside each rate is what the t test should reach, from the effect's size over all voxels:
  a rate below it would be the test's fault, a power below 1 is the effect's.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import doc_blocks
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.api.report.analysis.label_statistics import embedded_labels, first_labels
from voxel_atlas.api.report.analysis.statistics import paired
from voxel_atlas.atlas.backbones.interface import Floats
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.viz.surfaces.surface import load_surface

N_IMAGES = 400
ROIS = {"face": "FFA", "body": "EBA", "place": "PPA", "food": "FOOD", "word": "VWFA"}
METHODS = ("brainlmm-eq2", "clip-msm")
LABELS_PER_VOXEL = 10
EFFECTS = {0.0: "null_false_positive_rate", 0.25: "small_effect_found_rate", 0.5: "effect_found_rate"}
"""Share of the voxels whose label one method knows → what the rate of rejections is called."""
_BLOCK = 20_000
_KEPT = ("colours", "indexes")
"""Folders of what is worked out once; a first report finds them empty."""


def main() -> None:
    """Measure the three parts."""
    arguments = figures.arguments(__doc__, _extend)
    home = Settings().home
    measured: dict[str, float] = {}
    if "demo" in arguments.parts:
        with Atlas.open(str(home / "atlas.duckdb"), home=home) as atlas:
            model_id = first_model(atlas).model_id
        with fresh_home(home) as fresh:
            measured["report_s_5k"], measured["report_gib_5k"] = timed_report(fresh, model_id)
    if "large" in arguments.parts:
        with fresh_home(home, atlas=False) as fresh, tempfile.TemporaryDirectory() as folder:
            fill_large(fresh, home, Path(folder))
            labels = ["--labels", str(Path(folder) / "labels.csv")]
            measured["report_s_300k"], measured["report_peak_gib"] = timed_report(fresh, *labels)
    if "tests" in arguments.parts:
        rates, rows = simulated_tests(home, arguments.simulations)
        figures.emit(f"{arguments.simulations} simulated comparisons of 200 voxels, p < 0.05", rates, rows)
        measured |= rates
    run, skipped = doc_blocks.counted()
    measured |= {"doc_blocks_run": float(run), "doc_blocks_skipped": float(skipped)}
    figures.emit("The report", measured, json_path=arguments.json)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--simulations", type=int, default=2000, help="simulated comparisons")
    parser.add_argument("--parts", nargs="+", default=["demo", "large", "tests"], help="demo, large, tests")


@contextmanager
def fresh_home(home: Path, *, atlas: bool = True) -> Iterator[Path]:
    """A home folder with the demo's files and without what a report before this one has kept."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        for entry in home.iterdir():
            is_atlas = entry.name.startswith("atlas.duckdb")
            if entry.name == "features":  # those of other networks are not for the demo's home
                (fresh / entry.name).mkdir()
                for network in entry.iterdir():
                    (fresh / entry.name / network.name).symlink_to(network)
            elif entry.name not in _KEPT and (atlas or not is_atlas):
                (fresh / entry.name).symlink_to(entry)
        yield fresh


def first_model(atlas: Atlas) -> Model:
    """The demo's own model of its first subject; `dissect` can have made others since."""
    return atlas.model(atlas.models().filter(subject_id="simulated/S1")["model_id"][-1])


def timed_report(home: Path, *options: str) -> tuple[float, float]:
    """Seconds of `voxel-atlas report` in a process of its own, and the most memory that it held, in GiB."""
    command = [str(Path(sys.executable).with_name("voxel-atlas")), "report", "-o", str(home / "report"), *options]
    return figures.watched(command, {**os.environ, "VOXEL_ATLAS_HOME": str(home)})


def fill_large(home: Path, demo_home: Path, folder: Path) -> str:
    """An atlas of 304,380 vertices in `home`; gives the model's id."""
    subject = demo.subject(demo_home, None)
    shown = subject.contents().filter(pl.col("stimulus_id").is_in(subject.stimuli["stimulus_id"][:N_IMAGES].implode()))
    uris = dict(subject.stimuli.select("stimulus_id", "uri").iter_rows())
    surface = load_surface(demo.SURFACE, None, home / "surfaces")
    left, right = surface.n_vertices
    _write_folder(folder, list(uris.values())[:N_IMAGES], shown, uris, left, right)
    config = IngestConfig(
        dataset="folder",
        subject="large",
        root=str(folder),
        surface=demo.SURFACE,
        backbone="lite",
        label_backbone="lite",
        n_bootstrap=100,
        dissect="none",
        test_share=0.4,
        methods=METHODS,
        concepts=("face",),
        batch_voxels=_BLOCK,
    )
    with Store.open(str(home / "atlas.duckdb")) as store:
        model_id = Pipeline(store=store, home=home).ingest(config, open_parts(config, home=home))
        append_labels(store, demo_home, model_id, np.arange(left + right))
    return model_id


def _write_folder(
    folder: Path, images: list[str], shown: pl.DataFrame, uris: dict[str, str], left: int, right: int
) -> None:
    """A data set as docs/your-data.md describes it: a fifth of the vertices answers to each category."""
    (folder / "rois").mkdir()
    pl.DataFrame({"image": images}).write_csv(folder / "stimuli.csv")
    named = shown.with_columns(pl.col("stimulus_id").replace_strict(uris).alias("image"))
    named.select("image", "category").write_csv(folder / "labels.csv")
    n, rng = left + right, np.random.default_rng(0)
    categories = list(ROIS)
    shows = {category: set(named.filter(pl.col("category") == category)["image"]) for category in categories}
    answers = np.array([[image in shows[category] for category in categories] for image in images])
    responses = np.lib.format.open_memmap(folder / "responses.npy", "w+", np.float32, (len(images), n))
    tuned = np.arange(n) * len(categories) // n
    for start in range(0, n, _BLOCK):
        part = slice(start, min(start + _BLOCK, n))
        signal = answers[:, tuned[part]].astype(np.float32)
        responses[:, part] = signal + rng.standard_normal(signal.shape, np.float32)
    responses.flush()
    for number, roi in enumerate(ROIS.values()):
        np.save(folder / "rois" / f"{roi}.npy", tuned == number)
    np.save(folder / "noise_ceiling.npy", rng.uniform(0.1, 0.6, n).astype(np.float32))
    hemisphere = np.repeat(["left", "right"], [left, right])
    vertex = np.concatenate([np.arange(left), np.arange(right)])
    pl.DataFrame({"hemisphere": hemisphere, "vertex": vertex}).write_csv(folder / "voxels.csv")


def append_labels(store: Store, demo_home: Path, model_id: str, labelled: NDArray[np.integer]) -> None:
    """The demo's labels, ten for each of these voxels by each method, drawn at random."""
    with Store.open(str(demo_home / "atlas.duckdb"), read_only=True) as source:
        words = {name: source.arrow(f"FROM {name}") for name in ("label", "label_embedding")}
    store.append(words, run_id="benchmark", stage="embed", key="benchmark")
    ids, rng = np.unique(words["label_embedding"]["label_id"].to_numpy()), np.random.default_rng(1)
    for start in range(0, len(labelled), _BLOCK):
        voxels = labelled[start : start + _BLOCK].astype(np.int32)
        size = (len(voxels), LABELS_PER_VOXEL)
        parts = []
        for method in METHODS:
            probability = np.sort(rng.dirichlet(np.full(LABELS_PER_VOXEL, 0.5), len(voxels)), axis=1)[:, ::-1]
            firsts = rng.integers(0, len(ids), (len(voxels), 1)) + np.arange(LABELS_PER_VOXEL)
            parts.append(
                pl.DataFrame(
                    {
                        "model_id": [model_id] * probability.size,
                        "voxel": np.repeat(voxels, LABELS_PER_VOXEL),
                        "method": [method] * probability.size,
                        "label_id": ids[firsts % len(ids)].ravel(),
                        "score": -np.broadcast_to(np.arange(LABELS_PER_VOXEL, dtype=float), size).ravel(),
                        "rank": np.broadcast_to(np.arange(1, LABELS_PER_VOXEL + 1), size).ravel(),
                        "probability": probability.astype(np.float32).ravel(),
                    }
                )
            )
        batch = {"label_score": pl.concat(parts).to_arrow()}
        store.append(batch, run_id="benchmark", stage="score", key=f"benchmark/{model_id}/{start}")


def simulated_tests(home: Path, n_simulations: int, n_voxels: int = 200) -> tuple[dict[str, float], list[figures.Row]]:
    """Rejection rates of the paired tests of Fig. 2 on methods of which it is known whether they differ."""
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as atlas:
        model = first_model(atlas)
        voxels, vectors = model.unit_vectors("weights")
        names, words = embedded_labels(atlas, model.backbone)
        first = first_labels(atlas, model.model_id).filter(pl.col("method") == METHODS[0])
    rows = np.searchsorted(voxels, first["voxel"].to_numpy())
    right = pl.DataFrame({"label": names, "word": np.arange(len(names))})
    own = first.join(right, on="label", maintain_order="left")["word"].to_numpy()
    rates: dict[str, float] = {}
    table: list[figures.Row] = []
    for known, figure in EFFECTS.items():
        rng = np.random.default_rng(7)

        def cosines(chosen: NDArray[np.intp], known: float = known, rng: np.random.Generator = rng) -> list[Floats]:
            a, b = rng.choice(own, (2, len(chosen)))
            a = np.where(rng.random(len(chosen)) < known, own[chosen], a)
            return [np.einsum("nd,nd->n", vectors[rows[chosen]], words[labels]) for labels in (a, b)]

        every = np.arange(len(rows))
        size = float(np.mean([paired(*cosines(every)).d for _ in range(20)]))
        tests = [paired(*cosines(rng.choice(every, n_voxels, replace=False))) for _ in range(n_simulations)]
        below = np.mean([(found.p < 0.05, found.rank_p < 0.05) for found in tests], axis=0)
        rates |= {figure: float(below[0]), f"{figure}_rank_test": float(below[1])}
        if known:
            rates |= {f"{figure}_effect_d": size, f"{figure}_power": power(size, n_voxels)}
        table.append({"method a knows": f"{known:.0%}", "d": size, "t test": below[0], "rank test": below[1]})
    return rates, table


def power(size: float, n: int) -> float:
    """How often a two-sided t test of n pairs finds a mean of so many standard deviations, at 0.05 (normal limit)."""
    bound = stats.t.ppf(0.975, n - 1)
    return float(stats.norm.sf(bound - size * np.sqrt(n)) + stats.norm.cdf(-bound - size * np.sqrt(n)))


if __name__ == "__main__":
    main()
