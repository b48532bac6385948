"""The NOD reader: on small CIFTI files in the data set's layout, and on its true events and file tree."""

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import scipy.stats
from nibabel import cifti2
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.nod.nod import Nod, localiser_files
from voxel_atlas.ingest.datasets.nod.nod_runs import events_images, results_folder, runs, subject_name
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError

SHARED = Path(os.environ.get("VOXEL_ATLAS_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL = SHARED / "nod_ds004496"
TREE = REAL / "ciftify_tree_sub01-09.tsv"
needs_real = pytest.mark.skipif(
    not TREE.exists(), reason=f"{REAL} (events and file tree of ds004496) is not there; set VOXEL_ATLAS_SHARED_DATA"
)

N_VERTICES = 9
LEFT, RIGHT = np.array([0, 2, 3, 8]), np.array([1, 2, 5])
"""Vertices with values: the medial wall has none, and it differs between the hemispheres."""
N = len(LEFT) + len(RIGHT)


def axis(left: NDArray[np.intp] = LEFT, right: NDArray[np.intp] = RIGHT) -> cifti2.BrainModelAxis:
    return cifti2.BrainModelAxis.from_surface(left, N_VERTICES, "CortexLeft") + cifti2.BrainModelAxis.from_surface(
        right, N_VERTICES, "CortexRight"
    )


def write_maps(path: Path, values: NDArray[np.generic], names: list[str], columns: cifti2.BrainModelAxis) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cifti2.Cifti2Image(values, (cifti2.ScalarAxis(names), columns))
    image.nifti_header.set_data_dtype(values.dtype)
    image.to_filename(path)


def write_labels(path: Path, keys: NDArray[np.uint8], names: dict[int, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {0: ("???", (1.0, 1.0, 1.0, 0.0))} | {key: (name, (1.0, 0.0, 0.0, 1.0)) for key, name in names.items()}
    image = cifti2.Cifti2Image(keys[None], (cifti2.LabelAxis(["labels"], [table]), axis()))
    image.nifti_header.set_data_dtype(np.uint8)
    image.to_filename(path)


def write_localiser(folder: Path) -> None:
    """Faces at columns 0 to 2, words at 2 and 3; bodies and places are missing, as for some subjects."""
    t = np.full((5, N), 3.0)
    t[2, 1] = 2.0  # Face: below the threshold
    t[0, 3] = 2.4  # Character
    # The names are in the label file; the maps bear numbers.
    write_maps(folder / "ses-floc_task-floc_beta.dscalar.nii", t, [f"map {i}" for i in range(5)], axis())
    contrasts = [f"{name} - others" for name in ("Character", "Body", "Face", "Place", "Object")]
    (folder / "ses-floc_task-floc_label.txt").write_text("\n".join(contrasts))
    write_labels(folder / "floc-faces.dlabel.nii", np.array([1, 1, 2, 0, 0, 0, 0], np.uint8), {1: "OFA", 2: "???"})
    write_labels(folder / "floc-words.dlabel.nii", np.array([0, 0, 1, 1, 0, 0, 0], np.uint8), {1: "VWFA"})


@dataclass
class Tree:
    """A small NOD subject, and the betas in the files' order of trials and of columns."""

    root: Path
    betas: dict[tuple[str, int], NDArray[np.float32]]
    names: dict[tuple[str, int], list[str]]
    """Path under stimuli/ of each trial."""

    def config(self, **settings: object) -> IngestConfig:
        return IngestConfig(**{"dataset": "nod", "subject": "1", "root": str(self.root), **settings})

    def run(self, session: str, task: str, number: int) -> Path:
        name = f"ses-{session}_task-{task}_run-{number}"
        return results_folder(self.root, "sub-01") / name / name

    def expected(self, runs_of: list[tuple[str, int]]) -> tuple[list[str], NDArray[np.float64]]:
        """Images and responses by the plainest code."""
        trials: dict[str, list[NDArray[np.float64]]] = {}
        for key in runs_of:
            scored = scipy.stats.zscore(self.betas[key].astype(float), axis=0)
            for name, row in zip(self.names[key], scored, strict=True):
                trials.setdefault(name, []).append(row)
        return sorted(trials), np.array([np.mean(trials[name], axis=0) for name in sorted(trials)])


def write_events(path: Path, task: str, images: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if task == "imagenet":
        header = "onset\tduration\ttrial_type\tresponse\tresponse_time\tstim_file"
        lines = [f"{4 * i}.0\t1.0\t406.0\t1\t0.9\t{image}" for i, image in enumerate(images)]
    else:
        header = "onset\tduration\ttrial_type\tresponse\tresponse_time\tcondition"
        lines = [f"{3 * i}.0\t0.5\t{i}.0\t0.0\t0.0\t{image}" for i, image in enumerate(images)]
        lines.insert(2, "6.0\t0.5\tn/a\t0.0\t0.0\tn/a")
    path.write_text("\n".join([header, *lines]) + "\n")


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


def everything(tree: Tree) -> list[tuple[str, int]]:
    return list(tree.betas)


def test_responses_are_run_scores_averaged_over_repeats(tree: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(tree.config(), tmp_path)
    names, expected = tree.expected(everything(tree))
    assert dataset.stimuli["stimulus_id"].to_list() == [f"nod/{Path(name).with_suffix('')}" for name in names]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, N)), expected, atol=1e-6)
    np.testing.assert_allclose(dataset.responses_of(np.arange(2, 5)), expected[:, 2:5], atol=1e-6)
    found = Nod(tree.config())
    np.testing.assert_allclose(found.responses_of(np.array([5, 0])), expected[:, [5, 0]], atol=1e-6)
    assert found.n_repeats.tolist() == [3 if name.startswith("coco") else 1 for name in names]


def test_sessions_can_be_scored_whole(tree: Tree) -> None:
    found = Nod(tree.config(zscore="session", tasks=("imagenet",), skip_sessions=("imagenet02",)))
    both = np.concatenate([tree.betas["imagenet01", 1], tree.betas["imagenet01", 10]]).astype(float)
    names = tree.names["imagenet01", 1] + tree.names["imagenet01", 10]
    expected = scipy.stats.zscore(both, axis=0)[np.argsort(names)]
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected, atol=1e-6)


def test_one_experiment_can_be_read_alone(tree: Tree) -> None:
    found = Nod(tree.config(tasks=("coco",)))
    _, expected = tree.expected([("coco", 1), ("coco", 2), ("coco", 3)])
    assert found.stimuli.height == 5
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected, atol=1e-6)


def test_voxels_are_the_vertices_of_the_file(tree: Tree) -> None:
    found = Nod(tree.config())
    assert (found.subject.subject_id, found.subject.space, found.subject.shape) == ("nod/sub-01", "surface", (9, 9))
    assert found.voxels["vertex"].to_list() == [*LEFT, *RIGHT]
    assert found.voxels["hemisphere"].to_list() == ["left"] * 4 + ["right"] * 3
    assert found.voxels["noise_ceiling"].null_count() == N


def test_a_file_with_other_columns_is_mapped_through_its_axis(tree: Tree) -> None:
    path = tree.run("imagenet01", "imagenet", 10)
    betas = tree.betas["imagenet01", 10]
    # Right before left, subcortex between, one vertex less and one more.
    voxels = cifti2.BrainModelAxis.from_mask(np.ones((2, 1, 1), bool), "ThalamusLeft", np.eye(4))
    columns = (
        cifti2.BrainModelAxis.from_surface(RIGHT, N_VERTICES, "CortexRight")
        + voxels
        + cifti2.BrainModelAxis.from_surface(np.array([0, 2, 4, 8]), N_VERTICES, "CortexLeft")
    )
    other = np.concatenate([betas[:, 4:], np.zeros((6, 2)), betas[:, [0, 1]], np.zeros((6, 1)), betas[:, [3]]], axis=1)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), other.astype(np.float32), ["m"] * 6, columns)
    _, expected = tree.expected(everything(tree))
    found = Nod(tree.config()).responses_of(np.arange(0, N))
    columns_kept = [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(found[:, columns_kept], expected[:, columns_kept], atol=1e-6)
    assert np.isnan(found[:, 2]).any()


@pytest.mark.parametrize("kind", [np.float64, np.int16])
def test_betas_may_have_any_type(kind: type, tree: Tree) -> None:
    key = ("imagenet02", 1)
    tree.betas[key] = np.round(tree.betas[key] * 1000).astype(np.float32)
    path = tree.run("imagenet02", "imagenet", 1)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), tree.betas[key].astype(kind), ["m"] * 6, axis())
    _, expected = tree.expected(everything(tree))
    np.testing.assert_allclose(Nod(tree.config()).responses_of(np.arange(0, N)), expected, atol=1e-5)


