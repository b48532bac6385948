"""Unpacking Debian packages without root, driven by programs that stand for apt-get and dpkg-deb."""

import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from voxel_atlas.ingest.simulated.scenes.debian_packages import package_root

APT = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *update) {update} ;;
  *"Dir::State::Lists"*download*) touch toy_1.0_all.deb ;;
  *download*) {download} ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes apt-get and dpkg-deb of the wanted behaviour the only programs of those names."""

    def install(*, update: str = "true", download: str = "touch toy_1.0_all.deb") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name in ("./toy/thing.png", "./toy/sound.ogg", "./usr/share/doc/toy/copyright", "./../../escaped.png"):
                member = tarfile.TarInfo(name)
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
        (tmp_path / "toy.tar").write_bytes(content.getvalue())
        log = tmp_path / "log"
        (folder / "apt-get").write_text(APT.format(log=log, update=update, download=download))
        (folder / "dpkg-deb").write_text(f"#!/bin/sh\ncat {tmp_path / 'toy.tar'}\n")
        for program in folder.iterdir():
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    return install


def fetch(cache: Path) -> Path | None:
    return package_root("toy", "toy/thing.png", (".png",), cache)


def test_keeps_the_wanted_files_and_the_copyright(programs, tmp_path):
    programs()
    root = fetch(tmp_path / "cache")
    assert root == tmp_path / "cache" / "toy"
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == ["escaped.png", "toy/thing.png", "usr/share/doc/toy/copyright"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["toy"]


def test_a_copy_is_not_fetched_again(programs, tmp_path):
    log = programs()
    fetch(tmp_path / "cache")
    n_calls = len(log.read_text().splitlines())
    assert fetch(tmp_path / "cache") is not None
    assert len(log.read_text().splitlines()) == n_calls


def test_empty_package_lists_are_fetched_to_a_folder_of_our_own(programs, tmp_path):
    log = programs(download="exit 100")
    assert fetch(tmp_path / "cache") is not None
    assert "Dir::State::Lists" in next(line for line in log.read_text().splitlines() if line.endswith("update"))


def test_without_a_network_there_is_no_copy_and_nothing_half_written(programs, tmp_path):
    programs(download="exit 100", update="exit 100")
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text("#!/bin/sh\nexit 100\n")
    assert fetch(tmp_path / "cache") is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_apt_there_is_no_copy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fetch(tmp_path / "cache") is None


def test_the_systems_own_package_comes_first(tmp_path):
    assert package_root("base-files", "etc/hostname", (), tmp_path) == Path("/")
