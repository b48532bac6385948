"""What a person at a terminal sees: tables that fit, what there is, what is served, and what became of an ingest."""

import json
import os
import re
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from test_surroundings import TOY, study
from toy_server import Run

from voxel_atlas.api.cli.console import table_lines

cells = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]), max_size=12)
tables = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=4))


@given(rows=tables, width=st.integers(20, 60))
def test_a_table_fits_its_terminal_and_cuts_no_value(rows: list[list[str]], width: int) -> None:
    names = [f"c{number}" for number in range(len(rows[0]))]
    lines = [line.plain for line in table_lines(names, rows, width)]
    longest = max(cell_len(cell) for row in rows for cell in row)
    assert max(map(cell_len, lines)) <= max(width, longest + len("c0  "))
    shown = "\n".join(lines)
    assert all(cell in shown for row in rows for cell in row)


def test_what_goes_to_a_program_is_a_line_a_row_however_long() -> None:
    lines = [line.plain for line in table_lines(["voxel", "labels"], [["1", "word " * 100], ["2", "b"]], None)]
    assert [len(lines), lines[0]] == [3, "voxel  labels"]


def test_in_forty_columns_each_row_becomes_lines(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    ended = subprocess.run(
        [sys.executable, "-m", "voxel_atlas", "rois"],
        env={**os.environ, "VOXEL_ATLAS_HOME": str(home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert max(map(len, ended.stdout.splitlines())) <= 40


def test_models_subjects_and_regions_are_listed(run: Run) -> None:
    (model, *_), (subject, *_) = (json.loads(run(what, "--json")[1]) for what in ("models", "subjects"))
    assert model["model_id"].startswith("simulated/T1/toy/")
    assert (subject["subject_id"], subject["simulated"]) == ("simulated/T1", True)
    regions = json.loads(run("rois", "simulated/T1", "--json")[1])
    assert {"FFA", "PPA"} <= {region["roi"] for region in regions}
    assert all(region["n_voxels"] > 0 for region in regions)


def test_doctor_tells_what_is_there_and_ends_with_2_where_something_is_wrong(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, printed, _ = run("doctor", "--json")
    found = {row["what"]: row for row in json.loads(printed)}
    assert status == 0
    assert "1 finished model," in found["atlas"]["found"]
    assert {"libraries", "home folder", "disk", "memory", "processor", "terminal"} <= found.keys()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TEST_HOME", str(tmp_path / "file" / "home"))
    status, printed, said = run("doctor")
    assert (status, "set VOXEL_ATLAS_HOME to another folder" in printed) == (2, True)
    assert re.search(r"^\d+ of \d+ (is|are) wrong\.\n$", said)


def test_tables_show_times_to_the_second_and_nothing_where_a_setting_has_no_value(run: Run) -> None:
    assert re.search(r" \d\d:\d\d:\d\d\+00:00 ", run("runs")[1])
    assert not re.findall(r"\(\)|None|\('", run("settings")[1])


def test_an_ingest_ends_with_what_became_of_its_voxels_and_with_what_to_do_next(
    run: Run, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_HOME", str(tmp_path / "home"))
    root = study(tmp_path / "study")
    given = ("ingest", "--dataset", "folder", "--root", root, *TOY)
    status, _, said = run(*given)
    assert status == 0, said
    assert "voxels: 3 fitted, 0 significant, " in said
    commands = [line.split()[1] for line in said.splitlines() if line.startswith("  voxel-atlas ")]
    assert commands == ["dissect", "flatmap", "report"]
    row = json.loads(run(*given, "--json")[1])[0]
    assert (row["n_fitted"], row["n_dropped"]) == (3, 0)


def test_a_server_names_where_it_is_its_models_and_how_it_is_stopped(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voxel_atlas", "serve", "--port", str(port)]
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        told = [next(server.stdout) for _ in range(3)]
        server.terminate()
    assert told[0] == f"{home / 'atlas.duckdb'} is served at http://127.0.0.1:{port}\n"
    assert re.fullmatch(r"  simulated/T1/toy/\w+ · \d+ voxels · \w+ · simulated subject\n", told[1])
    assert "Ctrl-C stops it" in told[2]


@pytest.mark.parametrize(
    ("line", "told"),
    [("vacuum", "Writing the atlas anew"), ("upgrade", "Bringing the atlas"), ("upgrade", "Working out"),
     ("rm MODEL --yes", "Removing"), ("card MODEL 3", "Reading the voxel"), ("runs", "Reading the atlas")],
)  # fmt: skip
def test_at_a_terminal_a_command_that_may_take_long_says_what_it_does(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    own, screen = tmp_path / "own.duckdb", StringIO()
    own.write_bytes((home / "atlas.duckdb").read_bytes())
    model = json.loads(run("models", "--json")[1])[0]["model_id"]
    monkeypatch.setattr("voxel_atlas.api.cli.console.screen", Console(file=screen, force_terminal=True))
    assert run(*line.replace("MODEL", model).split(), "--atlas", own)[0] == 0
    assert told in screen.getvalue()


def test_a_model_that_is_not_there_is_not_asked_about(run: Run) -> None:
    status, _, said = run("rm", "simulated/T7")
    assert (status, said.startswith("voxel-atlas: There is no model")) == (2, True)