def test_regions_are_labels_whose_contrast_exceeds_the_threshold(tree: Tree) -> None:
    found = Nod(tree.config())
    inside = {roi: rows["voxel"].to_list() for (roi,), rows in found.voxel_rois.group_by("roi")}
    # Vertex 1 has the label and t = 2.0; the label without a name is known by its file and number.
    assert inside == {
        "OFA": [0],
        "floc-faces-2": [2],
        "VWFA": [2, 3],
        "floc-faces": [0, 2],
        "floc-words": [2, 3],
        "selective": [0, 2, 3],
    }
    t = found.voxel_rois.filter(pl.col("roi") == "VWFA")["t"].to_list()
    assert t == pytest.approx([3.0, 2.4])
    lower = Nod(tree.config(localizer_t=1.0)).voxel_rois
    assert lower.filter(pl.col("roi") == "OFA")["voxel"].to_list() == [0, 1]
    higher = Nod(tree.config(localizer_t=2.5)).voxel_rois
    assert higher.filter(pl.col("roi") == "VWFA")["voxel"].to_list() == [2]


def test_localiser_maps_are_of_every_vertex(tree: Tree) -> None:
    found = Nod(tree.config())
    t = found.voxel_rois.filter(pl.col("roi") == "VWFA").select("voxel", "t").rows()
    maps = found.localisers()
    assert {len(values) for values in maps.values()} == {found.voxels.height}
    assert [(voxel, pytest.approx(maps["Character"][voxel])) for voxel, _ in t] == t


