"""Images that subjects saw, as the page has them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from voxel_atlas.api.maps.thumbnails import open_stimulus
from voxel_atlas.schemas.errors import NotFoundError
from voxel_atlas.schemas.image_files import read_picture


def test_a_picture_whose_path_has_a_hash_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "study #2"
    folder.mkdir()
    for name in ("a.png", "b#3"):
        Image.new("RGB", (5, 4), (10, 20, 30)).save(folder / name, "PNG")
        assert open_stimulus(str(folder / name), "x").size == (5, 4)


def test_a_picture_within_a_file_is_found_also_where_its_path_has_a_hash(tmp_path: Path) -> None:
    bricks = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "nsd #1.hdf5", "w") as file:
        file["imgBrick"] = bricks
    np.testing.assert_array_equal(np.asarray(open_stimulus(f"{tmp_path}/nsd #1.hdf5#2", "x")), bricks[2])


def test_the_page_shows_what_the_network_gets(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (12, 6), (255, 0, 255, 0)).save(tmp_path / "turned.png", exif=exif)
    shown = open_stimulus(str(tmp_path / "turned.png"), "x")
    np.testing.assert_array_equal(np.asarray(shown), read_picture(tmp_path / "turned.png"))
    assert shown.size == (6, 12)


def test_a_picture_that_is_not_here_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not on this machine"):
        open_stimulus(str(tmp_path / "study #2" / "gone.png"), "x")
