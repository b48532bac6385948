"""The program that runs all benchmarks: what it finds, what it keeps, and what it writes."""

import importlib
import json
import tomllib
from pathlib import Path

import kinds
import numpy as np
import pytest
import results
import run
import scale
from first_contact_cases import CASES, CHECK, ORACLES
from wordnet import WordNet

from voxel_atlas.ingest.encoding.metrics import r2
from voxel_atlas.ingest.encoding.ridge import Ridge

ROOT = Path(__file__).parents[1]
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


def test_every_test_that_holds_a_case_exists() -> None:
    named = {*CHECK, *ORACLES.values(), *(test for tests in CASES.values() for test in tests)}
    for path, name in (test.split("::") for test in named):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


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


SCRIPT = """'A benchmark.'
import sys; sys.path.insert(0, {here!r})
import figures
arguments = figures.arguments(__doc__, lambda parser: parser.add_argument("--ratio", type=float, default=7.0))
figures.emit("ridge", {{"ratio": arguments.ratio, "cpu": arguments.cpu_time}}, json_path=arguments.json)
"""


@pytest.fixture
def scripts(folder, monkeypatch) -> Path:
    """Where benchmarks are: a ridge that reports a ratio."""
    here = folder / "scripts"
    here.mkdir()
    (here / "ridge.py").write_text(SCRIPT.format(here=str(results.HERE)))
    monkeypatch.setattr(run, "HERE", here)
    monkeypatch.setattr(results, "HERE", here)
    return here


def test_benchmarks_run_one_after_the_other_and_one_that_fails_is_named(folder, scripts, monkeypatch, few_goals):
    (scripts / "bootstrap.py").write_text('"""A strap."""\nraise SystemExit(1)  # figures.arguments(__doc__)\n')
    monkeypatch.setattr("sys.argv", ["run.py"])
    with pytest.raises(SystemExit, match="failed: bootstrap"):
        run.main()
    assert "| ratio | ≥ 100 | 7 | missed; beside a peer |" in (folder / "RESULTS.md").read_text()


def test_a_benchmark_that_takes_too_long_is_stopped_and_the_next_one_runs(folder, scripts, monkeypatch, capsys):
    goals = "[bootstrap]\nminutes = 0.01\n[bootstrap.figures]\n[ridge]\nminutes = 9\n[ridge.figures]\nratio = {}"
    monkeypatch.setattr(results, "goals", lambda: tomllib.loads(goals))
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(900)'])"
    (scripts / "bootstrap.py").write_text(f'"""It never ends."""\n{child}\n')
    monkeypatch.setattr("sys.argv", ["run.py"])
    with pytest.raises(SystemExit, match="failed: bootstrap"):
        run.main()
    assert "stopped after 1 s" in capsys.readouterr().out
    assert json.loads((folder / "results.json").read_text()).keys() == {"ridge"}


@pytest.mark.parametrize(("bound", "status"), [(">= 6", 0), (">= 8", 1)])
def test_quick_holds_ratios_to_their_bounds_and_keeps_none(folder, scripts, monkeypatch, capfd, bound, status):
    goals = f'[ridge.quick]\narguments = ["--ratio", "7.5"]\nratios = {{ ratio = "{bound}", cpu = "== 1" }}'
    monkeypatch.setattr(results, "goals", lambda: tomllib.loads(goals))
    monkeypatch.setattr("sys.argv", ["run.py", "--quick"])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == status
    told = capfd.readouterr()
    assert "7.5" in told.out
    assert ("ridge.ratio" in told.err) == bool(status)
    assert not list(folder.glob("results*"))


def test_quick_does_not_pass_where_a_ratio_could_not_be_measured(scripts, monkeypatch, capfd):
    goals = '[ridge.quick]\narguments = ["--unknown"]\nratios = { ratio = ">= 1" }'
    monkeypatch.setattr(results, "goals", lambda: tomllib.loads(goals))
    assert run.quick(["ridge"]) == 1
    assert "fell, or could not be measured: ridge.ratio" in capfd.readouterr().err


