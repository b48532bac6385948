import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from toy_atlas import model_rows, put, random_weights, run_rows, subject_rows, words_rows

from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.index import VectorIndex, _Part
from voxel_atlas.atlas.search.similarity import VoxelHits
from voxel_atlas.atlas.store.store import Store

FINGERPRINT = "f" * 64


@pytest.fixture
def index() -> VectorIndex:
    """One of two parts, as an ingest's second batch leaves it."""
    vectors = unit_rows(np.random.default_rng(0).standard_normal((20_000, 32), dtype=np.float32))
    keys = np.arange(20_000) * 3
    return VectorIndex.build(vectors[:17_000], keys[:17_000]).extended(vectors[17_000:], keys[17_000:])


def index_folder(atlas: Atlas, hits: VoxelHits) -> Path:
    """Where the vectors that were asked are kept between runs."""
    (of_atlas,) = (atlas.home / "indexes").iterdir()
    return of_atlas / quote(hits.model_id, safe="") / hits.readout


def answers(index: VectorIndex) -> list[tuple[list[float], list[int]]]:
    found = [index.search(query[None], 50) for query in index.vectors[:5]]
    return [(scores[0].tolist(), rows[0].tolist()) for scores, rows in found]


def test_a_saved_index_answers_as_before(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path, FINGERPRINT)
    loaded = VectorIndex.load(tmp_path, FINGERPRINT)
    assert loaded is not None
    assert answers(loaded) == answers(index)
    np.testing.assert_array_equal(loaded.keys, index.keys)
    grown = loaded.extended(index.vectors[:10], np.arange(10) + 100_000)
    assert len(grown) == 20_010


