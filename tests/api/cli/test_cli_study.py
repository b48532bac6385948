"""`voxel-atlas ingest --config study.yaml`: every subject by every network, killed, on two machines, one bad."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from study_files import entries, frame
from toy_network import Toy

from voxel_atlas.api.cli.console import Bars
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.atlas.writers import ingest_lock
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.identity import claim
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.errors import NoWorkersError

_PROGRAM = """
import io, json, os, signal, sys
from pathlib import Path
import faiss, torch
import toy_network
from tiny_kills import forked
from voxel_atlas.api.cli.main import main
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest import run

append, n = Store.append, 0
toy_network.Toy.weights_file = Path(toy_network.__file__)

def command(home, kill_before, *words):
    def dying(*given, **named):
        global n
        n += 1
        if n == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        return append(*given, **named)

    Store.append = dying
    os.environ["VOXEL_ATLAS_HOME"] = home
    sys.argv, sys.stdout, sys.stderr = ["voxel-atlas", *words], io.StringIO(), io.StringIO()
    try:
        main()
    except SystemExit as stop:
        return [stop.code, sys.stderr.getvalue()]
    return [0, sys.stderr.getvalue()]

print(json.dumps([forked(command, *each) for each in json.loads(sys.argv[1])]))
"""
"""Commands one after the other, each in a process of its own, which is killed before its n-th batch; 0: never."""
KILLED = [-signal.SIGKILL, None]


def commands(*plan: Sequence[object]) -> "subprocess.Popen[str]":
    """Run commands in processes of their own: home folder, batch before which to kill, and words of each."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PROGRAM, json.dumps(plan, default=str)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> list[Any]:
    """The exit status of each command's process, and what it gave: its status and what it said."""
    printed = process.communicate()[0]
    assert process.returncode == 0
    return json.loads(printed)  # type: ignore[no-any-return]


def said_of(outcome: list[Any]) -> str:
    """What a command said that ended well."""
    assert (outcome[0], outcome[1][0]) == (0, 0), outcome
    return str(outcome[1][1])


def digests(address: object) -> list[tuple[object, ...]]:
    return frame(address, "FROM stage_digest ORDER BY ALL").rows()


def test_every_subject_gets_a_model_by_every_network_and_a_second_run_finds_them_all(study, ingest_study, tmp_path):
    file = study(subjects=entries("01", "02"), backbones=["toy", {"backbone": "toy", "seed": 7}])
    status, printed, said = ingest_study(file)
    assert status == 0, said
    assert "All 4 models are in" in said
    assert [line.split()[:3] for line in printed.splitlines()[1:]] == [
        [name, "toy", "made"] for name in ("01", "02", "01", "02")
    ]
    models = frame(tmp_path / "a.duckdb", "SELECT subject_id, config->>'seed' AS seed FROM model ORDER BY ALL").rows()
    assert models == [(f"folder/{name}", seed) for name in ("01", "02") for seed in ("42", "7")]
    before = digests(tmp_path / "a.duckdb")
    status, printed, said = ingest_study(file, "--json")
    assert (status, {row["state"] for row in json.loads(printed)}) == (0, {"was there"}), said
    assert digests(tmp_path / "a.duckdb") == before


def test_progress_says_how_many_models_of_all_are_done_and_what_is_left(study, ingest_study):
    said = " ".join(ingest_study(study())[2].split())
    assert "1 of 3: folder/01/toy/" in said
    assert "for the other 2. " in said
    assert "3 of 3: folder/03/toy/" in said
    assert "models: 3 in " in said


def test_what_one_entry_of_a_list_says_is_said_of_no_other(study, ingest_study, tmp_path):
    subjects = [{"subject": "01", "responses": "01.npy", "test_share": 0.2}, *entries("02")]
    assert ingest_study(study(subjects=subjects, backbones=[{"backbone": "toy", "seed": 7}, "toy"]))[0] == 0
    said = "SELECT subject_id, config->>'seed' AS seed, config->>'test_share' AS share FROM model ORDER BY ALL"
    assert frame(tmp_path / "a.duckdb", said).rows() == [
        (f"folder/{name}", seed, share) for name, share in (("01", "0.2"), ("02", "0.15")) for seed in ("42", "7")
    ]