def test_all_benchmarks_together_fit_into_ninety_minutes():
    assert sum(said["minutes"] for said in results.goals().values()) <= 90


def test_ratios_that_are_held_quickly_are_figures_that_have_goals():
    quick = {name: said for name, said in results.goals().items() if "quick" in said}
    assert len(quick) >= 3
    assert all(set(said["quick"]["ratios"]) <= set(said["figures"]) for said in quick.values())


@pytest.mark.parametrize(("name", "gap"), [("himalaya", 1e-6), ("sklearn", 0.02), ("fracridge", 0.02)])
def test_peers_of_ridge_predict_as_well_as_it_does(name: str, gap: float):
    pytest.importorskip("fracridge", reason="of the extra `bench`")
    peers = importlib.import_module("ridge_peers")
    random = np.random.default_rng(0)
    features = random.standard_normal((700, 20)) + 3
    responses = features @ random.standard_normal((20, 8)) / 4 + random.standard_normal((700, 8)) + 5
    holdout = np.arange(100)
    found = getattr(peers, name)(features[:500], responses[:500], holdout)
    guessed = features[500:] @ found.weights + found.constant
    own = Ridge(features[:500], peers.ALPHAS, [holdout]).fit(responses[:500]).predict(features[500:])
    assert found.alpha.shape == (8,)
    assert r2(responses[500:], guessed).mean() == pytest.approx(r2(responses[500:], own).mean(), abs=gap)


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


def test_growth_is_measured_and_drawn(folder, monkeypatch):
    growth = importlib.import_module("growth")
    picture, found = folder / "growth.svg", folder / "growth.json"
    monkeypatch.setattr(growth, "N_IMAGES", 500)
    monkeypatch.setattr("sys.argv", ["growth.py", "--share", "0.03", "--picture", str(picture), "--json", str(found)])
    growth.main()
    assert set(json.loads(found.read_text())["figures"]) == set(results.goals()["growth"]["figures"])
    assert all(f">{of}</text>" in picture.read_text("utf-8") for of in ("voxels", "models", "images", "ranking"))


def test_a_power_is_that_of_the_two_largest_sizes():
    growth = importlib.import_module("growth")
    assert growth.powers([1, 2, 8], {"a": [9.0, 1.0, 16.0]}, "models") == {"a_models_power": pytest.approx(2)}


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
def test_the_checks_of_a_gpu_run_small_on_the_cpu_and_equal_it(folder, monkeypatch):
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr("sys.argv", ["gpu.py", "--small", "--device", "cpu", "--json", str(folder / "gpu.json")])
    gpu.main()
    measured = json.loads((folder / "gpu.json").read_text())["figures"]
    assert set(measured) == set(results.goals()["gpu"]["figures"])
    assert [name for name, value in measured.items() if not value >= 0] == []
    equal = {"encode_cpu_error": 0, "maps_cpu_error": 0, "ridge_weights_error": 0, "picture_cpu_difference": 0}
    assert measured.items() >= (equal | {"ridge_alphas_equal": 1, "captions_equal": 1}).items()


def test_the_checks_of_a_gpu_say_that_there_is_none(monkeypatch):
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cuda:99"])
    with pytest.raises(SystemExit, match="is not on this machine"):
        gpu.main()


@pytest.mark.slow
def test_scale_measures_what_it_has_goals_for(folder, monkeypatch):
    monkeypatch.setattr(
        "sys.argv",
        ["scale.py", "--models", "2", "--voxels", "2000", "--pictures", "150", "--json", str(folder / "scale")],
    )
    scale.main()
    measured = json.loads((folder / "scale").read_text())["figures"]
    assert set(measured) == set(results.goals()["scale"]["figures"])
    assert measured["recall_at_100"] == 1


def test_every_picture_of_the_manual_is_made_by_its_script() -> None:
    script = (ROOT / "benchmarks" / "manual_pictures.py").read_text(encoding="utf-8")
    kept = sorted(path.stem for path in (ROOT / "docs" / "pictures").glob("*.png"))
    assert kept
    assert [name for name in kept if f'"{name}"' not in script and f'"{name}.png"' not in script] == []
