"""What dissecting costs and finds, in parts that can be run by themselves (`--parts`).

- speed: the pipeline against the usual way, voxel by voxel, with the same inputs on the same machine: time, image
  forwards, captions, generated pictures, loads of networks, and whether labels and scores are the same. `--voxels` says
  how many voxels of the simulated subject, `--by-voxel` how many of them in the slow way, too (scaled up).
- scale: time of each stage and memory against the number of voxels (`--sizes`).
- ablations, list, maps: see dissection_quality.py; they read the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo`
  fills.
- nouns: precision and recall of the nouns on the labelled captions.
"""

import argparse
import copy
import csv
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import dissection_by_voxel
import dissection_quality
import numpy as np
import polars as pl

import figures
from voxel_atlas.api.cli.demo import CONFIG, subject
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.backbones.interface import Backbone, Box, Floats, Image
from voxel_atlas.atlas.backbones.lite import efficientnet
from voxel_atlas.atlas.backbones.lite import minilm as sentences
from voxel_atlas.atlas.backbones.lite.lite import sentence_weights
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest import run as pipeline
from voxel_atlas.ingest.dissection import load_captioner, load_generator
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.ingest.progress import Advance
from voxel_atlas.ingest.simulated.alignment import calibrate
from voxel_atlas.ingest.simulated.subject import Simulated
from voxel_atlas.schemas.config import IngestConfig, Settings

CAPTIONS = Path(__file__).parents[1] / "tests" / "ingest" / "data" / "captions.tsv"
DISSECTION = ("map and crop", "caption", "nouns", "generate", "encode pictures", "score", "embed labels")
PARTS = ("speed", "scale", "ablations", "list", "maps", "nouns")
REGION = ("EBA",)
"""Where speed's voxels are: one dissects a region, and its voxels want some of the same images."""
SIZES = (500, 5000, 20_000)


