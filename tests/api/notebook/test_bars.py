"""How far a long step is: lines below a notebook's cell, which need no widgets; the shell's bars elsewhere."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from voxel_atlas.api.cli.console import Bars
from voxel_atlas.api.notebook.bars import NotebookBars, bars, in_notebook


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook's front end was given to show, each time that it was drawn anew."""
    drawn: list[str] = []
    display = pytest.importorskip("IPython.display")

    def show(html: Any, **_: object) -> SimpleNamespace:
        drawn.append(html.data)
        return SimpleNamespace(update=lambda again: drawn.append(again.data))

    monkeypatch.setattr(display, "display", show)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    return drawn


def test_a_stage_is_a_line_that_grows_and_ends_full(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxel_atlas.api.notebook.bars._EVERY_S", -1.0)
    with NotebookBars() as progress:
        with progress.stage("fit voxels", 1_200) as advance:
            advance(500)
            assert "500 of 1,200" in shown[-1]
            assert 'value="500" max="1200"' in shown[-1]
        progress.note("7 voxels are <left> out.")
        with progress.stage("empty", 0):
            pass
    assert 'value="1200" max="1200"' in shown[-1]
    assert "7 voxels are &lt;left&gt; out." in shown[-1]
    assert shown[-1].index("fit voxels") < shown[-1].index("7 voxels") < shown[-1].index("empty")


def test_a_line_is_not_drawn_for_every_unit(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxel_atlas.api.notebook.bars._EVERY_S", float("inf"))
    with NotebookBars() as progress, progress.stage("score", 10_000) as advance:
        for _ in range(10_000):
            advance(1)
    assert len(shown) == 3  # begun, ended, and left


def test_bars_are_those_of_where_this_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    assert isinstance(bars(), Bars)
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert in_notebook()
    assert isinstance(bars(), NotebookBars)
    # IPython in a terminal has no kernel.
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace())
    assert isinstance(bars(), Bars)
