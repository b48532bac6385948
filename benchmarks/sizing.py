"""What a subject of NSD costs on this machine: rates that are measured here, and what follows from them.

    python benchmarks/sizing.py --json FILE

Rates are of the steps whose cost grows with voxels: ridge regression on 8,500 images (a hold-out of 15 %, 100
penalties) and the bootstrap on 1,500 (2,000 resamples), with 1,024 features (CLIP RN50). `size` is the arithmetic that
the manual's page on hardware quotes. What a GPU does (captions, pictures) `voxel-atlas plan` times on the machine that
has one.
"""

import argparse
from dataclasses import dataclass

import numpy as np

import figures
from voxel_atlas.ingest.encoding.memory import bytes_to_fit
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import bootstrap_p
from voxel_atlas.ingest.encoding.split import folds
from voxel_atlas.schemas.config import IngestConfig

N_TRAIN, N_TEST, N_FEATURES, N_RESAMPLES = 8_500, 1_500, 1_024, 2_000
SUBJECTS = 8


@dataclass(frozen=True)
class Size:
    """What one subject needs."""

    memory_gib: float
    """While voxels are fitted, as `voxel-atlas check` estimates it."""
    disk_gib: float
    """Weights and labels in the atlas, and the index beside it (float32 vectors and 8-bit codes)."""
    hours: float
    """Fitting and testing all voxels."""


def size(n_voxels: int, n_features: int, prepare_s: float, voxels_per_s: float, batch_voxels: int = 2000) -> Size:
    """What a subject needs.

    Args:
        n_voxels: voxels that are fitted.
        n_features: features of the backbone.
        prepare_s: seconds of the decompositions, once a model.
        voxels_per_s: voxels fitted and tested in a second.
        batch_voxels: voxels at once.
    """
    memory = bytes_to_fit(N_TRAIN + N_TEST, n_features, batch_voxels)
    disk = n_voxels * (4 * n_features + 5 * n_features + 15 * 40)
    return Size(memory / 2**30, disk / 2**30, (prepare_s + n_voxels / voxels_per_s) / 3600)


def main() -> None:
    """Measure the rates and print what follows."""
    arguments = figures.arguments(__doc__, _extend)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((N_TRAIN + N_TEST, N_FEATURES), np.float32)
    weights = rng.standard_normal((N_FEATURES, arguments.voxels), np.float32) / np.sqrt(N_FEATURES, dtype=np.float32)
    responses = features @ weights + rng.standard_normal((len(features), arguments.voxels), np.float32)
    config = IngestConfig(dataset="nsd", subject="1")
    alphas = np.logspace(-8, 10, config.n_alphas)
    prepare_s, ridge = figures.timed(lambda: Ridge(features[:N_TRAIN], alphas, folds(config, N_TRAIN)))
    fit_s, fitted = figures.timed(lambda: ridge.fit(responses[:N_TRAIN]), repeats=3)
    predicted = fitted.predict(features[N_TRAIN:])
    test_s, _ = figures.timed(lambda: bootstrap_p(responses[N_TRAIN:], predicted, N_RESAMPLES, 0), repeats=3)
    rate = arguments.voxels / (fit_s + test_s)
    rows = []
    for n_voxels in (20_000, 300_000):
        found = size(n_voxels, N_FEATURES, prepare_s, rate)
        rows.append(
            {
                "voxels a subject": n_voxels,
                "memory, GiB": found.memory_gib,
                "disk a subject, GiB": found.disk_gib,
                "hours a subject": found.hours,
                "disk of 8, GiB": SUBJECTS * found.disk_gib,
                "hours of 8": SUBJECTS * found.hours,
            }
        )
    measured = {
        "ridge_prepare_s": prepare_s,
        "fit_voxels_per_s": arguments.voxels / fit_s,
        "test_voxels_per_s": arguments.voxels / test_s,
    }
    figures.emit("NSD with CLIP RN50: fitting and testing", measured, rows, arguments.json)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voxels", type=int, default=2000, help="voxels that the rates are measured on")


if __name__ == "__main__":
    main()
