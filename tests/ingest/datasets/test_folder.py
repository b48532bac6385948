"""The reader of a user's own folder, in each of its formats."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import polars as pl
import pytest
import scipy.stats
from nibabel import cifti2
from numpy.typing import NDArray
from PIL import Image
from tiny import TinyBackbone

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.folder.folder import Folder
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.errors import AtlasError, BadInputError, NotFoundError, SpaceMismatchError

N_TRIALS, N_IMAGES = 12, 6
X, Y, Z = 4, 3, 2
SHOWN = np.array([3, 0, 1, 2, 4, 5, 5, 4, 3, 2, 1, 0])
"""Image of each trial: every image twice, once in each session."""


def config(root: Path, **settings: object) -> IngestConfig:
    return IngestConfig(**{"dataset": "folder", "subject": "me", "root": str(root), **settings})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images and the table that joins them; the table's rows are not in the responses' order."""
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    for number in range(N_IMAGES):
        Image.new("RGB", (5, 4), (number * 40, 0, 0)).save(root / "images" / f"{number}.png")
    write_table(root)
    return root


def table() -> pl.DataFrame:
    trials = np.arange(N_TRIALS)
    return pl.DataFrame(
        {
            "image": [f"images/{number}.png" for number in SHOWN],
            "row": trials,
            "session": ["a" if trial < N_IMAGES else "b" for trial in trials],
            "repeat": [1 if trial < N_IMAGES else 2 for trial in trials],
        }
    )


def write_table(root: Path, frame: pl.DataFrame | None = None) -> None:
    (table()[::-1] if frame is None else frame).write_csv(root / "stimuli.csv")


def responses(n_voxels: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((N_TRIALS, n_voxels)).astype(np.float32) * 3 + 1


def expected(values: NDArray[np.float32], groups: list[slice]) -> NDArray[np.float64]:
    scored = values.astype(float)
    for group in groups:
        scored[group] = scipy.stats.zscore(scored[group], axis=0)
    return np.array([scored[image == SHOWN].mean(axis=0) for image in range(N_IMAGES)])


SESSIONS = [slice(0, N_IMAGES), slice(N_IMAGES, N_TRIALS)]


def test_an_array_is_joined_scored_and_averaged(root: Path, home: Path) -> None:
    values = responses(7)
    np.save(root / "responses.npy", values)
    dataset = open_dataset(config(root), home)
    assert dataset.subject.subject_id == "folder/me"
    assert dataset.stimuli["stimulus_id"].to_list() == [f"folder/me/images/{n}.png" for n in range(N_IMAGES)]
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 7)), expected(values, SESSIONS), atol=1e-5)
    found = Folder(config(root), home)
    np.testing.assert_allclose(found.responses_of(np.array([6, 1])), expected(values, SESSIONS)[:, [6, 1]], atol=1e-5)
    assert found.n_repeats.tolist() == [2] * N_IMAGES
    assert found.image(2)[0, 0].tolist() == [80, 0, 0]


def test_scores_are_over_what_is_asked_for(root: Path, home: Path) -> None:
    values = responses(3)
    np.save(root / "responses.npy", values)
    np.testing.assert_allclose(
        Folder(config(root, zscore="none"), home).responses_of(np.arange(0, 3)), expected(values, []), atol=1e-5
    )
    write_table(root, table().drop("session"))
    np.testing.assert_allclose(
        Folder(config(root), home).responses_of(np.arange(0, 3)), expected(values, [slice(None)]), atol=1e-5
    )
    # Run 1 of session a and run 1 of session b are two runs.
    write_table(root, table().with_columns(run=pl.Series([1, 1, 1, 2, 2, 2] * 2)))
    runs = [slice(start, start + 3) for start in range(0, N_TRIALS, 3)]
    np.testing.assert_allclose(
        Folder(config(root), home).responses_of(np.arange(0, 3)), expected(values, runs), atol=1e-5
    )


