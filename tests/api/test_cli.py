"""The command line as a user meets it: what it prints, and how it says that something is wrong."""

import csv
import io
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from schemas.config import IngestConfig, Settings


def one_sentence(text: str) -> bool:
    """One line of the form «voxel-atlas: sentence», and no traceback."""
    return text.startswith("voxel-atlas: ") and text.count("\n") == 1


def test_query_prints_the_most_similar_voxels_with_their_labels(run):
    status, printed, note = run("query", "cake", "--first", "5", "--json")
    rows = json.loads(printed)
    assert status == 0
    assert len(rows) == 5
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert rows[0]["rois"] == ["FOOD"]
    assert rows[0]["labels"]
    assert "simulated subject" in note


def test_query_as_csv_and_as_table_show_the_same_voxels(run):
    _, text, _ = run("query", "cake", "--first", "3", "--csv")
    voxels = [row["voxel"] for row in csv.DictReader(io.StringIO(text))]
    _, table, _ = run("query", "cake", "--first", "3")
    assert len(voxels) == 3
    assert [line.split()[1] for line in table.splitlines()[1:4]] == voxels


def test_query_keeps_to_the_roi(run):
    _, printed, _ = run("query", "cake", "--roi", "PPA", "--json")
    assert {tuple(row["rois"]) for row in json.loads(printed)} == {("PPA",)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query", ""), "concept"),
        (("query", "a" * 10_000), "10000"),
        (("query", "cake", "--roi", "XYZ"), "FFA"),
        (("query", "cake", "--model", "nsd/subj99"), "nsd/subj99"),
        (("query", "cake", "--by", "smell"), "smell"),
        (("query", "cake", "--json", "--csv"), "--json"),
        (("flatmap", "cake", "-o", "cake.bmp"), ".png"),
        (("sql", "DELETE FROM voxel"), "read"),
        (("sql", "SELEC 1"), "SELEC"),
        (("--atlas-that-is-not",), ""),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(run, arguments, said):
    status, printed, error = run(*arguments)
    assert status == 2
    assert not printed
    assert "Traceback" not in error
    assert said in error
    if said:
        assert one_sentence(error), error


def test_an_atlas_that_is_not_there_is_said_with_what_makes_one(run, tmp_path):
    status, _, error = run("query", "cake", "--atlas", str(tmp_path / "none.duckdb"))
    assert status == 2
    assert "voxel-atlas demo" in error


def test_a_corrupt_atlas_is_said(run, tmp_path):
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(os.urandom(100_000))
    status, _, error = run("query", "cake", "--atlas", str(broken))
    assert status == 2
    assert one_sentence(error)
    assert "not an atlas" in error


def test_demo_on_a_port_in_use_names_it_before_any_work(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, error = run("demo", "--port", str(port))
    assert status == 2
    assert str(port) in error
    assert "--port" in error


def test_demo_in_a_folder_that_cannot_be_made_says_so(run, monkeypatch, tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    monkeypatch.setenv("TEST_HOME", str(occupied / "home"))
    status, _, error = run("demo", "--no-serve")
    assert status == 2
    assert "VOXEL_ATLAS_HOME" in error


def test_sql_runs_the_documented_macro(run):
    status, printed, _ = run("sql", "FROM roi_labels('FOOD')", "--json")
    assert status == 0
    assert {"cake", "pizza", "banana"} & {row["label"] for row in json.loads(printed)}


def test_a_label_with_markup_is_printed_as_it_is(run):
    _, printed, _ = run("sql", "SELECT '[red]x[/red]' AS label")
    assert "[red]x[/red]" in printed


def test_settings_lists_every_setting_with_its_meaning(run):
    _, printed, _ = run("settings", "--json")
    rows = json.loads(printed)
    assert {row["setting"] for row in rows} == {f"VOXEL_ATLAS_{name.upper()}" for name in Settings.model_fields} | {
        f"ingest: {name}" for name in IngestConfig.model_fields
    }
    assert all(row["meaning"] for row in rows)


def test_settings_never_prints_the_token(run, monkeypatch):
    monkeypatch.setenv("VOXEL_ATLAS_TOKEN", "very-secret")
    _, printed, _ = run("settings", "--json")
    assert "very-secret" not in printed


def test_a_setting_that_makes_no_sense_is_one_sentence(run, monkeypatch):
    monkeypatch.setenv("VOXEL_ATLAS_PORT", "ninety")
    status, _, error = run("query", "cake")
    assert status == 2
    assert one_sentence(error)
    assert "port" in error


def test_help_names_every_command(run):
    _, printed, _ = run("--help")
    for command in ("demo", "serve", "query", "flatmap", "sql", "settings"):
        assert command in printed
    assert Path(sys.argv[0]).name == "voxel-atlas"
