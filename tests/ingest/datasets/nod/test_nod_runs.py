"""Which runs a subject of NOD has, also by the data set's true events and file tree."""

import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from nod_tree import N, Tree, axis, everything, write_events, write_maps
from PIL import Image

from voxel_atlas.ingest.datasets.nod.nod import Nod, localiser_files
from voxel_atlas.ingest.datasets.nod.nod_runs import events_images, runs, subject_name

SHARED = Path(os.environ.get("VOXEL_ATLAS_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))
REAL = SHARED / "nod_ds004496"
TREE = REAL / "ciftify_tree_sub01-09.tsv"
needs_real = pytest.mark.skipif(
    not TREE.exists(), reason=f"{REAL} (events and file tree of ds004496) is not there; set VOXEL_ATLAS_SHARED_DATA"
)


def test_the_extra_session_of_the_first_subject_is_left_out(tree: Tree) -> None:
    images = [f"imagenet/n07/n07_{i}.JPEG" for i in range(3)]
    for subject in ("sub-01", "sub-02"):
        name = f"{subject}_ses-imagenet05_task-imagenet_run-01_events.tsv"
        write_events(tree.root / subject / "ses-imagenet05" / "func" / name, "imagenet", images)
    assert "imagenet05" not in {run.session for run in runs(tree.root, "sub-01", ("imagenet",))}
    assert {run.session for run in runs(tree.root, "sub-02", ("imagenet",))} == {"imagenet05"}


@pytest.mark.parametrize("subject", ["1", "01", "sub-01"])
def test_a_subject_can_be_written_in_three_ways(subject: str) -> None:
    assert subject_name(subject) == "sub-01"


def real_tree() -> pl.DataFrame:
    return pl.read_csv(TREE, separator="\t")


@needs_real
@pytest.mark.parametrize(("subject", "n_coco"), [("sub-01", 10), ("sub-05", 11)])
def test_every_expected_file_of_the_true_data_set_is_named(subject: str, n_coco: int) -> None:
    there = set(real_tree()["path"])
    found = runs(REAL, subject, ("imagenet", "coco"))
    n_runs = {"imagenet01": 10, "imagenet02": 10, "imagenet03": 10, "imagenet04": 10, "coco": n_coco}
    assert Counter(run.session for run in found) == n_runs
    named = {str(path.relative_to(REAL)) for run in found for path in (run.betas, run.labels)}
    assert len(named) == 2 * (40 + n_coco)
    assert named <= there
    # Nothing of these experiments is left over either, but the session that does not belong to the design.
    ours = rf"derivatives/ciftify/{subject}/results/ses-(imagenet0[1-4]|coco)_.*_(beta.dscalar.nii|label.txt)"
    assert {path for path in there if re.fullmatch(ours, path)} == named
    assert {str(path.relative_to(REAL)) for path in localiser_files(REAL, subject)} <= there


@needs_real
@pytest.mark.parametrize("subject", ["sub-01", "sub-05"])
def test_every_subject_saw_4000_images_of_all_classes_and_120_of_coco(subject: str) -> None:
    images: Counter[str] = Counter()
    for run in runs(REAL, subject, ("imagenet",)):
        shown = events_images(run.events, "imagenet")
        assert len(shown) == 100
        images.update(shown)
    assert len(images) == 4000
    assert set(images.values()) == {1}
    assert set(Counter(path.split("/")[1] for path in images).values()) == {4}  # 1,000 classes, once a session
    coco = [set(events_images(run.events, "coco")) for run in runs(REAL, subject, ("coco",))]
    assert len(coco[0]) == 120
    assert all(shown == coco[0] for shown in coco)


def true_labels(subject: str) -> dict[str, str]:
    """The label files as they are on OpenNeuro: rebuilt from the events, and right, since their SHA-256 agree."""
    digests = dict(real_tree().select("path", "sha256").iter_rows())
    rebuilt = {}
    for run in runs(REAL, subject, ("imagenet", "coco")):
        path = str(run.labels.relative_to(REAL))
        shown = events_images(run.events, run.task)
        bare = [Path(name).name for name in (shown if run.task == "imagenet" else sorted(shown))]
        candidates = ["\n".join(bare), "\n".join(name.split("/", 1)[1] for name in shown)]
        (rebuilt[path],) = (text for text in candidates if hashlib.sha256(text.encode()).hexdigest() == digests[path])
    return rebuilt


@needs_real
@pytest.mark.parametrize("subject", ["sub-01", "sub-05"])
def test_the_true_label_files_join_every_trial(subject: str, tmp_path: Path) -> None:
    (tmp_path / subject).symlink_to(REAL / subject)
    for path, text in true_labels(subject).items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    joined = {task: [run.images() for run in runs(tmp_path, subject, (task,))] for task in ("imagenet", "coco")}
    assert sum(map(len, joined["imagenet"])) == 4000
    for run, images in zip(runs(tmp_path, subject, ("imagenet",)), joined["imagenet"], strict=True):
        assert images == events_images(run.events, "imagenet")
    assert all(images == sorted(images) for images in joined["coco"])
    prefixed = [path for path, text in true_labels(subject).items() if "/" in text]
    assert len(prefixed) == (1 if subject == "sub-01" else 0)


@needs_real
def test_a_whole_true_subject_is_read(tmp_path: Path) -> None:
    """The true events, labels and file names of subject 1, with betas and images of our own."""
    rng = np.random.default_rng(0)
    (tmp_path / "sub-01").symlink_to(REAL / "sub-01")
    tree = Tree(tmp_path, {}, {})
    for path, text in true_labels("sub-01").items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    found = runs(tmp_path, "sub-01", ("imagenet", "coco"))
    for run in found:
        key = run.session, run.number
        tree.names[key] = run.images()
        tree.betas[key] = rng.standard_normal((len(tree.names[key]), N)).astype(np.float32)
        write_maps(run.betas, tree.betas[key], ["m"] * len(tree.names[key]), axis())
    # Each picture is another one: byte-equal ones would be one stimulus.
    for number, name in enumerate({name for names in tree.names.values() for name in names}):
        image = tmp_path / "stimuli" / name
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number // 256, number % 256, 0)).save(image, format="PNG")
    dataset = Nod(tree.config())
    names, expected = tree.expected(everything(tree))
    assert dataset.stimuli.height == 4120
    assert dataset.n_repeats.sum() == 4000 + 10 * 120
    assert dataset.stimuli["uri"].to_list() == [str(tmp_path / "stimuli" / name) for name in names]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, N)), expected, atol=1e-6)
