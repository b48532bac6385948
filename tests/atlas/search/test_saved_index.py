import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from toy_atlas import model_rows, put, random_weights, run_rows, subject_rows, words_rows

from voxel_atlas.atlas.search import readouts, saved_index
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.index import VectorIndex, unit
from voxel_atlas.atlas.store.store import Store

FINGERPRINT = "f" * 64


@pytest.fixture
def index() -> VectorIndex:
    """One of two segments, as an ingest's second batch leaves it."""
    vectors = unit(np.random.default_rng(0).standard_normal((20_000, 32), dtype=np.float32))
    keys = np.arange(20_000) * 3
    return VectorIndex.build(vectors[:12_000], keys[:12_000]).extended(vectors[12_000:], keys[12_000:])


def index_folder(atlas: Atlas, model_id: str) -> Path:
    """Where the model's weights are kept between runs."""
    (of_atlas,) = (atlas.home / "indexes").iterdir()
    return of_atlas / quote(model_id, safe="") / "weights"


def answers(index: VectorIndex) -> list[tuple[list[float], list[int]]]:
    found = [index.search(query[None], 50) for query in index.vectors[:5]]
    return [(scores[0].tolist(), rows[0].tolist()) for scores, rows in found]


def test_a_saved_index_answers_as_before(index: VectorIndex, tmp_path: Path) -> None:
    saved_index.save(index, tmp_path, FINGERPRINT)
    loaded = saved_index.load(tmp_path, FINGERPRINT)
    assert loaded is not None
    assert answers(loaded) == answers(index)
    np.testing.assert_array_equal(loaded.keys, index.keys)
    grown = loaded.extended(index.vectors[:10], np.arange(10) + 100_000)
    assert len(grown) == 20_010


def test_another_fingerprint_or_no_index_loads_nothing(index: VectorIndex, tmp_path: Path) -> None:
    assert saved_index.load(tmp_path, FINGERPRINT) is None
    saved_index.save(index, tmp_path, FINGERPRINT)
    assert saved_index.load(tmp_path, "e" * 64) is None


