"""The folder of rendered pictures stays within its limit, and what is asked for stays longest."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voxel_atlas.api.maps.picture_files import PictureFiles


def test_the_pictures_that_nobody_asks_for_go_first(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "flatmaps", limit=1000)
    for n in range(10):
        files.put(f"{n}.png", bytes([n]) * 68)  # and 32 bytes that tell whether it is damaged
        os.utime(tmp_path / "flatmaps" / f"{n}.png", (n, n))
    assert files.get("0.png") == bytes(68)  # asked for again, so it is the newest now
    files.put("new.png", b"x" * 68)
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


@pytest.mark.parametrize("damage", [lambda stored: b"", lambda stored: stored[:-1], lambda stored: stored[:-1] + b"?"])
def test_a_damaged_picture_is_not_shown(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    files = PictureFiles(tmp_path, limit=1000)
    files.put("a.png", b"x" * 100)
    (tmp_path / "a.png").write_bytes(damage((tmp_path / "a.png").read_bytes()))
    assert files.get("a.png") is None
    files.put("a.png", b"y" * 100)
    assert files.get("a.png") == b"y" * 100


def test_threads_may_share_a_folder(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, limit=10_000)

    def keep(thread: int) -> bool:
        bodies = {f"{thread}-{n}.png": bytes([thread, n]) * 500 for n in range(20)}
        for name, body in bodies.items():
            files.put(name, body)
        return all(files.get(name) in (None, body) for name, body in bodies.items())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(keep, range(4)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
