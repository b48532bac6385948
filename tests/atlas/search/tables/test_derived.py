"""What is derived from an atlas is kept within a budget, and made again when it is asked for after it was let go."""

import mmap
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_atlas import SURFACE, VOLUME

from voxel_atlas.atlas.machine_memory import mapped_memory
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.search.tables.derived import DerivedValues, Fresh, noting_cold
from voxel_atlas.atlas.search.tables.held_memory import budget, held_by
from voxel_atlas.atlas.search.tables.indexed_voxels import index_folder
from voxel_atlas.atlas.search.tables.voxel_table import VoxelTable
from voxel_atlas.atlas.store.maintenance import remove_model
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError

BUDGET = 100_000
ASKED = st.tuples(
    st.sampled_from("abcd"), st.sampled_from("xy"), st.sampled_from([1000, 30_000, 60_000]), st.booleans()
)
"""Model, what of it, bytes, whether a file is mapped as well."""


def derived(budget: float, mapped: Callable[[], int] = lambda: 0) -> DerivedValues:
    return DerivedValues(cast("Store", SimpleNamespace(generation=lambda: 1)), budget=budget, mapped=mapped)


def value(n: int, *, mapped: bool) -> list[object]:
    return [np.zeros(n, np.uint8), *([np.frombuffer(mmap.mmap(-1, n), np.uint8)[5:]] if mapped else [])]


class SlowVersion:
    """The rule, written out: models by when they were asked last, each with the sizes of its values."""

    def __init__(self) -> None:
        self.models: list[tuple[str, dict[str, int]]] = []
        self.made: list[str] = []

    def ask(self, model: str, part: str, size: int) -> None:
        own = next((parts for name, parts in self.models if name == model), {})
        self.models = [*(kept for kept in self.models if kept[0] != model), (model, own)]
        if part not in own:
            own[part] = size
            self.made.append(model + part)
            while len(self.models) > 1 and sum(sum(parts.values()) for _, parts in self.models) > BUDGET:
                self.models.pop(0)


