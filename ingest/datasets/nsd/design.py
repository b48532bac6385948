"""Which image each trial of the Natural Scenes Dataset shows (Allen et al. 2022; the data set's manual).

Everything is 1-based in nsd_expdesign.mat; nsdId in nsd_stim_info_merged.csv, and everywhere here, is 0-based.
"""

from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..csv_tables import read_table
from ..folder.stored_arrays import read_array

SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)
"""Sessions of subjects 1 … 8; 40 were planned for everyone, and the design lists all of them."""
TRIALS = 750
"""Trials of a session."""
RUN_TRIALS = (63, 62) * 6
"""Trials of a session's runs: 63 in odd runs, 62 in even ones, counted from 1."""
N_IMAGES = 73_000

SHARED: dict[str, tuple[int | None, int]] = {"shared515": (None, 3), "shared907": (None, 1), "shared1000": (40, 1)}
"""Images that all subjects share: in how many of the planned sessions, None for those that each did, and how often."""

DESIGN = Path("nsddata/experiments/nsd/nsd_expdesign.mat")
TABLE = Path("nsddata/experiments/nsd/nsd_stim_info_merged.csv")

NsdIds = NDArray[np.int32]
stimulus_table = partial(read_table, what="stimulus table", advice="download it from NSD again")


def run_slices() -> dict[str, slice]:
    """The trials of each run of a session, "run 1" to "run 12"."""
    stops = list(accumulate(RUN_TRIALS))
    starts = [0, *stops[:-1]]
    return {f"run {n}": slice(*ends) for n, ends in enumerate(zip(starts, stops, strict=True), start=1)}


def trial_images(root: Path, subject: int, sessions: int | None = None) -> NsdIds:
    """The nsdId (from 0) of each trial that subject 1 … 8 did, session by session, (750 · sessions,).

    With `sessions`, of each trial of so many of the 40 that were planned.

    Taken from nsd_expdesign.mat, or from nsd_stim_info_merged.csv; where both are there they must agree.

    Raises:
        NotFoundError: neither file is there, or one lacks an array.
        BadInputError: a file has another layout, or the two disagree.
    """
    readings = [
        read(root / path, subject, sessions)
        for path, read in ((DESIGN, images_of_design), (TABLE, images_of_table))
        if (root / path).exists()
    ]
    if not readings:
        raise NotFoundError(
            f"{root / DESIGN}: not there, and neither is {TABLE.name}; download one of the two from NSD."
        )
    if len(readings) == 2 and (differing := np.flatnonzero(readings[0] != readings[1])).size:
        raise BadInputError(
            f"{root / DESIGN} and {TABLE.name} name different images for trial {differing[0] + 1} of subject "
            f"{subject}; get both from the same release."
        )
    return readings[0]


def shared_images(root: Path, name: str) -> NsdIds:
    """The nsdIds of images that all eight subjects share, ascending; see `SHARED`.

    Raises:
        NotFoundError, BadInputError: as `trial_images`.
    """
    sessions, least = SHARED[name]
    shown = [np.bincount(trial_images(root, s, sessions), minlength=N_IMAGES) for s in range(1, len(SESSIONS) + 1)]
    return np.flatnonzero(np.min(shown, axis=0) >= least).astype(np.int32)


def images_of_design(path: Path, subject: int, sessions: int | None = None) -> NsdIds:
    """The same from nsd_expdesign.mat: subjectim[subject, masterordering[trial]], both 1-based.

    Raises:
        NotFoundError: it lacks one of the two arrays.
        BadInputError: it is damaged, or has another layout.
    """
    ordering = read_array(path, "masterordering").values.ravel()
    every = read_array(path, "subjectim").values
    if every.ndim != 2 or len(every) < len(SESSIONS):
        raise BadInputError(
            f"{path}: subjectim has shape {every.shape}, and images of {len(SESSIONS)} subjects are expected; download "
            "it from NSD again."
        )
    images = every[subject - 1]
    n = TRIALS * (sessions or SESSIONS[subject - 1])
    if len(ordering) < n or ordering.min() < 1 or ordering.max() > len(images):
        shown = f" of images {ordering.min()} … {ordering.max()}" if len(ordering) else ""
        raise BadInputError(
            f"{path}: masterordering has {len(ordering)} trials{shown}; 30,000 trials of images 1 … {len(images)} are "
            "expected: download it from NSD again."
        )
    # uint16 in the file: subtracting 1 from it is safe, and the sum of two of them need not be.
    return _checked(images[ordering[:n].astype(np.intp) - 1].astype(np.int32) - 1, path)


def images_of_table(path: Path, subject: int, sessions: int | None = None) -> NsdIds:
    """The same from nsd_stim_info_merged.csv, whose columns subjectS_repR hold 1-based trials, or 0.

    They cover 40 planned sessions: trials beyond those that the subject did are left out.
    """
    columns = [f"subject{subject}_rep{repeat}" for repeat in range(3)]
    table = stimulus_table(path, columns=["nsdId", *columns])
    trials = table.unpivot(columns, index="nsdId", value_name="trial").filter(pl.col("trial") > 0)
    n = TRIALS * (sessions or SESSIONS[subject - 1])
    done = trials.filter(pl.col("trial") <= n)
    if done["trial"].n_unique() != done.height or done.height != n:
        raise BadInputError(
            f"{path}: {done.height} trials of subject {subject} have an image, {n} are expected, each once; download "
            "it from NSD again."
        )
    return _checked(done.sort("trial")["nsdId"].to_numpy().astype(np.int32), path)


def coco_images(path: Path, nsd_ids: NsdIds) -> pl.Series:
    """COCO's 12-digit names of the images that NSD's were cut from, in the order of `nsd_ids`: the Series `image`.

    Raises:
        BadInputError: the table cannot be read, or lacks an image.
    """
    table = stimulus_table(path, columns=["nsdId", "cocoId"], schema_overrides={"cocoId": pl.Int64})
    names = pl.DataFrame({"nsdId": nsd_ids.astype(np.int64)}).join(table, on="nsdId", how="left", maintain_order="left")
    if names["cocoId"].null_count():
        raise BadInputError(
            f"{path}: {names['cocoId'].null_count()} images have no cocoId; download it from NSD again."
        )
    return names["cocoId"].cast(pl.String).str.zfill(12).alias("image")


def _checked(images: NsdIds, path: Path) -> NsdIds:
    if images.min() < 0 or images.max() >= N_IMAGES:
        raise BadInputError(
            f"{path}: images {images.min()} … {images.max()} (from 0), but NSD has 0 … {N_IMAGES - 1}; download it "
            "again."
        )
    return images
