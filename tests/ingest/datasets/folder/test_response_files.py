"""The formats that responses of one's own, and maps beside them, come in."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.stats
from folder_study import (
    N_TRIALS,
    SESSIONS,
    SHOWN,
    X,
    Y,
    Z,
    config,
    expected,
    responses,
    series,
    table,
    write_nifti,
    write_table,
)
from nibabel import cifti2
from numpy.typing import NDArray

from voxel_atlas.ingest.datasets.folder.folder import Folder
from voxel_atlas.schemas.errors import BadInputError, SpaceMismatchError


def test_an_array_may_have_places_regions_and_a_ceiling(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    (root / "rois").mkdir()
    np.save(root / "rois" / "V1.left.npy", np.array([1, 0, 1]))
    np.save(root / "noise_ceiling.npy", np.array([0.5, np.nan, 1.0]))
    (root / "voxels.csv").write_text("i,j,k\n1,2,3\n4,5,6\n7,8,9\n")
    found = Folder(config(root), home)
    assert (found.subject.space, found.subject.shape) == ("volume", (10, 9, 8))
    assert found.voxels.select("i", "j", "k").rows() == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert found.voxels["noise_ceiling"].to_list() == [0.5, None, 1.0]
    assert found.voxel_rois.rows() == [(0, "V1.left", None), (2, "V1.left", None)]
    (root / "voxels.csv").write_text("hemisphere,vertex\nleft,4\nright,2\nleft,0\n")
    found = Folder(config(root, surface="me"), home)
    assert (found.subject.space, found.subject.shape, found.subject.surface) == ("surface", (5, 3), "me")
    assert found.voxels.select("hemisphere", "vertex").rows() == [("left", 4), ("right", 2), ("left", 0)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,1,-1\n5,1,1\n9,1,1", r"voxels.csv, line 2: k is -1; places are counted from 0"),
        ("1,1,1\n2,1,1\n1,1,1", r"voxels.csv: lines 2 and 4 give two voxels the same place"),
        ("0.5,1,1\n5,1,1\n9,1,1", r"voxels.csv, line 2: i is '0.5', and a whole number is expected"),
    ],
)
def test_places_that_are_none_are_refused(rows: str, said: str, root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    (root / "voxels.csv").write_text(f"i,j,k\n{rows}\n")
    with pytest.raises(BadInputError, match=said):
        Folder(config(root), home)


def test_whole_numbers_with_a_point_are_places(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    (root / "voxels.csv").write_text("i,j,k\n0.0,1,1\n5.0,1,1\n9.0,1,1\n")
    assert Folder(config(root), home).voxels["i"].to_list() == [0, 5, 9]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_series_of_volumes_is_read_by_voxel(suffix: str, root: Path, home: Path) -> None:
    values = series()
    write_nifti(root / f"responses{suffix}", values)
    found = Folder(config(root), home)
    flat = values.reshape(N_TRIALS, -1)[:, 1:].astype(np.float32)
    assert found.subject.shape == (Z, Y, X)
    assert found.voxels.height == X * Y * Z - 1
    assert found.voxels.select("i", "j", "k").row(0) == (1, 0, 0)
    np.testing.assert_allclose(found.responses_of(np.arange(0, 23)), expected(flat, SESSIONS), atol=1e-5)


def test_a_scaled_series_is_read_as_its_header_says(root: Path, home: Path) -> None:
    values = series()
    write_nifti(root / "responses.nii.gz", values, slope=0.01)
    assert nib.load(root / "responses.nii.gz").dataobj.slope != 1
    flat = values.reshape(N_TRIALS, -1)[:, 1:] * np.float32(0.01)
    found = Folder(config(root, zscore="none"), home).responses_of(np.arange(0, 23))
    np.testing.assert_allclose(found, expected(flat, []), atol=1e-3)


def test_a_mask_says_which_voxels_and_regions_are_volumes(root: Path, home: Path) -> None:
    values = series()
    write_nifti(root / "responses.nii.gz", values)
    mask, region = np.zeros((Z, Y, X), np.uint8), np.zeros((Z, Y, X), np.uint8)
    mask[1, 2, 1:], region[1, 2, 3], region[0, 0, 0] = 1, 1, 1
    write_nifti(root / "mask.nii.gz", mask)
    write_nifti(root / "rois" / "PPA.nii.gz", region)
    found = Folder(config(root), home)
    assert found.voxels.select("i", "j", "k").rows() == [(1, 2, 1), (2, 2, 1), (3, 2, 1)]
    assert found.voxel_rois.rows() == [(2, "PPA", None)]
    np.testing.assert_allclose(
        found.responses_of(np.arange(0, 3)), expected(values[:, 1, 2, 1:].astype(np.float32), SESSIONS), atol=1e-5
    )
    write_nifti(root / "mask.nii.gz", mask[:, :, 1:])
    with pytest.raises(SpaceMismatchError, match=r"mask.nii.gz: the image is 3 × 3 × 2 voxels, the responses are 4"):
        Folder(config(root), home)


def test_grayordinates_are_read_with_their_axis(root: Path, home: Path) -> None:
    values = responses(5)
    axis = cifti2.BrainModelAxis.from_surface(np.array([0, 4]), 6, "CortexLeft")
    axis += cifti2.BrainModelAxis.from_surface(np.array([1, 2, 5]), 6, "CortexRight")
    trials = cifti2.ScalarAxis([str(number) for number in range(N_TRIALS)])
    cifti2.Cifti2Image(values, (trials, axis)).to_filename(root / "responses.dscalar.nii")
    (root / "rois").mkdir()
    other = cifti2.BrainModelAxis.from_surface(np.array([2, 5]), 6, "CortexRight")
    other += cifti2.BrainModelAxis.from_surface(np.array([0]), 6, "CortexLeft")
    keys = np.array([[1, 0, 1]], np.float32)
    cifti2.Cifti2Image(keys, (cifti2.ScalarAxis(["FFA"]), other)).to_filename(root / "rois" / "FFA.dscalar.nii")
    found = Folder(config(root), home)
    assert found.subject.shape == (6, 6)
    assert found.voxels["vertex"].to_list() == [0, 4, 1, 2, 5]
    assert found.voxel_rois["voxel"].to_list() == [0, 3]
    np.testing.assert_allclose(found.responses_of(np.arange(0, 5)), expected(values, SESSIONS), atol=1e-5)


def test_a_constant_voxel_does_not_vary_and_one_with_nan_is_nan(root: Path, home: Path) -> None:
    values = responses(3)
    values[:, 0] = 0.1
    values[4, 1] = np.nan
    np.save(root / "responses.npy", values)
    found = Folder(config(root), home).responses_of(np.arange(0, 3))
    assert np.isnan(found).any(axis=0).tolist() == [False, True, False]
    assert not found[:, 0].any()
    write_table(root, table().drop("session"))
    np.save(root / "responses.npy", np.where(np.arange(3) == 0, 0.1, values.astype(np.float64)))
    assert not Folder(config(root), home).responses_of(np.arange(0, 1)).any()


@pytest.mark.parametrize("offset", [2.0**24, 2.0**33])
@pytest.mark.parametrize("suffix", [".npy", ".nii", ".nii.gz"])
def test_responses_with_a_large_offset_keep_their_differences(
    offset: float, suffix: str, root: Path, home: Path
) -> None:
    values = responses(X * Y * Z).astype(np.float64)
    path = root / f"responses{suffix}"
    if suffix == ".npy":
        np.save(path, values + offset)
    else:
        write_nifti(path, (values + offset).reshape(N_TRIALS, Z, Y, X))
    found = Folder(config(root), home).responses_of(np.arange(X * Y * Z))
    np.testing.assert_allclose(found, expected(values, SESSIONS), atol=1e-4)


def test_a_lost_volume_of_a_series_is_named(root: Path, home: Path) -> None:
    values = responses(X * Y * Z).reshape(N_TRIALS, Z, Y, X)
    values[5] = np.nan
    write_nifti(root / "responses.nii.gz", values)
    for _ in range(2):
        with pytest.raises(BadInputError, match=r"responses.nii.gz: trial 5 "):
            Folder(config(root), home)
        write_nifti(root / "mask.nii.gz", np.ones((Z, Y, X), np.uint8))


def test_a_lost_session_is_named_with_the_option_that_skips_it(root: Path, home: Path) -> None:
    values = responses(4)
    values[SESSIONS[1]] = np.nan
    np.save(root / "responses.npy", values)
    said = r"responses.npy: trial 11 .*\(such trials: 6\); .* pass --allow-missing or --skip-session b to leave these"
    with pytest.raises(BadInputError, match=said):
        Folder(config(root), home)
    for settings in ({"allow_missing": True}, {"skip_sessions": ("b",)}):
        found = Folder(config(root, **settings), home)
        np.testing.assert_allclose(
            found.responses_of(np.arange(4)), expected_of_first(values), atol=1e-5, err_msg=str(settings)
        )


def expected_of_first(values: NDArray[np.float32]) -> NDArray[np.float64]:
    first = values[SESSIONS[0]]
    return scipy.stats.zscore(first.astype(float), axis=0)[np.argsort(SHOWN[SESSIONS[0]])]


def place(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64] | None) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(values.T), affine), path)


OTHER_PLACES = {
    "mirrored": (np.diag([-1.0, 1, 1, 1]), "is mirrored against the responses"),
    "shifted": (np.eye(4) + np.diag([0.02] * 3, 1), "is turned or shifted against the responses"),
    "larger": (np.diag([1.1, 1, 1, 1]), "is turned or shifted against the responses"),
    "without": (None, "has no affine"),
}


@pytest.mark.parametrize("case", list(OTHER_PLACES))
@pytest.mark.parametrize("name", ["mask.nii.gz", "rois/V1.nii.gz", "noise_ceiling.nii.gz"])
def test_a_map_that_lies_elsewhere_is_refused(case: str, name: str, root: Path, home: Path) -> None:
    affine, said = OTHER_PLACES[case]
    write_nifti(root / "responses.nii.gz", series())
    place(root / name, np.ones((Z, Y, X), np.float32), np.eye(4) + 1e-4)
    assert Folder(config(root), home).subject.affine == tuple(np.eye(4).ravel())
    place(root / name, np.ones((Z, Y, X), np.float32), affine)
    with pytest.raises(SpaceMismatchError, match=rf"{Path(name).name}:? {said}|{Path(name).name}: the image {said}"):
        Folder(config(root), home)


def test_a_series_without_an_affine_is_refused(root: Path, home: Path) -> None:
    place(root / "responses.nii.gz", series(), None)
    with pytest.raises(BadInputError, match=r"responses.nii.gz: the image has no affine .*; write it with that of"):
        Folder(config(root), home)


def test_a_mask_of_one_slice_keeps_its_axes(root: Path, home: Path) -> None:
    values = series()[:, :1]
    write_nifti(root / "responses.nii.gz", values)
    nib.save(nib.Nifti1Image(np.ones((X, Y, 1, 1), np.uint8), np.eye(4)), root / "mask.nii.gz")
    assert Folder(config(root), home).subject.shape == (1, Y, X)


def test_a_region_of_one_hemisphere_is_one_of_both(root: Path, home: Path) -> None:
    axis = cifti2.BrainModelAxis.from_surface(np.array([0, 4]), 6, "CortexLeft")
    both = axis + cifti2.BrainModelAxis.from_surface(np.array([1, 2, 5]), 7, "CortexRight")
    trials = cifti2.ScalarAxis([str(number) for number in range(N_TRIALS)])
    cifti2.Cifti2Image(responses(5), (trials, both)).to_filename(root / "responses.dscalar.nii")
    (root / "rois").mkdir()
    region = cifti2.Cifti2Image(np.ones((1, 2), np.float32), (cifti2.ScalarAxis(["V1"]), axis))
    region.to_filename(root / "rois" / "V1.dscalar.nii")
    assert Folder(config(root), home).voxel_rois["voxel"].to_list() == [0, 1]
    other = cifti2.BrainModelAxis.from_surface(np.array([0, 4]), 8, "CortexLeft")
    region = cifti2.Cifti2Image(np.ones((1, 2), np.float32), (cifti2.ScalarAxis(["V1"]), other))
    region.to_filename(root / "rois" / "V1.dscalar.nii")
    with pytest.raises(SpaceMismatchError, match=r"V1.dscalar.nii: surfaces of \(8, 0\) vertices"):
        Folder(config(root), home)


@pytest.mark.parametrize("language", ["python", "matlab"])
def test_betas_of_glmsingle_are_read_from_its_own_files(language: str, root: Path, home: Path) -> None:
    values = responses(X * Y * Z).reshape(N_TRIALS, Z, Y, X)
    values[:, 0, 0, 0] = 0
    name = "TYPED_FITHRF_GLMDENOISE_RR." + ("hdf5" if language == "python" else "mat")
    with h5py.File(root / name, "w") as file:
        stored = file.create_dataset("betasmd", data=values.T if language == "python" else values)
        file["R2"] = np.zeros((4, 3))
        if language == "matlab":
            stored.attrs["MATLAB_class"] = np.bytes_("single")
    found = Folder(config(root), home)
    assert (found.subject.shape, found.voxels.height) == ((Z, Y, X), X * Y * Z - 1)
    flat = values.reshape(N_TRIALS, -1)[:, 1:]
    np.testing.assert_allclose(found.responses_of(np.arange(23)), expected(flat, SESSIONS), atol=1e-5)
    mask = np.zeros((Z, Y, X), np.uint8)
    mask[1, 2, 1:] = 1
    write_nifti(root / "mask.nii.gz", mask)
    found = Folder(config(root), home)
    assert found.voxels.select("i", "j", "k").rows() == [(1, 2, 1), (2, 2, 1), (3, 2, 1)]
    np.testing.assert_allclose(found.responses_of(np.arange(3)), expected(values[:, 1, 2, 1:], SESSIONS), atol=1e-5)
    assert found.subject.affine_code == 2


def test_pickled_betas_are_refused_with_the_way_out(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", np.array({"betasmd": np.zeros((2, 2))}, object), allow_pickle=True)
    with pytest.raises(BadInputError, match=r"pickled Python objects, .* give the .hdf5 or .mat file instead"):
        Folder(config(root), home)


@pytest.mark.parametrize("name", ["responses.nii.gz", "responses.hdf5"])
def test_a_mask_or_responses_that_leave_no_voxel_are_refused(name: str, root: Path, home: Path) -> None:
    constant = np.ones((N_TRIALS, Z, Y, X), np.float32)
    if name.endswith(".hdf5"):
        with h5py.File(root / name, "w") as file:
            file["betasmd"] = constant.T
    else:
        write_nifti(root / name, constant)
    with pytest.raises(BadInputError, match=rf"{name}: no voxel is left; check the mask and the responses"):
        Folder(config(root), home)
    write_nifti(root / "mask.nii", np.zeros((Z, Y, X), np.uint8))
    with pytest.raises(BadInputError, match=r"mask.nii: no voxel is left; check the mask and the responses"):
        Folder(config(root), home)