def test_a_subject_without_a_localiser_has_no_regions(tree: Tree) -> None:
    for path in localiser_files(tree.root, "sub-01"):
        path.unlink(missing_ok=True)
    found = Nod(tree.config())
    assert found.rois.is_empty()
    assert found.localisers() == {}
    assert found.voxel_rois.is_empty()
    assert found.voxel_rois.schema == {"voxel": pl.Int32, "roi": pl.String, "t": pl.Float32}


def test_images_are_read_and_known_by_their_bytes(tree: Tree) -> None:
    found = Nod(tree.config())
    row = found.stimuli.height - 1
    path = Path(found.stimuli["uri"][row])
    assert found.image(row).shape == (6, 8, 3)
    np.testing.assert_array_equal(found.image(row), np.asarray(Image.open(path).convert("RGB")))
    assert found.stimuli["sha256"][row] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_fingerprint_changes_with_images_and_responses(tree: Tree) -> None:
    before = Nod(tree.config()).fingerprint
    assert Nod(tree.config()).fingerprint == before
    path = tree.run("coco", "coco", 2)
    write_maps(path.with_name(f"{path.name}_beta.dscalar.nii"), np.ones((5, N), np.float32), ["m"] * 5, axis())
    changed = Nod(tree.config()).fingerprint
    assert changed != before
    Image.new("RGB", (9, 9)).save(tree.root / "stimuli" / tree.names["coco", 1][0], "PNG")
    assert Nod(tree.config()).fingerprint not in (before, changed)


def test_the_extra_session_of_the_first_subject_is_left_out(tree: Tree) -> None:
    images = [f"imagenet/n07/n07_{i}.JPEG" for i in range(3)]
    for subject in ("sub-01", "sub-02"):
        name = f"{subject}_ses-imagenet05_task-imagenet_run-01_events.tsv"
        write_events(tree.root / subject / "ses-imagenet05" / "func" / name, "imagenet", images)
    assert "imagenet05" not in {run.session for run in runs(tree.root, "sub-01", ("imagenet",))}
    assert {run.session for run in runs(tree.root, "sub-02", ("imagenet",))} == {"imagenet05"}


def spoil(tree: Tree, what: str) -> None:
    path = tree.run("imagenet01", "imagenet", 10)
    betas, labels = path.with_name(f"{path.name}_beta.dscalar.nii"), path.with_name(f"{path.name}_label.txt")
    names = labels.read_text().split()
    values = tree.betas["imagenet01", 10]
    if what == "unknown image":
        labels.write_text("\n".join([*names[:-1], "n09_1.JPEG"]))
    elif what == "duplicate":
        labels.write_text("\n".join([*names[:-1], names[0]]))
    elif what == "too few names":
        labels.write_text("\n".join(names[:-1]))
    elif what == "too few betas":
        write_maps(betas, values[:-1], ["m"] * 5, axis())
    elif what == "cut":
        betas.write_bytes(betas.read_bytes()[:1000])
    elif what == "cut at the end":
        betas.write_bytes(betas.read_bytes()[:-4])
    elif what == "no table":
        (tree.root / "sub-01/ses-coco/func/sub-01_ses-coco_task-coco_run-02_events.tsv").write_text("onset\n1\n")
    elif what == "no cifti":
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), betas)
    else:
        other = cifti2.BrainModelAxis.from_surface(LEFT, 12, "CortexLeft")
        write_maps(betas, values[:, :4], ["m"] * 6, other)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("unknown image", BadInputError, r"run-10_label.txt: 1 of its 6 images, n09_1.JPEG first, are not in"),
        ("duplicate", BadInputError, r"run-10_label.txt: 6 names of 5 images, and .*run-10_events.tsv shows 6"),
        ("too few names", BadInputError, r"run-10_label.txt: 5 names of 5 images, and .*shows 6"),
        ("too few betas", BadInputError, r"run-10_beta.dscalar.nii: 5 trials, but .*_label.txt names 6 images"),
        ("cut", BadInputError, r"run-10_beta.dscalar.nii: a damaged or cut file"),
        ("cut at the end", BadInputError, r"run-10_beta.dscalar.nii: a damaged or cut file .*bytes"),
        ("no table", BadInputError, r"run-02_events.tsv: not a readable events table with the column condition"),
        ("no cifti", BadInputError, r"run-10_beta.dscalar.nii: "),
        ("other surface", SpaceMismatchError, r"run-10_beta.dscalar.nii: surfaces of \(12, 0\) vertices, but"),
    ],
)
def test_bad_files_are_one_sentence(what: str, error: type[Exception], message: str, tree: Tree) -> None:
    spoil(tree, what)
    with pytest.raises(error, match=message) as raised:
        Nod(tree.config())
    assert "\n" not in str(raised.value)


