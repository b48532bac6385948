"""What dissecting costs: the pipeline against the usual way, voxel by voxel, with the same inputs on the same machine.

Prints time, image forwards, captions and generated pictures of both, whether labels and probabilities are the same, the
time of every stage, and the precision and recall of the nouns on the labelled captions. `--voxels` sets how many voxels
of the simulated subject are dissected, `--by-voxel` how many of them in the slow way, too (its time is scaled up).
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dissection_by_voxel
import numpy as np
import polars as pl

import figures
from api.demo import CONFIG, subject
from atlas.backbones import load
from atlas.backbones.interface import Backbone, Box, Floats, Image
from atlas.store import Store
from ingest.datasets.simulated import Simulated
from ingest.dissection.captions import load_captioner
from ingest.dissection.nouns import NounExtractor
from ingest.dissection.synthesis import load_generator
from ingest.pipeline import ingest
from ingest.scenes.alignment import calibrate
from ingest.scenes.vocabulary import concrete_nouns
from ingest.stages.encode import FeatureCache
from schemas.config import Settings

CAPTIONS = Path(__file__).parents[1] / "tests" / "ingest" / "data" / "captions.tsv"
DISSECTION = ("map and crop", "caption", "nouns", "generate", "encode pictures", "score")


class Counted:
    """A backbone that counts the images that it sees."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.name, self.dim, self.has_text = backbone.name, backbone.dim, backbone.has_text
        self.fingerprint = backbone.fingerprint
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
    def stage(self, name: str, total: int) -> Iterator[object]:  # noqa: ARG002 - the interface's arguments
        start, n_before = time.perf_counter(), self._backbone.n_images
        yield lambda _: None
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - start
        self.n_images[name] = self.n_images.get(name, 0) + self._backbone.n_images - n_before

    def note(self, message: str) -> None:
        print(message)


def of_some_voxels(dataset: Simulated, n_voxels: int) -> Simulated:
    """The data set with so many of its voxels, evenly spaced."""
    step = max(1, dataset.voxels.height // n_voxels)
    dataset.voxels = dataset.voxels.gather_every(step).head(n_voxels)
    dataset.voxel_rois = dataset.voxel_rois.filter(pl.col("voxel").is_in(dataset.voxels["voxel"].implode()))
    return dataset


def noun_figures() -> dict[str, float]:
    with CAPTIONS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = [set(nouns) for nouns in NounExtractor().nouns([row["caption"] for row in rows])]
    truth = [set(row["nouns"].split(", ")) for row in rows]
    n_right = sum(len(a & b) for a, b in zip(found, truth, strict=True))
    return {"noun_precision": n_right / sum(map(len, found)), "noun_recall": n_right / sum(map(len, truth))}


def compare(home: Path, n_voxels: int, n_slow: int) -> tuple[dict[str, float], list[figures.Row]]:
    calibrate(home)
    concrete_nouns(home)
    dataset = of_some_voxels(subject(home, None), n_voxels)
    backbone = Counted(load("lite", home=home))
    watch = Stopwatch(backbone)
    config = CONFIG.model_copy(update={"dissect": "all", "n_bootstrap": 100, "min_voxels_per_label": 1})
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)  # nothing that an earlier run cached is in it
        for shared in ("backbones", "pictures", "scenes", "vocabulary.txt"):
            (scratch / shared).symlink_to(home / shared)
        with Store.open(str(scratch / "atlas.duckdb")) as store:
            model_id = ingest(store, dataset, config, backbone, backbone, home=scratch, progress=watch)
            our_images = sum(watch.n_images.get(stage, 0) for stage in DISSECTION)
            ours = store.frame(
                "SELECT voxel, label, score, probability FROM voxel_label WHERE model_id = ?", [model_id]
            )
            n_captions = store.frame("SELECT count(*) AS n FROM caption")["n"][0]
            n_made = store.frame("SELECT count(*) AS n FROM synthetic_image")["n"][0]
            n_labels = store.frame("SELECT count(DISTINCT label_id) AS n FROM synthetic_image")["n"][0]
            fitted = store.frame(
                "SELECT voxel, weights, bias FROM encoding WHERE model_id = ? ORDER BY voxel", [model_id]
            ).head(n_slow)
            mean = store.frame("SELECT feature_mean FROM model WHERE model_id = ?", [model_id])["feature_mean"][0]
        features = FeatureCache(scratch, backbone, 8).get(
            dataset.stimuli["sha256"].to_list(), dataset.image, lambda _: None
        )
        networks = dissection_by_voxel.Networks(
            backbone,
            load_captioner("lite", backbone, scratch, "cpu"),
            load_generator("collage", scratch, "cpu"),
            NounExtractor(),
        )
        backbone.n_images = 0
        start = time.perf_counter()
        slow = {
            voxel: dissection_by_voxel.dissect(
                networks,
                config,
                dataset.image,
                features,
                np.array(mean, np.float32),
                np.array(weights, np.float32),
                bias,
            )
            for voxel, weights, bias in fitted.iter_rows()
        }
        slow_s = (time.perf_counter() - start) * n_voxels / len(slow)
    slow_images, slow_captions = (n * n_voxels / len(slow) for n in (backbone.n_images, networks.captions))
    our_s = sum(watch.seconds.get(stage, 0) for stage in DISSECTION)
    equal, difference = agreement(ours, slow)
    measured = {
        "ratio_time": slow_s / our_s,
        "ratio_forwards": slow_images / our_images,
        "ratio_captions": slow_captions / n_captions,
        "regenerated": float(n_made - n_labels * config.images_per_label),
        "labels_equal": equal,
        "scores_max_diff": difference,
        "peak_gib": figures.peak_gib(),
    }
    rows = [
        {
            "stage": stage,
            "seconds": seconds,
            "ms a voxel": 1000 * seconds / n_voxels,
            "images seen": watch.n_images[stage],
        }
        for stage, seconds in watch.seconds.items()
    ]
    return measured, [
        *rows,
        {
            "stage": "voxel by voxel",
            "seconds": slow_s,
            "ms a voxel": 1000 * slow_s / n_voxels,
            "images seen": int(slow_images),
        },
    ]


def agreement(ours: pl.DataFrame, slow: dict[int, dict[str, tuple[float, float]]]) -> tuple[float, float]:
    """Share of voxels with the same labels, and the largest difference of a probability among those."""
    n_equal, difference = 0, 0.0
    for voxel, labels in slow.items():
        mine = ours.filter(pl.col("voxel") == voxel)
        probabilities = dict(zip(mine["label"], mine["probability"], strict=True))
        if probabilities.keys() == labels.keys():
            n_equal += 1
            for label, (_, probability) in labels.items():
                difference = max(difference, abs(probability - probabilities[label]))
    return n_equal / len(slow), difference


def main() -> None:
    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--voxels", type=int, default=200, help="voxels that are dissected")
        parser.add_argument("--by-voxel", type=int, help="of those, how many in the slow way, too (all)")

    arguments = figures.arguments(__doc__, extend)
    measured, rows = compare(Settings().home, arguments.voxels, arguments.by_voxel or arguments.voxels)
    title = f"Dissecting {arguments.voxels} voxels of the simulated subject"
    figures.emit(title, measured | noun_figures(), rows, arguments.json)


if __name__ == "__main__":
    main()
