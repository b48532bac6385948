"""`voxel-atlas ingest --config study.yaml`: every subject by every network, killed, on two machines, one bad."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from disks import disk_of
from PIL import Image
from toy_network import Toy
from toy_server import Run

from voxel_atlas.api.cli.console import Bars
from voxel_atlas.api.cli.ingesting.study_commands import disk_cost, disk_of_study
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.atlas.writers import ingest_lock
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.datasets.inventory import Disk, Size
from voxel_atlas.ingest.identity import is_anothers
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.errors import NoWorkersError

N_IMAGES, N_VOXELS = 40, 6
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


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures, and responses of subjects 01 to 40 to their colours, in a file each."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (N_IMAGES, 3)).astype(np.uint8)
    for number, colour in enumerate(colours):
        Image.new("RGB", (8, 8), tuple(colour.tolist())).save(folder / f"{number:02}.png")
    pl.DataFrame({"image": [f"{number:02}.png" for number in range(N_IMAGES)]}).write_csv(folder / "stimuli.csv")
    for subject in range(1, 41):
        signal_ = colours / 255 @ rng.standard_normal((3, N_VOXELS))
        np.save(folder / f"{subject:02}.npy", signal_ + 0.1 * rng.standard_normal((N_IMAGES, N_VOXELS)))
    return folder


def entries(*names: str) -> list[dict[str, str]]:
    return [{"subject": name, "responses": f"{name}.npy"} for name in names]


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a study.yaml; what is given goes before three subjects by one network."""

    def write(**settings: object) -> Path:
        shared = {
            "dataset": "folder", "root": str(root), "subjects": entries("01", "02", "03"), "backbones": ["toy"],
            "label_backbone": "toy", "dissect": "none", "n_bootstrap": 20, "n_alphas": 5,
        }  # fmt: skip
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump({name: value for name, value in {**shared, **settings}.items() if value != ""}))
        return file

    return write


@pytest.fixture
def ingest(run: Run, tmp_path: Path) -> Run:
    def command(file: Path, *options: object) -> tuple[int, str, str]:
        return run("ingest", "--config", file, "--atlas", tmp_path / "a.duckdb", *options)

    return command


def frame(address: object, sql: str) -> pl.DataFrame:
    with Store.open(str(address), read_only=True) as store:
        return store.frame(sql)


def digests(address: object) -> list[tuple[object, ...]]:
    return frame(address, "FROM stage_digest ORDER BY ALL").rows()


