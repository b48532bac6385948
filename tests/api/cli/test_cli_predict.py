"""`voxel-atlas predict`: a new image file, and what the voxels would answer to it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture
def picture(tmp_path: Path) -> tuple[Path, NDArray[np.uint8]]:
    path = tmp_path / "new.png"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path, pixels


def test_every_voxel_is_predicted_as_the_atlas_predicts_it(run, picture, atlas):
    path, pixels = picture
    expected = atlas.model().predict(pixels).sort("response", "voxel", descending=[True, False])
    status, printed, note = run("predict", path, "--json")
    rows = json.loads(printed)
    assert status == 0
    assert [row["voxel"] for row in rows] == expected["voxel"].to_list()
    assert [row["response"] for row in rows] == pytest.approx(expected["response"].to_list())
    assert {"subject_id", "rois", "r2", "q"} <= rows[0].keys()
    assert "300 voxels" in note
    assert "simulated subject" in note


def test_a_table_shows_the_strongest_and_csv_as_many_as_are_asked_for(run, picture):
    _, table, _ = run("predict", picture[0])
    _, text, _ = run("predict", picture[0], "--csv", "--first", "5")
    assert len(table.splitlines()) == 21
    assert [row["voxel"] for row in csv.DictReader(io.StringIO(text))] == [
        line.split()[0] for line in table.splitlines()[1:6]
    ]


def test_only_voxels_of_the_rois_are_predicted(run, picture):
    rows = json.loads(run("predict", picture[0], "--roi", "FOOD", "--roi", "FFA", "--json")[1])
    assert rows
    assert all({"FOOD", "FFA"} & set(row["rois"]) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.png"], "gone.png: there is no such image"),
        ([__file__], "not a readable image"),
        (["{picture}", "--roi", "V9"], "no ROI 'V9'; it has"),
        (["{picture}", "--model", "nsd"], "no model 'nsd'"),
        (["{picture}", "--json", "--csv"], "exclude each other"),
    ],
)
def test_what_cannot_be_predicted_is_one_sentence(run, picture, arguments, said):
    status, printed, message = run("predict", *(argument.format(picture=picture[0]) for argument in arguments))
    assert (status, printed) == (2, "")
    assert said in message
    assert message.startswith("voxel-atlas: ")
    assert message.count("\n") == 1