def test_order_changes_no_digest(study, ingest_study, run, tmp_path):
    ingest_study(study(subjects=entries("01", "02")))
    file = study(subjects=entries("02", "01"))
    assert run("ingest", "--config", file, "--atlas", tmp_path / "b.duckdb")[0] == 0
    assert digests(tmp_path / "b.duckdb") == digests(tmp_path / "a.duckdb")


def test_one_bad_subject_is_named_with_its_reason_and_stops_nobody_else(study, ingest_study, tmp_path):
    subjects = [*entries("01"), {"subject": "02", "responses": "gone.npy"}, *entries("03")]
    status, printed, said = ingest_study(study(subjects=subjects))
    assert status == 2
    assert [line.split()[:3] for line in printed.splitlines()[1:]] == [
        ["01", "toy", "made"],
        ["02", "toy", "failed"],
        ["03", "toy", "made"],
    ]
    last = said.splitlines()[-1]
    assert last.startswith("voxel-atlas: 1 of 3 models are not in ")
    assert "folder subject 02 by toy: " in last
    assert "gone.npy" in last
    assert "give the same command again" in last
    assert frame(tmp_path / "a.duckdb", "SELECT subject_id FROM model ORDER BY ALL").rows() == [
        ("folder/01",),
        ("folder/03",),
    ]
    status, _, said = ingest_study(study())
    assert (status, "1 of 3: folder/01" in said, "was there" in said) == (0, True, True)


@pytest.mark.slow
def test_one_bad_subject_among_forty_is_named(study, study_data, ingest_study, tmp_path):
    names = [f"{number:02}" for number in range(1, 41)]
    subjects = entries(*names)
    subjects[22]["responses"] = "stimuli.csv"
    status, printed, said = ingest_study(study(subjects=subjects), "--json")
    states = {row["subject"]: row["state"] for row in json.loads(printed)}
    assert (status, states) == (2, {name: "failed" if name == "23" else "made" for name in names})
    assert "1 of 40 models are not in" in said


def test_a_fault_of_ours_stops_nobody_else_and_keeps_its_traceback(study, ingest_study, monkeypatch, tmp_path):
    brought = Pipeline.ingest

    def faulty(self, config, parts, **named):
        if config.subject == "02":
            raise ZeroDivisionError("by accident")
        return brought(self, config, parts, **named)

    monkeypatch.setattr(Pipeline, "ingest", faulty)
    with pytest.raises(ZeroDivisionError, match="by accident"):
        ingest_study(study())
    assert frame(tmp_path / "a.duckdb", "FROM model").height == 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/full"), "/full: No space left on device."),
        (NoWorkersError("No worker is left."), "No worker is left."),
    ],
)
def test_a_full_disk_or_workers_that_are_gone_stop_the_study_at_once(study, ingest_study, monkeypatch, error, sentence):
    tried = []

    def stopped(self, config, parts, **named):
        tried.append(config.subject)
        raise error

    monkeypatch.setattr(Pipeline, "ingest", stopped)
    status, _, said = ingest_study(study())
    assert (status, tried) == (2, ["01"])
    assert said.splitlines()[-1] == f"voxel-atlas: {sentence}"


def test_an_atlas_that_another_process_has_open_is_told_once_and_before_any_model(study, ingest_study, tmp_path):
    address = tmp_path / "a.duckdb"
    Store.open(str(address)).close()
    code = f"from voxel_atlas.atlas.store.store import Store; store = Store.open({str(address)!r}); print(); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "\n"
        status, printed, said = ingest_study(study())
    finally:
        other.communicate("\n")
    assert (status, printed) == (2, "")
    assert said.splitlines()[-1].startswith(f"voxel-atlas: {address} is open in process {other.pid}; stop it")
    assert "of 3" not in said


