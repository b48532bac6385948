"""`voxel-atlas check` and `plan` of a study: every model, the time and disk of all, and what would stop one."""

import json
import re
import shutil

import pytest
from disks import disk_of
from study_files import N_IMAGES, N_VOXELS, entries, frame
from toy_network import Toy

from voxel_atlas.api.cli.ingesting.study_commands import disk_cost, disk_of_study
from voxel_atlas.ingest.datasets.inventory import Disk, Size
from voxel_atlas.schemas.config import IngestConfig, Settings


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


def test_plan_tells_time_and_disk_of_what_is_not_there_and_writes_nothing(
    study_data, study, ingest_study, run, tmp_path
):
    file, atlas = study(), ("--atlas", tmp_path / "a.duckdb")
    status, printed, said = run("plan", "--config", file, *atlas, "--json")
    assert (status, [row["state"] for row in json.loads(printed)]) == (0, ["to make"] * 3), said
    assert "3 of 3 models are to be made: about " in said
    assert "Without labels for toy, of which no such model is there: make one, and plan again." in said
    assert not (tmp_path / "a.duckdb").exists()
    ingest_study(file, "--subject", "02")
    before = frame(tmp_path / "a.duckdb", "FROM ledger ORDER BY ALL")
    subjects = [*entries("01", "02"), {"subject": "03", "responses": "gone.npy"}]
    moved = shutil.copytree(study_data, tmp_path / "moved")  # which an ingest would write down
    status, printed, said = run("plan", "--config", study(root=str(moved), subjects=subjects), *atlas, "--json")
    assert frame(tmp_path / "a.duckdb", "FROM ledger ORDER BY ALL").equals(before)
    rows = json.loads(printed)
    assert (status, [row["state"] for row in rows]) == (2, ["to make", "is there", "cannot be made"]), said
    took = frame(tmp_path / "a.duckdb", "SELECT epoch(max(recorded_at) - min(recorded_at)) AS t FROM run").item()
    assert rows[0]["seconds"] == pytest.approx(took)
    assert (rows[1]["seconds"], rows[1]["disk_gib"]) == (0, 0)
    assert "GiB of disk" in said
    assert "Without labels" not in said


def test_plan_takes_the_time_of_no_model_that_is_labelled_otherwise(study, ingest_study, run, tmp_path):
    assert ingest_study(study(subjects=entries("01")))[0] == 0
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


def test_an_option_goes_before_the_file_in_plan_as_in_ingest(study, ingest_study, run, tmp_path):
    settings = {"min_voxels_per_label": 2}
    file = study(subjects=entries("01"), backbones=[{"backbone": "toy", **settings}], **settings)
    option = ("--min-voxels-per-label", 3)
    assert ingest_study(file, *option)[0] == 0

    def state(*words: object) -> str:
        status, printed, said = run("plan", "--config", file, *words, "--atlas", tmp_path / "a.duckdb", "--json")
        assert status == 0, said
        return str(json.loads(printed)[0]["state"])

    assert [state(*option), state()] == ["is there", "to make"]
