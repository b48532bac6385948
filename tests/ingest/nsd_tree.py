"""Small files of the Natural Scenes Dataset's exact layout, types and orders of dimensions."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import polars as pl
import scipy.io
import scipy.stats
from numpy.typing import NDArray

from voxel_atlas.ingest.datasets.nsd.design import (
    SESSIONS,
)
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.schemas.config import IngestConfig

X, Y, Z = 5, 4, 3
N_VERTICES = (7, 6)
SUBJECT = 4  # 30 sessions, the fewest
N_SESSIONS = SESSIONS[SUBJECT - 1]
N_SHOWN = 60


@dataclass
class Tree:
    """A small NSD: what was written, for tests to compute with."""

    root: Path
    config: Callable[..., IngestConfig]
    betas: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    """(sessions, 750, Z, Y, X), as stored."""
    images: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """nsdId, from 0, of each trial, (sessions, 750)."""

    @property
    def sessions(self) -> Path:
        return self.root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/func1pt8mm/betas_fithrf_GLMdenoise_RR"

    @property
    def maps(self) -> Path:
        return self.root / f"nsddata/ppdata/subj{SUBJECT:02d}/func1pt8mm"

    @property
    def labels(self) -> Path:
        return self.root / f"nsddata/freesurfer/subj{SUBJECT:02d}/label"

    def expected(self, groups: tuple[slice, ...], voxels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Responses by the plainest code: each session z-scored by scipy, each image's trials gathered in a list."""
        percent = self.betas.reshape(len(self.betas), 750, -1)[:, :, voxels] / 300
        scored = np.empty(percent.shape)
        for session in range(len(percent)):
            for group in groups:
                with warnings.catch_warnings(action="ignore"):  # scipy warns of constant voxels
                    scored[session, group] = scipy.stats.zscore(percent[session, group], axis=0)
        trials: dict[int, list[NDArray[np.float64]]] = {}
        for image, row in zip(self.images.ravel(), scored.reshape(-1, len(voxels)), strict=True):
            trials.setdefault(int(image), []).append(row)
        return np.array([np.mean(trials[image], axis=0) for image in sorted(trials)])


def write_design(root: Path, rng: np.random.Generator, n_shown: int = N_SHOWN) -> tuple[NDArray, NDArray]:
    """nsd_expdesign.mat and nsd_stim_info_merged.csv, for all eight subjects."""
    folder = root / "nsddata/experiments/nsd"
    folder.mkdir(parents=True, exist_ok=True)
    ordering = rng.integers(1, n_shown + 1, (1, 30_000)).astype(np.uint16)
    ordering[0, :n_shown] = np.arange(1, n_shown + 1)
    subjectim = np.stack([rng.permutation(73_000)[:10_000] + 1 for _ in range(8)]).astype(np.int32)
    # The first and the last image of NSD: both ends of 1-based indexing.
    subjectim[:, 0], subjectim[:, 1] = 1, 73_000
    design = {"masterordering": ordering, "subjectim": subjectim, "sharedix": np.arange(1, 1001)[None]}
    scipy.io.savemat(folder / "nsd_expdesign.mat", design)
    return ordering, subjectim


def write_nifti(path: Path, volume: NDArray[np.generic]) -> None:
    """Write a (Z, Y, X) or (T, Z, Y, X) array the way NIfTI has it: (X, Y, Z) or (X, Y, Z, T)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.T), np.eye(4)), path)


def write_maps(tree: Tree, rng: np.random.Generator) -> None:
    """ROI volumes with −1 outside cortex, their names, t maps and ncsnr."""
    cortex = np.ones((Z, Y, X), bool)
    cortex[0, 0, :] = False
    faces, places, prf = (np.where(cortex, 0, -1).astype(np.int16) for _ in range(3))
    faces[1, 0, :4] = 1, 2, 3, 3
    places[1, 1, :3] = 2
    prf[2, 0, :3] = 1, 2, 7
    for name, labels in {"floc-faces": faces, "floc-places": places, "prf-visualrois": prf}.items():
        write_nifti(tree.maps / "roi" / f"{name}.nii.gz", labels)
    left = np.where(cortex, 0, -1).astype(np.int16)
    right = left.copy()
    left[..., 3:], right[..., :3] = -1, -1
    write_nifti(tree.maps / "roi" / "lh.prf-visualrois.nii.gz", left)
    write_nifti(tree.maps / "roi" / "rh.prf-visualrois.nii.gz", right)
    # Subcortical volumes count differently and have no names: 0 outside must not become cortex.
    write_nifti(tree.maps / "roi" / "thalamus.nii.gz", np.zeros((Z, Y, X), np.int16))
    t = rng.normal(3, 0.1, (Z, Y, X)).astype(np.float32)
    t[1, 0, 2], t[1, 0, 1] = -1, 1.5
    write_nifti(tree.maps / "floc_facestval.nii.gz", t)
    write_nifti(tree.maps / "floc_placestval.nii.gz", np.full((Z, Y, X), 2, np.float32))
    tree.labels.mkdir(parents=True)
    names = ("Unknown", "OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces")
    (tree.labels / "floc-faces.mgz.ctab").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)))
    write_nifti(tree.sessions / "ncsnr.nii.gz", np.full((Z, Y, X), 0.5, np.float32))


def write_stimuli(root: Path, shown: NDArray[np.integer]) -> None:
    """imgBrick with its true shape; only the shown images take room."""
    path = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (73_000, 425, 425, 3), np.uint8, chunks=(1, 425, 425, 3))
        for number in shown:
            pixels = np.zeros((425, 425, 3), np.uint8)
            pixels[0, 0] = number // 65_536, number // 256 % 256, number % 256
            brick[number] = pixels


def linear(dataset: Nsd) -> NDArray[np.intp]:
    places = dataset.voxels
    return np.asarray(places["k"] * Y * X + places["j"] * X + places["i"], np.intp)


def members(dataset: Nsd, roi: str) -> list[tuple[int, int, int]]:
    inside = dataset.voxel_rois.filter(pl.col("roi") == roi).join(dataset.voxels, on="voxel")
    return sorted(inside.select("i", "j", "k").iter_rows())