def test_one_flipped_bit_anywhere_is_noticed(
    index: VectorIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved_index.save(index, tmp_path, FINGERPRINT)
    files = sorted(tmp_path.iterdir())
    assert [path.name.partition("-")[0] for path in files] == [
        "centre",
        "codes",
        "codes",
        "keys",
        "manifest.json",
        "vectors",
    ]
    random = np.random.default_rng(1)
    for path in files:
        whole = path.read_bytes()
        for place in random.integers(0, len(whole), 12 if path.name == "manifest.json" else 3):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(random.integers(8))
            path.write_bytes(flipped)
            caplog.clear()
            assert saved_index.load(tmp_path, FINGERPRINT) is None
            path.write_bytes(whole)
    assert saved_index.load(tmp_path, FINGERPRINT) is not None


def test_a_truncated_or_missing_file_loads_nothing(index: VectorIndex, tmp_path: Path) -> None:
    saved_index.save(index, tmp_path, FINGERPRINT)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        os.truncate(path, len(whole) // 2)
        assert saved_index.load(tmp_path, FINGERPRINT) is None
        path.unlink()
        assert saved_index.load(tmp_path, FINGERPRINT) is None
        path.write_bytes(whole)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", "null", '{"sha256": 1}', "\x00", '{"fingerprint": []}'])
def test_a_manifest_of_nonsense_loads_nothing(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    assert saved_index.load(tmp_path, FINGERPRINT) is None


@pytest.mark.parametrize("gone", ["vectors", "codes"])
def test_an_index_that_another_process_replaces_meanwhile_is_none(
    index: VectorIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    saved_index.save(index, tmp_path, FINGERPRINT)
    read = saved_index._read

    def late(*given: Any) -> VectorIndex:
        for path in tmp_path.glob(f"{gone}-*"):
            path.unlink()
        return read(*given)

    monkeypatch.setattr(saved_index, "_read", late)
    assert saved_index.load(tmp_path, FINGERPRINT) is None


def test_saving_again_leaves_only_the_newest_files(index: VectorIndex, tmp_path: Path) -> None:
    saved_index.save(index, tmp_path, FINGERPRINT)
    smaller = VectorIndex.build(index.vectors[:100], index.keys[:100])
    saved_index.save(smaller, tmp_path, "e" * 64)
    named = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", *named}
    loaded = saved_index.load(tmp_path, "e" * 64)
    assert loaded is not None
    assert len(loaded) == 100


def test_an_atlas_keeps_its_index_and_loads_it_at_the_next_start(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    first = atlas.model().similar("cake", significant=False)
    again = Atlas(atlas.store, home=atlas.home)
    again.text_towers = atlas.text_towers

    def refuse(*_: object) -> None:
        raise AssertionError("the index was built anew")

    monkeypatch.setattr(readouts._Vectors, "read", refuse)
    assert again.model().similar("cake", significant=False).frame.equals(first.frame)


def test_an_index_with_a_flipped_bit_is_made_again_and_answers_as_before(atlas: Atlas) -> None:
    first = atlas.model().similar("cake", significant=False)
    folder = index_folder(atlas, first.model_id)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 4]) + whole[-1:])
        again = Atlas(atlas.store, home=atlas.home)
        again.text_towers = atlas.text_towers
        assert again.model().similar("cake", significant=False).frame.equals(first.frame)
        assert path.read_bytes() == whole


def test_an_index_of_other_rows_is_made_again(atlas: Atlas) -> None:
    first = atlas.model().similar("cake", significant=False)
    rows = model_rows("simulated/S1/toy/aaaaaa", "simulated/S1", random_weights(125))
    put(atlas.store, {"encoding": rows["encoding"][120:]}, key="more")
    again = Atlas(atlas.store, home=atlas.home)
    again.text_towers = atlas.text_towers
    assert again.model().similar("cake", significant=False).total == 125
    third = Atlas(atlas.store, home=atlas.home)
    third.text_towers = atlas.text_towers
    assert third.model().similar("cake", significant=False).total == 125
    assert first.total == 120


def test_a_model_that_is_not_finished_keeps_no_index(atlas: Atlas) -> None:
    rows = model_rows("m/toy/1", "simulated/S1", random_weights(30))
    put(
        atlas.store,
        {"model": rows["model"], "encoding": rows["encoding"][:20]},
        run_rows("m/toy/1", "started"),
        key="m",
    )
    atlas.model("m/toy/1").similar("cake", significant=False)
    assert not (atlas.home / "indexes").exists()
    put(atlas.store, {"encoding": rows["encoding"][20:], "significance": rows["significance"]}, key="m2")
    assert atlas.model("m/toy/1").similar("cake", significant=False).total == 30
    assert (index_folder(atlas, "m/toy/1") / "manifest.json").exists()


def test_an_index_that_cannot_be_kept_is_told_and_changes_no_answer(
    atlas: Atlas, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = atlas.model().similar("cake").frame
    (tmp_path / "file").touch()
    homeless = Atlas(atlas.store, home=tmp_path / "file")
    homeless.text_towers = atlas.text_towers
    assert homeless.model().similar("cake").frame.equals(expected)
    assert "cannot be kept" in caplog.text


def test_other_weights_with_the_same_scores_make_another_index(tmp_path: Path) -> None:
    def similarities(seed: int) -> list[float]:
        (tmp_path / "atlas.duckdb").unlink(missing_ok=True)
        with Store.open(str(tmp_path / "atlas.duckdb")) as store:
            rows = model_rows("m/toy/1", "simulated/S1", random_weights(40, seed))
            parts = {"model": ("model",), "fit": ("encoding",), "significance": ("significance",)}
            put(store, subject_rows("simulated/S1", 40), words_rows(), run_rows("m/toy/1"), key="subject")
            for stage, names in parts.items():
                batch = {table: pa.Table.from_pylist(rows[table]) for table in names}
                store.append(batch, run_id="r", stage=stage, key="m/toy/1")
            atlas = Atlas(store, home=tmp_path)
            return atlas.model().similar("cake", significant=False, first=40).frame["similarity"].to_list()

    assert similarities(0) != similarities(1)