def test_byte_equal_images_are_one_whatever_their_files_are_called(root: Path, home: Path) -> None:
    values = responses(3)
    np.save(root / "responses.npy", values)
    (root / "again").mkdir()
    # The second showing of an image is under another spelling, of another file, or of the same.
    spelled = [f"./images/{number}.png" if number < 3 else f"again/copy {number}.png" for number in SHOWN]
    for number in range(3, N_IMAGES):
        (root / "again" / f"copy {number}.png").write_bytes((root / "images" / f"{number}.png").read_bytes())
    image = [*table()["image"][:N_IMAGES], *spelled[N_IMAGES:]]
    write_table(root, table().with_columns(pl.Series("image", image)))
    dataset = Folder(config(root), home)
    np.testing.assert_allclose(dataset.responses_of(np.arange(0, 3)), expected(values, SESSIONS), atol=1e-5)
    assert dataset.n_repeats.tolist() == [2] * N_IMAGES
    assert dataset.stimuli["sha256"].n_unique() == dataset.stimuli.height == N_IMAGES
    assert [dataset.image(row)[0, 0, 0] for row in range(N_IMAGES)] == [0, 40, 80, 120, 160, 200]
    files = dataset.files_of()
    assert files.height == 2 * N_IMAGES
    assert files.filter(pl.col("uri").str.ends_with("3.png"))["stimulus_id"].unique().to_list() == [
        "folder/me/again/copy 3.png"
    ]