def test_networks_are_loaded_once_for_all_subjects(study, ingest_study, monkeypatch):
    loaded, load = [], Toy.load
    monkeypatch.setattr(Toy, "load", lambda *given, **named: loaded.append(given) or load(*given, **named))
    assert ingest_study(study(subjects=entries("01", "02")))[0] == 0
    assert len(loaded) == 1


def test_a_study_that_is_killed_goes_on_to_equal_digests(study, tmp_path):
    words = ("ingest", "--config", study(), "--atlas")
    whole, killed = tmp_path / "whole.duckdb", tmp_path / "killed.duckdb"
    plan = [(tmp_path / "home", before, *words, killed) for before in (6, 20, 0)]
    first, *kills, last = ended(commands((tmp_path / "other", 0, *words, whole), *plan))
    said_of(first)
    assert kills == [KILLED, KILLED]
    said = said_of(last)
    assert [line.split()[4] for line in said.splitlines() if " of 3: " in line] == ["was", "was", "made"]
    assert digests(killed) == digests(whole)


def test_a_model_that_another_process_is_at_is_waited_for_at_the_end(study, ingest_study, run, monkeypatch, tmp_path):
    assert run("ingest", "--config", study(), "--atlas", tmp_path / "b.duckdb")[0] == 0
    first = frame(tmp_path / "b.duckdb", "SELECT min(model_id) AS m FROM model").item()
    said, lock = [], ingest_lock(Settings().home, first)

    def note(bars: Bars, text: str) -> None:
        said.append(text)
        if "is waited for" in text:
            lock.release()  # as a process does that ends

    monkeypatch.setattr(Bars, "note", note)
    with lock:
        status, printed, _ = ingest_study(study(), "--json")
    assert (status, {row["state"] for row in json.loads(printed)}) == (0, {"made"})
    assert said.count(f"{first} is being ingested by another process, whose end is waited for.") == 1
    finished = frame(tmp_path / "a.duckdb", "SELECT model_id FROM run WHERE state = 'finished' ORDER BY recorded_at")
    assert finished["model_id"][-1] == first


@pytest.mark.slow
def test_what_another_machine_has_begun_is_left_to_it_until_the_end(study, tmp_path):
    lake = f"ducklake:sqlite:{tmp_path / 'lake.sqlite'} data={tmp_path / 'data'}"
    words = ("ingest", "--config", study(), "--atlas")
    plan = [(tmp_path / "there", 6, *words, lake), (tmp_path / "here", 0, *words, lake)]
    there, here, whole = ended(commands(*plan, (tmp_path / "whole", 0, *words, tmp_path / "whole.duckdb")))
    said_of(whole)
    assert there == KILLED
    made = [line.split("/")[1] for line in said_of(here).splitlines() if " of 3: " in line]
    assert made == ["02", "03", "01"]
    assert digests(lake) == digests(tmp_path / "whole.duckdb")


def test_of_machines_that_look_at_a_lake_at_once_one_takes_a_model(study_data, tmp_path):
    address = f"ducklake:sqlite:{tmp_path / 'lake.sqlite'} data={tmp_path / 'data'}"
    shared = {"dataset": "folder", "root": str(study_data), "backbone": "toy", "dissect": "none"}
    with Store.open(address) as here, Store.open(address) as there:
        for own in entries("01", "02"):
            config = IngestConfig(**shared, **own)
            dataset = open_dataset(config, tmp_path)
            claimed = [claim(store, tmp_path / "empty", config, dataset, Toy()) for store in (here, there)]
            assert claimed == [True, False]


@pytest.mark.slow
def test_two_machines_fill_one_lake_from_one_study(study, tmp_path):
    lake = f"ducklake:sqlite:{tmp_path / 'lake.sqlite'} data={tmp_path / 'data'}"
    with Store.open(lake):
        pass
    words = ("ingest", "--config", study(), "--atlas")
    both = [commands((tmp_path / name, 0, *words, lake)) for name in ("here", "there")]
    for process in both:
        said_of(ended(process)[0])
    said_of(ended(commands((tmp_path / "whole", 0, *words, tmp_path / "whole.duckdb")))[0])
    assert digests(lake) == digests(tmp_path / "whole.duckdb")


