"""A disk that is full at any moment: one sentence, nothing lost, and on it goes when there is room."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from disks import disk_of

from voxel_atlas.ingest.stages import encode
from voxel_atlas.schemas.errors import StoreError


def tried(folder: Path, n_sizes: int, *own: str) -> dict[str, list[str]]:
    script = Path(__file__).with_name("tiny_full_disk.py")
    command = [sys.executable, str(script), str(folder), str(n_sizes), *own]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def require_sentences(found: dict[str, list[str]], at_least: int) -> None:
    assert (found["unequal"], found["left_over"]) == (0, [])
    assert len(found["failures"]) >= at_least
    for sentence in found["failures"]:
        assert "\n" not in sentence
        assert any(words in sentence for words in ("is full; make room", "make room", "choose another folder")), (
            sentence
        )


def test_a_full_disk_costs_a_sentence_and_no_row(tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk") as disk:
        require_sentences(tried(disk, 1, "own"), 1)


@pytest.mark.slow
def test_a_disk_that_is_full_anywhere_costs_a_sentence_and_no_row(tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk") as disk:
        found = tried(disk, 24, "own")
    require_sentences(found, 12)
    # Features and pictures of the tiny subject are a few KB: a full disk for them has its own tests.
    assert {word for word in ("is full", "release") for s in found["failures"] if word in s} == {"is full", "release"}


@pytest.mark.slow
def test_files_that_may_not_grow_cost_a_sentence_and_no_row(tmp_path: Path) -> None:
    require_sentences(tried(tmp_path, 12), 4)


def test_features_that_memory_does_not_hold_have_their_room_on_the_disk_before_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_IN_MEMORY", 0)
    with disk_of(tmp_path / "disk", "size=8m") as disk:
        context: Any = SimpleNamespace(home=disk)
        free = shutil.disk_usage(disk).free
        features = encode._array(context, 4_000, 256)
        assert shutil.disk_usage(disk).free <= free - features.nbytes
        with pytest.raises(StoreError, match=r"^Features of 8,000 images, 0.01 GiB, cannot be held in .*; make room, "):
            encode._array(context, 8_000, 256)
        features[:] = 1
