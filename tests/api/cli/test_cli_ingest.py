"""`voxel-atlas ingest` and `check` on a folder of images and responses: real files, a real atlas, a toy network."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from toy_network import Toy
from toy_server import Run

from voxel_atlas.atlas.store.store import Store

N_IMAGES, N_VOXELS = 60, 30


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with 60 images and responses of 30 voxels to their colours; voxel 7 is NaN once, voxel 9 is constant."""
    root = tmp_path / "study"
    root.mkdir()
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (N_IMAGES, 3)).astype(np.uint8)
    for number, colour in enumerate(colours):
        Image.new("RGB", (12, 9), tuple(colour.tolist())).save(root / f"{number:02}.png")
    names = [f"{number:02}.png" for number in range(N_IMAGES)]
    pl.DataFrame({"image": names}).write_csv(root / "stimuli.csv")
    responses = colours / 255 @ rng.standard_normal((3, N_VOXELS)) + 0.1 * rng.standard_normal((N_IMAGES, N_VOXELS))
    responses[5, 7], responses[:, 9] = np.nan, 1
    np.save(root / "responses.npy", responses)
    return root


@pytest.fixture
def ingest(run: Run, study: Path, tmp_path: Path) -> Run:
    """Runs `ingest`, or another command, on the study and an atlas of its own."""

    def command(*options, command="ingest"):
        settings = ("--dataset", "folder", "--subject", "me", "--root", study, "--backbone", "toy")
        more = (
            "--label-backbone",
            "toy",
            "--dissect",
            "none",
            "--n-bootstrap",
            "100",
            "--atlas",
            tmp_path / "a.duckdb",
        )
        return run(command, *settings, *more, *options)

    return command


def rows(tmp_path, sql):
    with Store.open(str(tmp_path / "a.duckdb"), create=False) as store:
        return store.frame(sql)


def test_a_folder_of_ones_own_gets_models_and_what_is_left_out_is_said(ingest, tmp_path):
    status, _, said = ingest()
    assert status == 0, said
    assert "left out: 1 whose responses do not vary, 1 with responses that are no numbers" in said
    assert rows(tmp_path, "SELECT voxel, reason FROM dropped ORDER BY voxel").rows() == [(7, "nan"), (9, "constant")]
    quality = rows(tmp_path, "FROM voxel_quality")
    assert quality.height == N_VOXELS - 2
    assert quality["r"].median() > 0.9
    assert quality["significant"].mean() > 0.8  # of nine test images, some resamples hold little else than noise


def test_check_and_ingest_say_that_an_array_is_transposed(ingest, study):
    path = study / "responses.npy"
    np.save(path, np.load(path).T)
    for command in ("check", "ingest"):
        status, _, said = ingest(command=command)
        assert status == 0, said
        assert "its (30, 60) are taken for (voxels, trials), as there are 60 trials." in " ".join(said.split())


def test_a_learning_curve_is_printed_and_stored(ingest, tmp_path):
    status, printed, said = ingest("--learning-curve")
    assert status == 0, said
    curve = [line.split() for line in printed.splitlines()]
    assert curve[0] == ["images", "median_r2", "median_r"]
    assert [int(row[0]) for row in curve[1:]] == [10, 20, 30, 37, 42, 47, 51]
    assert float(curve[-1][1]) > float(curve[1][1])
    stored = rows(tmp_path, "SELECT count(*) AS n, count(DISTINCT voxel) AS v FROM learning_curve")
    assert stored.row(0) == (7 * (N_VOXELS - 2), N_VOXELS - 2)


def test_the_stored_settings_are_a_configuration_file_of_the_same_model(ingest, run, tmp_path):
    ingest()
    (config,) = rows(tmp_path, "SELECT DISTINCT config FROM run")["config"]
    file = tmp_path / "stored.yaml"
    file.write_text(config)
    assert run("ingest", "--config", file, "--atlas", tmp_path / "a.duckdb")[0] == 0
    assert rows(tmp_path, "FROM model").height == 1
    assert (json.loads(config)["seed"], json.loads(config)["preprocessing"]) == (42, "mean colours")