@pytest.mark.slow
def test_workers_give_the_digests_of_one_process(study, tmp_path):
    words = ("ingest", "--config", study(), "--atlas")
    plan = [(tmp_path / "many", 0, *words, tmp_path / "many.duckdb", "--workers", "dask:2")]
    for outcome in ended(commands(*plan, (tmp_path / "one", 0, *words, tmp_path / "one.duckdb"))):
        said_of(outcome)
    assert digests(tmp_path / "many.duckdb") == digests(tmp_path / "one.duckdb")


def test_an_option_takes_one_subject_of_a_study(study, ingest_study, tmp_path):
    status, printed, said = ingest_study(study(), "--subject", "02")
    assert status == 0, said
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["02"]
    status, _, said = ingest_study(study(), "--subject", "5")
    assert (status, "subject 5 is none of the subjects of" in said, "study.yaml: 01, 02, 03." in said) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"subjects": ["1", "2", "1"]}, "study.yaml: subject 1 is there twice in subjects; take it out once."),
        ({"subjects": []}, "study.yaml: subjects is an empty list; name each subject."),
        ({"backbones": []}, "study.yaml: backbones is an empty list; name each backbone."),
        ({"subjects": "1"}, "study.yaml: subjects takes a list; write subjects: [1] for one."),
        ({"subjects": [1]}, "study.yaml: subject takes text, and YAML reads 1 without quotes"),
        ({"subjects": [None]}, "study.yaml: subject is empty"),
        ({"subjects": [{"root": "x"}]}, "one of the subjects has no name; give it a line `subject: …`."),
        ({"subjects": [{"subject": "1", "rot": "x"}]}, """has an unknown setting 'rot'. Did you mean "root"?"""),
        ({"subjects": [{"subject": "1", "rois": "V1"}]}, "study.yaml: rois takes a list"),
        ({"subjets": ["1"]}, """study.yaml has an unknown setting 'subjets'. Did you mean "subjects"?"""),
        ({"bckbones": ["toy"]}, """study.yaml has an unknown setting 'bckbones'. Did you mean "backbones"?"""),
        ({"subjects": [{"subject": "1", "dataset": "nds"}]}, """There is no data set 'nds'"""),
        ({"subjects": ["1"], "dataset": "nds"}, """Did you mean "nsd"?"""),
        ({"backbones": ["toi"]}, """There is no backbone 'toi'"""),
        ({"subject": "1"}, "study.yaml has both subject and subjects; take one of the two lines out."),
        ({"subjects": [{"subject": "1", "test_share": 2.0}]}, "setting test_share: "),
    ],
)  # fmt: skip
def test_what_a_study_cannot_hold_is_one_sentence_and_makes_nothing(study, ingest_study, tmp_path, settings, said):
    status, printed, message = ingest_study(study(**settings))
    assert (status, printed) == (2, "")
    assert said in message
    assert message.startswith("voxel-atlas: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "a.duckdb").exists()


@pytest.mark.parametrize("command", ["ingest", "check", "plan"])
def test_one_file_of_weights_is_not_taken_for_several_networks(study, run, tmp_path, command):
    given = ("--config", study(backbones=["toy", "lite"]), "--weights", tmp_path / "w.pt")
    status, _, said = run(command, *given, "--atlas", tmp_path / "a.duckdb")
    assert (status, "--weights is the file of one network, and the study has several" in said) == (2, True)


def test_a_study_is_no_option(run):
    status, _, said = run("ingest", "--dataset", "folder", "--subject", "me", "--study", "x")
    assert (status, said) == (2, "voxel-atlas: Unknown option: --study. Did you mean --stimuli?\n")