@pytest.fixture(autouse=True)
def known_by_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy has a file of weights, so that a finished model is known before it is loaded."""
    monkeypatch.setattr(Toy, "weights_file", Path(__file__), raising=False)


def test_every_subject_gets_a_model_by_every_network_and_a_second_run_finds_them_all(study, ingest, tmp_path):
    file = study(subjects=entries("01", "02"), backbones=["toy", {"backbone": "toy", "seed": 7}])
    status, printed, said = ingest(file)
    assert status == 0, said
    assert "All 4 models are in" in said
    assert [line.split()[:3] for line in printed.splitlines()[1:]] == [
        [name, "toy", "made"] for name in ("01", "02", "01", "02")
    ]
    models = frame(tmp_path / "a.duckdb", "SELECT subject_id, config->>'seed' AS seed FROM model ORDER BY ALL").rows()
    assert models == [(f"folder/{name}", seed) for name in ("01", "02") for seed in ("42", "7")]
    before = digests(tmp_path / "a.duckdb")
    status, printed, said = ingest(file, "--json")
    assert (status, {row["state"] for row in json.loads(printed)}) == (0, {"was there"}), said
    assert digests(tmp_path / "a.duckdb") == before


def test_progress_says_how_many_models_of_all_are_done_and_what_is_left(study, ingest):
    said = " ".join(ingest(study())[2].split())
    assert "1 of 3: folder/01/toy/" in said
    assert "for the other 2. " in said
    assert "3 of 3: folder/03/toy/" in said
    assert "models: 3 in " in said


def test_what_one_entry_of_a_list_says_is_said_of_no_other(study, ingest, tmp_path):
    subjects = [{"subject": "01", "responses": "01.npy", "test_share": 0.2}, *entries("02")]
    assert ingest(study(subjects=subjects, backbones=[{"backbone": "toy", "seed": 7}, "toy"]))[0] == 0
    said = "SELECT subject_id, config->>'seed' AS seed, config->>'test_share' AS share FROM model ORDER BY ALL"
    assert frame(tmp_path / "a.duckdb", said).rows() == [
        (f"folder/{name}", seed, share) for name, share in (("01", "0.2"), ("02", "0.15")) for seed in ("42", "7")
    ]


def test_order_changes_no_digest(study, ingest, run, tmp_path):
    ingest(study(subjects=entries("01", "02")))
    file = study(subjects=entries("02", "01"))
    assert run("ingest", "--config", file, "--atlas", tmp_path / "b.duckdb")[0] == 0
    assert digests(tmp_path / "b.duckdb") == digests(tmp_path / "a.duckdb")


def test_one_bad_subject_is_named_with_its_reason_and_stops_nobody_else(study, ingest, tmp_path):
    subjects = [*entries("01"), {"subject": "02", "responses": "gone.npy"}, *entries("03")]
    status, printed, said = ingest(study(subjects=subjects))
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
    status, _, said = ingest(study())
    assert (status, "1 of 3: folder/01" in said, "was there" in said) == (0, True, True)


def test_check_lists_every_model_with_the_disk_of_all_and_what_would_stop_one(study, run, tmp_path):
    status, printed, said = run("check", "--config", study(), "--json")
    assert status == 0, said
    rows = json.loads(printed)
    assert [(row["subject"], row["images"], row["voxels"], row["problem"]) for row in rows] == [
        (name, N_IMAGES, N_VOXELS, "") for name in ("01", "02", "03")
    ]
    assert "GiB of disk" in said
    assert "All 3 models are ready to ingest." in said
    bad = [*entries("01"), {"subject": "02", "responses": "gone.npy"}]
    status, printed, said = run("check", "--config", study(subjects=bad))
    assert status == 2
    assert said.splitlines()[-1].startswith("voxel-atlas: 1 of 2 models cannot be made: subject 02 by toy: ")


def test_check_loads_networks_and_looks_at_images_once(study, run, monkeypatch):
    loaded, load = [], Toy.load
    monkeypatch.setattr(Toy, "load", lambda *given, **named: loaded.append(given) or load(*given, **named))
    status, _, said = run("check", "--config", study(backbones=["toy", {"backbone": "toy", "seed": 7}]))
    assert (status, len(loaded)) == (0, 1), said
    assert said.count(f"look at images: {N_IMAGES} in ") == 3


def test_plan_tells_time_and_disk_of_what_is_not_there_and_writes_nothing(root, study, ingest, run, tmp_path):
    file, atlas = study(), ("--atlas", tmp_path / "a.duckdb")
    status, printed, said = run("plan", "--config", file, *atlas, "--json")
    assert (status, [row["state"] for row in json.loads(printed)]) == (0, ["to make"] * 3), said
    assert "3 of 3 models are to be made: about " in said
    assert "Without labels for toy, of which no such model is there: make one, and plan again." in said
    assert not (tmp_path / "a.duckdb").exists()
    ingest(file, "--subject", "02")
    before = frame(tmp_path / "a.duckdb", "FROM ledger ORDER BY ALL")
    subjects = [*entries("01", "02"), {"subject": "03", "responses": "gone.npy"}]
    moved = shutil.copytree(root, tmp_path / "moved")  # which an ingest would write down
    status, printed, said = run("plan", "--config", study(root=str(moved), subjects=subjects), *atlas, "--json")
    assert frame(tmp_path / "a.duckdb", "FROM ledger ORDER BY ALL").equals(before)
    rows = json.loads(printed)
    assert (status, [row["state"] for row in rows]) == (2, ["to make", "is there", "cannot be made"]), said
    took = frame(tmp_path / "a.duckdb", "SELECT epoch(max(recorded_at) - min(recorded_at)) AS t FROM run").item()
    assert rows[0]["seconds"] == pytest.approx(took)
    assert (rows[1]["seconds"], rows[1]["disk_gib"]) == (0, 0)
    assert "GiB of disk" in said
    assert "Without labels" not in said


def test_plan_takes_the_time_of_no_model_that_is_labelled_otherwise(study, ingest, run, tmp_path):
    assert ingest(study(subjects=entries("01")))[0] == 0
    plan = ("--atlas", tmp_path / "a.duckdb", "--json")
    labelled = study(subjects=entries("02"), dissect="all")
    status, printed, said = run("plan", "--config", labelled, *plan)
    assert (status, [row["state"] for row in json.loads(printed)]) == (0, ["to make"]), said
    assert "Without labels for toy, of which no such model is there: make one, and plan again." in said
    assert "Without labels" not in run("plan", "--config", study(subjects=entries("02")), *plan)[2]


def test_plan_tells_of_the_others_where_one_cannot_be_made(study, run, tmp_path):
    bad = {"surface": "nowhere"}, {"split": "nowhere.csv"}
    subjects = [*entries("01"), *({"subject": "02", "responses": "02.npy", **one} for one in bad), *entries("03")]
    atlas = ("--atlas", tmp_path / "a.duckdb")
    status, printed, said = run("plan", "--config", study(subjects=subjects), *atlas, "--json")
    rows = json.loads(printed)
    states = ["to make", "cannot be made", "cannot be made", "to make"]
    assert (status, [row["state"] for row in rows]) == (2, states)
    assert "nowhere" in rows[1]["problem"]
    assert "nowhere.csv: there is no such split" in rows[2]["problem"]
    assert "2 of 4 models cannot be made: subject 02 by toy: " in said


def test_what_models_share_is_counted_once_on_the_disk():
    def model(dataset: str, subject: str, probe_bytes: int, copies: int) -> tuple[IngestConfig, Size]:
        disk = Disk(features=probe_bytes + 1, atlas=1, index=1, pictures=1, copies=copies)
        size = Size(1, probe_bytes, n_images=1, n_trials=1, n_voxels=1, n_batches=1, ram_bytes=1, disk=disk)
        return IngestConfig(dataset=dataset, subject=subject, backbone="toy"), size

    without_labels = model("nsd", "2", 0, 500)
    models = [model("nsd", "1", 10, 500), model("nsd", "2", 10, 500), without_labels, model("laion-fmri", "1", 20, 700)]
    disk = disk_of_study(models)
    assert (disk.features, disk.copies) == (10 + 20 + len(models), 500 + 500 + 700)


def test_what_is_free_is_told_where_it_is_taken(tmp_path):
    home, gib = tmp_path / "home", 2**30
    disk = Disk(features=0, atlas=4 * gib, index=0, pictures=0, copies=0)

    def said(address: str) -> str:
        return disk_cost(disk, Settings(home=home, atlas=address))

    catalog, free = f"ducklake:sqlite:{tmp_path}/c.sqlite", rf"; [\d.]+ GiB are free at {home}"
    with disk_of(tmp_path / "small", "size=1m") as small:
        rows = small / "rows"
        told = rf"{free}, and 0\.00 for the atlas at {rows}, which may not do\.$"
        assert re.search(told, said(f"{catalog} data={rows}"))
    assert re.search(rf"{free}(, which may not do)?\.$", said(f"{catalog} data={tmp_path / 'rows'}"))
    assert re.search(rf"{free}; the atlas lies elsewhere\.$", said(f"{catalog} data=s3://bucket/rows/"))


def test_plan_tells_of_every_model_also_where_the_weights_of_one_network_are_not_here(study, run, tmp_path):
    file = study(subjects=entries("01"), backbones=["clip-rn50", "toy"])
    status, printed, said = run("plan", "--config", file, "--atlas", tmp_path / "a.duckdb", "--json")
    states = {row["backbone"]: row["state"] for row in json.loads(printed)}
    assert (status, states) == (2, {"clip-rn50": "cannot be made", "toy": "to make"})
    assert "1 of 2 models cannot be made: subject 01 by clip-rn50: " in said


@pytest.mark.parametrize("words", [(), ("some/model", "--config", "study.yaml")])
def test_plan_takes_a_model_or_a_study(study, run, tmp_path, monkeypatch, words):
    study()
    monkeypatch.chdir(tmp_path)
    status, _, said = run("plan", *words)
    assert (status, "`plan` takes a model that is fitted, or --config with a study" in said) == (2, True)


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(("option", "setting"), [(("--scorer", "joint"), "scorers"), (("--sample", "5"), "sample")])
def test_plan_refuses_what_would_change_nothing_of_a_study(study, run, tmp_path, option, setting, in_file):
    words = ("--config", study(**({setting: option[1]} if in_file else {})), *(() if in_file else option))
    status, printed, said = run("plan", *words, "--atlas", tmp_path / "a.duckdb")
    assert (status, printed, said.count("\n")) == (2, "", 1)
    assert f"`plan` takes {option[0]} with a model that is fitted, and not with --config" in said


def test_an_option_goes_before_the_file_in_plan_as_in_ingest(study, ingest, run, tmp_path):
    settings = {"min_voxels_per_label": 2}
    file = study(subjects=entries("01"), backbones=[{"backbone": "toy", **settings}], **settings)
    option = ("--min-voxels-per-label", 3)
    assert ingest(file, *option)[0] == 0

    def state(*words: object) -> str:
        status, printed, said = run("plan", "--config", file, *words, "--atlas", tmp_path / "a.duckdb", "--json")
        assert status == 0, said
        return str(json.loads(printed)[0]["state"])

    assert [state(*option), state()] == ["is there", "to make"]


@pytest.mark.slow
def test_one_bad_subject_among_forty_is_named(study, root, ingest, tmp_path):
    names = [f"{number:02}" for number in range(1, 41)]
    subjects = entries(*names)
    subjects[22]["responses"] = "stimuli.csv"
    status, printed, said = ingest(study(subjects=subjects), "--json")
    states = {row["subject"]: row["state"] for row in json.loads(printed)}
    assert (status, states) == (2, {name: "failed" if name == "23" else "made" for name in names})
    assert "1 of 40 models are not in" in said


def test_a_fault_of_ours_stops_nobody_else_and_keeps_its_traceback(study, ingest, monkeypatch, tmp_path):
    brought = Pipeline.ingest

    def faulty(self, config, parts, **named):
        if config.subject == "02":
            raise ZeroDivisionError("by accident")
        return brought(self, config, parts, **named)

    monkeypatch.setattr(Pipeline, "ingest", faulty)
    with pytest.raises(ZeroDivisionError, match="by accident"):
        ingest(study())
    assert frame(tmp_path / "a.duckdb", "FROM model").height == 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/full"), "/full: No space left on device."),
        (NoWorkersError("No worker is left."), "No worker is left."),
    ],
)
def test_a_full_disk_or_workers_that_are_gone_stop_the_study_at_once(study, ingest, monkeypatch, error, sentence):
    tried = []

    def stopped(self, config, parts, **named):
        tried.append(config.subject)
        raise error

    monkeypatch.setattr(Pipeline, "ingest", stopped)
    status, _, said = ingest(study())
    assert (status, tried) == (2, ["01"])
    assert said.splitlines()[-1] == f"voxel-atlas: {sentence}"


def test_an_atlas_that_another_process_has_open_is_told_once_and_before_any_model(study, ingest, tmp_path):
    address = tmp_path / "a.duckdb"
    Store.open(str(address)).close()
    code = f"from voxel_atlas.atlas.store.store import Store; store = Store.open({str(address)!r}); print(); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "\n"
        status, printed, said = ingest(study())
    finally:
        other.communicate("\n")
    assert (status, printed) == (2, "")
    assert said.splitlines()[-1].startswith(f"voxel-atlas: {address} is open in process {other.pid}; stop it")
    assert "of 3" not in said


def test_networks_are_loaded_once_for_all_subjects(study, ingest, monkeypatch):
    loaded, load = [], Toy.load
    monkeypatch.setattr(Toy, "load", lambda *given, **named: loaded.append(given) or load(*given, **named))
    assert ingest(study(subjects=entries("01", "02")))[0] == 0
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


def test_a_model_that_another_process_is_at_is_waited_for_at_the_end(study, ingest, run, monkeypatch, tmp_path):
    assert run("ingest", "--config", study(), "--atlas", tmp_path / "b.duckdb")[0] == 0
    first = frame(tmp_path / "b.duckdb", "SELECT min(model_id) AS m FROM model").item()
    said, lock = [], ingest_lock(Settings().home, first)

    def note(bars: Bars, text: str) -> None:
        said.append(text)
        if "is waited for" in text:
            lock.release()  # as a process does that ends

    monkeypatch.setattr(Bars, "note", note)
    with lock:
        status, printed, _ = ingest(study(), "--json")
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


def test_of_machines_that_look_at_a_lake_at_once_one_takes_a_model(root, tmp_path):
    address = f"ducklake:sqlite:{tmp_path / 'lake.sqlite'} data={tmp_path / 'data'}"
    shared = {"dataset": "folder", "root": str(root), "backbone": "toy", "dissect": "none"}
    with Store.open(address) as here, Store.open(address) as there:
        for own in entries("01", "02"):
            config = IngestConfig(**shared, **own)
            dataset = open_dataset(config, tmp_path)
            looked = [is_anothers(store, tmp_path / "empty", config, dataset, Toy()) for store in (here, there)]
            assert looked == [False, True]


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


def test_an_option_takes_one_subject_of_a_study(study, ingest, tmp_path):
    status, printed, said = ingest(study(), "--subject", "02")
    assert status == 0, said
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["02"]
    status, _, said = ingest(study(), "--subject", "5")
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
def test_what_a_study_cannot_hold_is_one_sentence_and_makes_nothing(study, ingest, tmp_path, settings, said):
    status, printed, message = ingest(study(**settings))
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
