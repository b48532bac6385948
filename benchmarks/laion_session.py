"""One session of LAION-fMRI at its true size, read by the reader, beside nibabel's own masked read.

The session is made here: 143 × 143 × 143 voxels × 1,044 trials of float32 in a .nii.gz file, noise in the 12 % of
voxels that lie in a ball and 0 elsewhere, with the table of trials, the mask and the pictures that belong to it. What
is read are the responses to all images, of all voxels, z-scored and averaged, in batches of 2,000 voxels, as an ingest
asks for them: the copy that can be read by voxel is made on the way. nibabel reads volume after volume from one open
file and takes the voxels of the mask. Each is a process of its own.

- laion_session_peak_gib: the most memory that the reader's process held;
- laion_session_ratio: its time over nibabel's, the median of three pairs.
"""

import argparse
import gzip
import io
import os
import statistics
import sys
import tempfile
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from PIL import Image

import figures
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.schemas.config import IngestConfig

SIDE, N_TRIALS, FILLED = 143, 1_044, 0.12
MM = 1.778
BATCH = 2_000
N_PAIRS = 3
_SUBJECT = "derivatives/glmsingle-tedana/sub-01"
_BETAS = f"{_SUBJECT}/ses-01/func/sub-01_ses-01_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
_MASK = f"{_SUBJECT}/sub-01_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz"


def write(root: Path) -> None:
    """The session's files, in the data set's layout."""
    radius = SIDE * (FILLED * 3 / (4 * np.pi)) ** (1 / 3)
    place = np.indices((SIDE, SIDE, SIDE)) - SIDE // 2
    inside = np.square(place).sum(axis=0) < radius**2
    affine = np.diag([MM, MM, MM, 1])
    (root / _BETAS).parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), root / _MASK)
    header = nib.Nifti1Image(np.zeros((1, 1, 1, 1), np.float32), affine).header
    header.set_data_shape((SIDE, SIDE, SIDE, N_TRIALS))
    header["vox_offset"] = 352
    rng, volume, voxels = np.random.default_rng(0), np.zeros(SIDE**3, np.float32), np.flatnonzero(inside)
    with gzip.open(root / _BETAS, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(N_TRIALS):
            volume[voxels] = rng.standard_normal(len(voxels), dtype=np.float32)
            file.write(volume.tobytes())
    names = [f"image_{number}.png" for number in range(N_TRIALS // 4 * 3)]
    shown = [names[trial % len(names)] for trial in range(N_TRIALS)]
    rows = [f"ses-01\t{trial * 12 // N_TRIALS + 1}\t{trial}\t{name}" for trial, name in enumerate(shown)]
    table = (root / _BETAS).with_name("sub-01_ses-01_task-images_desc-SingletrialBetas_trials.tsv")
    table.write_text("\n".join(["session\trun\tbeta_index\tlabel", *rows]) + "\n")
    (root / "stimuli").mkdir()
    (root / "stimuli/task-images_metadata.csv").write_text("\n".join(["image_name", *names]) + "\n")
    with h5py.File(root / "stimuli/task-images_stimuli.h5", "w") as file:
        stored = file.create_dataset("images", (len(names),), h5py.vlen_dtype(np.uint8))
        for number in range(len(names)):
            encoded = io.BytesIO()
            Image.new("RGB", (8, 8), (number % 256, number // 256, 0)).save(encoded, "PNG")
            stored[number] = np.frombuffer(encoded.getvalue(), np.uint8)


def read_by_us(root: Path) -> None:
    """Read responses of all voxels."""
    with tempfile.TemporaryDirectory(dir=root) as home:
        config = IngestConfig(dataset="laion-fmri", subject="1", root=str(root))
        dataset = open_dataset(config, Path(home))
        n_voxels = dataset.voxels.height
        for start in range(0, n_voxels, BATCH):
            dataset.responses_of(np.arange(start, min(start + BATCH, n_voxels)))


def read_by_nibabel(root: Path) -> None:
    """Read trials of all voxels."""
    inside = np.asarray(nib.load(root / _MASK).dataobj) > 0
    # Without an open file each volume would be sought from the file's start.
    trials = nib.load(root / _BETAS, keep_file_open=True).dataobj
    np.stack([trials[..., trial][inside] for trial in range(N_TRIALS)])


READERS = {"ours": read_by_us, "nibabel": read_by_nibabel}


def main() -> None:
    """Write the session and read it both ways, each time in a process of its own."""
    arguments = figures.arguments(__doc__, _extend)
    if arguments.read:
        READERS[arguments.read](arguments.folder)
        return
    rows: list[figures.Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write(Path(folder))
        for _ in range(N_PAIRS):
            for reader in READERS:
                command = [sys.executable, __file__, "--read", reader, "--folder", folder]
                seconds, peak = figures.watched(command, os.environ)
                rows.append({"reader": reader, "s": seconds, "peak GiB": peak})
    ours, theirs = ([float(str(row["s"])) for row in rows if row["reader"] == reader] for reader in READERS)
    found = {
        "laion_session_peak_gib": max(float(str(row["peak GiB"])) for row in rows if row["reader"] == "ours"),
        "laion_session_s": statistics.median(ours),
        "laion_session_nibabel_s": statistics.median(theirs),
        "laion_session_ratio": statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
    }
    figures.emit("One session of LAION-fMRI, 143³ × 1,044", found, rows, arguments.json)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where there are 4 GB of room; by default the system's")


if __name__ == "__main__":
    main()
