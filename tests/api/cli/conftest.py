"""A study, and its ingest."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from study_files import write_data, write_study
from toy_network import Toy
from toy_server import Run


@pytest.fixture(scope="session")
def study_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_data(folder)
    return folder


@pytest.fixture
def study(study_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a study.yaml. Its toy has a file of weights, so that a finished model is known before it is loaded."""
    monkeypatch.setattr(Toy, "weights_file", Path(__file__), raising=False)
    return partial(write_study, tmp_path / "study.yaml", study_data)


@pytest.fixture
def ingest_study(run: Run, tmp_path: Path) -> Run:
    def command(file: Path, *options: object) -> tuple[int, str, str]:
        return run("ingest", "--config", file, "--atlas", tmp_path / "a.duckdb", *options)

    return command
