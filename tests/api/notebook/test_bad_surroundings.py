"""What a notebook may meet: an atlas that is being written, a screen that matplotlib has none of."""

import subprocess
import sys
from pathlib import Path

import pytest
from toy_server import Fill

import voxel_atlas as va
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import StoreLockedError

WRITER = """
import sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""
PLOTTER = """
import sys
import voxel_atlas as va
mapped = va.open(sys.argv[1]).model().map("cake")
print(mapped._repr_html_().count("<table"), mapped.frame.height)
"""


@pytest.fixture
def address(tmp_path: Path, fill_atlas: Fill) -> str:
    """An atlas of a subject without a surface."""
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli")
        store.change([("UPDATE subject SET surface = NULL, transform = NULL", None)])
    return str(tmp_path / "atlas.duckdb")


def test_an_atlas_that_is_being_written_is_said_to_be_and_opens_after_that(address: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(StoreLockedError, match=f"open in process {writer.pid}; stop it, or use its server's"):
            va.open(address)
        writer.communicate()
    with va.open(address) as atlas:
        assert len(atlas.models()) == 1


def test_answers_show_themselves_without_a_screen(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    monkeypatch.delenv("DISPLAY", raising=False)
    done = subprocess.run([sys.executable, "-c", PLOTTER, address], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 300\n"), done.stderr
