"""No command line and no surroundings end in a traceback; benchmarks/hands.py runs more of both."""

import shutil
from pathlib import Path

import pytest
from hostile_lines import SURROUNDINGS, ended, is_traceback, lines, surrounded
from hypothesis import HealthCheck, example, given, settings


@pytest.fixture(scope="module")
def own(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small atlas that commands may change."""
    folder = tmp_path_factory.mktemp("hostile") / "home"
    shutil.copytree(home, folder)
    return folder


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(line=["rm", "simulated"])
@given(line=lines())
def test_no_command_line_ends_in_a_traceback(own: Path, tmp_path: Path, line: list[str]) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXEL_ATLAS_HOME", str(own))
        status, said = ended(line, inside)
    assert not is_traceback(status, said), (line, status, said)


@pytest.mark.parametrize("asked", [("rm", "simulated"), pytest.param(None, marks=pytest.mark.slow)])
def test_no_surroundings_make_a_command_end_in_a_traceback(home: Path, asked: tuple[str, ...] | None) -> None:
    ends = list(surrounded(home, [asked]) if asked else surrounded(home))
    assert len(ends) >= len(SURROUNDINGS)
    assert [end for end in ends if is_traceback(*end[2:])] == []
