"""The folder of rendered pictures stays within its limit, and what is asked for stays longest."""

import os
from pathlib import Path

from voxel_atlas.api.http.picture_files import PictureFiles


def test_the_pictures_that_nobody_asks_for_go_first(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "flatmaps", limit=1000)
    for n in range(10):
        files.put(f"{n}.png", bytes([n]) * 100)
        os.utime(tmp_path / "flatmaps" / f"{n}.png", (n, n))
    assert files.get("0.png") == bytes(100)  # asked for again, so it is the newest now
    files.put("new.png", b"x" * 100)
    assert {path.name for path in (tmp_path / "flatmaps").iterdir()} == {
        "0.png", "3.png", "4.png", "5.png", "6.png", "7.png", "8.png", "9.png", "new.png",
    }  # fmt: skip
    assert files.get("1.png") is None


def test_what_an_earlier_server_left_counts(tmp_path: Path) -> None:
    PictureFiles(tmp_path, limit=10**6).put("old.png", b"x" * 900)
    os.utime(tmp_path / "old.png", (1, 1))
    files = PictureFiles(tmp_path, limit=1000)
    files.put("new.png", b"x" * 200)
    assert (files.get("old.png"), files.get("new.png")) == (None, b"x" * 200)


def test_a_folder_that_cannot_be_written_costs_no_picture(tmp_path: Path, caplog: object) -> None:
    (tmp_path / "file").write_text("no folder")
    files = PictureFiles(tmp_path / "file", limit=1000)
    files.put("a.png", b"x")
    assert files.get("a.png") is None