def test_a_run_of_one_trial_is_refused_by_its_name(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    write_table(root, table().with_columns(run=pl.Series([1, 1, 1, 1, 1, 2] * 2)))
    with pytest.raises(BadInputError, match="folder/me: session a, run 2 of responses has one trial, which"):
        Folder(config(root), home)
    assert Folder(config(root, zscore="session"), home).n_repeats.tolist() == [2] * N_IMAGES


def test_without_a_column_row_the_order_is_that_of_the_responses(root: Path, home: Path) -> None:
    values = responses(3)
    np.save(root / "responses.npy", values)
    write_table(root, table().drop("row"))
    np.testing.assert_allclose(
        Folder(config(root), home).responses_of(np.arange(0, 3)), expected(values, SESSIONS), atol=1e-5
    )


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


def test_a_table_of_windows_finds_its_images_and_its_sessions_as_they_are_written(root: Path, home: Path) -> None:
    values = responses(3)
    np.save(root / "responses.npy", values)
    names = [f"images\\{number}.png" for number in SHOWN]
    sessions = pl.Series(["01"] * N_IMAGES + ["extra"] * N_IMAGES)
    write_table(root, table().with_columns(image=pl.Series(names), session=sessions))
    found = Folder(config(root), home)
    assert found.stimuli["stimulus_id"].to_list() == [f"folder/me/images/{n}.png" for n in range(N_IMAGES)]
    np.testing.assert_allclose(found.responses_of(np.arange(3)), expected(values, SESSIONS), atol=1e-5)
    assert Folder(config(root, skip_sessions=("01",)), home).n_repeats.tolist() == [1] * N_IMAGES


def series() -> NDArray[np.int16]:
    """(T, Z, Y, X); voxel (0, 0, 0) never varies."""
    values = np.round(responses(X * Y * Z) * 100).astype(np.int16).reshape(N_TRIALS, Z, Y, X)
    values[:, 0, 0, 0] = 0
    return values


def write_nifti(path: Path, values: NDArray[np.generic], slope: float | None = None) -> None:
    path.parent.mkdir(exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(values.T), np.eye(4))
    if slope:
        image = nib.Nifti1Image(np.ascontiguousarray(values.T).astype(np.float32) * np.float32(slope), np.eye(4))
        image.set_data_dtype(np.int16)
    nib.save(image, path)


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
    with pytest.raises(SpaceMismatchError, match=r"mask.nii.gz: the mask has shape \(3, 3, 2\), responses.nii.gz has"):
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


def test_sessions_can_be_skipped(root: Path, home: Path) -> None:
    values = responses(3)
    np.save(root / "responses.npy", values)
    found = Folder(config(root, skip_sessions=("b",)), home)
    assert found.n_repeats.tolist() == [1] * N_IMAGES
    scored = scipy.stats.zscore(values[:N_IMAGES].astype(float), axis=0)
    np.testing.assert_allclose(found.responses_of(np.arange(0, 3)), scored[np.argsort(SHOWN[:N_IMAGES])], atol=1e-5)


def test_missing_images_are_named_and_may_be_allowed(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    (root / "images" / "4.png").unlink()
    with pytest.raises(NotFoundError, match=r"stimuli.csv: 1 of 6 images are not there, .*4.png first; .*--allow"):
        Folder(config(root), home)
    assert Folder(config(root, allow_missing=True), home).stimuli.height == N_IMAGES - 1


def test_trials_without_an_image_are_counted_and_may_be_allowed(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    write_table(root, table()[:-2])
    with pytest.raises(BadInputError, match=r"stimuli.csv: 2 of the 12 trials of responses.npy have no image"):
        Folder(config(root), home)
    assert Folder(config(root, allow_missing=True), home).n_repeats.sum() == N_TRIALS - 2


def test_a_damaged_image_is_one_sentence(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    (root / "images" / "0.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match=r"0.png: not a readable image"):
        Folder(config(root), home).image(0)
    (root / "images" / "0.png").unlink()
    opened = Folder(config(root, allow_missing=True), home)
    (root / "images" / "1.png").unlink()
    with pytest.raises(NotFoundError, match=r"1.png: there is no such image"):
        opened.image(0)


TABLES = {
    "row twice": (table().with_columns(row=pl.lit(3)), r"row 3 of responses.npy is named more than once"),
    "image twice": (table().drop("repeat"), r"images/3.png is listed more than once without a column repeat"),
    "repeat twice": (
        table().with_columns(repeat=pl.lit(1)),
        r"images/3.png is listed more than once with the same repeat",
    ),
    "row too large": (table().with_columns(row=pl.col("row") + 1), r"the column row must hold 0 … 11"),
    "other length": (table().drop("row")[:-1], r"11 rows, but responses.npy has 12 trials; add a column row"),
    "no image column": (table().rename({"image": "picture"}), r"needs the path of an image in a column named image"),
    "row no number": (
        table().with_columns(row=pl.lit("first")),
        r"stimuli.csv, line 2: row is 'first', and a whole number is expected",
    ),
    "empty": (table()[:0], r"trials of responses.npy have no image|no trial is left"),
}


@pytest.mark.parametrize("case", list(TABLES))
def test_bad_tables_are_one_sentence(case: str, root: Path, home: Path) -> None:
    frame, message = TABLES[case]
    np.save(root / "responses.npy", responses(3))
    write_table(root, frame)
    with pytest.raises(BadInputError, match=message) as raised:
        Folder(config(root), home)
    assert "\n" not in str(raised.value)


def spoil(root: Path, case: str) -> None:
    np.save(root / "responses.npy", responses(3))
    if case == "no responses":
        (root / "responses.npy").unlink()
    elif case == "two responses":
        write_nifti(root / "responses.nii", series())
    elif case == "three dimensions":
        np.save(root / "responses.npy", np.zeros((12, 3, 2)))
    elif case == "text":
        np.save(root / "responses.npy", np.full((12, 3), "a"))
    elif case == "cut":
        (root / "responses.npy").write_bytes((root / "responses.npy").read_bytes()[:-10])
    elif case == "no table":
        (root / "stimuli.csv").unlink()
    elif case == "region of another shape":
        (root / "rois").mkdir()
        np.save(root / "rois" / "V1.npy", np.ones(4))
    elif case == "percent ceiling":
        np.save(root / "noise_ceiling.npy", np.array([50.0, 20, 30]))
    elif case == "voxels of another number":
        (root / "voxels.csv").write_text("i,j,k\n1,2,3\n")
    elif case == "hemisphere":
        (root / "voxels.csv").write_text("hemisphere,vertex\nlh,1\nlh,2\nrh,3\n")


CASES: dict[str, tuple[type[AtlasError], str, dict[str, object]]] = {
    "no responses": (NotFoundError, "no responses.npy, .nii, .nii.gz or .dscalar.nii is there", {}),
    "two responses": (BadInputError, "both responses.npy and responses.nii are there; say which by --responses", {}),
    "three dimensions": (BadInputError, r"float64 of shape \(12, 3, 2\); numbers of shape \(trials, voxels\)", {}),
    "text": (BadInputError, "responses.npy: <U1 of shape", {}),
    "cut": (BadInputError, "responses.npy: a damaged or cut file", {}),
    "no table": (NotFoundError, "stimuli.csv: there is no such table; --stimuli names", {}),
    "region of another shape": (SpaceMismatchError, r"V1.npy: .npy of shape \(3,\) expected", {}),
    "percent ceiling": (BadInputError, "a noise ceiling is a share, 0 to 1; divide percentages by 100", {}),
    "voxels of another number": (BadInputError, "voxels.csv: i, j, k or hemisphere, vertex of 3 voxels expected", {}),
    "hemisphere": (BadInputError, "voxels.csv: the column hemisphere must hold left or right", {}),
    "no such responses": (NotFoundError, "betas.npy: there is no such file of responses", {"responses": "betas.npy"}),
    "unknown format": (BadInputError, r"responses come as .npy, .nii", {"responses": "stimuli.csv"}),
    "no runs": (BadInputError, "--zscore run needs a column run; pass --zscore none or add it", {"zscore": "run"}),
    "no session": (NotFoundError, "there is no session 'c'; it has a, b", {"skip_sessions": ("c",)}),
}


@pytest.mark.parametrize("case", list(CASES))
def test_bad_folders_are_one_sentence(case: str, root: Path, home: Path) -> None:
    error, message, settings = CASES[case]
    spoil(root, case)
    with pytest.raises(error, match=message) as raised:
        Folder(config(root, **settings), home)
    assert "\n" not in str(raised.value)


def test_the_fingerprint_changes_with_images_responses_and_their_join(root: Path, home: Path) -> None:
    np.save(root / "responses.npy", responses(3))
    found = {Folder(config(root), home).fingerprint}
    assert {Folder(config(root), home).fingerprint} == found
    np.save(root / "responses.npy", responses(3) + 1)
    found.add(Folder(config(root), home).fingerprint)
    Image.new("RGB", (9, 9)).save(root / "images" / "0.png")
    found.add(Folder(config(root), home).fingerprint)
    write_table(root, table().with_columns(row=pl.Series([1, 0, *range(2, N_TRIALS)])))
    found.add(Folder(config(root), home).fingerprint)
    assert len(found) == 4


def test_the_check_says_what_is_there_and_how_big_the_job_is(root: Path, home: Path) -> None:
    write_nifti(root / "responses.nii.gz", series())
    found = check_dataset(config(root), home, 512)
    assert not found.problems
    assert (found.size.n_images, found.size.n_trials, found.size.n_voxels) == (N_IMAGES, N_TRIALS, 23)
    assert found.size.disk_bytes == (23 + N_IMAGES) * 512 * 4 + 23 * N_TRIALS * 2
    assert not home.exists()
    (root / "stimuli.csv").unlink()
    found = check_dataset(config(root), home, 512)
    assert found.size is None
    assert found.files.filter(found=False, needed=True)["what"].to_list() == ["table of trials"]
    assert "stimuli.csv: there is no such table" in found.problems[0]


def test_images_that_are_shown_again_give_noise_ceilings(tmp_path: Path, home: Path) -> None:
    rng = np.random.default_rng(0)
    root = tmp_path / "study"
    root.mkdir()
    for n in range(60):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / f"{n}.png")
    shown = np.repeat(np.arange(60), 3)
    pl.DataFrame({"image": [f"{n}.png" for n in shown], "repeat": [1, 2, 3] * 60}).write_csv(root / "stimuli.csv")
    ncsnr = np.linspace(0, 3, 50)
    signal = rng.standard_normal((60, 50)) * ncsnr
    np.save(root / "responses.npy", (signal[shown] + rng.standard_normal((180, 50))).astype(np.float32))
    known = ncsnr**2 / (ncsnr**2 + 1 / 3)
    study = config(root, backbone="lite", dissect="none", batch_voxels=20)
    with Store.open(str(home / "atlas.duckdb"), create=True) as store:
        pipeline = Pipeline(store=store, home=home)
        model_id = pipeline.ingest(
            study, open_parts(study, home=home, backbone=TinyBackbone(), label_backbone=TinyBackbone())
        )
        found = store.frame(
            "SELECT noise_ceiling, r2, r2_of_ceiling FROM voxel_quality WHERE model_id = ? ORDER BY voxel", [model_id]
        )
    ceiling = found["noise_ceiling"].to_numpy()
    assert np.corrcoef(ceiling, known)[0, 1] >= 0.95
    low = ceiling < 0.1
    assert low.any()
    assert found["r2_of_ceiling"].is_null().to_numpy().tolist() == low.tolist()


def test_a_lost_trial_is_named_and_may_be_left_out(root: Path, home: Path) -> None:
    values = responses(4)
    values[7], values[:, 2] = np.nan, np.nan
    np.save(root / "responses.npy", values)
    said = r"responses.npy: trial 7 \(images/4.png\) has no number .*: 1\); .*--allow"
    with pytest.raises(BadInputError, match=said):
        Folder(config(root), home)
    found = Folder(config(root, allow_missing=True, zscore="none"), home)
    assert found.n_repeats.sum() == N_TRIALS - 1
    assert np.isnan(found.responses_of(np.arange(4))).any(axis=0).tolist() == [False, False, True, False]


def test_a_lost_volume_of_a_series_is_named(root: Path, home: Path) -> None:
    values = responses(X * Y * Z).reshape(N_TRIALS, Z, Y, X)
    values[5] = np.nan
    write_nifti(root / "responses.nii.gz", values)
    for _ in range(2):
        with pytest.raises(BadInputError, match=r"responses.nii.gz: trial 5 "):
            Folder(config(root), home)
        write_nifti(root / "mask.nii.gz", np.ones((Z, Y, X), np.uint8))


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
