"""Images that an atlas names: only what was ingested is read, however a release words its places."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from stalled_disk import NAME, can_mount, stalled_disk
from toy_server import Fill

from voxel_atlas.api.maps import thumbnails
from voxel_atlas.api.maps.thumbnails import open_stimulus, thumbnail
from voxel_atlas.atlas.new_threads import begin
from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.release.importing import import_release
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BusyError, NotFoundError
from voxel_atlas.schemas.image_files import read_picture
from voxel_atlas.schemas.limits import LIMITS

OWN = "toy/0/3"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 6), "red").save(path)
    return path


def test_an_image_is_read_where_it_is_what_was_ingested(picture: Path) -> None:
    assert open_stimulus(str(picture), sha256(picture), "a").size == (8, 6)
    with pytest.raises(NotFoundError, match="not on this machine"):
        open_stimulus(str(picture), "0" * 64, "a")


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "nothing"])
def test_what_is_no_file_is_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    for uri in (str(path), f"{path}#0"):
        with pytest.raises(NotFoundError, match="not on this machine"):
            open_stimulus(uri, hashlib.sha256(b"").hexdigest(), "a")


@pytest.mark.skipif(not can_mount(), reason="needs /dev/fuse, and root to mount what it serves")
def test_a_disk_that_stalls_holds_nobody_and_is_read_again_once_it_answers(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "LIMITS", LIMITS.model_copy(update={"file_s": 0.1}))
    reads = list[Future[Image.Image]]()

    def begun(work: Callable[..., None], read: Future[Image.Image], *rest: object) -> None:
        reads.append(read)
        begin(work, read, *rest)

    monkeypatch.setattr(thumbnails, "begin", begun)
    folder = tmp_path / "a disk"
    folder.mkdir()
    with stalled_disk(folder, picture.read_bytes()) as going:
        uri, right = str(folder / NAME), sha256(picture)
        for _ in range(2 * LIMITS.late_files):
            with pytest.raises(BusyError, match=f"The disk at {folder} does not answer"):
                open_stimulus(uri, right, "a")
        assert sum(not read.done() for read in reads) == len(reads) == LIMITS.late_files
        assert open_stimulus(str(picture), right, "a").size == (8, 6)
        going.set()
        wait(reads)
        monkeypatch.undo()
        assert open_stimulus(uri, right, "a").size == (8, 6)


def test_a_picture_in_a_file_of_bricks_is_held_against_its_pixels(tmp_path: Path) -> None:
    bricks: Any = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
    path = tmp_path / "bricks #1.hdf5"
    with h5py.File(path, "w") as file:
        file["imgBrick"] = bricks
    uri = f"{path}#2"
    assert np.array_equal(open_stimulus(uri, hashlib.sha256(bricks[2].tobytes()).hexdigest(), "a"), bricks[2])
    with pytest.raises(NotFoundError):
        open_stimulus(uri, hashlib.sha256(bricks[1].tobytes()).hexdigest(), "a")


def test_a_release_cannot_name_files_outside_of_the_data_sets(tmp_path: Path, fill_atlas: Fill) -> None:
    source, home = tmp_path / "elsewhere", tmp_path / "home"
    source.mkdir()
    with Store.open(str(source / "atlas.duckdb")) as store:
        model = fill_atlas(store, source / "stimuli")
        with Atlas(store, home=source) as own:
            assert thumbnail(own, OWN)
            export(own, tmp_path / "release", models=(model,), tables_only=True)
    home.mkdir()
    with Store.open(str(home / "atlas.duckdb")) as store:
        import_release(store, tmp_path / "release", run_id="import")
        with Atlas(store, home=home) as importer, pytest.raises(NotFoundError, match="not in a data set"):
            thumbnail(importer, OWN)
    with Store.open(str(home / "atlas.duckdb")) as store, Atlas(store, home=source) as moved:
        assert thumbnail(moved, OWN)  # within the home folder


def test_a_picture_whose_path_has_a_hash_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "study #2"
    folder.mkdir()
    for name in ("a.png", "b#3"):
        Image.new("RGB", (5, 4), (10, 20, 30)).save(folder / name, "PNG")
        assert open_stimulus(str(folder / name), sha256(folder / name), "x").size == (5, 4)


def test_the_page_shows_what_the_network_gets(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.new("RGBA", (12, 6), (255, 0, 255, 0)).save(path, exif=exif)
    shown = open_stimulus(str(path), sha256(path), "x")
    np.testing.assert_array_equal(np.asarray(shown), read_picture(path))
    assert shown.size == (6, 12)
