"""Small files in the layout of the Algonauts Project 2023."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.config import IngestConfig

N_VERTICES = 163_842
N_IMAGES = 24
LEFT, RIGHT = np.array([3, 50, 51, 700, 163_841]), np.array([0, 9, 4000])
"""Vertices of the challenge."""
NSD_IDS = np.sort(np.random.default_rng(5).choice(73_000, N_IMAGES, replace=False))
FACES = {"lh": [1, 2, 3, 0, 0], "rh": [0, 2, 5]}
EARLY = {"lh": [0, 0, 1, 2, 7], "rh": [1, 0, 0]}
STREAMS = {"lh": [1, 0, 0, 0, 5], "rh": [0, 0, 1]}


@dataclass
class Tree:
    """A small subject, and its responses."""

    root: Path
    responses: NDArray[np.float32]
    """(images, vertices), left ones first."""

    def config(self, **settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "algonauts", "subject": "1", "root": str(self.root), **settings})

    @property
    def folder(self) -> Path:
        return self.root / "subj01"

    def fmri(self, side: str) -> Path:
        return self.folder / f"training_split/training_fmri/{side}_training_fmri.npy"

    def mask(self, name: str) -> Path:
        return self.folder / "roi_masks" / f"{name}.npy"

    def picture(self, row: int) -> Path:
        return self.folder / f"training_split/training_images/train-{row + 1:04d}_nsd-{NSD_IDS[row]:05d}.png"


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def save(path: Path, values: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def write_tree(root: Path) -> Tree:
    rng = np.random.default_rng(6)
    tree = Tree(root, rng.standard_normal((N_IMAGES, len(LEFT) + len(RIGHT))).astype(np.float32))
    for side, vertices, columns in (("lh", LEFT, slice(0, len(LEFT))), ("rh", RIGHT, slice(len(LEFT), None))):
        save(tree.fmri(side), tree.responses[:, columns])
        inside = np.zeros(N_VERTICES, np.int64)
        inside[vertices] = 1
        save(tree.mask(f"{side}.all-vertices_fsaverage_space"), inside)
        for name, labels in (("floc-faces", FACES), ("prf-visualrois", EARLY), ("streams", STREAMS)):
            whole = np.zeros(N_VERTICES, np.int64)
            whole[vertices] = labels[side]
            save(tree.mask(f"{side}.{name}_fsaverage_space"), whole)
            save(tree.mask(f"{side}.{name}_challenge_space"), np.array(labels[side]))
    for name in ("floc-faces", "prf-visualrois", "streams"):
        np.save(tree.mask(f"mapping_{name}"), np.array({0: "Unknown", 1: Trap(root / "unpickled")}, object))
    for row, nsd_id in enumerate(NSD_IDS):
        tree.picture(row).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (int(nsd_id) // 256, int(nsd_id) % 256, 0)).save(tree.picture(row))
    return tree
