"""Questions while the atlas grows: each sees all of a batch or nothing of it, soon, and no more is read than is new."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from toy_atlas import (
    SURFACE,
    Toy,
    concept_vector,
    cosines,
    model_rows,
    put,
    random_weights,
    run_rows,
    subject_rows,
    word_vector,
    words_rows,
)

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store

MODEL = "simulated/S1/toy/aaaaaa"


def test_a_committed_batch_is_found_by_the_next_question(atlas: Atlas) -> None:
    before = atlas.model().similar("cake", significant=False)
    more = np.concatenate([random_weights(120), np.tile(word_vector("cake"), (5, 1))])
    added = model_rows(MODEL, "simulated/S1", more)
    for name, key in (("encoding", "voxel"), ("significance", "voxel")):
        added[name] = [row for row in added[name] if row[key] >= 120]
    put(atlas.store, {name: added[name] for name in ("encoding", "significance")}, key="more")
    after = atlas.model().similar("cake", significant=False)
    assert (before.total, after.total) == (120, 125)
    assert sorted(after.frame["voxel"][:5]) == [120, 121, 122, 123, 124]
    assert after.generation == before.generation + 1


def test_a_model_that_is_still_fitted_answers_with_what_is_there(store: Store, tmp_path: Path, toy: Toy) -> None:
    atlas = Atlas(store, home=tmp_path, load_backbone=lambda name, home: toy)
    rows = model_rows("s/m/1", "s", random_weights(30))
    put(store, subject_rows("s", 30), {"model": rows["model"]}, run_rows("s/m/1", "started"), key="model")
    assert atlas.model().similar("cake").total == 0
    assert atlas.model().map("cake").frame.height == 0
    assert atlas.model().similar("cake", by="labels").total == 0
    for start in (20, 0, 10):
        put(store, {"encoding": rows["encoding"][start : start + 10]}, key=str(start))
    assert atlas.model().similar("cake", significant=False).total == 30
    assert atlas.model().similar("cake").total == 0
    put(store, {"significance": rows["significance"]}, key="q")
    assert atlas.model().similar("cake").total == 20
    frame = atlas.model().map("cake").frame
    np.testing.assert_allclose(frame["similarity"], cosines(concept_vector("cake"), random_weights(30)), atol=1e-6)


def test_questions_go_on_in_threads_while_batches_come(atlas: Atlas) -> None:
    failures: list[str] = []
    done = threading.Event()

    def ask() -> None:
        last = 0
        while not done.is_set():
            try:
                hits = atlas.model().similar("cake", significant=False, first=5)
                if hits.total < last or hits.total % 10:
                    failures.append(f"{last} → {hits.total}")
                last = hits.total
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
                failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    rows = model_rows(MODEL, "simulated/S1", random_weights(420))
    for start in range(120, 420, 10):
        put(atlas.store, {"encoding": rows["encoding"][start : start + 10]}, key=str(start))
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert atlas.model().similar("cake", significant=False).total == 420


def test_patience_answers_from_before_and_then_from_now(atlas: Atlas, tmp_path: Path) -> None:
    patient = Atlas(atlas.store, home=tmp_path, patience=1)
    assert patient.model().similar("cake", significant=False).total == 120
    rows = model_rows(MODEL, "simulated/S1", random_weights(130))
    put(atlas.store, {"encoding": rows["encoding"][120:]}, key="more")
    seen = {patient.model().similar("cake", significant=False).total for _ in range(200)}
    assert seen <= {120, 130}
    for _ in range(6000):
        if patient.model().similar("cake", significant=False).total == 130:
            break
        threading.Event().wait(0.05)
    else:
        pytest.fail("the newer voxels never came")


def test_while_another_model_grows_nothing_of_this_one_is_read_again(
    both: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = both.model(SURFACE).similar("cake"), both.model(SURFACE).label_table(semantic=False)
    rows = model_rows(MODEL, "simulated/S1", random_weights(420))
    put(both.store, {"encoding": rows["encoding"][120:]}, key="more")
    asked = list[tuple[str, object]]()
    arrow = both.store.arrow

    def listening(sql: str, parameters: object = None) -> pa.Table:
        asked.append((sql, parameters))
        return arrow(sql, parameters)

    monkeypatch.setattr(both.store, "arrow", listening)
    after = both.model(SURFACE).similar("cake"), both.model(SURFACE).label_table(semantic=False)
    assert after[0].frame.equals(before[0].frame)
    assert after[0].generation == before[0].generation + 1
    assert after[1] is before[1]
    tables = ("encoding", "voxel_quality", "voxel_roi", "label_score")
    assert [sql for sql, given in asked if given and any(f"FROM {table} " in sql for table in tables)] == []


@pytest.mark.parametrize(
    "kind", ["file", "served", "ducklake-sqlite", pytest.param("ducklake-postgres", marks=pytest.mark.slow)]
)
def test_a_growing_model_is_as_one_that_was_read_at_once(any_store: Store, tmp_path: Path, toy: Toy) -> None:
    rows = model_rows(MODEL, "simulated/S1", random_weights(400, 7))
    first = {"encoding": rows["encoding"][:120], "model": rows["model"]}
    put(any_store, subject_rows("simulated/S1", 120), first, words_rows(), run_rows(MODEL), key="first")
    growing, whole = (Atlas(any_store, home=tmp_path / name) for name in ("growing", "whole"))
    for start, stop in ((300, 350), (350, 400), (120, 300)):
        growing.model().similar("cake", significant=False)
        put(any_store, {"encoding": rows["encoding"][start:stop]}, key=str(start))
    for question in ({}, {"rois": ["FFA"]}, {"min_r2": 0.1}):
        grown, fresh = (a.model().similar("dog", significant=False, **question) for a in (growing, whole))  # type: ignore[arg-type]
        assert grown.total == fresh.total > 0
        assert grown.frame.equals(fresh.frame)
    assert growing.model().metric_map("r2").equals(whole.model().metric_map("r2"))