@settings(max_examples=60, deadline=None)
@given(st.lists(ASKED, max_size=25))
def test_models_asked_longest_ago_are_let_go_as_a_slow_version_does(asked: list[tuple[str, str, int, bool]]) -> None:
    values, slow, made = derived(BUDGET), SlowVersion(), list[str]()

    def making(model: str, part: str, size: int, *, mapped: bool) -> Callable[[object], object]:
        def make(_: object) -> object:
            made.append(model + part)
            return value(size, mapped=mapped)

        return make

    for model, part, size, mapped in asked:
        values.get((part, model), making(model, part, size, mapped=mapped))
        slow.ask(model, part, held_by([value(size, mapped=mapped)]).own)
        assert made == slow.made


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_files_of_models_asked_longest_ago_are_given_back_before_any_value_goes(asked: list[str]) -> None:
    made = list[str]()
    # Memory that is no file's reads as zero once it is given back, and stands for what a question reads of a file.
    files = {name: mmap.mmap(-1, 10**6, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for name in "abc"}
    values = derived(BUDGET, lambda: 40_000 * sum(file[0] for file in files.values()))

    def make(name: str) -> list[object]:
        made.append(name)
        return [np.frombuffer(files[name], np.uint8)]

    for name in asked:
        files[name][0] = 1
        values.get(("x", name), lambda _, name=name: make(name))
    assert {name for name in files if files[name][0]} == set(list(dict.fromkeys(reversed(asked)))[:2])
    assert sorted(made) == sorted(set(asked))


def test_memory_is_counted_once_and_mapped_files_apart(tmp_path: Path) -> None:
    array, frame = np.zeros(10_000), pl.DataFrame({"a": np.zeros(5_000)})
    shared = SimpleNamespace(one=array, views=[array[:10], array.reshape(100, 100)], frame=frame, column=frame["a"])
    assert 120_000 <= held_by([shared, array]).own < 170_000
    index = VectorIndex.build(np.eye(300, dtype=np.float32))
    assert 5 * 300 * 300 <= held_by([index]).own < 6 * 300 * 300
    index.save(tmp_path, "f")
    mapped = held_by([VectorIndex.load(tmp_path, "f")])
    assert mapped.own < 20_000
    assert mapped.mapped == (tmp_path / "vectors.index").stat().st_size


def test_a_saved_index_whose_memory_was_given_back_and_whose_file_is_gone_answers_as_before(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((6_000, 32), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    VectorIndex.build(vectors).save(tmp_path, "f")
    index = VectorIndex.load(tmp_path, "f")
    assert index is not None
    before = index.search(vectors[:2], 5)
    (tmp_path / "vectors.index").unlink()
    held_by([index]).give_back()
    for one, other in zip(before, index.search(vectors[:2], 5), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what is in memory of files")
def test_what_was_read_of_a_mapped_file_counts_until_it_is_given_back(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b") as file:
        file.truncate(2**27)
        mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    before = mapped_memory()
    mapped.max()
    assert 2**26 < mapped_memory() - before < 2**28, "Linux tells it to some hundred pages for each core"
    held_by([mapped]).give_back()
    assert mapped_memory() - before < 2**26


def loads_of_voxels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    loads, load = list[str](), VoxelTable.load

    def counted(store: Store, model: Any, old: VoxelTable | None) -> VoxelTable:
        loads.append(model.model_id)
        return load(store, model, old)

    monkeypatch.setattr(VoxelTable, "load", counted)
    return loads


def test_an_atlas_with_room_for_one_model_answers_of_two_in_turn_as_one_with_room_for_both(
    both: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = loads_of_voxels(monkeypatch)
    expected = [both.model(name).similar("cake", significant=False).frame for name in (VOLUME, SURFACE)]
    assert loads == [VOLUME, SURFACE]
    narrow = Atlas(both.store, home=both.home, model_memory="1KB")
    narrow.text_towers = both.text_towers
    for _ in range(2):
        for name, frame in zip((VOLUME, SURFACE), expected, strict=True):
            assert narrow.model(name).similar("cake", significant=False).frame.equals(frame)
    assert loads == [VOLUME, SURFACE] * 3
    assert (both.has_room, narrow.has_room) == (True, False)


def test_threads_that_push_each_others_models_out_get_right_answers(both: Atlas) -> None:
    names = VOLUME, SURFACE
    expected = {name: both.model(name).similar("cake", significant=False).frame for name in names}
    narrow, wrong = Atlas(both.store, home=both.home, model_memory="1KB"), list[str]()
    narrow.text_towers = both.text_towers

    def ask(name: str) -> None:
        for _ in range(10):
            if not narrow.model(name).similar("cake", significant=False).frame.equals(expected[name]):
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_that_is_removed_while_it_is_mapped_is_not_there_and_harms_no_other(both: Atlas) -> None:
    asked, other = both.model(VOLUME), both.model(SURFACE)
    asked.similar("cake", significant=False)
    expected = other.similar("cake", significant=False).frame
    remove_model(both.store.address, VOLUME)
    shutil.rmtree(index_folder(both.home, both.store.address, VOLUME))
    for question in (lambda: asked.similar("cake", significant=False), lambda: both.model(VOLUME)):
        with pytest.raises(NotFoundError, match=VOLUME):
            question()
    assert other.similar("cake", significant=False).frame.equals(expected)
    assert both.models()["model_id"].to_list() == [SURFACE]


def test_a_model_that_is_removed_before_it_is_loaded_is_not_there(both: Atlas) -> None:
    model = both.model(VOLUME)
    remove_model(both.store.address, VOLUME)
    picture = np.zeros((8, 8, 3), np.uint8)
    for question in (model.tables.spectrum, lambda: model.text_towers.centred(model, picture)):
        with pytest.raises(NotFoundError, match=f"There is no model '{VOLUME}'; there are {SURFACE}"):
            question()


def test_what_is_kept_is_of_the_newest_state_again_when_a_model_was_removed(both: Atlas) -> None:
    for name in (VOLUME, SURFACE):
        both.model(name).similar("cake", significant=False)
    remove_model(both.store.address, VOLUME)
    newest = both.store.generation()
    assert both.caught_up(newest) == newest
    assert both.model(SURFACE).similar("cake", significant=False).generation == newest


def test_a_question_tells_which_models_were_not_loaded_yet(atlas: Atlas) -> None:
    with noting_cold() as first:
        atlas.model(VOLUME).similar("cake")
    with noting_cold() as second:
        atlas.model(VOLUME).similar("cake")
    assert (first, second) == ([VOLUME], [])


def test_what_a_value_is_made_of_does_not_lag_behind_it() -> None:
    now = [1]
    part = Fresh(lambda _: now[0], patience=1000)
    whole = Fresh(lambda _: part.get(now[0])[0])
    assert whole.get(1) == (1, 1)
    now[0] = 2
    assert part.get(2) == (1, 1)
    assert whole.get(2) == (2, 2)
    assert part.get(2) == (2, 2)


def test_an_index_that_grows_on_a_mapped_one_counts_what_it_copied(tmp_path: Path) -> None:
    VectorIndex.build(np.eye(64, dtype=np.float32)).save(tmp_path, "f")
    index = VectorIndex.load(tmp_path, "f")
    assert index is not None
    grown = index.extended(np.eye(64, dtype=np.float32), np.arange(64) + 64)
    assert held_by([grown]).own > 4 * 128 * 64
    assert sys.getsizeof(grown.parts[0]) >= 128 * 64


@pytest.mark.parametrize(
    ("amount", "n_bytes"),
    [("", 24 * 2**30 // 5), ("3GB", 3 * 10**9), ("1.5 GiB", 3 * 2**29), ("20mb", 20 * 10**6), ("0.5GB", 5 * 10**8)],
)
def test_models_may_take_a_fifth_of_the_memory_or_what_is_set(
    amount: str, n_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxel_atlas.atlas.search.tables.held_memory.total_memory", lambda: 24 * 2**30)
    assert budget(amount) == n_bytes


def test_models_may_not_take_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxel_atlas.atlas.search.tables.held_memory.total_memory", lambda: 2**30)
    with pytest.raises(BadInputError, match=r"2GB is more than the 1.0 GiB of memory"):
        budget("2GB")