def test_a_yaml_file_may_hold_every_option_and_the_command_line_goes_before_it(run, study, tmp_path):
    file = tmp_path / "job.yaml"
    settings = {
        "dataset": "folder",
        "subject": "me",
        "root": str(study),
        "backbone": "toy",
        "label_backbone": "toy",
        "dissect": "none",
        "n_bootstrap": 100,
        "seed": 1,
        "significance": "correlation",
        "learning_curve": True,
        "atlas": str(tmp_path / "a.duckdb"),
    }
    file.write_text(yaml.safe_dump(settings))
    status, _, said = run("ingest", "--config", file, "--seed", "7")
    assert status == 0, said
    (config,) = rows(tmp_path, "SELECT config FROM model")["config"]
    assert (json.loads(config)["seed"], json.loads(config)["significance"]) == (7, "correlation")
    assert rows(tmp_path, "FROM learning_curve").height


def test_check_says_how_big_the_job_is_and_writes_nothing(ingest, tmp_path):
    status, printed, said = ingest(command="check")
    assert status == 0, said
    assert "60 images, 60 trials, 30 voxels in 1 batches" in said
    assert re.search(
        r"About 0.00 GiB of disk \(features 0.00, atlas 0.00, index 0.00\); [\d.]+ GiB are free at /", said
    )
    assert (
        "Of the 30 voxels of folder/me, 1 have responses that are no numbers (voxel 7 first, in trial 5 of responses) "
        "and 1 have responses that do not vary (voxel 9 first); they are left out."
    ) in said.replace("\n", " ")
    assert "responses.npy" in printed.replace("\n", "")
    assert "Ready to ingest." in said
    assert not (tmp_path / "a.duckdb").exists()


def test_check_says_what_images_take_that_describe_voxels(ingest, tmp_path):
    (probe := tmp_path / "probe").mkdir()
    Image.new("RGB", (8, 8), "red").save(probe / "red.png")
    (tmp_path / "concepts.txt").write_text("cake\ndog\n")
    labelled = ("--dissect", "significant", "--method", "clip-msm", "--concepts", tmp_path / "concepts.txt")
    status, _, said = ingest(*labelled, "--probe", probe, command="check")
    assert status == 0, said
    told = r"Voxels are described by 1 images, .*: 0\.00 GiB of disk, half of them while an ingest runs, about \d+ s\."
    assert re.search(told, " ".join(said.split()))


