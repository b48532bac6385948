"""A small lab: some subjects' folders of real files, really ingested, with a network of a few lines."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from plugin_package import installed
from tiny import picture, tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline

COLOURS = ("rose", "leaf", "lake", "lemon")
N_IMAGES, N_VOXELS = 240, 32


@contextmanager
def tiny_networks() -> Iterator[None]:
    """Makes the program know the tiny network."""
    parts = {"voxel_atlas.backbones": {"tiny": "tiny:TinyBackbone"}}
    with (
        tempfile.TemporaryDirectory() as folder,
        installed(Path(folder), "tiny", parts),
    ):
        yield


def write_subject(root: Path, seed: int) -> None:
    """A folder as the manual describes it: voxel v answers to colour v mod 4; the last four answer to nothing."""
    rng = np.random.default_rng(seed)
    shown = rng.permutation(np.arange(N_IMAGES) % len(COLOURS))
    (root / "rois").mkdir(parents=True)
    for number, colour in enumerate(shown):
        Image.fromarray(picture(COLOURS[colour], 1000 * seed + number)).save(root / f"{seed}-{number:03}.png")
    images = [f"{seed}-{number:03}.png" for number in range(N_IMAGES)]
    pl.DataFrame({"image": images}).write_csv(root / "stimuli.csv")
    pl.DataFrame({"image": images, "category": [COLOURS[colour] for colour in shown]}).write_csv(root / "labels.csv")
    signal = (shown[:, None] == np.arange(N_VOXELS) % len(COLOURS)).astype(float)
    signal[:, -4:] = 0
    np.save(root / "responses.npy", (signal + rng.normal(0, 0.5, signal.shape)).astype(np.float32))
    np.save(root / "noise_ceiling.npy", np.full(N_VOXELS, 0.45, np.float32))
    for place, colour in enumerate(COLOURS):
        np.save(root / "rois" / f"{colour}.npy", np.arange(N_VOXELS) % len(COLOURS) == place)


def fill_lab(home: Path, subjects: int, **changes: object) -> list[str]:
    """Ingest the subjects; gives the models' ids. Run it within `tiny_networks`."""
    models = []
    with Store.open(str(home / "atlas.duckdb")) as store:
        for number in range(1, subjects + 1):
            root = home / f"subject-{number}"
            if not root.exists():
                write_subject(root, number)
            settings = {
                "subject": str(number),
                "root": str(root),
                "batch_voxels": 30,
                "methods": ("brainlmm-eq2", "clip-msm"),
                "concepts": (*COLOURS, "cup"),
            }
            config = tiny_config(**{**settings, **changes})
            parts = tiny_parts(config, home, dataset=None)
            models.append(Pipeline(store=store, home=home).ingest(config, parts))
    tables = [pl.read_csv(home / f"subject-{number}" / "labels.csv") for number in range(1, subjects + 1)]
    pl.concat(tables).write_csv(home / "labels.csv")
    return models
