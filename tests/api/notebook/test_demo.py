"""`voxel_atlas.demo()`: every stage of an ingest on cards, from what is installed alone."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import voxel_atlas as va
from voxel_atlas.api.notebook.shown_atlas import NotebookAtlas
from voxel_atlas.atlas.backbones.lite.word_cards import CARD_WORDS
from voxel_atlas.schemas.errors import StoreError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookAtlas]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("demo")
        patch.setenv("VOXEL_ATLAS_HOME", str(home))
        with va.demo() as atlas:
            assert Path(atlas.store.address) == home / "cards-demo" / "atlas.duckdb"
            yield atlas


def test_regions_answer_to_what_they_are_tuned_to(made: NotebookAtlas) -> None:
    table = made.model().roi_table(["face", "athlete", "building", "food", "word"]).frame
    first = table.sort("mean", descending=True).unique("roi", keep="first", maintain_order=True)
    found = dict(first.select("roi", "concept").iter_rows())
    assert found == {
        "FFA": "face", "OFA": "face", "EBA": "athlete", "PPA": "building", "OPA": "building", "RSC": "building",
        "FOOD": "food", "VWFA": "word",
    }  # fmt: skip


def test_all_of_it_is_called_simulated(made: NotebookAtlas) -> None:
    model = made.model()
    assert made.subjects()["simulated"].all()
    assert model.model_id.startswith("simulated/cards/")
    for answer in (made, model, model.map("wizard"), model.voxel(3)):
        assert "SIMULATED" in answer._repr_html_()


def test_voxels_have_labels_of_cards_and_pictures(made: NotebookAtlas) -> None:
    labels = made.model().labels(first=100).frame
    assert len(labels) > 20
    assert set(labels["label"]) <= set(CARD_WORDS)
    best = made.model().similar("face", first=1).frame["voxel"][0]
    assert set(made.model().voxel(best).labels["label"].head(2)) & {"face", "smile", "man", "woman", "child"}
    assert made.model().voxel(best).images["caption"].str.contains("picture of").all()
    assert "data:image/jpeg" in made.model().voxel(best)._repr_html_()
    assert made.model().voxel(best).about.select("x_mm", "y_mm", "z_mm").null_count().row(0) == (0, 0, 0)


def test_a_second_call_opens_what_is_there(made: NotebookAtlas, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXEL_ATLAS_HOME", str(Path(made.store.address).parents[1]))
        with va.demo() as again:
            assert again.generation() == made.generation()
            assert again.model().map("face").frame.equals(made.model().map("face").frame)
    assert capsys.readouterr().err == ""


def test_most_significant_voxels_are_found_by_what_they_were_tuned_to(made: NotebookAtlas) -> None:
    planted = made.sql("SELECT DISTINCT voxel FROM planting WHERE category = 'food'")["voxel"]
    hits = made.model().similar("food", first=40).frame
    assert hits.filter(pl.col("voxel").is_in(planted.to_list())).height >= 36


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("taken")
    with pytest.raises(StoreError, match="file"):
        va.demo(tmp_path / "file")
