"""Means of the regions of several models, without their voxels; and concepts in SQL without their readout tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_atlas import SURFACE, VOLUME, put

from voxel_atlas.atlas.search.across import roi_means
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.tables.model_tables import ModelTables
from voxel_atlas.atlas.search.tables.readout_table import ReadoutTable
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

CONCEPTS = ["cake", "face - cake", "birthday cake"]
HOW: list[dict[str, Any]] = [
    {},
    {"significant": False, "semantic": False},
    {"readout": "pattern", "baseline": "none", "rois": ["FFA", "empty"]},
]


def again(atlas: Atlas, models: tuple[str, ...] = (SURFACE, VOLUME)) -> list[Any]:
    """The models, of which nothing is in memory."""
    opened = Atlas(atlas.store, home=atlas.home, load_backbone=atlas.text_towers._loader)
    return [opened.model(name) for name in models]


@pytest.mark.parametrize("how", HOW)
def test_means_of_several_models_are_those_of_their_tables(both: Atlas, how: dict[str, Any]) -> None:
    found = roi_means([both.model(VOLUME), both.model(SURFACE), both.model(VOLUME)], CONCEPTS, **how).frame
    assert found["model_id"].unique().sort().to_list() == [SURFACE, VOLUME]
    for model in (both.model(SURFACE), both.model(VOLUME)):
        own, table = found.filter(model_id=model.model_id), model.roi_table(CONCEPTS, **how).frame
        assert own.select("roi", "concept", "n_voxels").equals(table.select("roi", "concept", "n_voxels"))
        assert own["mean"].is_null().equals(table["mean"].is_null())
        np.testing.assert_allclose(own["mean"].drop_nulls(), table["mean"].drop_nulls(), atol=1e-6)
        assert set(own["subject_id"]) == {model.subject_id}
        assert set(own["simulated"]) == {model.simulated}


def test_the_next_start_reads_no_vectors(both: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    before = roi_means(again(both), CONCEPTS)
    monkeypatch.setattr(ModelTables, "indexed", lambda *_: pytest.fail("vectors were read"))
    assert roi_means(again(both), CONCEPTS).frame.equals(before.frame)


def test_a_new_batch_counts_at_once(both: Atlas) -> None:
    models = again(both)
    before = roi_means(models, ["cake"], rois=["FFA"], significant=False).frame
    outside = next(v for v in range(120) if "FFA" not in models[1].voxels([v])["rois"][0])
    row = {"subject_id": "simulated/S1", "voxel": outside, "roi": "FFA", "t": None}
    put(both.store, {"voxel_roi": [row]}, key="simulated/S1")
    for those in (models, again(both)):
        after = roi_means(those, ["cake"], rois=["FFA"], significant=False).frame
        assert (after["n_voxels"] - before["n_voxels"]).to_list() == [0, 1]


def test_what_lags_behind_the_newest_batch_is_not_kept_as_if_it_did_not(
    both: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_ffa() -> list[int]:
        return roi_means(again(both), ["cake"], rois=["FFA"], significant=False).frame["n_voxels"].to_list()

    before, tables = in_ffa(), {model.model_id: model.tables.voxels() for model in again(both)}
    outside = next(v for v in range(120) if "FFA" not in both.model(VOLUME).voxels([v])["rois"][0])
    row = {"subject_id": "simulated/S1", "voxel": outside, "roi": "FFA", "t": None}
    put(both.store, {"voxel_roi": [row]}, key="simulated/S1")
    with monkeypatch.context() as lagging:
        lagging.setattr(ModelTables, "voxels", lambda own: tables[own.model.model_id])
        assert in_ffa() == before
    assert in_ffa() == [before[0], before[1] + 1]


def test_a_damaged_file_is_made_again(both: Atlas, caplog: pytest.LogCaptureFixture) -> None:
    before = roi_means(again(both), CONCEPTS).frame
    files = sorted(both.home.rglob("regions-*.npz"))
    assert len(files) == 2
    for path in files:
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole if path == files[0] else whole[:100])
    assert roi_means(again(both), CONCEPTS).frame.equals(before)
    assert caplog.text.count("is damaged") == 2


def test_what_cannot_be_kept_is_answered_all_the_same(both: Atlas, tmp_path: Path) -> None:
    expected = roi_means(again(both), CONCEPTS).frame
    both.home = tmp_path / "file"
    both.home.write_text("no folder")
    assert roi_means(again(both), CONCEPTS).frame.equals(expected)


def test_wrong_questions_are_told_in_a_sentence(both: Atlas) -> None:
    model = both.model(VOLUME)
    for models in ([], [model] * 41):
        with pytest.raises(BadInputError, match=r"name 1 to 40\."):
            roi_means(models, ["cake"])
    with pytest.raises(NotFoundError, match=r"has a region 'FAF'.*FFA"):
        roi_means([model], ["cake"], rois=["FAF"])
    with pytest.raises(BadInputError, match="vocabulary"):
        roi_means([model], ["cake"], baseline="mean")


def test_a_concept_in_sql_loads_no_voxels(both: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = both.sql("FROM concept_map(concept('birthday cake'))")
    other = Atlas(both.store, home=both.home, load_backbone=both.text_towers._loader)
    monkeypatch.setattr(ReadoutTable, "load", lambda *_: pytest.fail("a readout table was loaded"))
    assert other.sql("FROM concept_map(concept('birthday cake'))").equals(expected)
    assert set(expected["z"].is_null()) == {False}
