"""A subject of the Natural Scenes Dataset on disk: in volumes, and on surfaces."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from nsd_tree import N_SESSIONS, N_VERTICES, SUBJECT, Tree, X, Y, Z, write_design, write_maps, write_stimuli

from voxel_atlas.schemas.config import IngestConfig


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """All 30 sessions of subject 4 as HDF5, chunked by voxel."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("nsd")

    def config(**settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "nsd", "subject": str(SUBJECT), "root": str(root), **settings})

    tree = Tree(root, config)
    ordering, subjectim = write_design(root, rng)
    shown = subjectim[SUBJECT - 1, ordering[0].astype(int) - 1] - 1
    tree.images = shown[: 750 * N_SESSIONS].reshape(N_SESSIONS, 750)
    tree.betas = rng.integers(-3000, 3000, (N_SESSIONS, 750, Z, Y, X)).astype(np.int16)
    tree.betas[:, :, 2, 3, 4] = 700  # a voxel that never varies
    tree.sessions.mkdir(parents=True)
    for number, betas in enumerate(tree.betas, start=1):
        with h5py.File(tree.sessions / f"betas_session{number:02d}.hdf5", "w") as file:
            file.create_dataset("betas", data=betas, chunks=(750, 1, 1, 1))
    write_maps(tree, rng)
    write_stimuli(root, np.unique(tree.images))
    return tree


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def tree(written: Tree, tmp_path: Path) -> Tree:
    """A copy whose files a test may take away or spoil: links, since the files are shared."""
    root = tmp_path / "nsd"
    for path in written.root.rglob("*"):
        target = root / path.relative_to(written.root)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)

    def config(**settings: object) -> IngestConfig:
        return written.config(**{"root": str(root), **settings})

    return Tree(root, config, written.betas, written.images)


@pytest.fixture(scope="session")
def surface(written: Tree, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Three sessions of fsaverage .mgh and nativesurface .hdf5."""
    rng = np.random.default_rng(5)
    root = tmp_path_factory.mktemp("surface")
    for folder in ("nsddata/experiments", "nsddata_stimuli"):
        (root / folder).parent.mkdir(parents=True, exist_ok=True)
        (root / folder).symlink_to(written.root / folder)

    def config(**settings: object) -> IngestConfig:
        later = tuple(map(str, range(4, 31)))
        return written.config(**{"root": str(root), "skip_sessions": later, **settings})

    tree = Tree(root, config, images=written.images[:3])
    tree.betas = rng.integers(-3000, 3000, (3, 750, sum(N_VERTICES))).astype(np.int16)
    left = np.arange(sum(N_VERTICES)) < N_VERTICES[0]
    for space in ("fsaverage", "nativesurface"):
        folder = root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/{space}/betas_fithrf_GLMdenoise_RR"
        folder.mkdir(parents=True)
        owner = "fsaverage" if space == "fsaverage" else f"subj{SUBJECT:02d}"
        labels = root / f"nsddata/freesurfer/{owner}/label"
        labels.mkdir(parents=True)
        for side, inside in (("lh", left), ("rh", ~left)):
            n = int(inside.sum())
            for number, betas in enumerate(tree.betas, start=1):
                stem = f"{side}.betas_session{number:02d}"
                if space == "fsaverage":
                    percent = (betas[:, inside] / np.float32(300)).T.astype(np.float32)
                    if side == "lh":
                        percent[1] = np.nan  # as subjects 6 and 8 have
                    nib.save(nib.MGHImage(percent.reshape(n, 1, 1, 750), np.eye(4)), folder / f"{stem}.mgh")
                else:
                    with h5py.File(folder / f"{stem}.hdf5", "w") as file:
                        file["betas"] = betas[:, inside]
            flat = np.full((n, 1, 1), 0.7, np.float32)
            nib.save(nib.MGHImage(flat, np.eye(4)), folder / f"{side}.ncsnr.mgh")
            words = np.zeros((n, 1, 1), np.int32)
            words[2] = 2
            nib.save(nib.MGHImage(words, np.eye(4)), labels / f"{side}.floc-words.mgz")
            t = np.full((n, 1, 1), 1 if side == "lh" else -1, np.float32)
            nib.save(nib.MGHImage(t, np.eye(4)), labels / f"{side}.flocwordtval.mgz")
    return tree
