"""Small files in the layout of LAION-fMRI, by the names of either generation."""

import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import scipy.stats
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.config import IngestConfig

SHAPE = (5, 4, 3)  # x, y, z
AFFINE = np.diag([1.778, 1.778, 1.778, 1.0])
AFFINE[:3, 3] = -4, 2, 7
N_IMAGES, N_UNSEEN, N_TRIALS = 46, 4, 60
SUBJECT = "sub-03"


@dataclass
class Tree:
    """A small subject, and what was written of it."""

    root: Path
    newer: bool
    mask: NDArray[np.bool_]
    """(x, y, z)"""
    betas: dict[str, NDArray[np.float32]]
    """Session → (x, y, z, trials)."""
    labels: dict[str, list[str]]
    """Session → the image of each volume."""
    runs: dict[str, NDArray[np.int64]]
    names: list[str]
    """Every image, in the order of the HDF5 file."""

    def config(self, **settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "laion-fmri", "subject": "3", "root": str(self.root), **settings})

    @property
    def subject(self) -> Path:
        return self.root / "derivatives/glmsingle-tedana" / SUBJECT

    def path(self, session: str, what: str) -> Path:
        newer = {
            "betas": "space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz",
            "trials": "desc-SingletrialBetas_trials.tsv",
        }
        older = {"betas": "desc-singletrial_stat-effect_statmap.nii.gz", "trials": "desc-GLMsingle_events.tsv"}
        name = (newer if self.newer else older)[what]
        return self.subject / session / "func" / f"{SUBJECT}_{session}_task-images_{name}"

    @property
    def mask_path(self) -> Path:
        desc = "stat-rsquare_desc-R2mean_statmap" if self.newer else "desc-meanR2gt15mask_mask"
        return self.subject / f"{SUBJECT}_task-images_space-T1w_{desc}.nii.gz"

    def roi_path(self, name: str, category: str) -> Path:
        if self.newer:
            return (
                self.root
                / f"derivatives/rois/{SUBJECT}/{category}/{SUBJECT}_space-T1w_res-1pt8_label-{name}_mask.nii.gz"
            )
        return self.root / f"derivatives/atlases/{SUBJECT}/rois/{name}.nii.gz"

    def localiser_path(self, category: str) -> Path:
        session, task, contrast = {
            "face": ("ses-4BarScreenfLoc", "floc", "faceVsOthers"),
            "place": ("ses-4BarScreenfLoc", "floc", "placeVsOthers"),
            "object": ("ses-31", "oloc", "objectVsScrambled"),
        }[category]
        name = f"{SUBJECT}_{session}_task-{task}_space-T1w_res-1pt8_contrast-{contrast}_stat-z_statmap.nii.gz"
        return self.root / f"derivatives/localizers/{SUBJECT}/{session}/func/{name}"

    def voxels(self) -> NDArray[np.intp]:
        """x, y, z of each voxel, in the reader's order: x runs fastest."""
        k, j, i = np.nonzero(self.mask.T)
        return np.stack([i, j, k], axis=1)

    def expected(self, by: str = "session") -> tuple[list[str], NDArray[np.float64]]:
        """Images and responses by the plainest code."""
        trials: dict[str, list[NDArray[np.float64]]] = {}
        for session, betas in self.betas.items():
            rows = np.array([betas[x, y, z] for x, y, z in self.voxels()]).T.astype(float)
            runs = self.runs[session] if by == "run" else np.zeros(len(rows))
            for run in np.unique(runs):
                rows[runs == run] = scipy.stats.zscore(rows[runs == run], axis=0)
            for label, row in zip(self.labels[session], rows, strict=True):
                trials.setdefault(label, []).append(row)
        return sorted(trials), np.array([np.mean(trials[label], axis=0) for label in sorted(trials)])


def write_volume(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def write_pictures(root: Path, names: list[str]) -> None:
    """JPEGs and, for each .png, an RGBA one whose transparent half hides red."""
    folder = root / "stimuli"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "task-images_stimuli.h5", "w") as file:
        stored = file.create_dataset("images", (len(names),), h5py.vlen_dtype(np.uint8))
        for number, name in enumerate(names):
            encoded = io.BytesIO()
            if name.endswith(".png"):
                pixels = np.zeros((8, 8, 4), np.uint8)
                pixels[:, :4], pixels[:, 4:] = (255, 0, 0, 0), (0, 0, 255, 255)
                pixels[0, 7, 1] = number
                Image.fromarray(pixels).save(encoded, "PNG")
            else:
                Image.new("RGB", (8, 8), (5 * number, 255 - 5 * number, 90)).save(encoded, "JPEG")
            stored[number] = np.frombuffer(encoded.getvalue(), np.uint8)
    rows = [f"{name},LAION,all,shared,4" for name in names]
    (folder / "task-images_metadata.csv").write_text(
        "\n".join(["image_name,dataset,participant,unique_or_shared,n_reps", *rows]) + "\n"
    )


def write_tree(root: Path, *, newer: bool) -> Tree:
    rng = np.random.default_rng(3)
    names = [f"shared_4rep_{'OOD_shape' if i % 9 == 4 else 'LAION_cluster'}_{i}" for i in range(N_IMAGES + N_UNSEEN)]
    names = [f"{name}.{'png' if 'OOD' in name else 'jpg'}" for name in rng.permutation(names)]
    seen = names[:N_IMAGES]
    mask = rng.random(SHAPE) < 0.3
    tree = Tree(root, newer, mask, {}, {}, {}, names)
    write_pictures(root, names)
    write_volume(tree.mask_path, np.where(mask, 20, 0).astype(np.float32 if newer else np.uint8))
    for number in (1, 2):
        session = f"ses-{number:02d}"
        shown = rng.permutation(np.concatenate([np.arange(N_IMAGES), rng.integers(0, N_IMAGES, N_TRIALS - N_IMAGES)]))
        tree.labels[session], tree.runs[session] = [seen[i] for i in shown], np.repeat(np.arange(1, 7), N_TRIALS // 6)
        of_image = np.random.default_rng(8).standard_normal((*SHAPE, N_IMAGES))
        betas = of_image[..., shown] + rng.standard_normal((*SHAPE, N_TRIALS)) + number
        tree.betas[session] = np.where(mask[..., None], betas, 0).astype(np.float32)
        write_volume(tree.path(session, "betas"), tree.betas[session])
        rows = [f"{session}\t{run}\t{i}\t{tree.labels[session][i]}" for i, run in enumerate(tree.runs[session])]
        # beta_index says which volume a row is, not its place in the table.
        table = ["session\trun\tbeta_index\tlabel", *(rows[i] for i in rng.permutation(N_TRIALS))]
        tree.path(session, "trials").write_text("\n".join(table) + "\n")
    inside = tree.voxels()
    for name, category, members in (
        ("FFA1" if newer else "FFA-1", "face", inside[:3]),
        ("FFA-2", "face", inside[2:5]),
        ("MPA", "place", inside[5:7]),
        ("V1v", "prf", inside[7:9]),
        ("V1d", "prf", inside[9:10]),
        ("SPL", "place", inside[10:11]),
    ):
        region = np.zeros(SHAPE, np.uint8)
        region[tuple(members.T)] = 1
        write_volume(tree.roi_path(name, category), region)
    return tree
