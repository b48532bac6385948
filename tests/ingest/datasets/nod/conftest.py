"""A subject of the Natural Object Dataset on disk."""

from pathlib import Path

import numpy as np
import pytest
from nod_tree import N, Tree, axis, write_events, write_localiser, write_maps
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
        stem = f"sub-01_ses-{session}_task-{task}_run-{run:02d}_events.tsv"
        write_events(tree.root / "sub-01" / f"ses-{session}" / "func" / stem, task, names)
        # The betas of COCO are in the order of sorted names, those of ImageNet in the order of the trials.
        ordered = names if task == "imagenet" else sorted(names)
        tree.names[session, run] = ordered
        tree.betas[session, run] = betas = rng.standard_normal((len(names), N)).astype(np.float32)
        base = tree.run(session, task, run)
        write_maps(base.with_name(f"{base.name}_beta.dscalar.nii"), betas, [str(i) for i in range(len(names))], axis())
        # One run of the data set has names with their folder.
        shown = [name.split("/", 1)[1] if number == 0 else Path(name).name for name in ordered]
        base.with_name(f"{base.name}_label.txt").write_text("\n".join(shown))
        for i, name in enumerate(ordered):
            path = tree.root / "stimuli" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Image.new("RGB", (8, 6), (number * 40, i * 40, 255)).save(path, "PNG")
    write_localiser(results_folder(tree.root, "sub-01") / "ses-floc_task-floc")
    return tree
