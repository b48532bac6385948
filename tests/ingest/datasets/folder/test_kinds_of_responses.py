"""Every kind of responses that the manual's table names is read, with the same numbers."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.io
from folder_study import N_TRIALS, SESSIONS, X, Y, Z, config, expected, responses, table, write_nifti
from folder_study import write_table as write
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from voxel_atlas.ingest.datasets.folder.folder import Folder
from voxel_atlas.ingest.datasets.folder.stored_arrays import read_array
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import AtlasError, BadInputError, NotFoundError, SpaceMismatchError

VALUES = responses(X * Y * Z)
"""(trials, voxels)"""
VOLUMES = VALUES.reshape(N_TRIALS, Z, Y, X)
MANUAL = Path(__file__).parents[4] / "docs" / "your-data.md"
N_LEFT = 10


def images(root: Path, names: list[str]) -> None:
    for name, volume in zip(names, VOLUMES, strict=True):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        write_nifti(root / name, volume)


def array(root: Path) -> str:
    np.save(root / "responses.npy", VALUES)
    return ""


def array_of_volumes(root: Path) -> str:
    np.save(root / "responses.npy", VOLUMES.T)
    write_nifti(root / "mask.nii.gz", np.ones((Z, Y, X), np.uint8))
    return ""


def series(root: Path) -> str:
    write_nifti(root / "responses.nii.gz", VOLUMES)
    return ""


def folder(root: Path) -> str:
    images(root, [f"betas/beta_{number}.nii.gz" for number in range(N_TRIALS)])
    write_nifti(root / "betas" / "mask.nii", np.ones((Z, Y, X), np.uint8))
    return "betas"


def pattern(root: Path) -> str:
    images(root, [f"ses-{number // 6}/trial{number:02}_beta.nii" for number in range(N_TRIALS)])
    write_nifti(root / "ses-1" / "spm_t.nii", VOLUMES[0])
    return "ses-*/*_beta.nii"


def column(root: Path) -> str:
    names = [f"maps/{number * 7 % N_TRIALS}.nii.gz" for number in range(N_TRIALS)]
    images(root, names)
    write(root, table().drop("row").with_columns(responses=np.array(names)))
    return ""


def cifti(root: Path) -> str:
    axis = cifti2.BrainModelAxis.from_surface(np.arange(N_LEFT), 12, "CortexLeft")
    axis += cifti2.BrainModelAxis.from_surface(np.arange(X * Y * Z - N_LEFT), 15, "CortexRight")
    trials = cifti2.SeriesAxis(0, 1, N_TRIALS)
    cifti2.Cifti2Image(VALUES, (trials, axis)).to_filename(root / "responses.dtseries.nii")
    return ""


def gifti(root: Path, names: tuple[str, str] = ("lh.responses.func.gii", "rh.responses.func.gii")) -> str:
    for name, part, structure in zip(names, (VALUES[:, :N_LEFT], VALUES[:, N_LEFT:]), ("Left", "Right"), strict=True):
        meta = GiftiMetaData(AnatomicalStructurePrimary=f"Cortex{structure}")
        arrays = [GiftiDataArray(trial, datatype="NIFTI_TYPE_FLOAT32") for trial in part]
        nib.save(GiftiImage(darrays=arrays, meta=meta), root / name)
    return ""


def hdf5(root: Path) -> str:
    with h5py.File(root / "responses.h5", "w") as file:
        file["betas"] = VALUES
        file["tr"] = np.float64(1.5)
    return ""


def named(root: Path) -> str:
    with h5py.File(root / "study.h5", "w") as file:
        file["sub-1/betas"], file["sub-2/betas"] = VALUES, VALUES[:, ::-1]
    return "study.h5:sub-1/betas"


def old_matlab(root: Path) -> str:
    scipy.io.savemat(root / "responses.mat", {"betas": VALUES, "tr": 1.5, "names": np.array(["a", "b"], object)})
    return ""


def new_matlab(root: Path) -> str:
    with h5py.File(root / "study.mat", "w") as file:
        for name, values in (("betas", VOLUMES), ("other", VALUES)):  # as MATLAB's (x, y, z, trials) comes out
            file.create_dataset(name, data=values).attrs["MATLAB_class"] = np.bytes_("single")
    return "study.mat:betas"


def glmsingle(root: Path) -> str:
    with h5py.File(root / "TYPED_FITHRF_GLMDENOISE_RR.hdf5", "w") as file:
        file["betasmd"], file["R2"] = VOLUMES.T, np.zeros((X, Y))
    return ""


KINDS: dict[str, Callable[[Path], str]] = {
    "`responses.npy`, (trials, voxels)": array,
    "`responses.npy`, (x, y, z, trials), with `mask.nii.gz`": array_of_volumes,
    "`responses.nii.gz` or `.nii`, (x, y, z, trials)": series,
    "`--responses betas`: a folder of NIfTI files (x, y, z)": folder,
    "`--responses 'ses-*/*_beta.nii'`: such files by a pattern": pattern,
    "a column `responses` in `stimuli.csv` that names such files": column,
    "`responses.dscalar.nii` or `.dtseries.nii`": cifti,
    "`lh.responses.func.gii` and `rh.responses.func.gii`": gifti,
    "`responses.h5` or `.hdf5` with one array": hdf5,
    "`--responses study.h5:sub-1/betas`: one of several arrays": named,
    "`responses.mat`, before v7.3": old_matlab,
    "`--responses study.mat:betas`, v7.3": new_matlab,
    "GLMsingle's `TYPED_….hdf5` or `.mat`": glmsingle,
}


def opened(root: Path, home: Path, **settings: object) -> Folder:
    return Folder(config(root, **settings), home)


def test_the_manual_lists_every_kind_and_no_other() -> None:
    lines = MANUAL.read_text().split("| your responses |")[1].split("\n\n")[0].splitlines()
    assert [re.split(r" \| ", line.removeprefix("| "))[0] for line in lines[2:]] == list(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_gives_the_same_numbers(kind: str, root: Path, home: Path) -> None:
    found = opened(root, home, responses=KINDS[kind](root))
    assert found.voxels.height == X * Y * Z
    assert "are taken for" not in found.subject.recognised
    np.testing.assert_allclose(found.responses_of(np.arange(X * Y * Z)), expected(VALUES, SESSIONS), atol=1e-5)


def as_hdf5(path: Path, values: NDArray[np.float32]) -> None:
    with h5py.File(path, "w") as file:
        file["betas"] = values


TRANSPOSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "npy": (lambda root: np.save(root / "responses.npy", VALUES.T), "(voxels, trials)"),
    "hdf5": (lambda root: as_hdf5(root / "responses.h5", VALUES.T), "(voxels, trials)"),
    "matlab": (lambda root: scipy.io.savemat(root / "responses.mat", {"betas": VALUES.T}), "(voxels, trials)"),
    "volumes": (lambda root: np.save(root / "responses.npy", VOLUMES), "(trials, z, y, x)"),
    "volumes, trials first": (
        lambda root: np.save(root / "responses.npy", VOLUMES.transpose(0, 3, 2, 1)),
        "(trials, x, y, z)",
    ),
    "volumes, z first": (
        lambda root: as_hdf5(root / "responses.h5", VOLUMES.transpose(1, 2, 3, 0)),
        "(z, y, x, trials)",
    ),
}


@pytest.mark.parametrize("case", list(TRANSPOSED))
def test_a_transposed_array_is_recognised_and_said(case: str, root: Path, home: Path) -> None:
    save, axes = TRANSPOSED[case]
    save(root)
    if case.startswith("volumes"):
        write_nifti(root / "mask.nii.gz", np.ones((Z, Y, X), np.uint8))
    found = opened(root, home)
    assert f"are taken for {axes}, as there are {N_TRIALS} trials." in found.subject.recognised
    np.testing.assert_allclose(found.responses_of(np.arange(X * Y * Z)), expected(VALUES, SESSIONS), atol=1e-5)


def test_an_array_that_fits_two_ways_is_refused_until_its_axes_are_said(root: Path, home: Path) -> None:
    square = responses(N_TRIALS)
    np.save(root / "responses.npy", square)
    with pytest.raises(BadInputError, match=r"shape \(12, 12\) may be tv or vt .*; say which by --axes"):
        opened(root, home)
    for axes, values in (("tv", square), ("vt", square.T)):
        found = opened(root, home, axes=axes).responses_of(np.arange(N_TRIALS))
        np.testing.assert_allclose(found, expected(values, SESSIONS), atol=1e-5)
    with pytest.raises(BadInputError, match=r"--axes xyzt names 4 axes, but the array has shape \(12, 12\)"):
        opened(root, home, axes="xyzt")
    np.save(root / "responses.npy", VOLUMES)
    with pytest.raises(BadInputError, match=r"may be txyz or tzyx .* by --axes, or put mask.nii.gz beside it"):
        opened(root, home)
    assert opened(root, home, axes="tzyx").subject.shape == (Z, Y, X)


@pytest.mark.parametrize("axes", ["t", "tt", "xyz", "txyzv"])
def test_axes_that_are_none_are_refused(axes: str) -> None:
    with pytest.raises(ValueError, match=r"are no axes; write tv or vt, or t, x, y and z in their order"):
        IngestConfig(dataset="folder", subject="me", axes=axes)


def test_glmsingle_s_order_is_known_however_many_voxels_there_are(root: Path, home: Path) -> None:
    square = responses(N_TRIALS)
    with h5py.File(root / "TYPED_D.hdf5", "w") as file:
        file["betasmd"] = square.T
    found = opened(root, home).responses_of(np.arange(N_TRIALS))
    np.testing.assert_allclose(found, expected(square, SESSIONS), atol=1e-5)


def spoil(root: Path, case: str) -> str:
    if case in ("elsewhere", "other shape", "no affine", "two in one", "lost"):
        folder(root)
        file = root / "betas" / "beta_7.nii.gz"
        volume = {"other shape": VOLUMES[0, 1:], "two in one": VOLUMES[:2], "lost": VOLUMES[0] * np.nan}
        affine = {"elsewhere": np.diag([1, 1, 1.02, 1]), "no affine": None}.get(case, np.eye(4))
        nib.save(nib.Nifti1Image(volume.get(case, VOLUMES[0]).T, affine), file)
        return "betas"
    if case == "empty folder":
        return "images"
    if case == "no match":
        return "beta*.nii"
    if case == "array as a region":
        array_of_volumes(root)
        (root / "rois").mkdir()
        np.save(root / "rois" / "V1.npy", np.ones((X, Y, Z)))
    elif case == "gone":
        column(root)
        (root / "maps" / "7.nii.gz").unlink()
    elif case == "twice":
        write(root, table().drop("row").with_columns(responses=np.array(["a.nii"] * N_TRIALS)))
    elif case == "no such array":
        named(root)
        return "study.h5:betas"
    elif case == "several arrays":
        named(root)
        return "study.h5"
    elif case == "array of a series":
        series(root)
        return "responses.nii.gz:betas"
    elif case == "array of npy":
        array(root)
        return "responses.npy:betas"
    elif case == "cut matlab":
        old_matlab(root)
        (root / "responses.mat").write_bytes((root / "responses.mat").read_bytes()[:-300])
    elif case == "one hemisphere":
        gifti(root)
        (root / "rh.responses.func.gii").unlink()
    elif case == "sides":
        gifti(root, ("rh.responses.func.gii", "lh.responses.func.gii"))
    elif case == "no side":
        gifti(root, ("a.func.gii", "b.func.gii"))
        return "a.func.gii"
    elif case == "other trials":
        gifti(root)
        half = GiftiImage(darrays=[GiftiDataArray(VALUES[0], datatype="NIFTI_TYPE_FLOAT32")])
        nib.save(half, root / "rh.responses.func.gii")
    return ""


SPOILT: dict[str, tuple[type[Exception], str]] = {
    "elsewhere": (SpaceMismatchError, r"beta_7.nii.gz is turned or shifted against the voxels of beta_0.nii.gz"),
    "other shape": (
        SpaceMismatchError,
        r"beta_7.nii.gz: the image has shape \(4, 3, 1\), beta_0.nii.gz has",
    ),
    "no affine": (SpaceMismatchError, r"beta_7.nii.gz: the image has no affine .* the voxels of beta_0.nii.gz do"),
    "two in one": (BadInputError, r"beta_7.nii.gz: an image of shape \(4, 3, 2, 2\); where there are several files"),
    "lost": (BadInputError, r"trial 7 \(images/4.png\) has no number in any voxel .* pass --allow-missing"),
    "empty folder": (
        NotFoundError,
        r"images: no NIfTI image is there; --responses names a file, a folder or",
    ),
    "no match": (NotFoundError, r"beta\*.nii: no NIfTI image is there"),
    "gone": (NotFoundError, r"maps/7.nii.gz: there is no such file of responses \(1 of 12 are gone\)"),
    "twice": (BadInputError, r"stimuli.csv: the column responses names a file of its own in every row"),
    "no such array": (NotFoundError, r"there is no array 'betas'; it has sub-1/betas \(12, 24\), sub-2/betas"),
    "several arrays": (BadInputError, r"it has sub-1/betas .*; --responses study.h5:NAME says which"),
    "array of a series": (BadInputError, r"only .hdf5, .h5 and .mat files have named arrays; leave out :betas"),
    "array of npy": (BadInputError, r"an .npy file has one array, without a name; leave out :betas"),
    "array as a region": (BadInputError, r"V1.npy: an array without a place; maps of voxels of an image are NIfTI"),
    "cut matlab": (BadInputError, r"responses.mat: a damaged or cut file"),
    "one hemisphere": (NotFoundError, r"rh.responses.func.gii: the other hemisphere is not there; .* --allow-missing"),
    "sides": (SpaceMismatchError, r"lh.responses.func.gii: the file says that it is of CortexRight"),
    "no side": (BadInputError, r"a.func.gii: the name does not say which hemisphere it is"),
    "other trials": (SpaceMismatchError, r"lh.responses.func.gii has 12 and rh.responses.func.gii has 1"),
}


@pytest.mark.parametrize("case", list(SPOILT))
def test_what_cannot_be_read_is_one_sentence(case: str, root: Path, home: Path) -> None:
    error, said = SPOILT[case]
    with pytest.raises(error, match=said) as raised:
        opened(root, home, responses=spoil(root, case))
    assert "\n" not in str(raised.value)
    assert not home.exists()


@pytest.mark.parametrize("name", ["responses.h5", "responses.mat"])
def test_a_file_of_arrays_that_was_damaged_anywhere_is_one_sentence_or_numbers(name: str, tmp_path: Path) -> None:
    path, random = tmp_path / name, np.random.default_rng(0)
    if name.endswith(".h5"):
        hdf5(tmp_path)
    else:  # as MATLAB writes by itself
        scipy.io.savemat(path, {"betas": VALUES}, do_compression=True)
    content, refused = np.frombuffer(path.read_bytes(), np.uint8), list[str]()
    for _ in range(150):
        damaged = content.copy()
        damaged[random.integers(0, len(content), 20)] = random.integers(0, 256, 20)
        path.write_bytes(damaged[: random.integers(len(content) // 2, len(content) + 1)].tobytes())
        try:
            assert read_array(path).values.size
        except AtlasError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(said.startswith(str(path)) and "\n" not in said for said in refused)


def test_files_of_trials_keep_their_scaling_and_are_known_by_all_their_bytes(root: Path, home: Path) -> None:
    for number in range(N_TRIALS):
        write_nifti(root / f"beta_{number}.nii.gz", VOLUMES[number], slope=1 + number)
        stored = nib.load(root / f"beta_{number}.nii.gz")
        assert stored.get_data_dtype() == np.int16
    found = opened(root, home, responses="beta_*.nii.gz", zscore="none")
    slopes = 1 + np.arange(N_TRIALS)[:, None]
    np.testing.assert_allclose(found.responses_of(np.arange(X * Y * Z)), expected(VALUES * slopes, []), atol=2e-3)
    before = found.fingerprint
    write_nifti(root / "beta_9.nii.gz", VOLUMES[9], slope=1)
    assert opened(root, home, responses="beta_*.nii.gz", zscore="none").fingerprint != before


def test_which_array_of_a_file_is_read_is_part_of_its_fingerprint(root: Path, home: Path) -> None:
    named(root)
    found = [opened(root, home, responses=f"study.h5:sub-{number}/betas").fingerprint for number in (1, 2)]
    assert found[0] != found[1]


def test_a_hemisphere_s_medial_wall_is_left_out_and_maps_come_in_pairs(root: Path, home: Path) -> None:
    gifti(root)
    path = root / "lh.responses.func.gii"
    image = nib.load(path)
    for gap in image.darrays:
        gap.data[[0, 3]] = (0, np.nan)
    nib.save(image, path)
    (root / "rois").mkdir()
    for name, inside in (("lh.V1", [1, 2]), ("rh.V1", [5]), ("rh.FFA", [0])):
        values = np.zeros(N_LEFT if name[0] == "l" else X * Y * Z - N_LEFT, np.int32)
        values[inside] = 1
        nib.save(GiftiImage(darrays=[GiftiDataArray(values)]), root / "rois" / f"{name}.label.gii")
    found = opened(root, home)
    assert found.subject.shape == (N_LEFT, X * Y * Z - N_LEFT)
    assert found.voxels.filter(hemisphere="left")["vertex"].to_list() == [1, 2, *range(4, N_LEFT)]
    places = found.voxel_rois.join(found.voxels, on="voxel").select("roi", "hemisphere", "vertex").sort("roi", "vertex")
    assert places.rows() == [("FFA", "right", 0), ("V1", "left", 1), ("V1", "left", 2), ("V1", "right", 5)]
    nib.save(GiftiImage(darrays=[GiftiDataArray(np.ones(3, np.int32))]), root / "rois" / "lh.V1.label.gii")
    with pytest.raises(SpaceMismatchError, match=r"lh.V1.label.gii: the map has 3 vertices, the responses have 10"):
        opened(root, home)


def test_one_hemisphere_is_enough_where_the_user_says_so(root: Path, home: Path) -> None:
    gifti(root)
    (root / "rh.responses.func.gii").unlink()
    found = opened(root, home, allow_missing=True)
    assert (found.subject.shape, found.voxels.height) == ((N_LEFT, 0), N_LEFT)