class Counted:
    """A backbone that counts the images that it sees."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.name, self.dim, self.has_text = backbone.name, backbone.dim, backbone.has_text
        self.fingerprint, self.preprocessing = backbone.fingerprint, backbone.preprocessing
        self.n_images = 0

    def features(self, images: Sequence[Image]) -> Floats:
        self.n_images += len(images)
        return self._backbone.features(images)

    def local_features(self, images: Sequence[Image]) -> Floats:
        self.n_images += len(images)
        return self._backbone.local_features(images)

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        return self._backbone.activation_maps(local, weights)

    def seen(self, width: int, height: int) -> Box:
        return self._backbone.seen(width, height)

    def text(self, texts: Sequence[str]) -> Floats:
        return self._backbone.text(texts)


class Stopwatch:
    """Progress that keeps what each stage took: seconds, and images that the backbone saw."""

    def __init__(self, backbone: Counted) -> None:
        self._backbone = backbone
        self.seconds: dict[str, float] = {}
        self.n_images: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:  # noqa: ARG002 - the interface's arguments
        start, n_before = time.perf_counter(), self._backbone.n_images
        yield lambda _: None
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start
        self.n_images[name] = self.n_images.get(name, 0) + self._backbone.n_images - n_before

    def note(self, message: str) -> None:
        print(message)


def of_some_voxels(dataset: Simulated, n_voxels: int, rois: Sequence[str] = ()) -> Simulated:
    """The data set with so many of its voxels, or of those of some regions, evenly spaced."""
    voxels = dataset.voxels
    if rois:
        inside = dataset.voxel_rois.filter(pl.col("roi").is_in(rois))["voxel"]
        voxels = voxels.filter(pl.col("voxel").is_in(inside.implode()))
    dataset.voxels = voxels.gather_every(max(1, voxels.height // n_voxels)).head(n_voxels)
    dataset.voxel_rois = dataset.voxel_rois.filter(pl.col("voxel").is_in(dataset.voxels["voxel"].implode()))
    return dataset


def noun_figures() -> dict[str, float]:
    with CAPTIONS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = [set(nouns) for nouns in NounExtractor().nouns([row["caption"] for row in rows])]
    truth = [set(row["nouns"].split(", ")) for row in rows]
    n_right = sum(len(a & b) for a, b in zip(found, truth, strict=True))
    return {"noun_precision": n_right / sum(map(len, found)), "noun_recall": n_right / sum(map(len, truth))}


@contextmanager
def scratch_home(home: Path) -> Iterator[Path]:
    """A home folder with the networks and pictures of another, and nothing that an earlier run made of them."""
    with tempfile.TemporaryDirectory() as name:
        for shared in ("backbones", "pictures", "scenes"):
            (Path(name) / shared).symlink_to(home / shared)
        yield Path(name)


@contextmanager
def counted_loads() -> Iterator[Counter[str]]:
    """Counts how often each network is loaded."""
    loads: Counter[str] = Counter()
    with ExitStack() as stack:
        for owner, name in (
            (efficientnet.ImageTower, "__init__"),
            (sentences.SentenceTower, "__init__"),
            (pipeline, "load_captioner"),
            (pipeline, "load_generator"),
        ):
            true = getattr(owner, name)
            stack.enter_context(mock.patch.object(owner, name, _counted(true, f"{owner.__name__}.{name}", loads)))
        yield loads


def _counted(true: Callable[..., object], name: str, loads: Counter[str]) -> Callable[..., object]:
    def counting(*arguments: object, **named: object) -> object:
        loads[name] += 1
        return true(*arguments, **named)

    return counting


class Dissected:
    """One cold run of the pipeline: what it took, and what it left in its atlas."""

    def __init__(self, scratch: Path, dataset: Simulated, config: IngestConfig) -> None:
        with counted_loads() as self.loads:
            self.backbone = Counted(load("lite", home=scratch))
            self.watch = Stopwatch(self.backbone)
            with Store.open(str(scratch / "atlas.duckdb")) as store:
                parts = pipeline.open_parts(config, home=scratch, dataset=dataset, backbone=self.backbone)
                making = pipeline.Pipeline(store=store, home=scratch, progress=self.watch)
                self.model_id = making.ingest(config, parts)
                self._store = store
                self.labels = self._read(
                    "SELECT voxel, label, score, probability FROM voxel_label WHERE score IS NOT NULL"
                )
                self.fitted = self._read("SELECT voxel, weights, bias FROM encoding ORDER BY voxel")
                self.mean = np.array(self._read("SELECT feature_mean FROM model")["feature_mean"][0], np.float32)
                self.n_captions = self._read("FROM caption").height
                self.n_images = self._read("SELECT DISTINCT stimulus_id FROM top_image").height
                drawn = self._read("SELECT label_id, ordinal FROM synthetic_image")
                self.digests = dict(self._read("SELECT stage, digest FROM stage_digest").iter_rows())
                # The stage's own digest is of paths, too, and this folder is a temporary one.
                pictures = "SELECT sha256(string_agg(sha256, '' ORDER BY sha256)) AS digest FROM synthetic_image"
                self.digests["generate"] = self._read(pictures).item()
        self.n_labels = drawn["label_id"].n_unique()
        self.n_drawn_twice = drawn.height - drawn.unique().height
        self.seconds = sum(self.watch.seconds.get(stage, 0) for stage in DISSECTION)
        self.n_forwards = sum(self.watch.n_images.get(stage, 0) for stage in DISSECTION)

    def _read(self, sql: str) -> pl.DataFrame:
        return self._store.frame(sql)


def speed(home: Path, n_voxels: int, n_slow: int, rois: Sequence[str]) -> dict[str, float]:
    """The pipeline against the usual way."""
    dataset = of_some_voxels(subject(home, None), n_voxels, rois)
    config = CONFIG.model_copy(update={"dissect": "all", "n_bootstrap": 100, "min_voxels_per_label": 1})
    with scratch_home(home) as scratch:
        ours = Dissected(scratch, dataset, config)
        chosen = ours.fitted.gather_every(max(1, ours.fitted.height // n_slow)).head(n_slow)
        networks, seconds, slow = one_by_one(scratch, ours, config, dataset, chosen)
    scale = ours.fitted.height / len(slow)
    # The released code loads its networks for every voxel. That takes long here, too, so it is timed a few times.
    loading_s = np.median([figures.timed(load_networks)[0] for _ in range(5)]) * ours.fitted.height
    equal, difference = agreement(ours.labels, slow)
    rows: list[figures.Row] = [
        {"way": "pipeline", "seconds": ours.seconds, "forwards": ours.n_forwards, "captions": ours.n_captions},
        {
            "way": "voxel by voxel",
            "seconds": seconds * scale,
            **(
                used := {
                    "forwards": int(ours.backbone.n_images * scale),
                    "captions": int(networks.captions * scale),
                }
            ),
        },
        {"way": "the same, networks loaded for each", "seconds": seconds * scale + loading_s, **used},
    ]
    figures.emit(f"Dissecting {ours.fitted.height} voxels, {len(slow)} of them both ways", {}, rows)
    figures.emit("Stages of the pipeline", {}, stages(ours))
    return {
        "dissect_s": ours.seconds,
        "by_voxel_s": seconds * scale + loading_s,
        "ratio_time": (seconds * scale + loading_s) / ours.seconds,
        "ratio_time_loaded_once": seconds * scale / ours.seconds,
        "ratio_forwards": ours.backbone.n_images * scale / ours.n_forwards,
        "ratio_captions": networks.captions * scale / ours.n_captions,
        "regenerated": float(ours.n_drawn_twice),
        "loads_per_model": float(max(ours.loads.values())),
        "labels_equal": equal,
        "scores_max_diff": difference,
    }


def one_by_one(
    scratch: Path, ours: Dissected, config: IngestConfig, dataset: Simulated, chosen: pl.DataFrame
) -> tuple[dissection_by_voxel.Networks, float, dict[int, dict[str, tuple[float, float]]]]:
    """The networks that dissected some fitted voxels in the slow way, the seconds it took, and what `slowly` gives."""
    features = FeatureCache(scratch, ours.backbone, 8).get(
        dataset.stimuli["sha256"].to_list(), dataset.image, lambda _: None
    )
    networks = dissection_by_voxel.Networks(
        ours.backbone,
        load_captioner("lite", loaded=(ours.backbone,), home=scratch, device="cpu"),
        load_generator("collage", loaded=(ours.backbone,), home=scratch, device="cpu"),
        NounExtractor(),
    )
    ours.backbone.n_images = 0
    return networks, *figures.timed(lambda: slowly(networks, config, dataset, features, ours.mean, chosen))


def load_networks() -> None:
    """Reads the weights of everything that looks at an image or a word, and nothing else."""
    efficientnet.ImageTower("cpu")
    sentences.SentenceTower(sentence_weights(), "cpu")
    NounExtractor()


def slowly(
    networks: dissection_by_voxel.Networks,
    config: IngestConfig,
    dataset: Simulated,
    features: Floats,
    mean: Floats,
    fitted: pl.DataFrame,
) -> dict[int, dict[str, tuple[float, float]]]:
    """Labels with score and probability of each voxel, one voxel after the other."""
    return {
        voxel: dissection_by_voxel.dissect(
            networks, config, dataset.image, features, mean, np.array(weights, np.float32), bias
        )
        for voxel, weights, bias in fitted.iter_rows()
    }


def stages(run: Dissected) -> list[figures.Row]:
    return [
        {
            "stage": stage,
            "seconds": seconds,
            "ms a voxel": 1000 * seconds / run.fitted.height,
            "images seen": run.watch.n_images[stage],
        }
        for stage, seconds in run.watch.seconds.items()
        if stage in DISSECTION
    ]


def scale(home: Path, sizes: Sequence[int]) -> dict[str, float]:
    """Time and memory against the number of voxels: the same subject, whole and in parts."""
    rows: list[figures.Row] = []
    measured: dict[str, float] = {}
    whole = subject(home, None, n_voxels=max(SIZES))
    for n_voxels in sorted(sizes):
        dataset = of_some_voxels(copy.copy(whole), n_voxels)
        config = CONFIG.model_copy(update={"dissect": "all", "n_bootstrap": 100})
        with scratch_home(home) as scratch:
            run = Dissected(scratch, dataset, config)
        measured[f"seconds_{n_voxels}"] = run.seconds
        seconds = {stage: run.watch.seconds.get(stage, 0.0) for stage in DISSECTION}
        counts = {"voxels": n_voxels, "images": run.n_images, "captions": run.n_captions, "labels": run.n_labels}
        rows.append({**counts, **seconds, "together": run.seconds, "peak GiB": figures.peak_gib()})
    figures.emit("Dissection against the number of voxels, seconds", {}, rows)
    return measured


def agreement(ours: pl.DataFrame, slow: dict[int, dict[str, tuple[float, float]]]) -> tuple[float, float]:
    """Share of voxels with the same labels, and the largest difference of a score or a probability among those."""
    n_equal, difference = 0, 0.0
    for voxel, labels in slow.items():
        mine = ours.filter(pl.col("voxel") == voxel)
        found = {
            label: (score, share) for label, score, share in mine.select("label", "score", "probability").iter_rows()
        }
        if found.keys() == labels.keys():
            n_equal += 1
            for label, own in labels.items():
                difference = max(difference, *(abs(a - b) for a, b in zip(own, found[label], strict=True)))
    return n_equal / len(slow), difference


def main() -> None:
    """Measure and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (everything)")
        parser.add_argument("--voxels", type=int, default=200, help="speed: voxels that are dissected")
        parser.add_argument("--by-voxel", type=int, help="speed: of those, how many in the slow way, too (all)")
        parser.add_argument("--rois", nargs="*", default=REGION, help="speed: regions of the voxels; none: all cortex")
        names = tuple(dissection_quality.ABLATIONS)
        parser.add_argument("--settings", nargs="+", choices=names, default=names, help="ablations: which (all)")
        parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="scale: numbers of voxels")

    arguments = figures.arguments(__doc__, extend)
    home = Settings().home
    calibrate(home)
    measured: dict[str, float] = {}
    if "speed" in arguments.parts:
        measured |= speed(home, arguments.voxels, arguments.by_voxel or arguments.voxels, arguments.rois)
    if "scale" in arguments.parts:
        measured |= scale(home, arguments.sizes)
    if "ablations" in arguments.parts:
        measured |= dissection_quality.ablations(home, arguments.settings)
    if "list" in arguments.parts:
        measured |= dissection_quality.against_a_list(home)
    if "maps" in arguments.parts:
        measured |= dissection_quality.category_maps(home)
    if "nouns" in arguments.parts:
        measured |= noun_figures()
    measured["peak_gib"] = figures.peak_gib()
    figures.emit("Dissection of the simulated subject", measured, json_path=arguments.json)


if __name__ == "__main__":
    main()
