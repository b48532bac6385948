import subprocess
import sys
from pathlib import Path

import pytest

from voxel_atlas.schemas.errors import StoreError
from voxel_atlas.schemas.files import replacing, write_atomically


def test_a_failed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text(encoding="utf-8")) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_folder_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    for name, error in (("whole", None), ("half", ValueError)):
        try:
            with replacing(tmp_path / name) as temporary:
                temporary.mkdir()
                (temporary / "file").write_text(name, encoding="utf-8")
                if error:
                    raise error
        except ValueError:
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["whole", "file"]


def test_a_written_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.txt", lambda file: file.write(b"secret"))
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"secret"
    assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StoreError, match=r"a.txt cannot be written: .*; make room or give back its rights"):
        write_atomically(tmp_path / "file" / "a.txt", lambda file: file.write(b"x"))


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from voxel_atlas.schemas.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.mkdir(); (temporary / 'half').touch(); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "copy"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(tmp_path / "copy") as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
