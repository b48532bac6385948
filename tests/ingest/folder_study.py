"""The responses of a small study, and the table that joins them to images, in the layout of a user's own folder."""

from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import scipy.stats
from numpy.typing import NDArray

from voxel_atlas.schemas.config import IngestConfig

N_TRIALS, N_IMAGES = 12, 6
X, Y, Z = 4, 3, 2
SHOWN = np.array([3, 0, 1, 2, 4, 5, 5, 4, 3, 2, 1, 0])
"""Image of each trial: every image twice, once in each session."""
SESSIONS = [slice(0, N_IMAGES), slice(N_IMAGES, N_TRIALS)]


def config(root: Path, **settings: object) -> IngestConfig:
    return IngestConfig(**{"dataset": "folder", "subject": "me", "root": str(root), **settings})


def table() -> pl.DataFrame:
    trials = np.arange(N_TRIALS)
    return pl.DataFrame(
        {
            "image": [f"images/{number}.png" for number in SHOWN],
            "row": trials,
            "session": ["a" if trial < N_IMAGES else "b" for trial in trials],
            "repeat": [1 if trial < N_IMAGES else 2 for trial in trials],
        }
    )


def write_table(root: Path, frame: pl.DataFrame | None = None) -> None:
    (table()[::-1] if frame is None else frame).write_csv(root / "stimuli.csv")


def responses(n_voxels: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((N_TRIALS, n_voxels)).astype(np.float32) * 3 + 1


def expected(values: NDArray[np.float32], groups: list[slice]) -> NDArray[np.float64]:
    scored = values.astype(float)
    for group in groups:
        scored[group] = scipy.stats.zscore(scored[group], axis=0)
    return np.array([scored[image == SHOWN].mean(axis=0) for image in range(N_IMAGES)])


def series() -> NDArray[np.int16]:
    """(T, Z, Y, X); voxel (0, 0, 0) never varies."""
    values = np.round(responses(X * Y * Z) * 100).astype(np.int16).reshape(N_TRIALS, Z, Y, X)
    values[:, 0, 0, 0] = 0
    return values


def write_nifti(path: Path, values: NDArray[np.generic], slope: float | None = None) -> None:
    path.parent.mkdir(exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(values.T), np.eye(4))
    if slope:
        image = nib.Nifti1Image(np.ascontiguousarray(values.T).astype(np.float32) * np.float32(slope), np.eye(4))
        image.set_data_dtype(np.int16)
    nib.save(image, path)
