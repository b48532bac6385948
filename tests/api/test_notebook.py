"""The manual's notebook runs as it is, in a kernel of its own."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from toy_server import Server

NOTEBOOK = Path(__file__).parents[2] / "docs" / "atlas.ipynb"


@pytest.mark.filterwarnings("default")  # those of the kernel's messaging are not ours
def test_the_notebook_runs_on_a_served_atlas(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_ATLAS", server.url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    executed = NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    shown = ["".join(str(output.get("data", output.get("text", ""))) for output in cell.outputs) for cell in code]
    assert all(shown[:-1])
    assert "simulated/T1/toy" in shown[0]
    assert "FOOD" in shown[1]
    assert "it has" in shown[-2]


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
