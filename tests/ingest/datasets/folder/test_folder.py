"""How the reader of a user's own folder joins trials to images."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats
from folder_study import (
    N_IMAGES,
    N_TRIALS,
    SESSIONS,
    SHOWN,
    config,
    expected,
    responses,
    series,
    table,
    write_nifti,
    write_table,
)
from PIL import Image
from tiny import TinyBackbone

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import check_dataset, open_dataset
from voxel_atlas.ingest.datasets.folder.folder import Folder
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.errors import BadInputError, NotFoundError


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
    assert found.size.disk.copies == 23 * N_TRIALS * 2
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
