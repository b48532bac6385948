"""The manual's notebooks run as they are, in a kernel of their own, and are kept with their pictures."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[3] / "docs"
NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}
LARGEST = 1_000_000
"""Bytes of a notebook with its pictures."""


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: nbformat.NotebookNode) -> int:
    """Pictures that a cell shows."""
    shown = [output.get("data", {}) for output in cell.outputs]
    return sum("image/png" in data or "data:image/" in data.get("text/html", "") for data in shown)


def test_there_are_three_and_they_show_pictures() -> None:
    assert set(NOTEBOOKS) == {"atlas", "paper-figure", "your-study"}
    assert sum(pictures(cell) for notebook in NOTEBOOKS.values() for cell in code_cells(notebook)) >= 8
    assert len(code_cells(NOTEBOOKS["your-study"])) == 10


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small_ran_well_and_is_called_simulated(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    outputs = [output for cell in code_cells(NOTEBOOKS[name]) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    assert "simulated" in NOTEBOOKS[name].cells[0].source


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder, where the first notebook makes the demo and cuts the flat map."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the kernel's messaging are not ours
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(
    name: str, demo_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(demo_home))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    executed = NotebookClient(nbformat.from_dict(NOTEBOOKS[name]), timeout=600, kernel_name="python3").execute()
    kept = code_cells(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
    for ran, cell in zip(code_cells(executed), kept, strict=True):
        assert pictures(ran) == pictures(cell), cell.source
        assert bool(ran.outputs) == bool(cell.outputs) or "va.demo()" in cell.source, cell.source
        assert "ipywidgets" not in str(ran.outputs)
