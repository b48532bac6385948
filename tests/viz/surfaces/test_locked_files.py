from pathlib import Path

import numpy as np
import pytest

from voxel_atlas.viz.surfaces.locked_files import cached


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    built = []
    for _ in range(3):
        arrays = cached(tmp_path / "a.npz", lambda: built.append(1) or {"x": np.arange(3)})
        assert arrays["x"].tolist() == [0, 1, 2]
    assert len(built) == 1


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut short"])
def test_a_broken_file_is_built_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert cached(tmp_path / "a.npz", lambda: {"x": np.ones(2)})["x"].tolist() == [1, 1]
    assert cached(tmp_path / "a.npz", dict)["x"].tolist() == [1, 1]


def test_a_file_cut_short_is_built_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    cached(path, lambda: {"x": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:-200])
    assert cached(path, lambda: {"x": np.zeros(1)})["x"].tolist() == [0]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cached(tmp_path / "a.npz", lambda: {"x": np.ones(1 // 0)})
    assert [path.name for path in tmp_path.iterdir()] == [".a.npz.lock"]
