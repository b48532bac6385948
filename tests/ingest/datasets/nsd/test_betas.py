"""The formats that the betas of NSD come in."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from nsd_tree import N_SESSIONS, N_SHOWN, N_VERTICES, SUBJECT, Tree, X, Y, Z, linear, write_nifti

from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.nsd.nsd import Nsd
from voxel_atlas.schemas.errors import BadInputError, SpaceMismatchError


def test_unscored_responses_are_percent_signal_change(written: Tree, home: Path) -> None:
    dataset = open_dataset(written.config(zscore="none", skip_sessions=tuple(map(str, range(2, 31)))), home)
    percent = written.betas[0].reshape(750, -1)[:, linear(dataset)[:5]] / 300
    image = int(dataset.stimuli["stimulus_id"][0].removeprefix("nsd/"))
    shown = percent[written.images[0] == image]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 5))[0], shown.mean(axis=0), rtol=1e-5)


def test_any_voxels_can_be_asked_for_in_any_order(written: Tree, home: Path) -> None:
    dataset = Nsd(written.config(), home)
    everything = dataset.responses_of(np.arange(0, dataset.voxels.height))
    np.testing.assert_array_equal(dataset.responses_of(np.arange(7, 12)), everything[:, 7:12])
    some = np.array([31, 2, 3, 30, 17])
    np.testing.assert_array_equal(dataset.responses_of(some), everything[:, some])


def test_compressed_volumes_give_the_same_responses_and_are_copied_once(tree: Tree, home: Path) -> None:
    expected = Nsd(tree.config(), home).responses_of(np.arange(0, 20))
    for number, betas in enumerate(tree.betas, start=1):
        (tree.sessions / f"betas_session{number:02d}.hdf5").unlink()
        write_nifti(tree.sessions / f"betas_session{number:02d}.nii.gz", betas)
    stored = nib.load(tree.sessions / "betas_session01.nii.gz")
    assert stored.shape == (X, Y, Z, 750)
    assert stored.get_data_dtype() == np.int16
    assert Nsd(tree.config(), home).copied_bytes == 30 * 750 * 2 * 55
    assert not (home / "cache" / "betas").exists()
    dataset = Nsd(tree.config(), home)
    np.testing.assert_array_equal(dataset.responses_of(np.arange(0, 20)), expected)
    copies = {path: path.stat().st_mtime_ns for path in (home / "cache" / "betas").iterdir()}
    assert len(copies) == N_SESSIONS
    np.testing.assert_array_equal(Nsd(tree.config(), home).responses_of(np.arange(5, 9)), expected[:, 5:9])
    assert {path: path.stat().st_mtime_ns for path in copies} == copies


def test_a_cut_session_is_one_sentence_with_what_to_do(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match=r"betas_session07.hdf5: a damaged or cut file .* or pass --skip-session 7"):
        Nsd(tree.config(), home)
    assert Nsd(tree.config(skip_sessions=("7",)), home).stimuli.height == N_SHOWN


def test_a_cut_compressed_session_leaves_nothing_half_written(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.nii.gz"
    (tree.sessions / "betas_session07.hdf5").unlink()
    write_nifti(path, tree.betas[6])
    dataset = Nsd(tree.config(), home)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(BadInputError, match=r"betas_session07.nii.gz: a damaged or cut file .*--skip-session 7"):
        dataset.responses_of(np.arange(0, 3))
    with pytest.raises(BadInputError, match=r"betas_session07.nii.gz: a damaged or cut file .*--skip-session 7"):
        Nsd(tree.config(), home)
    assert not list((home / "cache").rglob("*.npy*"))


def test_too_few_trials_are_one_sentence(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[6, :749])
    message = r"betas_session07.hdf5: 749 trials, 750 expected; get it again or pass --skip-session 7"
    with pytest.raises(BadInputError, match=message):
        Nsd(tree.config(), home)


def test_a_session_of_another_shape_is_refused(tree: Tree, home: Path) -> None:
    path = tree.sessions / "betas_session07.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=tree.betas[6, :, :, :, 1:])
    with pytest.raises(SpaceMismatchError, match=r"betas_session07.hdf5: the session has shape \(3, 4, 4\)"):
        Nsd(tree.config(), home)


@pytest.mark.parametrize("space", ["fsaverage", "nativesurface"])
def test_both_surfaces_give_the_same_percent_signal_change(space: str, surface: Tree, home: Path) -> None:
    # fsaverage files hold percent already, nativesurface ones 300 times that.
    dataset = Nsd(surface.config(space=space, zscore="none"), home)
    assert (dataset.subject.space, dataset.subject.shape) == ("surface", N_VERTICES)
    assert dataset.subject.subject_id == f"nsd/subj04-{space}"
    found = dataset.responses_of(np.arange(sum(N_VERTICES)))
    trials: dict[int, list[np.ndarray]] = {}
    for image, row in zip(surface.images.ravel(), surface.betas.reshape(-1, sum(N_VERTICES)) / 300, strict=True):
        trials.setdefault(int(image), []).append(row)
    expected = np.array([np.mean(trials[image], axis=0) for image in sorted(trials)])
    if space == "fsaverage":
        expected[:, 1] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(dataset.responses_of(np.arange(6, 9)), found[:, 6:9])


def test_vertices_without_betas_are_nan_and_the_others_are_not(surface: Tree, home: Path) -> None:
    found = Nsd(surface.config(space="fsaverage"), home).responses_of(np.arange(sum(N_VERTICES)))
    assert np.isnan(found).all(axis=0).nonzero()[0].tolist() == [1]
    assert np.isnan(found).any(axis=0).sum() == 1


def test_a_cut_surface_file_is_one_sentence(surface: Tree, home: Path, tmp_path: Path) -> None:
    folder = surface.root / f"nsddata_betas/ppdata/subj{SUBJECT:02d}/fsaverage/betas_fithrf_GLMdenoise_RR"
    path = folder / "rh.betas_session02.mgh"
    content = path.read_bytes()
    path.write_bytes(content[:-4000])
    try:
        with pytest.raises(BadInputError, match=r"rh.betas_session02.mgh: a damaged or cut file .*--skip-session 2"):
            Nsd(surface.config(space="fsaverage"), home)
    finally:
        path.write_bytes(content)
