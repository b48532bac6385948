"""A subject of the Natural Object Dataset on disk."""

from pathlib import Path

import numpy as np
import pytest
from nod_tree import N, Tree, write_localiser
from PIL import Image

from voxel_atlas.ingest.datasets.nod.nod_runs import results_folder


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Two ImageNet sessions of two runs, and three COCO runs that show the same images."""
    rng = np.random.default_rng(0)
    tree = Tree(tmp_path / "nod", {}, {})
    sessions = [("imagenet01", 1), ("imagenet01", 10), ("imagenet02", 1), ("coco", 1), ("coco", 2), ("coco", 3)]
    for number, (session, run) in enumerate(sessions):
        task = session.rstrip("0123456789")
        if task == "imagenet":
            names = [f"imagenet/n0144{number}764/n0144{number}764_{i}.JPEG" for i in rng.permutation(6)]
        else:
            names = [f"coco/00000012{i:04d}.jpg" for i in rng.permutation(5)]
        tree.write_run(session, run, names, rng.standard_normal((len(names), N)).astype(np.float32))
        for i, name in enumerate(tree.names[session, run]):
            path = tree.root / "stimuli" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Image.new("RGB", (8, 6), (number * 40, i * 40, 255)).save(path, "PNG")
    write_localiser(results_folder(tree.root, "sub-01") / "ses-floc_task-floc")
    return tree