def test_a_missing_run_is_named_and_may_be_allowed(tree: Tree, tmp_path: Path) -> None:
    path = tree.run("coco", "coco", 2)
    path.with_name(f"{path.name}_beta.dscalar.nii").unlink()
    with pytest.raises(
        NotFoundError, match=r"run-2_beta.dscalar.nii: not there \(missing files: 1, of 6 runs\).*--allow"
    ):
        Nod(tree.config())
    kept = [key for key in everything(tree) if key != ("coco", 2)]
    found = Nod(tree.config(allow_missing=True))
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), tree.expected(kept)[1], atol=1e-6)
    inventory = check_dataset(tree.config(), tmp_path, 512)
    assert [Path(name).name for name in inventory.files.filter(found=False, needed=True)["path"]] == [
        f"{path.name}_beta.dscalar.nii"
    ]
    assert "run-2_beta.dscalar.nii" in inventory.problems[0]
    assert not check_dataset(tree.config(allow_missing=True), tmp_path, 512).problems


def test_a_missing_image_is_named_and_may_be_allowed(tree: Tree) -> None:
    gone = tree.names["imagenet02", 1][2]
    (tree.root / "stimuli" / gone).unlink()
    with pytest.raises(NotFoundError, match=rf"{gone}: not there \(missing images: 1\).*--allow-missing"):
        Nod(tree.config())
    found = Nod(tree.config(allow_missing=True))
    names, expected = tree.expected(everything(tree))
    kept = [name != gone for name in names]
    np.testing.assert_allclose(found.responses_of(np.arange(0, N)), expected[kept], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subject": "31"}, "NOD has no subject '31'; it has 1 … 30"),
        ({"subject": "two"}, "NOD has no subject 'two'"),
        ({"subject": "7"}, "no events.tsv of imagenet or coco is there; pass the folder of ds004496 as --root"),
        ({"skip_sessions": ("imagenet07",)}, "sub-01 has the sessions coco, imagenet01, imagenet02"),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, object], message: str, tree: Tree) -> None:
    with pytest.raises(NotFoundError, match=message):
        Nod(tree.config(**settings))


def test_the_check_says_how_big_the_job_is(tree: Tree, tmp_path: Path) -> None:
    found = check_dataset(tree.config(rois=("selective",), batch_voxels=2), tmp_path, 512)
    assert not found.problems
    assert (found.size.n_images, found.size.n_trials, found.size.n_voxels, found.size.n_batches) == (23, 33, 3, 2)


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
    picture = tmp_path / "picture.png"
    Image.new("RGB", (4, 4)).save(picture)
    for path, text in true_labels("sub-01").items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    found = runs(tmp_path, "sub-01", ("imagenet", "coco"))
    for run in found:
        key = run.session, run.number
        tree.names[key] = run.images()
        tree.betas[key] = rng.standard_normal((len(tree.names[key]), N)).astype(np.float32)
        write_maps(run.betas, tree.betas[key], ["m"] * len(tree.names[key]), axis())
    for name in {name for names in tree.names.values() for name in names}:
        image = tmp_path / "stimuli" / name
        image.parent.mkdir(parents=True, exist_ok=True)
        image.hardlink_to(picture)
    dataset = Nod(tree.config())
    names, expected = tree.expected(everything(tree))
    assert dataset.stimuli.height == 4120
    assert dataset.n_repeats.sum() == 4000 + 10 * 120
    assert dataset.stimuli["uri"].to_list() == [str(tmp_path / "stimuli" / name) for name in names]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, N)), expected, atol=1e-6)
