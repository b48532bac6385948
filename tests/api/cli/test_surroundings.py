"""The command line where machines are odd: folders of any name, read-only homes, terminals that are no UTF-8."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOY = ("--subject", "me", "--backbone", "toy", "--label-backbone", "toy", "--dissect", "none")


def study(root: Path) -> Path:
    """A folder of 30 pictures with noise for responses."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{number:02}.png" for number in range(30)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / name)
    (root / "stimuli.csv").write_text("image\n" + "\n".join(names) + "\n")
    np.save(root / "responses.npy", rng.standard_normal((30, 3)).astype(np.float32))
    return root


def voxel_atlas(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "voxel_atlas", *map(os.fspath, map(str, arguments))]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("name", ["study[1]", "s?", "a*b", "100% mine", "{x}", "study #2", "with space", "~odd"])
def test_a_folder_may_have_any_name(name: str, run, tmp_path: Path) -> None:
    study(tmp_path / "s1")  # what s? would stand for as a pattern
    root = study(tmp_path / name)
    status, _, said = run("check", "--dataset", "folder", "--root", root, *TOY)
    assert (status, said.splitlines()[-1]) == (0, "Ready to ingest.")


@pytest.mark.parametrize("option", [("--root=~/study",), ("--root", "~/study")])
def test_a_tilde_that_no_shell_has_seen_is_the_users_folder(option, run, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    study(tmp_path / "study")
    status, _, said = run("check", "--dataset", "folder", *option, *TOY)
    assert (status, said.splitlines()[-1]) == (0, "Ready to ingest.")
    status, _, said = run("predict", "~/gone.png")
    assert (status, f"{tmp_path}/gone.png" in said) == (2, True)


def test_a_folder_whose_name_is_no_utf_8_is_refused_in_a_sentence(tmp_path: Path) -> None:
    study(tmp_path / os.fsdecode(b"\xe9tude"))
    command = [sys.executable, "-m", "voxel_atlas", "check", "--dataset", "folder", "--subject", "d", "--root"]
    ended = subprocess.run([*command, b"\xe9tude"], capture_output=True, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"voxel-atlas: setting root: '\\udce9tude' has bytes that are no UTF-8; rename it")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_is_no_utf_8_gets_an_answer(encoding: str, tmp_path: Path) -> None:
    ended = voxel_atlas("settings", PYTHONIOENCODING=encoding, VOXEL_ATLAS_HOME=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"VOXEL_ATLAS_HOME" in ended.stdout


def test_ctrl_c_while_libraries_are_imported_is_a_sentence() -> None:
    interrupt = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "cyclopts":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from voxel_atlas.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", interrupt], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.strip() == "Stopped; nothing is lost, the same command goes on from here."


@pytest.mark.parametrize("name", ["100% mine", "a {x}"])
def test_a_home_of_any_name_can_draw(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "left.npy", np.zeros(3))
    home = tmp_path / name
    draw = (
        "from pathlib import Path; from voxel_atlas.viz.surfaces.surface import load_surface; import sys; "
        "print(load_surface('fsaverage5', None, Path(sys.argv[1]), None).pixel_map(64).inside.any())"
    )
    ended = subprocess.run([sys.executable, "-c", draw, str(home)], capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "True", ended.stderr
    assert (home / "pycortex" / "options.cfg").exists()
    shutil.rmtree(home)


def test_what_is_worked_out_of_surfaces_goes_elsewhere_where_the_home_is_read_only(monkeypatch, tmp_path: Path) -> None:
    from voxel_atlas.api.maps.subject_cortex import surfaces_cache

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert surfaces_cache(home) == home / "surfaces"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)  # root may write everywhere
    assert surfaces_cache(home) == tmp_path / "cache" / "voxel-atlas" / "surfaces"
    assert surfaces_cache(home / "new") == tmp_path / "cache" / "voxel-atlas" / "surfaces"
