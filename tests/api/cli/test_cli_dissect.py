"""`dissect`, `plan` and `card` as a user meets them: real files, a real atlas, tiny networks."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from plugin_package import installed
from tiny import picture
from toy_server import Run

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline, open_parts
from voxel_atlas.schemas.config import IngestConfig

COLOURS = ("rose", "leaf", "lake", "lemon")
N_IMAGES, N_VOXELS = 60, 12


@pytest.fixture(scope="module", autouse=True)
def tiny_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes the registries know the tiny network, captioner and generator."""
    parts = {
        "voxel_atlas.backbones": {"tiny": "tiny:TinyBackbone"},
        "voxel_atlas.captioners": {"tiny": "tiny:TinyCaptioner"},
        "voxel_atlas.generators": {"tiny": "tiny:TinyGenerator"},
    }
    with installed(tmp_path_factory.mktemp("tiny"), "tiny", parts):
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A study of pictures of coloured squares, and its atlas: voxels that answer to one colour each, without labels."""
    folder, rng = tmp_path_factory.mktemp("filled"), np.random.default_rng(0)
    root = folder / "study"
    root.mkdir()
    shown = rng.integers(0, 4, N_IMAGES)
    for number, colour in enumerate(shown):
        Image.fromarray(picture(COLOURS[colour], number)).save(root / f"{number:02}.png")
    pl.DataFrame({"image": [f"{number:02}.png" for number in range(N_IMAGES)]}).write_csv(root / "stimuli.csv")
    responses = (shown[:, None] == np.arange(N_VOXELS) % 4) + 0.2 * rng.standard_normal((N_IMAGES, N_VOXELS))
    np.save(root / "responses.npy", responses)
    config = IngestConfig(
        dataset="folder", subject="me", root=str(root), backbone="tiny", label_backbone="tiny", dissect="none",
        n_bootstrap=100, images_per_label=4, captioner="tiny", generator="tiny",
    )  # fmt: skip
    home = folder / "home"
    with Store.open(str(folder / "a.duckdb")) as store:
        fitted = Pipeline(store=store, home=home).ingest(config, open_parts(config, home=home))
        config = IngestConfig.model_validate_json(store.frame("SELECT config FROM model")["config"][0])
    shutil.copy(folder / "a.duckdb", folder / "fitted.duckdb")
    config = config.model_copy(update={"dissect": "all"})
    with Store.open(str(folder / "a.duckdb")) as store:
        labelled = Pipeline(store=store, home=home).dissect(fitted, config, open_parts(config, home=home))
    return folder, fitted, labelled


@pytest.fixture
def command(run: Run, filled: tuple[Path, str, str], tmp_path: Path) -> Run:
    """Runs a command on a copy of the atlas with the fitted model."""
    folder, fitted, _ = filled
    atlas = tmp_path / "a.duckdb"

    def on_fitted(name, *options, on=fitted):
        if not atlas.exists():
            shutil.copy(folder / "fitted.duckdb", atlas)
        return run(name, on, *options, "--atlas", atlas)

    return on_fitted


@pytest.fixture
def show(run: Run, filled: tuple[Path, str, str]) -> Run:
    """Runs `card` on the labelled model."""
    folder, _, labelled = filled
    return lambda *options: run("card", labelled, *options, "--atlas", folder / "a.duckdb")


def rows(tmp_path, sql):
    with Store.open(str(tmp_path / "a.duckdb"), create=False) as store:
        return store.frame(sql)


def made(said: str) -> str:
    """The id of the model that a command says it made."""
    return re.search(r"(folder/me/tiny/[0-9a-f]{6}) is in", said)[1]


def test_a_fitted_model_is_labelled_by_every_method_and_again(command, tmp_path):
    concepts = tmp_path / "concepts.txt"
    concepts.write_text("Rose\n\n leaf \nrose\n")
    options = ("--voxels", "all", "--scorer", "eq2", "--scorer", "released", "--method", "clip-msm")
    status, _, said = command("dissect", *options, "--concepts", concepts, "--labels-per-voxel", 3)
    assert status == 0, said
    labelled = made(said)
    config = json.loads(rows(tmp_path, f"SELECT config FROM model WHERE model_id = '{labelled}'")["config"][0])
    assert config["methods"] == ["brainlmm-eq2", "brainlmm-released", "clip-msm"]
    assert config["concepts"] == ["rose", "leaf"]
    labels = rows(tmp_path, "SELECT model_id, voxel, method, label FROM top_label")
    assert set(labels["model_id"]) == {labelled}
    assert labels.group_by("method").len()["len"].to_list() == [N_VOXELS] * 3
    eq2 = labels.filter(pl.col("method") == "brainlmm-eq2")
    assert np.mean([label == COLOURS[voxel % 4] for voxel, label in eq2.select("voxel", "label").iter_rows()]) > 0.8
    before = labels.height
    assert made(command("dissect", on=labelled)[2]) == labelled
    assert rows(tmp_path, "FROM top_label").height == before
    other = made(command("dissect", "--best-ranked", 1, on=labelled)[2])
    assert other != labelled
    assert rows(tmp_path, "FROM top_label").height == 2 * before


def test_a_plan_says_how_much_there_will_be(command, tmp_path):
    status, printed, said = command("plan", "--voxels", "all", "--sample", 0)
    assert status == 0, said
    n_voxels, n_images = re.search(r"(\d+) voxels want (\d+) different images \(all\)", said).groups()
    table = {line[:27].strip(): line[27:].split() for line in printed.splitlines()}
    assert (int(n_voxels), int(n_images)) == (N_VOXELS, int(table["images mapped and cropped"][0]))
    assert table["together"][-1] == "s"
    _, printed, said = command("plan", "--voxels", "all", "--sample", 5, "--min-voxels-per-label", 3)
    assert "estimated from 5" in said
    assert "min_voxels_per_label" in printed
    command("dissect", "--voxels", "all")
    assert int(table["captions"][0]) == rows(tmp_path, "FROM caption").height
    assert int(table["different labels"][0]) == rows(tmp_path, "SELECT DISTINCT label_id FROM label_score").height
    assert int(table["generated pictures"][0]) == rows(tmp_path, "FROM synthetic_image").height


def test_a_card_shows_a_voxel_as_picture_and_as_page(show, tmp_path):
    png, html = tmp_path / "card.png", tmp_path / "card.html"
    assert show(1, "-o", png)[0] == 0
    with Image.open(png) as card:
        assert card.width == 1240
        assert card.height > 700
        colours = np.asarray(card.convert("RGB")).reshape(-1, 3)
    assert (colours == (0, 114, 178)).all(axis=1).sum() > 500, "bars of probability"
    assert show(1, "-o", html)[0] == 0
    page = html.read_text()
    assert "voxel 1" in page
    assert page.count("data:image/jpeg;base64,") == 10
    assert '<th scope="row">leaf</th>' in page
    assert "labels_per_voxel 15" in page
    assert "concepts none" in page
    assert "SIMULATED" not in page
    assert not re.search(r'(src|href)="(?!data:)', page), "nothing comes from elsewhere"


def test_a_card_of_a_simulated_subject_says_so_and_escapes_what_it_shows(run, home, tmp_path):
    for suffix in ("png", "html"):
        assert run("card", "simulated/T1", 7, "-o", tmp_path / f"card.{suffix}")[0] == 0
    page = (tmp_path / "card.html").read_text()
    assert "SIMULATED SUBJECT" in page
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    with Image.open(tmp_path / "card.png") as card:
        badge = (np.asarray(card.convert("RGB")) == (255, 214, 64)).all(axis=2)
    assert badge[40:80, -260:].mean() > 0.3


def test_a_card_without_its_images_says_that_they_are_elsewhere(show, filled, tmp_path):
    study = filled[0] / "study"
    study.rename(study.with_name("away"))
    try:
        assert show(1, "-o", tmp_path / "card.html")[0] == 0
        assert show(1, "-o", tmp_path / "card.png")[0] == 0
    finally:
        study.with_name("away").rename(study)
    assert (tmp_path / "card.html").read_text().count("not on this machine") == 10


def test_a_card_of_an_unlabelled_voxel_says_that_there_is_nothing(command, tmp_path):
    assert command("card", 1, "-o", tmp_path / "card.html")[0] == 0
    page = (tmp_path / "card.html").read_text()
    assert "No images are in the atlas for this voxel." in page
    assert "No label is in the atlas for this voxel." in page
    assert command("card", 1, "-o", tmp_path / "card.png")[0] == 0


def test_bad_input_is_one_sentence_and_status_2(command, filled, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    for name, options, said in [
        ("dissect", ("--concepts", tmp_path / "none.txt"), "is not there; --concepts takes a file"),
        ("dissect", ("--concepts", empty), "names no concept"),
        ("dissect", ("--method", "clip-msm"), "pass --concepts FILE"),
        ("dissect", ("--scorer", "guess"), "There is no method 'brainlmm-guess'; there are brainlmm-eq2"),
        ("dissect", ("--voxels", "roi=FFA"), "has no ROI 'FFA'"),
        ("dissect", ("--voxels", "some"), "dissect"),
        ("dissect", ("--on-error", "ignore"), 'for --on-error. Choose from: "stop", "skip"'),
        ("plan", ("--sample", -1), '"-1" for --sample'),
        ("card", (10_000, "-o", tmp_path / "card.png"), "has not fitted voxel 10000"),
        ("card", (1, "-o", tmp_path / "card.bmp"), "a .png or an .html file"),
        ("card", (1, "-o", tmp_path / "no" / "card.png"), "cannot be written"),
    ]:  # fmt: skip
        status, printed, error = command(name, *options)
        assert (status, printed) == (2, ""), options
        assert said in error, error
        assert error.startswith("voxel-atlas: "), error
    assert "There is no model" in command("dissect", on="nsd/subj01")[2]
    responses = filled[0] / "study" / "responses.npy"
    np.save(responses, np.load(responses) + 1)
    assert "have changed since it was fitted" in command("dissect", "--voxels", "all")[2]


def test_a_card_for_people_has_a_line_for_each_thing_known(show):
    status, printed, _ = show(1)
    assert status == 0
    lines = [line.split() for line in printed.splitlines()]
    assert {"r2", "q", "rois"} <= {line[0] for line in lines if line}
    assert "…" not in printed


def test_a_card_names_the_candidates_without_a_score_and_why(run, filled, tmp_path):
    folder, _, labelled = filled
    atlas = shutil.copy(folder / "a.duckdb", tmp_path)
    left = "rank = NULL, score = NULL, probability = NULL, stability = NULL, reason = 'no picture'"
    with Store.open(str(atlas)) as store:
        store.change([(f"UPDATE label_score SET {left} WHERE model_id = ? AND voxel = 1 AND rank = 1", [labelled])])
    row = json.loads(run("card", labelled, 1, "--json", "--atlas", atlas)[1])[0]
    assert row["unscored_reason"] == ["no picture"]
    assert row["unscored"] == ["leaf"]
    assert "no picture" in run("card", labelled, 1, "--atlas", atlas)[1]
    assert run("card", labelled, 1, "-o", tmp_path / "card.html", "--atlas", atlas)[0] == 0
    assert "Not scored (no picture): leaf" in (tmp_path / "card.html").read_text()
