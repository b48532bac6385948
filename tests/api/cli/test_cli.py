"""The command line as a user meets it: what it prints, and how it says that something is wrong."""

import csv
import io
import json
import os
import socket

import pytest
from hostile import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from voxel_atlas.schemas.config import IngestConfig, Settings


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
    assert all(0 <= row["percentile"] <= 1 and 0 <= row["q"] <= 0.05 for row in rows)
    assert "simulated subject" in note


def test_query_as_csv_and_as_table_show_the_same_voxels(run):
    _, text, _ = run("query", "cake", "--first", "3", "--csv")
    voxels = [row["voxel"] for row in csv.DictReader(io.StringIO(text))]
    _, table, _ = run("query", "cake", "--first", "3")
    assert len(voxels) == 3
    assert [line.split()[0] for line in table.splitlines()[1:4]] == voxels


def test_query_keeps_to_the_roi(run):
    _, printed, _ = run("query", "cake", "--roi", "PPA", "--json")
    assert {tuple(row["rois"]) for row in json.loads(printed)} == {("PPA",)}


def test_contrast_tells_the_regions_and_voxels_that_python_tells(run, atlas):
    how = {"significant": False, "semantic": False}
    given = ("contrast", "cake", "face", "--no-significant", "--all-voxels", "--json")
    model = atlas.model()
    regions = json.loads(run(*given)[1])
    wanted = model.contrast_regions("cake", "face", **how).frame
    assert [(row["roi"], row["n_voxels"], row["share"]) for row in regions] == wanted.select(
        "roi", "n_voxels", "share"
    ).rows()
    voxels = json.loads(run(*given, "--voxels", "--first", 3, "--roi", "FFA")[1])
    best = model.contrast("cake", "face", rois=["FFA"], **how).frame.sort("similarity", descending=True)
    assert [row["voxel"] for row in voxels] == best["voxel"].head(3).to_list()
    status, table, said = run(*given[:-1])
    assert (status, "all voxels" in table, "a: cake, b: face" in said) == (0, True, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query", ""), "concept"),
        (("contrast", "cake", "cake"), "adds up to nothing"),
        (("contrast", "cake", "face", "--roi", "ffa"), 'Did you mean "FFA"?'),
        (("query", "a" * 10_000), "10000"),
        (("query", "cake", "--roi", "XYZ"), "FFA"),
        (("query", "cake", "--model", "nsd/subj99"), "nsd/subj99"),
        (("query", "cake", "--by", "smell"), "smell"),
        (("query", "cake", "--by", "labels", "--readout", "half"), "By labels no readout"),
        (("query", "cake", "--by", "labels", "--specific"), "no z by labels"),
        (("query", "cake - face", "--specific"), "nothing is specific to it"),
        (("query", "cake", "--max-q", "2"), "voxel-atlas: --max-q is a false discovery rate, from 0 to 1"),
        (("query", "cake", "--min-z", "nan"), "voxel-atlas: --min-z is a number"),
        (("flatmap", "cake", "--max-q", "-1", "-o", "cake.png"), "from 0 to 1"),
        (("flatmap", "--label", "cake", "--baseline", "none", "-o", "cake.png"), "are of a concept"),
        (("flatmap", "--label-colours", "--max-q", "0.05", "-o", "cake.png"), "leave out --significant"),
        (("flatmap", "--label-colours", "--thick", "3", "-o", "cake.png"), "leave out --thick"),
        (("flatmap", "cake", "--thick", "0", "-o", "cake.png"), "--thick"),
        (("flatmap", "--metric", "z", "-o", "z.png"), "map of z is of a concept"),
        (("export", "--fsaverage", "-o", "release"), "no surface named 'toy'"),
        (("export", "--fsaverage", "--tables-only", "-o", "release"), "give one of the two"),
        (("query", "cake", "--json", "--csv"), "--json"),
        (("flatmap", "cake", "-o", "cake.bmp"), ".png"),
        (("sql", "DELETE FROM voxel"), "read"),
        (("sql", "SELEC 1"), "SELEC"),
        (("query", "cake", "--atlas", "duckalake:x"), "is not the address of an atlas"),
        (("query", "cake", "--atlas", "quack:localhost:1"), "is not the address of an atlas"),
        (("query", "cake", "--atlas", "http://localhost:1"), "no server answers there"),
        (("--atlas-that-is-not",), "--atlas-that-is-not"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(run, arguments, said):
    status, printed, error = run(*arguments)
    assert status == 2
    assert not printed
    assert "Traceback" not in error
    assert said in error
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


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_port_in_use_is_named_before_any_work(run, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, error = run(command, "--port", str(port))
    assert status == 2
    assert one_sentence(error)
    assert f"Port {port}" in error
    assert "--port" in error


def test_demo_brings_in_as_many_subjects_as_were_asked_for_and_none_again(run, monkeypatch, tmp_path):
    brought = []

    def note(store, settings, progress, *, config):
        brought.append(config.subject)

    monkeypatch.setattr("voxel_atlas.api.cli.demo.run", note)
    monkeypatch.setattr("voxel_atlas.api.cli.demo.is_complete", lambda store, home, config: config.subject == "S2")
    status, _, said = run("demo", "--no-serve", "--subjects", "3", "--atlas", tmp_path / "atlas.duckdb")
    assert status == 0
    assert brought == ["S1", "S3"]
    assert "3 simulated subjects" in said


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
    monkeypatch.setenv("VOXEL_ATLAS_TOKEN", "very-secret-indeed")
    _, printed, _ = run("settings", "--json")
    assert "very-secret" not in printed


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "ninety", "setting port: "),
        ("MEMORY_LIMIT", "50%", "setting memory_limit cannot be '50%': Memory that DuckDB may use: 500MB"),
        ("MODEL_MEMORY", "lots", "setting model_memory cannot be 'lots': Memory that models may take"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_sentence(run, monkeypatch, name, value, said):
    monkeypatch.setenv(f"VOXEL_ATLAS_{name}", value)
    status, _, error = run("query", "cake")
    assert status == 2
    assert one_sentence(error)
    assert said in error


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("runs",), "state"),
        (("runs", "--digests"), "digest"),
        (("settings",), "meaning"),
        (("url",), "sql"),
        (("card", "simulated/T1", "5"), "labels"),
        (("token", "list"), "name"),
        (("sql", "SELECT 1 AS one"), "one"),
        (("flatmap", "cake", "--width", "64", "-o", "OUT.png"), "file"),
    ],
)
def test_json_and_csv_hold_the_same(run, monkeypatch, tmp_path, surfaces, arguments, key):
    monkeypatch.setattr("voxel_atlas.api.maps.subject_cortex.load_surface", surfaces)
    monkeypatch.setattr("voxel_atlas.api.maps.subject_cortex.CortexCache.__init__.__defaults__", (surfaces,))
    given = [str(tmp_path / "cake.png") if part == "OUT.png" else part for part in arguments]
    status, text, _ = run(*given, "--json")
    assert status == 0
    rows = json.loads(text)
    status, text, _ = run(*given, "--csv")
    assert status == 0
    table = list(csv.DictReader(io.StringIO(text)))
    assert len(table) == len(rows)
    if rows:
        assert key in rows[0]
        assert list(table[0]) == list(rows[0])


