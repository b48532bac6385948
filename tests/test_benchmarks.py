"""The program that runs all benchmarks: what it finds, and what it writes."""

import json

import pytest
import run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "RESULTS.md")
    (tmp_path / "kept").mkdir()
    return tmp_path


def measured(value: float) -> dict[str, dict]:
    return {"ridge": {"figures": {"ratio_himalaya": value, "seconds": 2.0}, "machine": {"processor": "abacus"}}}


def test_every_benchmark_that_reports_figures_is_found_with_what_it_says_of_itself():
    found = run.benchmarks()
    assert {"ridge", "bootstrap", "report", "recovery", "sizing"} <= set(found)
    assert not {"figures", "run", "doc_blocks"} & set(found)
    assert all(line.endswith((".", ":", ",")) or len(line) > 20 for line in found.values())


def test_results_name_the_machine_and_what_is_a_ratio(folder):
    run.write(measured(118.04), {"ridge": "Ridge regression."})
    text = (folder / "RESULTS.md").read_text()
    assert "| ratio_himalaya | 118 | times a peer |" in text
    assert "Measured on: processor abacus." in text


def test_what_people_wrote_around_the_results_stays(folder):
    results = folder / "RESULTS.md"
    results.write_text("# By hand\n\nSeen by eye.\n")
    run.write(measured(1.0), {})
    run.write(measured(7.0), {})
    text = results.read_text()
    assert text.startswith("# By hand\n\nSeen by eye.\n")
    assert text.count(run.BEGIN) == text.count("## ridge") == 1
    assert "| 7 |" in text
    assert "| 1 |" not in text


def test_without_running_the_results_are_written_from_what_was_measured(folder, monkeypatch, capsys):
    (folder / "kept" / "ridge.json").write_text(json.dumps(measured(3.0)["ridge"]))
    monkeypatch.setattr("sys.argv", ["run.py", "--no-run"])
    run.main()
    assert "ratio_himalaya" in capsys.readouterr().out
    assert "| ratio_himalaya | 3 |" in (folder / "RESULTS.md").read_text()


def test_an_unknown_benchmark_is_said(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "smell"])
    with pytest.raises(SystemExit):
        run.main()
    assert "there is no benchmark smell" in capsys.readouterr().err


def test_a_benchmark_that_fails_is_named(folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["run.py", "ridge"])
    monkeypatch.setattr(run, "run", lambda name: False)
    with pytest.raises(SystemExit, match="failed: ridge"):
        run.main()
