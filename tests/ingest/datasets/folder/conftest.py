"""A study in a folder of the user's, still without responses."""

from pathlib import Path

import pytest
from folder_study import N_IMAGES, write_table
from PIL import Image


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images and the table that joins them; the table's rows are not in the responses' order."""
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    for number in range(N_IMAGES):
        Image.new("RGB", (5, 4), (number * 40, 0, 0)).save(root / "images" / f"{number}.png")
    write_table(root)
    return root