def test_the_codes_of_a_saved_index_are_mapped_and_not_made_again(
    index: VectorIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.save(tmp_path, FINGERPRINT)
    monkeypatch.setattr(_Part, "of", lambda *_: pytest.fail("rows were coded"))
    loaded = VectorIndex.load(tmp_path, FINGERPRINT)
    assert loaded is not None
    assert [(part.start, part.stop) for part in loaded.parts] == [(0, 17_000), (17_000, 20_000)]
    assert sum(map(sys.getsizeof, loaded.parts)) < 1000 < sys.getsizeof(index.parts[0])
    assert answers(loaded) == answers(index)


def test_a_saved_index_of_another_version_of_faiss_loads_nothing(
    index: VectorIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.save(tmp_path, FINGERPRINT)
    monkeypatch.setattr("faiss.__version__", "0.0.1")
    assert VectorIndex.load(tmp_path, FINGERPRINT) is None


def test_a_saved_index_is_in_the_order_of_its_keys(index: VectorIndex, tmp_path: Path) -> None:
    mixed = np.random.default_rng(1).permutation(len(index))
    VectorIndex.build(index.vectors[mixed], index.keys[mixed]).save(tmp_path, FINGERPRINT)
    loaded = VectorIndex.load(tmp_path, FINGERPRINT)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.keys, index.keys)
    np.testing.assert_array_equal(loaded.vectors, index.vectors)


def test_another_fingerprint_or_no_index_loads_nothing(index: VectorIndex, tmp_path: Path) -> None:
    assert VectorIndex.load(tmp_path, FINGERPRINT) is None
    index.save(tmp_path, FINGERPRINT)
    assert VectorIndex.load(tmp_path, "e" * 64) is None


def test_one_flipped_bit_anywhere_is_noticed(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path, FINGERPRINT)
    (path,) = tmp_path.iterdir()
    whole, random = path.read_bytes(), np.random.default_rng(1)
    in_manifest, later = random.integers(0, 512, 30), random.integers(512, len(whole), 10)
    for place in (*in_manifest, 512, *later, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        assert VectorIndex.load(tmp_path, FINGERPRINT) is None
    path.write_bytes(whole)
    assert VectorIndex.load(tmp_path, FINGERPRINT) is not None


def test_a_truncated_or_missing_file_loads_nothing(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path, FINGERPRINT)
    (path,) = tmp_path.iterdir()
    for size in (path.stat().st_size - 1, path.stat().st_size // 2, 512, 100, 0):
        os.truncate(path, size)
        assert VectorIndex.load(tmp_path, FINGERPRINT) is None
    path.unlink()
    assert VectorIndex.load(tmp_path, FINGERPRINT) is None


@pytest.mark.parametrize("manifest", ["", "[]", "{}", "null", '{"sha256": 1}', "\x00", '{"fingerprint": []}'])
def test_a_manifest_of_nonsense_loads_nothing(index: VectorIndex, tmp_path: Path, manifest: str) -> None:
    index.save(tmp_path, FINGERPRINT)
    (path,) = tmp_path.iterdir()
    path.write_bytes(manifest.encode().ljust(512) + path.read_bytes()[512:])
    assert VectorIndex.load(tmp_path, FINGERPRINT) is None


def test_an_index_that_another_process_replaces_goes_on_with_its_own_vectors(
    index: VectorIndex, tmp_path: Path
) -> None:
    index.save(tmp_path, FINGERPRINT)
    loaded = VectorIndex.load(tmp_path, FINGERPRINT)
    assert loaded is not None
    VectorIndex.build(-index.vectors, index.keys).save(tmp_path, "e" * 64)
    assert VectorIndex.load(tmp_path, FINGERPRINT) is None
    assert answers(loaded) == answers(index)


def test_saving_removes_what_was_kept_in_formats_before(index: VectorIndex, tmp_path: Path) -> None:
    for name in ("manifest.json", "codes-0-ffff.faiss", "vectors-ffff.npy"):
        (tmp_path / name).write_bytes(b"old")
    index.save(tmp_path, FINGERPRINT)
    VectorIndex.build(index.vectors[:100], index.keys[:100]).save(tmp_path, "e" * 64)
    assert len(list(tmp_path.iterdir())) == 1
    loaded = VectorIndex.load(tmp_path, "e" * 64)
    assert loaded is not None
    assert len(loaded) == 100


def test_an_atlas_keeps_its_index_and_loads_it_at_the_next_start(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    first = atlas.model().similar("cake", significant=False)
    again = Atlas(atlas.store, home=atlas.home)

    read = atlas.store.keyed_vectors

    def read_no_weights(sql: str, *arguments: Any) -> Any:
        assert "weights" not in sql, "the index was built anew"
        return read(sql, *arguments)

    monkeypatch.setattr(atlas.store, "keyed_vectors", read_no_weights)
    assert again.model().similar("cake", significant=False).frame.equals(first.frame)


def test_an_index_with_a_flipped_bit_is_made_again_and_answers_as_before(atlas: Atlas) -> None:
    first = atlas.model().similar("cake", significant=False)
    (path,) = index_folder(atlas, first).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 4]) + whole[-1:])
    again = Atlas(atlas.store, home=atlas.home)
    assert again.model().similar("cake", significant=False).frame.equals(first.frame)
    assert path.read_bytes() == whole


def test_an_index_of_other_rows_is_made_again(atlas: Atlas) -> None:
    first = atlas.model().similar("cake", significant=False)
    rows = model_rows("simulated/S1/toy/aaaaaa", "simulated/S1", random_weights(125))
    put(atlas.store, {"encoding": rows["encoding"][120:]}, key="more")
    again = Atlas(atlas.store, home=atlas.home)
    assert again.model().similar("cake", significant=False).total == 125
    third = Atlas(atlas.store, home=atlas.home)
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
    hits = atlas.model("m/toy/1").similar("cake", significant=False)
    assert hits.total == 30
    assert list(index_folder(atlas, hits).iterdir())


def test_an_index_that_cannot_be_kept_is_told_and_changes_no_answer(
    atlas: Atlas, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = atlas.model().similar("cake").frame
    (tmp_path / "file").touch()
    homeless = Atlas(atlas.store, home=tmp_path / "file")
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
