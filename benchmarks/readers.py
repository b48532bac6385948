"""The readers on the true skeleton of NOD, and how fast trials come off disk as responses to images.

- nod_trials_joined: trials of subjects 1 and 5 whose image is found through the true label files' content: each was
  rebuilt from the true events and has the SHA-256 that the data set lists (8,000 ImageNet trials and 2,520 COCO ones =
  10,520);
- nod_files_named: files of betas and labels that the reader expects and the data set's file tree has (202);
- rows_per_s: trials of 2,000 voxels a second: read from HDF5 in NSD's layout (one chunk a voxel), z-scored by session
  and averaged over repeats. A subject with 30,000 trials takes 30,000 / rows_per_s seconds for each batch of 2,000
  voxels.

The first two need shared/data/nod_ds004496, beside the checkout or where VOXEL_ATLAS_SHARED_DATA says.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import polars as pl

import figures
from voxel_atlas.ingest.datasets.nod.nod_runs import NodRun, events_images, runs
from voxel_atlas.ingest.datasets.nsd.betas import session_reader
from voxel_atlas.ingest.datasets.trials import Block, mean_responses
from voxel_atlas.ingest.datasets.volumes import VolumeVoxels

SHARED = Path(os.environ.get("VOXEL_ATLAS_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
NOD = SHARED / "nod_ds004496"
SUBJECTS = ("sub-01", "sub-05")
SHAPE = (24, 40, 40)
N_SESSIONS, N_VOXELS = 4, 2000


def nod() -> tuple[dict[str, float], list[figures.Row]]:
    """Trials joined and files named, over both subjects whose events are there."""
    listed = pl.read_csv(NOD / "ciftify_tree_sub01-09.tsv", separator="\t")
    digests = dict(listed.select("path", "sha256").iter_rows())
    rows: list[figures.Row] = []
    for subject in SUBJECTS:
        found = runs(NOD, subject, ("imagenet", "coco"))
        files = [path for run in found for path in (run.betas, run.labels)]
        named = sum(str(path.relative_to(NOD)) in digests for path in files)
        joined = sum(len(_joined(run, digests[str(run.labels.relative_to(NOD))])) for run in found)
        rows.append({"subject": subject, "runs": len(found), "trials joined": joined, "files named": named})
    totals: dict[str, float] = {
        "nod_trials_joined": sum(int(str(row["trials joined"])) for row in rows),
        "nod_files_named": sum(int(str(row["files named"])) for row in rows),
    }
    return totals, rows


def _joined(run: NodRun, digest: str) -> list[str]:
    """The images that the reader joins to a run's betas through the true content of its label file."""
    shown = events_images(run.events, run.task)
    ordered = shown if run.task == "imagenet" else sorted(shown)
    for prefix in ("", "folder/"):
        text = "\n".join(name.split("/", 1)[1] if prefix else Path(name).name for name in ordered)
        if hashlib.sha256(text.encode()).hexdigest() == digest:
            with tempfile.TemporaryDirectory() as folder:
                labels = Path(folder) / run.labels.name
                labels.write_text(text)
                return NodRun(run.session, run.number, run.task, run.events, run.betas, labels).images()
    return []


def rows_per_s() -> float:
    """Trials of 2,000 voxels a second, from four sessions of betas."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        # Voxels of a band, as cortex is: neighbours along x with gaps between.
        linear = np.sort(rng.choice(int(np.prod(SHAPE)) // 3, N_VOXELS, replace=False))
        cells = VolumeVoxels(SHAPE, linear)
        images = rng.permutation(np.repeat(np.arange(N_SESSIONS * 250), 3)).reshape(N_SESSIONS, 750)
        blocks = []
        for session, shown in enumerate(images, start=1):
            path = Path(folder) / f"betas_session{session:02d}.hdf5"
            with h5py.File(path, "w") as file:
                betas = file.create_dataset("betas", (750, *SHAPE), np.int16, chunks=(750, 1, 1, 1))
                betas[:, : SHAPE[0] // 3] = rng.integers(-3000, 3000, (750, SHAPE[0] // 3, *SHAPE[1:]), np.int16)
            reader = session_reader([path], cells, session, Path(folder))
            blocks.append(Block(str(session), shown, {"all": slice(None)}, reader))
        seconds, _ = figures.timed(lambda: mean_responses(blocks, N_SESSIONS * 250, np.arange(N_VOXELS)), repeats=3)
    return images.size / seconds


def main() -> None:
    arguments = figures.arguments(__doc__)
    found: dict[str, float] = {}
    rows: list[figures.Row] = []
    if NOD.exists():
        found, rows = nod()
    else:
        print(f"{NOD} is not there: nod_trials_joined and nod_files_named are left out.")
    found["rows_per_s"] = rows_per_s()
    figures.emit("NOD's true skeleton", found, rows, arguments.json)


if __name__ == "__main__":
    main()
