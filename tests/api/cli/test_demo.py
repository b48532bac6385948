"""The demo, made small: real pictures, both real networks, the real cortex, every stage, the real search."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.datasets import open_dataset
from voxel_atlas.ingest.progress import Silent
from voxel_atlas.schemas.config import Settings

SMALL = {"n_calibration": 150, "n_scenes": 160, "n_voxels": 3600}
CONFIG = demo.CONFIG.model_copy(update={"n_bootstrap": 200, "images_per_label": 4, "min_voxels_per_label": 20})


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("apt-get") is None:
        pytest.skip("the demo's pictures come as Debian packages, and there is no apt-get here")
    home = tmp_path_factory.mktemp("demo")
    with Store.open(str(home / "atlas.duckdb")) as store:
        demo.run(store, Settings(home=home), Silent(), config=CONFIG, **SMALL)
    return home


@pytest.fixture(scope="module")
def opened(demo_home: Path) -> Iterator[Atlas]:
    with Atlas.open(str(demo_home / "atlas.duckdb"), home=demo_home) as atlas:
        yield atlas


def test_every_fitted_voxel_is_counted_and_most_are_significant(opened):
    model = opened.store.frame("SELECT n_voxels, n_train, n_test FROM model").row(0, named=True)
    fitted = opened.store.frame("SELECT count(*) AS n FROM encoding")["n"][0]
    assert fitted == model["n_voxels"] >= SMALL["n_voxels"]
    assert model["n_train"] + model["n_test"] == SMALL["n_scenes"]


def test_the_subject_is_called_simulated(opened):
    assert opened.subjects()["simulated"].to_list() == [True]
    assert opened.model().similar("cake", significant=False, first=5).frame["simulated"].all()


def test_voxels_that_were_planted_with_food_are_nearer_to_food_than_to_faces(opened):
    planted = opened.store.frame("SELECT DISTINCT voxel FROM planting WHERE category = 'food'")["voxel"]
    others = opened.store.frame("SELECT DISTINCT voxel FROM planting WHERE category = 'face'")["voxel"]
    similarity = opened.model().map("food").frame.select("voxel", "similarity")
    of = dict(similarity.iter_rows())
    assert sum(of[v] for v in planted) / len(planted) > sum(of[v] for v in others) / len(others)


def test_labels_are_distributions_over_words(opened):
    totals = opened.store.frame(
        "SELECT voxel, sum(probability) AS total FROM label_score WHERE rank IS NOT NULL GROUP BY voxel"
    )["total"]
    assert len(totals) > 0
    assert totals.to_list() == pytest.approx([1.0] * len(totals), abs=1e-5)


def test_pictures_of_labels_are_never_made_of_what_the_subject_saw(opened):
    shown = set(opened.store.frame("SELECT sha256 FROM stimulus")["sha256"])
    made = set(opened.store.frame("SELECT sha256 FROM synthetic_image")["sha256"])
    assert made
    assert not made & shown


def test_a_second_demo_adds_no_row(demo_home, opened):
    tables = ("encoding", "label_score", "top_image", "caption", "synthetic_image", "planting")
    counts = [opened.store.frame(f"SELECT count(*) AS n FROM {table}")["n"][0] for table in tables]
    opened.close()
    with Store.open(str(demo_home / "atlas.duckdb")) as store:
        demo.run(store, Settings(home=demo_home), Silent(), config=CONFIG, **SMALL)
        assert [store.frame(f"SELECT count(*) AS n FROM {table}")["n"][0] for table in tables] == counts


def test_the_subject_can_be_opened_again_by_its_models_settings(demo_home):
    with Store.open(str(demo_home / "atlas.duckdb")) as store:
        found = demo.finished_model(store, CONFIG)
    assert found is not None
    _, config = found
    assert open_dataset(config, demo_home).fingerprint == config.data_sha256


@pytest.mark.slow
def test_a_second_subject_sees_the_same_scenes_with_a_tuning_of_its_own(demo_home):
    second = CONFIG.model_copy(update={"subject": demo.configs(2)[1].subject})
    with Store.open(str(demo_home / "atlas.duckdb")) as store:
        before = store.frame("SELECT count(*) AS n FROM stimulus")["n"][0]
        demo.run(store, Settings(home=demo_home), Silent(), config=second, **SMALL)
        assert store.frame("SELECT count(*) AS n FROM stimulus")["n"][0] == before
        both = Atlas(store, home=demo_home)
        assert both.subjects()["subject_id"].to_list() == ["simulated/S1", "simulated/S2"]
        assert both.models()["finished"].to_list() == [True, True]
        hits = both.model("simulated/S2/").similar("food").frame
        assert hits["subject_id"].unique().to_list() == ["simulated/S2"]
        sql = "SELECT voxel, category FROM planting WHERE subject_id = ? ORDER BY ALL"
        one, other = (store.frame(sql, [f"simulated/{name}"]) for name in ("S1", "S2"))
    assert other.height > 0
    assert not one.equals(other)
