"""The images that voxels are described by as one pass: encode, top images, maps and crops, beside what `plan` says.

A part of scale.py. A subject saw some of the pictures, and its voxels answer to what the offline network makes of them;
all pictures describe them. What the network takes is counted within the pass, image by image and crop by crop; the rest
is reading and cutting pictures, choosing images, making maps and keeping features. All is processor time, of plan and
pass alike, so that what else runs on the machine adds little.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from PIL import Image

import figures
from voxel_atlas.atlas.backbones import load
from voxel_atlas.atlas.backbones.interface import Backbone, Floats
from voxel_atlas.atlas.backbones.interface import Image as Pixels
from voxel_atlas.atlas.backbones.lite.lite import ALIGNMENT
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.ingest.simulated.alignment import calibrate
from voxel_atlas.ingest.stages.encode import encode
from voxel_atlas.ingest.stages.labels.candidates import find_candidates
from voxel_atlas.ingest.stages.voxel_batches import fitted, voxels_to_label
from voxel_atlas.schemas.config import IngestConfig, Settings

N_SEEN, N_VOXELS, SIDE = 120, 100, 320
"""Pictures that the subject saw, its voxels, and the pixels of a picture's side."""


class Timed:
    """A backbone that counts the seconds of its forward passes."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone, self.seconds = backbone, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def features(self, images: Sequence[Pixels]) -> Floats:
        """See Backbone."""
        start = time.process_time()
        found = self._backbone.features(images)
        self.seconds += time.process_time() - start
        return found

    def local_features(self, images: Sequence[Pixels]) -> Floats:
        """See Backbone."""
        start = time.process_time()
        found = self._backbone.local_features(images)
        self.seconds += time.process_time() - start
        return found


def measure(folder: Path, n_pictures: int) -> dict[str, float]:
    """Make the pictures and a fitted model, plan its pass, and make it.

    Args:
        folder: an empty one, for 60 KB of disk a picture.
        n_pictures: that describe voxels.
    """
    home, pictures = folder / "home", folder / "pictures"
    draw(pictures, n_pictures)
    aligned(home)
    settings = {"dataset": "folder", "subject": "1", "root": str(folder), "dissect": "none", "n_bootstrap": 100}
    config = IngestConfig.model_validate(settings)
    _answer(folder, home)
    with Store.open(str(home / "atlas.duckdb")) as store:
        making = Pipeline(store=store, home=home)
        model = making.ingest(config, open_parts(config, home=home))
        row = store.arrow("SELECT config FROM model WHERE model_id = ?", [model])["config"][0].as_py()
        changes = {"dissect": "all", "probe": str(pictures)}
        config = IngestConfig.model_validate_json(row).model_copy(update=changes)
        parts = open_parts(config, home=home)
        with mock.patch("time.perf_counter", time.process_time):
            planned = making.plan(model, config, parts)
        jobs = [job for job in planned.jobs if job.what.startswith(("probe images encoded", "images mapped"))]
        timed = Timed(parts.backbone)
        context = making._context(replace(parts, backbone=timed), config, model)  # noqa: SLF001 - stops before captions
        start = time.process_time()
        features = encode(context, images=context.probe)
        voxels = voxels_to_label(context)
        n_crops = sum(bool(box) for _, box in find_candidates(context, features, fitted(context, voxels)).regions)
        seconds = time.process_time() - start
    return {
        "probe_pictures": float(n_pictures),
        "probe_crops": float(n_crops),
        "probe_per_s": n_pictures / seconds,
        "probe_over_forward": seconds / timed.seconds,
        "probe_plan_error": abs(sum(job.seconds for job in jobs) / seconds - 1),
        "probe_peak_gib": figures.peak_gib(),
    }


def aligned(home: Path) -> None:
    """Give a home folder the offline network's map: that of VOXEL_ATLAS_HOME where it has one."""
    if (made := Settings().home / ALIGNMENT).exists():
        (home / ALIGNMENT).parent.mkdir(parents=True)
        copyfile(made, home / ALIGNMENT)
    calibrate(home)


def draw(folder: Path, n_pictures: int) -> None:
    """Pictures of smooth colours, each with patches of other ones at places of its own."""
    folder.mkdir()
    for number in range(n_pictures):
        rng = np.random.default_rng(number)
        picture = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        for _ in range(3):
            patch = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(
                (90, 90), Image.Resampling.NEAREST
            )
            picture.paste(patch, tuple(rng.integers(0, SIDE - 90, 2).tolist()))
        picture.save(folder / f"{number:05}.jpg", quality=90)


def _answer(folder: Path, home: Path) -> None:
    """A table of the first pictures, and responses (z-scored, with noise) to what the network makes of them."""
    names = [f"pictures/{number:05}.jpg" for number in range(N_SEEN)]
    pl.DataFrame({"image": names}).write_csv(folder / "stimuli.csv")
    features = load("lite", home=home).features([np.asarray(Image.open(folder / name)) for name in names])
    rng = np.random.default_rng(0)
    signal = (features - features.mean(0)) @ rng.standard_normal((features.shape[1], N_VOXELS)).astype(np.float32)
    noise = rng.standard_normal(signal.shape, np.float32)
    np.save(folder / "responses.npy", signal / signal.std(0) + noise)
