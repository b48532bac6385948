"""The program that runs all benchmarks: what it finds, what it keeps, and what it writes."""

import json
import tomllib
from pathlib import Path

import kinds
import pytest
import results
import run
import scale
from wordnet import WordNet

MACHINE = {"processor": "abacus", "cores": 2, "memory_gib": 1, "python": "3", "date": "2026-01-01"}
GOALS = """
[ridge]
compared = [{ job = "a fit", peer = "a loop", ours = "fit_s", theirs = "loop_s", floor = "floor_s" }]
remark = "Seen by eye."
[ridge.figures]
ratio = { goal = ">= 100", note = "beside a peer" }
peak_gib = { goal = "<= 4" }
equal = { goal = "== 1" }
[bootstrap.figures]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "KEPT", tmp_path / "results.json")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "RESULTS.md")
    return tmp_path


@pytest.fixture
def few_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "goals", lambda: tomllib.loads(GOALS))


def result(load: float = 0.5, **figures: float) -> dict:
    machine = {**MACHINE, "load_before": load, "load_after": load}
    return {"benchmark": "ridge", "figures": figures, "machine": machine}


def add(folder, monkeypatch, *found: dict) -> str:
    files = []
    for number, one in enumerate(found):
        files.append(folder / f"{number}.json")
        files[-1].write_text(json.dumps(one))
    monkeypatch.setattr("sys.argv", ["run.py", "--add", *map(str, files)])
    run.main()
    return (folder / "RESULTS.md").read_text()


def test_every_benchmark_that_reports_figures_has_its_goals_and_says_what_it_measures():
    scripts = {path.stem for path in results.HERE.glob("*.py") if "figures.arguments(" in path.read_text("utf-8")}
    assert scripts - {"figures"} == set(results.goals())
    assert all(len(results.described(name)) > 40 for name in results.goals())


def test_results_are_what_was_kept_and_not_written_by_hand():
    kept = results.read(results.HERE / "results.json")
    assert (results.HERE / "RESULTS.md").read_text(encoding="utf-8") == results.written(kept)


def test_figures_stand_beside_their_goals(folder, monkeypatch, few_goals):
    text = add(folder, monkeypatch, result(ratio=118.04, peak_gib=4.5, seconds=2.0))
    assert "| ratio | ≥ 100 | 118 | met; beside a peer |" in text
    assert "| peak_gib | ≤ 4 | 4.5 | missed |" in text
    assert "| equal | 1 | not measured |  |" in text
    assert "| seconds |  | 2 |  |" in text
    assert "abacus, 2 cores, 1 GiB of memory, python 3" in text
    assert "Measured: 2026-01-01, load 0.5 before, 0.5 after." in text
    assert results.described("bootstrap") in text
    assert "Seen by eye." in text


def test_ours_stands_beside_a_peer_and_the_floor(folder, monkeypatch, few_goals, capsys):
    text = add(folder, monkeypatch, result(fit_s=2.0, loop_s=300.0, floor_s=1.0))
    assert "| a fit | 2 s | 300 s (a loop) | 150 × | 0.5 |" in text
    assert "150 ×" in capsys.readouterr().out


def test_a_job_without_its_peer_is_not_compared(folder, monkeypatch, few_goals):
    assert "| a fit |" not in add(folder, monkeypatch, result(fit_s=2.0))


def test_a_later_run_replaces_its_own_figures_only(folder, monkeypatch, few_goals):
    text = add(folder, monkeypatch, result(ratio=1.0, peak_gib=3.0), result(load=7.0, ratio=200.0))
    assert "| ratio | ≥ 100 | 200 | met; beside a peer; run 2 |" in text
    assert "| peak_gib | ≤ 4 | 3 | met; run 1 |" in text
    assert "Run 2: 2026-01-01, load 7.0 before" in text
    text = add(folder, monkeypatch, result(load=9.0, ratio=300.0, peak_gib=2.0))
    assert "Measured: 2026-01-01, load 9.0 before" in text
    assert "run 1" not in text


def test_without_running_the_results_are_written_from_what_was_kept(folder, monkeypatch, few_goals):
    before = add(folder, monkeypatch, result(ratio=3.0))
    (folder / "RESULTS.md").unlink()
    monkeypatch.setattr("sys.argv", ["run.py", "--no-run"])
    run.main()
    assert (folder / "RESULTS.md").read_text() == before


def test_benchmarks_run_one_after_the_other_and_one_that_fails_is_named(folder, monkeypatch, few_goals):
    here = folder / "scripts"
    here.mkdir()
    import_path = f"import sys; sys.path.insert(0, {str(results.HERE)!r})"
    (here / "ridge.py").write_text(
        f'"""A ridge."""\n{import_path}\nimport figures\narguments = figures.arguments(__doc__)\n'
        'figures.emit("ridge", {"ratio": 7.0}, json_path=arguments.json)\n'
    )
    (here / "bootstrap.py").write_text('"""A strap."""\nraise SystemExit(1)  # figures.arguments(__doc__)\n')
    monkeypatch.setattr(run, "HERE", here)
    monkeypatch.setattr(results, "HERE", here)
    monkeypatch.setattr("sys.argv", ["run.py"])
    with pytest.raises(SystemExit, match="failed: bootstrap"):
        run.main()
    assert "| ratio | ≥ 100 | 7 | missed; beside a peer |" in (folder / "RESULTS.md").read_text()


def test_an_unknown_benchmark_is_said(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "smell"])
    with pytest.raises(SystemExit):
        run.main()
    assert "there is no benchmark smell" in capsys.readouterr().err


def test_the_judge_of_labels_is_frozen():
    assert kinds.fingerprint() == "cd467cb28ecd096dccf3c2cb60d010834fc7185473914434383a9a284e411cd9"


def test_a_word_has_senses_and_a_sense_what_it_is_a_kind_of(tmp_path):
    data = ["  1 A licence.", "00000001 03 n 01 entity 0 000 | what is"]
    data += ["00000002 05 n 02 dog 0 hound 0 001 @ 00000001 n 0000 | a pet"]
    data += ["00000003 15 n 01 London 0 001 @i 00000001 n 0000 | a city"]
    (tmp_path / "data.noun").write_text("\n".join(data), encoding="utf-8")
    (tmp_path / "index.noun").write_text("  1 A licence.\nhound n 1 1 @ 1 0 00000002", encoding="utf-8")
    wordnet = WordNet(tmp_path)
    assert wordnet.senses_of == {"hound": ("00000002",)}
    assert wordnet.ancestors("00000002") == {"00000001", "00000002"}
    assert wordnet.senses["00000003"].is_name


@pytest.mark.slow
def test_scale_measures_what_it_has_goals_for(folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scale.py", "--models", "2", "--voxels", "2000", "--json", str(folder / "scale")])
    scale.main()
    measured = json.loads((folder / "scale").read_text())["figures"]
    assert set(measured) == set(results.goals()["scale"]["figures"])
    assert measured["recall_at_100"] == 1
