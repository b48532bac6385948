"""The NSD reader on small files of the data set's exact layout."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel as nib
import numpy as np
import polars as pl
import pytest
from nsd_tree import N_SESSIONS, N_SHOWN, SUBJECT, Tree, X, Y, Z, linear, write_nifti

from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.nsd.design import run_slices
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.ingest.stages.model_split import split_of
from voxel_atlas.schemas.errors import BadInputError, NotFoundError


def test_responses_are_run_scores_averaged_over_repeats(written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(), home)
    found = dataset.responses_of(np.arange(0, dataset.voxels.height))
    expected = written.expected(tuple(run_slices().values()), linear(dataset))
    assert found.shape == (N_SHOWN, dataset.voxels.height)
    assert found.dtype == np.float32
    constant = (found == 0).all(axis=0)
    assert constant.sum() == 1
    np.testing.assert_allclose(found[:, ~constant], expected[:, ~constant], atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # the package's own
def test_nsd_access_reads_the_same(tree: Tree, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip(
        "nsd_access", reason="nsd_access is on GitHub only (tknapen/nsd_access), not on PyPI; it imports pycocotools"
    )
    # nibabel had it when the package was written.
    monkeypatch.setattr(nib.Nifti1Image, "get_data", lambda image: np.asanyarray(image.dataobj), raising=False)
    for number, betas in enumerate(tree.betas, start=1):
        write_nifti(tree.sessions / f"betas_session{number:02d}.nii.gz", betas)
    shown = pl.DataFrame({"SESSION": np.repeat(np.arange(1, N_SESSIONS + 1), 750), "73KID": tree.images.ravel() + 1})
    behaviour = tree.root / f"nsddata/ppdata/subj{SUBJECT:02d}/behav/responses.tsv"
    behaviour.parent.mkdir(parents=True)
    shown.write_csv(behaviour, separator="\t")
    dataset = Nsd(tree.config(zscore="none"), home)
    theirs, voxels, subject = package.NSDAccess(str(tree.root)), linear(dataset), f"subj{SUBJECT:02d}"
    trials: dict[int, list[np.ndarray]] = {}
    for session in range(1, N_SESSIONS + 1):
        betas = theirs.read_betas(subject, session, data_format="func1pt8mm")
        rows = betas.reshape(-1, 750, order="F")[voxels].T / 300
        for image, row in zip(theirs.read_behavior(subject, session)["73KID"], rows, strict=True):
            trials.setdefault(int(image) - 1, []).append(row)
    expected = np.array([np.mean(trials[image], axis=0) for image in sorted(trials)])
    assert dataset.stimuli["stimulus_id"].to_list() == [f"nsd/{image}" for image in sorted(trials)]
    np.testing.assert_allclose(dataset.responses_of(np.arange(len(voxels))), expected, atol=1e-5)


def test_voxels_are_cortex_in_the_order_of_pycortex(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    assert dataset.subject.shape == (Z, Y, X)
    assert dataset.voxels.height == X * Y * Z - X
    assert (np.diff(linear(dataset)) > 0).all()
    assert dataset.voxels["voxel"].to_list() == list(range(dataset.voxels.height))
    assert dataset.voxels.select("i", "j", "k").row(0) == (0, 1, 0)
    sides = dataset.voxels.select((pl.col("i") < 3).alias("is_left"), "hemisphere")
    assert sides.filter(pl.col("is_left"))["hemisphere"].unique().to_list() == ["left"]
    assert sides.filter(~pl.col("is_left"))["hemisphere"].unique().to_list() == ["right"]


def test_the_noise_ceiling_counts_repeats(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    counts = np.unique(written.images, return_counts=True)[1]
    assert dataset.n_repeats.tolist() == counts.tolist()
    expected = 0.25 / (0.25 + np.mean(1 / counts))
    np.testing.assert_allclose(dataset.voxels["noise_ceiling"].to_numpy(), expected, rtol=1e-6)


def test_stimuli_are_pixels_of_the_images_that_were_seen(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    ids = np.unique(written.images)
    assert {0, 72_999} <= set(ids.tolist())
    assert dataset.stimuli["stimulus_id"].to_list() == [f"nsd/{number}" for number in ids]
    for row in (0, 17, N_SHOWN - 1):
        image = dataset.image(row)
        assert image.shape == (425, 425, 3)
        assert int(np.dot(image[0, 0].astype(int), [65_536, 256, 1])) == ids[row]
    assert dataset.stimuli["uri"][3].endswith(f"nsd_stimuli.hdf5#{ids[3]}")
    assert dataset.stimuli["sha256"].n_unique() == N_SHOWN
    again = Nsd(written.config(), home)  # from the list of hashes
    assert again.stimuli.equals(dataset.stimuli)
    assert again.fingerprint == dataset.fingerprint


def test_the_fingerprint_changes_with_the_betas(tree: Tree, home: Path) -> None:
    before = Nsd(tree.config(), home).fingerprint
    path = tree.sessions / "betas_session03.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[2] + 1, chunks=(750, 1, 1, 1))
    assert Nsd(tree.config(), home).fingerprint != before
    assert Nsd(tree.config(skip_sessions=("3",)), home).fingerprint != before


def test_a_missing_session_is_one_sentence_with_what_to_do(tree: Tree, home: Path) -> None:
    (tree.sessions / "betas_session07.hdf5").unlink()
    with pytest.raises(NotFoundError, match=r"betas_session07.hdf5: not there .*--skip-session 7 or --allow-missing"):
        Nsd(tree.config(), home)
    skipped, allowed = Nsd(tree.config(skip_sessions=("7",)), home), Nsd(tree.config(allow_missing=True), home)
    np.testing.assert_array_equal(skipped.responses_of(np.arange(0, 3)), allowed.responses_of(np.arange(0, 3)))
    others = np.arange(N_SESSIONS) != 6
    small = Tree(tree.root, tree.config, tree.betas[others], tree.images[others])
    np.testing.assert_allclose(
        skipped.responses_of(np.arange(0, 3)),
        small.expected(tuple(run_slices().values()), linear(skipped)[:3]),
        atol=1e-6,
    )
    assert "29 sessions" in skipped.subject.description


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subject": "9"}, "NSD has no subject '9'; it has 1 … 8"),
        ({"space": "mni"}, "NSD has no space 'mni'; its betas are in func1pt8mm, func1mm, nativesurface, fsaverage"),
        ({"skip_sessions": ("31",)}, "subject 4 has sessions 1 … 30, and 31 is none of them"),
        ({"root": "/nowhere"}, "no session of betas is there; pass the folder that has nsddata_betas/ as --root"),
        ({"rois": ("FFB",)}, "nsd/subj04 has no ROI 'FFB'; it has "),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, object], message: str, written: Tree, home: Path) -> None:
    try:
        problem = check_dataset(written.config(**settings), home, 512).problems[0]
    except (NotFoundError, BadInputError) as error:
        problem = str(error)
    assert message in problem


def test_the_check_lists_what_is_there_and_how_big_the_job_is(tree: Tree, home: Path) -> None:
    found = check_dataset(tree.config(rois=("selective",), batch_voxels=4), home, 512)
    assert not found.problems
    assert found.files.filter(found=False, needed=True).is_empty()
    assert (found.size.n_images, found.size.n_trials, found.size.n_voxels) == (N_SHOWN, 22_500, 3)
    assert found.size.n_batches == 1
    # Features of all of NSD's images, which are in the cache and, where many, beside it while they are used.
    assert (found.size.n_probe_images, found.size.probe_bytes) == (73_000, 2 * 73_000 * 512 * 4)
    seen = check_dataset(tree.config(rois=("selective",), batch_voxels=4, probe="seen"), home, 512)
    assert found.size.disk.features == seen.size.disk.features + found.size.probe_bytes
    assert found.size.ram_bytes > N_SHOWN * 512 * 8
    assert not home.exists()
    (tree.sessions / "betas_session07.hdf5").unlink()
    (tree.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5").unlink()
    found = check_dataset(tree.config(), home, 512)
    assert found.problems
    assert {Path(path).name for path in found.files.filter(found=False, needed=True)["path"]} == {
        "betas_session07.hdf5",
        "nsd_stimuli.hdf5",
    }
    assert [("betas_session07" in problem, "nsd_stimuli" in problem) for problem in found.problems] == [
        (True, False),
        (False, True),
    ]


def test_the_check_lists_labels_their_names_and_maps_of_t(tree: Tree, home: Path) -> None:
    average = tree.root / "nsddata/freesurfer/fsaverage/label"
    average.mkdir(parents=True)
    (average / "floc-places.mgz.ctab").write_text("1 OPA\n2 PPA\n3 RSC\n")
    files = check_dataset(tree.config(), home, 512).files
    listed = {what: dict(rows.select("path", "found").rows()) for (what,), rows in files.group_by("what")}
    maps, own = tree.root / "nsddata/ppdata/subj04/func1pt8mm", tree.root / "nsddata/freesurfer/subj04/label"
    assert listed["labels"][str(maps / "roi/floc-faces.nii.gz")]
    assert not listed["labels"][str(maps / "roi/floc-words.nii.gz")]
    assert listed["names of labels"] == {
        str(own / "floc-faces.mgz.ctab"): True,
        str(average / "floc-places.mgz.ctab"): True,
        str(own / "prf-visualrois.mgz.ctab"): False,
    }
    found = {"faces": True, "places": True, "bodies": False, "word": False}
    assert listed["localiser"] == {str(maps / f"floc_{name}tval.nii.gz"): there for name, there in found.items()}


def test_too_little_memory_is_told_before_the_job(written: Tree, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=40_960))
    (problem,) = check_dataset(written.config(), home, 512).problems
    assert "GiB are free; pass a smaller --batch-voxels" in problem


def test_a_split_by_name_tests_on_the_shared_images_that_the_subject_saw(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    # All subjects of the small design share the first and the last image of NSD.
    for name in dataset.split_names:
        assert dataset.test_images(name) == ["nsd/0", "nsd/72999"]
    with pytest.raises(BadInputError, match=r"the split shared907 leaves 58 images to train and 2 to test"):
        split_of(written.config(split="shared907"), dataset)
    with pytest.raises(NotFoundError, match="nsd has shared515, shared907, shared1000"):
        split_of(written.config(split="shared"), dataset)