def test_json_has_null_for_what_is_not_finite_and_numbers_for_sums(run):
    statement = "SELECT 'nan'::FLOAT AS x, [1, 'inf'::DOUBLE] AS many, {'a': '-inf'::FLOAT} AS row, sum(voxel) AS total"
    status, text, _ = run("sql", f"{statement}, 0.5::DECIMAL(3, 2) AS half FROM voxel WHERE voxel < 3", "--json")
    expected = {"x": None, "many": [1.0, None], "row": {"a": None}, "total": 3, "half": 0.5}
    assert (status, json.loads(text, parse_constant=pytest.fail)) == (0, [expected])


def test_an_unexpected_failure_has_status_1_and_a_traceback(run, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr("voxel_atlas.atlas.store.serving.attach_statement", fail)
    with pytest.raises(RuntimeError, match="foresaw"):
        run("url")


def test_ctrl_c_has_status_130(run, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voxel_atlas.atlas.store.serving.attach_statement", stop)
    assert run("url")[0] == 130


WITH_TEXT = (
    ("query", "--json", "--", "TEXT"),
    ("query", "cake", "--json", "--roi=TEXT"),
    ("query", "cake", "--json", "--model=TEXT"),
    ("card", "--json", "--", "TEXT", "5"),
    ("rm", "--yes", "--", "TEXT"),
    ("token", "revoke", "--", "TEXT"),
)


@settings(max_examples=40)
@given(command=st.sampled_from(WITH_TEXT), text=texts.filter(lambda text: "\0" not in text and text[:2] != "--"))
def test_no_argument_is_ever_more_than_text(run, atlas, command, text):
    status, printed, error = run(*(word.replace("TEXT", text) for word in command))
    assert "Traceback" not in error
    if status:
        assert status in {1, 2}
        assert not printed
        assert "voxel-atlas: " in error
    else:
        json.loads(printed)
    assert atlas.sql("SELECT count(*) AS n FROM voxel")["n"].to_list() == [300]