def spoil(study, what):
    table = pl.read_csv(study / "stimuli.csv")
    if what == "twice":
        pl.concat([table, table.head(1)]).write_csv(study / "stimuli.csv")
        np.save(study / "responses.npy", np.zeros((N_IMAGES + 1, N_VOXELS)))
    elif what == "shape":
        np.save(study / "responses.npy", np.zeros((N_IMAGES, N_VOXELS, 2)))
    elif what == "rows":
        np.save(study / "responses.npy", np.zeros((N_IMAGES - 1, N_VOXELS)))
    elif what == "image":
        (study / "03.png").unlink()
    elif what == "cut":
        path = study / "responses.npy"
        path.write_bytes(path.read_bytes()[:500])
    elif what == "few":
        table.head(5).write_csv(study / "stimuli.csv")
        np.save(study / "responses.npy", np.zeros((5, N_VOXELS)))
    elif what == "responses":
        (study / "responses.npy").unlink()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("twice", "00.png is listed more than once"),
        ("shape", "numbers of shape (trials, voxels) expected"),
        ("rows", "60 rows, but responses.npy has 59 trials"),
        ("image", "1 of 60 images are not there"),
        ("cut", "a damaged or cut file"),
        ("few", "at least 20 are needed"),
        ("responses", "no responses.npy"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_row(ingest, study, tmp_path, what, said):
    spoil(study, what)
    status, _, message = ingest()
    assert status == 2
    assert said in message
    assert message.startswith("voxel-atlas: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "a.duckdb").exists() or not rows(tmp_path, "FROM ledger").height


def test_trials_of_missing_images_can_be_left_out(ingest, study, tmp_path):
    spoil(study, "image")
    assert ingest("--allow-missing")[0] == 0
    assert rows(tmp_path, "FROM stimulus").height == N_IMAGES - 1


def test_sessions_can_be_left_out(ingest, study, tmp_path):
    table = pl.read_csv(study / "stimuli.csv").with_columns(pl.Series("session", np.repeat([1, 2, 3], 20)))
    table.write_csv(study / "stimuli.csv")
    assert ingest("--skip-session", "2")[0] == 0
    assert rows(tmp_path, "FROM stimulus").height == 40
    status, _, message = ingest("--skip-session", "9")
    assert (status, "there is no session '9'; it has 1, 2, 3" in message) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--config", "gone.yaml"), "gone.yaml is not there"),
        (("--seed", "x"), "setting seed: "),
        (("--backbone", "vgg"), "no backbone 'vgg'; there are"),
        (("--roi", "FFA"), "has no ROI 'FFA'"),
        (("--test-share", "1.5"), "setting test_share: "),
    ],
)
def test_wrong_settings_are_one_sentence(ingest, options, said):
    status, _, message = ingest(*options)
    assert status == 2
    assert said in message
    assert message.startswith("voxel-atlas: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: folder\nsubject: 05", "job.yaml: subject takes text, and YAML reads 5 without quotes"),
        ("subjct: me", 'Unknown option: "subjct" from job.yaml. Did you mean --subject?'),
        ("1: 2", 'Unknown option: "1" from job.yaml'),
        ("rois: FFA", "job.yaml: rois takes a list; write rois: [FFA] for one"),
        ("dataset: folder\nsubject: me\nrois: [1]", "job.yaml: rois takes text, and YAML reads 1"),
        ("concepts: words.txt", "concepts takes a list"),
        ("dataset: folder\nsubject: me\nseed: null", "setting seed: Input should be a valid integer"),
        ("dataset: folder\nsubject: me\nroot: {a: 1}", "job.yaml: root takes text"),
        ("dataset: folder\nsubject: me\nlearning_curve: perhaps", "learning_curve from job.yaml"),
        ("dataset: folder\nsubject: 012", "YAML reads 10 without quotes; put quotes around what is meant"),
        ("dataset: folder\nsubject: me\nskip_sessions: [7]", "job.yaml: skip_sessions takes text, and YAML reads 7"),
        ("dataset: folder\nsubject: me\nsurface:", 'surface is empty; leave the line out, or write surface: ""'),
        ("dataset: folder", "parameter --subject requires an argument"),
        ("- folder", "must hold settings"),
        ("", "must hold settings"),
        ("[", "cannot be read as YAML"),
        ("dataset: folder\nsubject: 2026-13-01", "cannot be read as YAML: month must be in 1..12"),
        (
            "dataset: folder\nsubject: me\ndataset: nsd",
            "job.yaml has dataset in two lines, of which YAML takes the last",
        ),
        ('subjects:\n  - {subject: "1", root: a, root: b}', "job.yaml has root in two lines"),
    ],
)
def test_what_a_yaml_file_cannot_hold_is_one_sentence(run, tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(text)
    status, printed, message = run("check", "--config", "job.yaml")
    assert (status, printed) == (2, "")
    assert said in message
    assert message.startswith("voxel-atlas: ")
    assert message.count("\n") == 1


def test_maps_lie_where_the_responses_did(ingest, run, study, tmp_path):
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = 90, -126, -72
    values = np.load(study / "responses.npy").T.reshape(5, 3, 2, N_IMAGES).astype(np.float32)
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code="mni")
    (study / "responses.npy").unlink()
    nib.save(image, study / "responses.nii.gz")
    assert ingest()[0] == 0
    assert run("export", "-o", tmp_path / "out", "--atlas", tmp_path / "a.duckdb")[0] == 0
    maps = list((tmp_path / "out").rglob("*stat-r2_statmap.nii.gz"))
    written = nib.load(maps[0])
    np.testing.assert_allclose(written.affine, affine)
    assert (len(maps), written.shape, int(written.header["sform_code"])) == (1, (5, 3, 2), 4)


