"""`voxel-atlas flatmap`: every kind of map, on surfaces of the atlas and of the user's own."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from toy_server import Run

import voxel_atlas as va
from tests.viz.conftest import MATRIX, SHAPE, spheres_meshes
from voxel_atlas.api.maps.subject_cortex import CortexCache, LoadSurface
from voxel_atlas.api.notebook.desk import LocalDesk
from voxel_atlas.viz.render.legend import title_line
from voxel_atlas.viz.surfaces.surface import load_surface
from voxel_atlas.viz.surfaces.surface_import import write_subject, write_transform


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (("cake",), None),
        (("--metric", "r2", "--colormap", "magma", "--range", "0", "0.5", "--width", "500"), 500),
        (("--label", "cake", "--roi", "FOOD"), None),
        (("cake - face", "--by", "labels", "--significant", "--opacity", "r2"), None),
        (("cake", "--view", "all"), None),
        (("cake", "--view", "lateral", "--kind", "fiducial"), None),
    ],
)
def test_the_command_line_draws_every_kind_of_map(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surfaces: LoadSurface, arguments: Any, size: int | None
) -> None:
    monkeypatch.setattr("voxel_atlas.api.maps.subject_cortex.CortexCache", partial(CortexCache, load=surfaces))
    status, _, said = run("flatmap", *arguments, "-o", str(tmp_path / "map.png"))
    assert status == 0, said
    assert Image.open(io.BytesIO((tmp_path / "map.png").read_bytes())).width == (size or 1024)


def test_a_picture_s_predicted_response_is_drawn_as_python_draws_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surfaces: LoadSurface, home: Path
) -> None:
    monkeypatch.setattr("voxel_atlas.api.maps.subject_cortex.CortexCache", partial(CortexCache, load=surfaces))
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)).save(photo)
    status, _, said = run("flatmap", "--picture", photo, "-o", tmp_path / "map.png")
    assert status == 0, said
    with va.open(str(home / "atlas.duckdb"), home=home) as opened:
        opened.desk = LocalDesk(opened, opened.desk.settings, surfaces)
        assert opened.model().map(picture=photo).plot().content == (tmp_path / "map.png").read_bytes()
    photo.write_bytes(b"%PDF-1.7")
    status, _, said = run("flatmap", "--picture", photo, "-o", tmp_path / "other.png")
    assert (status, said.count("\n")) == (2, 1)
    assert "not a readable image" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "exactly one"),
        (("cake", "--metric", "r2"), "exactly one"),
        (("--map", "none.nii.gz", "--surface", "S1", "--transform", "fullhead"), "none.nii.gz"),
        (("--map", "none.nii.gz", "--surface", "S9"), "S9"),
    ],
)
def test_what_cannot_be_drawn_is_said(run: Run, tmp_path: Path, arguments: Any, said: str) -> None:
    status, _, error = run("flatmap", *arguments, "-o", str(tmp_path / "map.png"))
    assert status == 2
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "map.png").exists()


def test_a_flat_map_shows_the_mean_over_depths_where_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_subject("spheres", spheres_meshes(), tmp_path / "store", tmp_path / "cache")
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(values.T, np.linalg.inv(MATRIX)), tmp_path / "own.nii.gz")
    write_transform(made, "grid", MATRIX, tmp_path / "own.nii.gz")
    monkeypatch.setenv("VOXEL_ATLAS_CORTEX_FILESTORE", str(tmp_path / "store"))
    draw = ("flatmap", "--map", str(tmp_path / "own.nii.gz"), "--surface", "spheres", "--transform", "grid")
    draw = (*draw, "--colormap", "gray", "--range", "0", "1", "-o", str(tmp_path / "flat.png"))
    status, _, said = run(*draw, "--thick", "3")
    assert status == 0, said
    means, pixels = load_surface("spheres", "grid", tmp_path / "cache", tmp_path / "store").blend(
        values.reshape(-1, 1), 1024, 3
    )
    drawn = np.asarray(Image.open(tmp_path / "flat.png").convert("L"), int)
    top = title_line("own.nii.gz", 1024).height
    shown = drawn[top : top + pixels.height].ravel()
    there = np.isfinite(means[:, 0])
    assert np.abs(shown[there] - 255 * means[there, 0]).max() <= 3  # the palette has fewer steps than 256
    status, _, said = run(*draw, "--thick", "3", "--view", "lateral")
    assert status == 2
    assert "show one depth" in said
