"""A user's own folder that cannot be read is one clear sentence."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from folder_study import config, responses, series, table, write_nifti, write_table

from voxel_atlas.ingest.datasets.folder.folder import Folder
from voxel_atlas.schemas.errors import AtlasError, BadInputError, NotFoundError, SpaceMismatchError


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
    "no image column": (table().rename({"image": "picture"}), r"no column is named image; call the one of"),
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
    "no responses": (NotFoundError, "no responses.npy, .nii, .nii.gz, .dscalar.nii, .func.gii, .hdf5 or .mat is", {}),
    "two responses": (BadInputError, "both responses.npy and responses.nii are there; say which by --responses", {}),
    "three dimensions": (BadInputError, r"float64 of shape \(12, 3, 2\); numbers of shape \(trials, voxels\)", {}),
    "text": (BadInputError, "responses.npy: <U1 of shape", {}),
    "cut": (BadInputError, "responses.npy: a damaged or cut file", {}),
    "no table": (NotFoundError, "stimuli.csv: there is no such table; --stimuli names", {}),
    "region of another shape": (SpaceMismatchError, r"V1.npy: .*, numbers of shape \(3,\) expected", {}),
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