def test_an_ingest_that_can_fit_no_voxel_fails_and_says_why(ingest, study, tmp_path):
    np.save(study / "responses.npy", np.tile(np.arange(3.0), (N_IMAGES, 1)))
    status, _, message = ingest(command="check")
    assert (
        status,
        "Of the 3 voxels of folder/me, none can be fitted: 3 have responses that do not vary" in message,
    ) == (2, True)
    status, _, message = ingest()
    assert status == 2
    assert "none of its voxels can be fitted, as 3 whose responses do not vary" in message
    assert rows(tmp_path, "SELECT state FROM run ORDER BY recorded_at")["state"].to_list() == ["started", "failed"]
    assert rows(tmp_path, "SELECT reason FROM dropped")["reason"].to_list() == ["constant"] * 3


def test_a_memory_of_models_that_the_machine_has_not_fails_no_ingest(ingest, monkeypatch):
    monkeypatch.setenv("VOXEL_ATLAS_MODEL_MEMORY", "900TB")
    assert ingest()[0] == 0


def model_of(ingest, *options):
    status, printed, said = ingest(*options, "--json")
    assert status == 0, said
    return json.loads(printed)[0]["model_id"]


def test_a_model_is_the_same_wherever_its_data_lie_and_however_that_is_written(
    ingest, run, study, tmp_path, monkeypatch
):
    model = model_of(ingest)
    monkeypatch.chdir(tmp_path)
    for root in ("study", "./study", "study/", str(study)):
        assert model_of(ingest, "--root", root) == model
    moved = study.rename(tmp_path / "moved #1")
    assert model_of(ingest, "--root", moved) == model_of(ingest, "--root", "moved #1") == model
    uris = rows(tmp_path, "SELECT uri FROM stimulus")["uri"]
    assert all(Path(uri).parent == moved for uri in uris)
    assert rows(tmp_path, "SELECT model_id FROM model")["model_id"].to_list() == [model]
    monkeypatch.chdir("/")
    assert run("dissect", model, "--voxels", "none", "--atlas", tmp_path / "a.duckdb")[0] == 0


def test_a_model_is_the_same_however_the_file_of_its_split_is_written(ingest, study, tmp_path, monkeypatch):
    parts = ["test" if number < 20 else "train" for number in range(N_IMAGES)]
    images = [f"{number:02}.png" for number in range(N_IMAGES)]
    pl.DataFrame({"image": images, "part": parts}).write_csv(tmp_path / "split.csv")
    model = model_of(ingest, "--split", tmp_path / "split.csv")
    monkeypatch.chdir(study)
    assert model_of(ingest, "--split", "../split.csv") == model
    (tmp_path / "split.csv").rename(study / "parts.csv")
    assert model_of(ingest, "--split", "parts.csv") == model
    assert model_of(ingest) != model


@pytest.fixture
def finished(ingest, tmp_path, monkeypatch):
    """A finished model, and a list that gets an entry whenever its network is loaded again."""
    (tmp_path / "toy.pt").write_bytes(b"weights")
    monkeypatch.setattr(Toy, "weights_file", tmp_path / "toy.pt", raising=False)
    model, loaded, load = model_of(ingest), [], Toy.load
    monkeypatch.setattr(Toy, "load", lambda *given, **named: loaded.append(given) or load(*given, **named))
    return model, loaded


