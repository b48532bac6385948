"""The reader of LAION-fMRI on small files in the data set's layout, of both generations of its names."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from laion_tree import AFFINE, N_IMAGES, N_TRIALS, SHAPE, SUBJECT, Tree, write_tree, write_volume
from pointers import POINTERS

from voxel_atlas.api.maps.thumbnails import open_stimulus
from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.interface import SlowlyHashed
from voxel_atlas.ingest.datasets.laion.laion import LaionFmri
from voxel_atlas.ingest.stages.model_split import split_of
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError


@pytest.fixture(params=[True, False], ids=["newer names", "older names"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return write_tree(tmp_path / "laion [fmri] #1", newer=request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return write_tree(tmp_path / "laion", newer=True)


def test_responses_are_session_scores_averaged_over_repeats(either: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(either.config(), tmp_path / "home")
    names, expected = either.expected()
    assert dataset.stimuli["stimulus_id"].to_list() == [f"laion-fmri/{name}" for name in names]
    voxels = np.arange(len(either.voxels()))
    np.testing.assert_allclose(dataset.responses_of(voxels), expected, atol=1e-6)
    np.testing.assert_allclose(dataset.responses_of(voxels[[3, 1]]), expected[:, [3, 1]], atol=1e-6)
    shown = [label for session in either.labels.values() for label in session]
    assert dataset.n_repeats.tolist() == [shown.count(name) for name in names]


def test_voxels_lie_where_the_mask_and_its_affine_say(either: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(either.config(), tmp_path / "home")
    assert dataset.voxels.select("i", "j", "k").to_numpy().tolist() == either.voxels().tolist()
    subject = dataset.subject
    assert (subject.subject_id, subject.space, subject.shape) == (f"laion-fmri/{SUBJECT}", "volume", SHAPE[::-1])
    np.testing.assert_allclose(np.reshape(subject.affine, (4, 4)), AFFINE, atol=1e-6)


def test_runs_can_be_scored_each_and_a_session_left_out(tree: Tree, tmp_path: Path) -> None:
    voxels = np.arange(len(tree.voxels()))
    found = LaionFmri(tree.config(zscore="run"), tmp_path).responses_of(voxels)
    np.testing.assert_allclose(found, tree.expected("run")[1], atol=1e-6)
    for skipped in ("2", "ses-02"):
        one = LaionFmri(tree.config(skip_sessions=(skipped,)), tmp_path)
        tree.betas.pop("ses-02", None)
        np.testing.assert_allclose(one.responses_of(voxels), tree.expected()[1], atol=1e-6)
    with pytest.raises(NotFoundError, match=r"--skip-session ses-09: sub-03 has the sessions ses-01, ses-02"):
        LaionFmri(tree.config(skip_sessions=("9",)), tmp_path)


def test_regions_have_one_name_whichever_the_files_have(either: Tree, tmp_path: Path) -> None:
    dataset = open_dataset(either.config(), tmp_path / "home")
    inside = {roi: rows["voxel"].to_list() for (roi,), rows in dataset.voxel_rois.group_by("roi", maintain_order=True)}
    assert inside == {
        "FFA-1": [0, 1, 2],
        "FFA-2": [2, 3, 4],
        "FFA": [0, 1, 2, 3, 4],
        "MPA": [5, 6],
        "RSC": [5, 6],
        "V1v": [7, 8],
        "V1d": [9],
        "V1": [7, 8, 9],
        "SPL": [10],
        "floc": [0, 1, 2, 3, 4, 5, 6, 10],
        "selective": [0, 1, 2, 3, 4, 5, 6],
    }
    assert dict(dataset.rois.select("roi", "source").iter_rows())["V1v"] == "drawn"


def test_localisers_tell_z_and_can_cut_regions(either: Tree, tmp_path: Path) -> None:
    assert LaionFmri(either.config(), tmp_path).localisers() == {}
    rng = np.random.default_rng(5)
    maps = {category: rng.normal(2, 1, SHAPE).astype(np.float32) for category in ("face", "place", "object")}
    z = {category: volume[tuple(either.voxels().T)] for category, volume in maps.items()}
    maps["face"][tuple(either.voxels()[1])] = z["face"][1] = np.nan  # outside of what was fitted
    for category, volume in maps.items():
        write_volume(either.localiser_path(category), volume)
    dataset = LaionFmri(either.config(), tmp_path)
    assert {category: values.tolist() for category, values in dataset.localisers().items()} == {
        category: pytest.approx(values.tolist(), nan_ok=True) for category, values in z.items()
    }
    face = dataset.voxel_rois.filter(roi="FFA").sort("voxel")
    assert face["voxel"].to_list() == [0, 1, 2, 3, 4]
    assert face["t"].to_list() == [None if np.isnan(value) else pytest.approx(value) for value in z["face"][:5]]
    cut = LaionFmri(either.config(localizer_t=2), tmp_path)
    assert set(cut.voxel_rois.filter(roi="FFA")["voxel"]) == set(np.flatnonzero(z["face"][:5] > 2).tolist())
    assert set(cut.voxel_rois.filter(roi="MPA")["voxel"]) == {voxel for voxel in (5, 6) if z["place"][voxel] > 2}
    assert cut.voxel_rois.filter(roi="V1d")["voxel"].to_list() == [9]
    assert cut.rois["description"].str.ends_with("localiser z > 2").any()


def test_a_threshold_needs_the_localiser_on_the_grid_of_the_betas(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"map of face is not there, .*--localizer-t 2 .*include_localizers=True"):
        LaionFmri(tree.config(localizer_t=2), tmp_path)
    write_volume(tree.localiser_path("face"), np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(BadInputError, match=r"faceVsOthers_stat-z_statmap.nii.gz: the map is NaN everywhere"):
        LaionFmri(tree.config(), tmp_path)
    write_volume(tree.localiser_path("face"), np.ones((6, 5, 4), np.float32))
    with pytest.raises(SpaceMismatchError, match=r"stat-z_statmap.nii.gz: the image is 6 × 5 × 4 voxels"):
        LaionFmri(tree.config(), tmp_path)


def test_pictures_are_those_of_the_archive_over_mid_grey(tree: Tree, tmp_path: Path) -> None:
    dataset = LaionFmri(tree.config(), tmp_path)
    assert isinstance(dataset, SlowlyHashed)
    names = dataset.stimuli["stimulus_id"].str.strip_prefix("laion-fmri/").to_list()
    with h5py.File(tree.root / "stimuli/task-images_stimuli.h5") as file:
        stored = [bytes(file["images"][tree.names.index(name)]) for name in names]
    assert dataset.sha256s() == [hashlib.sha256(content).hexdigest() for content in stored]
    see_through = next(row for row, name in enumerate(names) if name.endswith(".png"))
    pixels = dataset.image(see_through)
    assert pixels[2, 1].tolist() == [128, 128, 128]
    assert pixels[2, 6].tolist() == [0, 0, 255]
    opaque = next(row for row, name in enumerate(names) if name.endswith(".jpg"))
    number = tree.names.index(names[opaque])
    assert np.abs(dataset.image(opaque)[0, 0].astype(int) - [5 * number, 255 - 5 * number, 90]).max() < 4
    for row in (see_through, opaque):  # the page shows what the network gets
        shown = open_stimulus(dataset.stimuli["uri"][row], dataset.stimuli["sha256"][row], names[row])
        np.testing.assert_array_equal(np.asarray(shown), dataset.image(row))


def test_hashes_are_taken_once(tree: Tree, tmp_path: Path) -> None:
    told: list[int] = []
    first = LaionFmri(tree.config(), tmp_path).sha256s(told.append)
    assert sum(told) == N_IMAGES
    again: list[int] = []
    assert LaionFmri(tree.config(), tmp_path).sha256s(again.append) == first
    assert again == [N_IMAGES]  # all known


def test_a_split_of_the_data_set_names_images_as_trials_do(tree: Tree, tmp_path: Path) -> None:
    seen = sorted(tree.names[:N_IMAGES])
    split = {"name": "tau", "variants": [{"variant_id": 0, "train_ids": seen[:24], "test_ids": seen[24:]}]}
    (tmp_path / "tau.json").write_text(json.dumps(split))
    config = tree.config(split=str(tmp_path / "tau.json"))
    train, test = split_of(config, LaionFmri(config, tmp_path))
    assert (train.tolist(), test.tolist()) == (list(range(24)), list(range(24, N_IMAGES)))


def test_a_ceiling_is_told_for_as_many_repeats_as_there_are(tree: Tree, tmp_path: Path) -> None:
    assert LaionFmri(tree.config(), tmp_path).voxels["noise_ceiling"].null_count() == len(tree.voxels())
    percent = np.full(SHAPE, 40, np.float32)
    where = tuple(tree.voxels()[0])
    percent[where] = np.nan
    write_volume(tree.subject / f"{SUBJECT}_task-images_space-T1w_desc-Noiseceiling4rep_statmap.nii.gz", percent)
    dataset = LaionFmri(tree.config(), tmp_path)
    ncsnr_squared = 0.4 / 0.6 / 4  # 40 % of images with four repeats
    expected = ncsnr_squared / (ncsnr_squared + np.mean(1 / dataset.n_repeats))
    found = dataset.voxels["noise_ceiling"]
    assert found[0] is None
    np.testing.assert_allclose(found[1:].to_numpy(), expected, rtol=1e-6)
    write_volume(tree.subject / f"{SUBJECT}_task-images_space-T1w_desc-NoiseceilingAllrep_statmap.nii.gz", percent * 3)
    with pytest.raises(BadInputError, match=r"NoiseceilingAllrep_statmap.nii.gz: a noise ceiling is 0 to 100 per cent"):
        LaionFmri(tree.config(), tmp_path)


def test_without_a_map_ceilings_come_from_the_repeats(tree: Tree, tmp_path: Path) -> None:
    assert (LaionFmri(tree.config(), tmp_path).ceiling_of(np.arange(5)) > 0.2).all()


def test_check_lists_every_file_and_how_big_the_job_is(tree: Tree, tmp_path: Path) -> None:
    found = check_dataset(tree.config(), tmp_path, 512)
    assert found.problems == ()
    assert found.files.filter(~found.files["what"].str.starts_with("localiser"))["found"].all()
    assert found.size is not None
    assert (found.size.n_images, found.size.n_trials) == (N_IMAGES, 2 * N_TRIALS)
    n_voxels = len(tree.voxels())
    assert found.size.disk.copies == n_voxels * 2 * N_TRIALS * 4


def test_missing_files_are_named_and_can_be_gone_without(tree: Tree, tmp_path: Path) -> None:
    tree.path("ses-02", "betas").unlink()
    with pytest.raises(NotFoundError, match=r"SingletrialBetas_statmap.nii.gz: not there .* --skip-session ses-02"):
        LaionFmri(tree.config(), tmp_path)
    assert LaionFmri(tree.config(allow_missing=True), tmp_path).n_repeats.sum() == N_TRIALS
    tree.mask_path.unlink()
    with pytest.raises(NotFoundError, match=r"_mask.nii.gz: nothing says which voxels are modelled"):
        LaionFmri(tree.config(allow_missing=True), tmp_path)
    (tree.root / "stimuli/task-images_stimuli.h5").unlink()
    problems = check_dataset(tree.config(allow_missing=True), tmp_path, 512).problems
    assert any("laion-fmri download-stimuli" in problem for problem in problems)
    with pytest.raises(NotFoundError, match=r"LAION-fMRI has no subject '2'; it has 1, 3, 5, 6, 7"):
        LaionFmri(tree.config(subject="2"), tmp_path)
    with pytest.raises(NotFoundError, match=r"sub-01: no session is there; pass the folder that has derivatives/"):
        LaionFmri(tree.config(subject="1"), tmp_path)


@pytest.mark.parametrize(("pointer", "advice"), POINTERS)
@pytest.mark.parametrize("what", ["betas", "trials", "mask", "stimuli.h5", "metadata.csv"])
def test_a_pointer_is_told_from_its_content(what: str, pointer: str, advice: str, tree: Tree, tmp_path: Path) -> None:
    paths = {
        "betas": tree.path("ses-01", "betas"),
        "trials": tree.path("ses-01", "trials"),
        "mask": tree.mask_path,
        "stimuli.h5": tree.root / "stimuli/task-images_stimuli.h5",
        "metadata.csv": tree.root / "stimuli/task-images_metadata.csv",
    }
    paths[what].write_text(pointer)
    with pytest.raises(NotFoundError, match=rf"{paths[what].name}: a pointer of .*{advice}"):
        LaionFmri(tree.config(), tmp_path)


def test_cut_files_are_one_sentence(tree: Tree, tmp_path: Path) -> None:
    betas, stimuli = tree.path("ses-01", "betas"), tree.root / "stimuli/task-images_stimuli.h5"
    whole = betas.read_bytes()
    betas.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match=r"damaged or cut file .*get it again or pass --skip-session ses-01"):
        LaionFmri(tree.config(), tmp_path)
    assert "ses-01" in check_dataset(tree.config(), tmp_path, 512).problems[0]
    content = gzip.decompress(whole)
    betas.write_bytes(gzip.compress(content[:999]) + gzip.compress(content[999:]))  # tells the length of its end
    expected = tree.expected()[1]
    np.testing.assert_allclose(
        LaionFmri(tree.config(), tmp_path).responses_of(np.arange(expected.shape[1])), expected, atol=1e-6
    )
    os.truncate(stimuli, stimuli.stat().st_size // 2)
    with pytest.raises(BadInputError, match=r"task-images_stimuli.h5: a damaged or cut file"):
        LaionFmri(tree.config(), tmp_path)


def test_files_that_disagree_are_refused(tree: Tree, tmp_path: Path) -> None:
    trials, betas = tree.path("ses-01", "trials"), tree.path("ses-01", "betas")
    text = trials.read_text()
    for broken in (text.replace("\t7\t", "\t8\t"), text.replace("\t59\t", "\t60\t"), text.replace("beta_index", "i")):
        trials.write_text(broken)
        with pytest.raises(BadInputError, match=r"_trials.tsv: .*beta_index"):
            LaionFmri(tree.config(), tmp_path)
    trials.write_text(text.replace("run\tbeta", "block\tbeta"))
    with pytest.raises(BadInputError, match=r"no column run .*--zscore session"):
        LaionFmri(tree.config(zscore="run"), tmp_path)
    seen = tree.labels["ses-01"][0]
    trials.write_text(text.replace(f"\t{seen}", "\tshared_4rep_unheard_of.jpg"))
    with pytest.raises(BadInputError, match=r"metadata.csv: no image shared_4rep_unheard_of.jpg .*--allow-missing"):
        LaionFmri(tree.config(), tmp_path)
    n_left_out = tree.labels["ses-01"].count(seen)
    left = LaionFmri(tree.config(allow_missing=True), tmp_path)
    assert left.n_repeats.sum() == 2 * N_TRIALS - n_left_out
    trials.write_text(text)
    write_volume(betas, tree.betas["ses-01"], AFFINE + np.eye(4) * [0.5, 0, 0, 0])
    with pytest.raises(SpaceMismatchError, match=r"SingletrialBetas_statmap.nii.gz is turned or shifted"):
        LaionFmri(tree.config(), tmp_path)
    write_volume(betas, tree.betas["ses-01"][:4])
    with pytest.raises(SpaceMismatchError, match=r"an image of shape \(4, 4, 3, 60\), \(5, 4, 3, trials\) expected"):
        LaionFmri(tree.config(), tmp_path)
    write_volume(betas, tree.betas["ses-01"])
    write_volume(tree.roi_path("SPL", "place"), np.ones((4, 4, 3), np.uint8))
    with pytest.raises(SpaceMismatchError, match=r"label-SPL_mask.nii.gz: the image is 4 × 4 × 3 voxels"):
        LaionFmri(tree.config(), tmp_path)
    metadata = tree.root / "stimuli/task-images_metadata.csv"
    metadata.write_text("".join(metadata.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadInputError, match=r"metadata.csv: 49 names of 49 rows, and .* has 50 images"):
        LaionFmri(tree.config(), tmp_path)


def test_settings_that_the_data_set_has_not_are_refused(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="LAION-fMRI has no space 'fsaverage'; its betas are in T1w"):
        LaionFmri(tree.config(space="fsaverage"), tmp_path)


def test_what_is_read_depends_on_betas_and_trials(tree: Tree, tmp_path: Path) -> None:
    first = LaionFmri(tree.config(), tmp_path).fingerprint
    trials = tree.path("ses-01", "trials")
    trials.write_text(trials.read_text().replace(tree.labels["ses-01"][0], tree.labels["ses-01"][1]))
    assert LaionFmri(tree.config(), tmp_path).fingerprint != first


def test_the_data_sets_own_package_reads_the_same(tree: Tree, tmp_path: Path) -> None:
    package = pytest.importorskip(
        "laion_fmri.subject", reason="laion_fmri is on GitHub only (ViCCo-Group/LAION-fMRI), not on PyPI"
    )
    theirs = package.Subject(SUBJECT, str(tree.root))
    older = hasattr(package, "brain_mask_path")  # releases before 2026-05-10 read the mask file
    if older:
        mask = tree.subject / f"{SUBJECT}_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz"
        write_volume(mask, tree.mask.astype(np.uint8))
    dataset = LaionFmri(tree.config(zscore="none"), tmp_path)
    # Their voxels are in the order of (x, y, z) arrays, z fastest.
    order = np.lexsort(tree.voxels()[:, ::-1].T)
    trials = {session: theirs.get_trial_info(session) for session in theirs.get_sessions()}
    single = np.concatenate([theirs.get_betas(session) for session in trials])
    labels = np.concatenate([table.sort_values("beta_index")["label"] for table in trials.values()])
    ids = dataset.stimuli["stimulus_id"].str.strip_prefix("laion-fmri/")
    expected = [single[labels == name].mean(axis=0, dtype=float) for name in ids]
    np.testing.assert_allclose(dataset.responses_of(order), expected, atol=1e-6)