def test_a_finished_ingest_is_told_before_a_network_is_loaded(ingest, study, finished, tmp_path, monkeypatch):
    model, loaded = finished
    n_runs = rows(tmp_path, "FROM run").height
    status, _, said = ingest()
    assert (status, said.splitlines()[0]) == (
        0,
        f"{model} is finished with these data and settings in {tmp_path}/a.duckdb",
    )
    (tmp_path / "link").symlink_to(study)
    monkeypatch.chdir(tmp_path)
    assert model_of(ingest, "--root", "link") == model
    moved = study.rename(tmp_path / "moved")
    assert model_of(ingest, "--root", "moved") == model
    assert all(Path(uri).parent == moved for uri in rows(tmp_path, "SELECT uri FROM stimulus")["uri"])
    (config,) = rows(tmp_path, "SELECT config FROM model")["config"]
    assert json.loads(config)["root"] == str(moved)
    assert (loaded, rows(tmp_path, "FROM run").height) == ([], n_runs)
    np.save(moved / "noise_ceiling.npy", np.full(N_VOXELS, 0.5))
    assert "is in the atlas with other voxels or regions" in ingest("--root", moved)[2]


@pytest.mark.parametrize("what", ["data", "settings", "weights", "a curve", "an older version", "an interruption"])
def test_what_may_not_be_finished_is_looked_into(what, ingest, study, finished, tmp_path):
    _, loaded = finished
    options = {"settings": ("--seed", "7"), "a curve": ("--learning-curve",)}.get(what, ())
    if what == "data":
        np.save(study / "responses.npy", np.load(study / "responses.npy") * 2)
    elif what == "weights":
        (tmp_path / "toy.pt").write_bytes(b"others")
    elif what in ("an older version", "an interruption"):
        changed = "code_version = '0.0'" if what == "an older version" else "message = '1 parts were skipped'"
        with Store.open(str(tmp_path / "a.duckdb")) as store:
            store.change([(f"UPDATE run SET {changed} WHERE state = 'finished'", None)])
    status, _, said = ingest(*options)
    assert (status, len(loaded)) == (0, 1)
    assert "finished with these" not in said
    if what == "a curve":
        assert ingest(*options)[0] == 0
        assert len(loaded) == 1


def test_voxels_get_the_places_that_they_lacked_and_nothing_is_fitted_again(ingest, study, tmp_path):
    model = model_of(ingest)
    (study / "voxels.csv").write_text("i,j,k\n" + "".join(f"{n},{n % 3},5\n" for n in range(N_VOXELS)))
    assert model_of(ingest) == model == model_of(ingest)
    placed = rows(tmp_path, "SELECT i, j, k FROM voxel ORDER BY voxel").rows()
    assert placed == [(n, n % 3, 5) for n in range(N_VOXELS)]
    (study / "voxels.csv").write_text("hemisphere,vertex\n" + "".join(f"left,{n}\n" for n in range(N_VOXELS)))
    assert "is in the atlas with other voxels or regions" in ingest()[2]


def test_what_shows_a_subject_can_be_changed_where_its_voxels_stay(ingest, study, tmp_path):
    places = "".join(f"left,{number}\n" for number in range(N_VOXELS))
    (study / "voxels.csv").write_text(f"hemisphere,vertex\n{places}")
    model = model_of(ingest)
    assert model_of(ingest, "--surface", "fsaverage5") == model == model_of(ingest, "--surface", "fsaverage5")
    shown = rows(tmp_path, "SELECT surface, shape FROM subject").row(0)
    assert shown == ("fsaverage5", [10242, 10242])
    (study / "voxels.csv").write_text(f"hemisphere,vertex\n{places.replace('left,3', 'right,3', 1)}")
    status, _, said = ingest("--surface", "fsaverage5")
    assert (status, "is in the atlas with other voxels or regions" in said) == (2, True)


def test_no_workers_are_one_sentence(ingest):
    status, _, error = ingest("--workers", "x")
    assert (status, error.count("\n")) == (2, 1)
    assert "'x' are no workers; give dask://HOST:PORT" in error
