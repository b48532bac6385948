"""A release's way back into an atlas, and what is said of a damaged one."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy_atlas import SURFACE, VOLUME, model_rows, put, random_weights, run_rows, words_rows

from voxel_atlas.atlas.release.export import export
from voxel_atlas.atlas.release.importing import import_release
from voxel_atlas.atlas.release.parquet_files import parquet_name
from voxel_atlas.atlas.release.verify import problems, write_sums
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.store.maintenance import remove_model
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, LedgerConflictError, NotFoundError
from voxel_atlas.schemas.tables import table_schemas


def rows(store: Store, table: str, where: str = "TRUE") -> list[str]:
    return sorted(repr(row) for row in store.frame(f"FROM {table} WHERE {where}").iter_rows())


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "other.duckdb")) as opened:
        yield opened


def test_an_import_gives_the_rows_of_the_export(both: Atlas, release: Path, other: Store) -> None:
    assert import_release(other, release, run_id="i") == [SURFACE, VOLUME]
    for table in table_schemas():
        if table in ("atlas_format", "ledger"):
            continue
        # The second picture and the caption that no voxel shows are not part of the models.
        unused = {"stimulus": "stimulus_id != 'nod/3'", "caption": "text NOT LIKE 'not shown%'"}.get(table, "TRUE")
        assert rows(other, table) == rows(both.store, table, unused), table
        assert rows(other, table), table


def test_an_import_and_an_export_of_it_agree(release: Path, other: Store, tmp_path: Path) -> None:
    import_release(other, release, run_id="i")
    again = export(Atlas(other, home=tmp_path / "home"), tmp_path / "again", tables_only=True)
    for name in table_schemas().keys() - {"atlas_format"}:
        assert (again / parquet_name(name)).read_bytes() == (release / parquet_name(name)).read_bytes(), name


def test_a_release_is_imported_once(release: Path, other: Store) -> None:
    import_release(other, release, run_id="i")
    generation = other.generation()
    assert import_release(other, release, run_id="j") == []
    assert other.generation() == generation
    assert other.arrow("SELECT count(*) = count(DISTINCT (stage, batch_key)) AS once FROM ledger")["once"][0].as_py()


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_an_import_that_was_stopped_goes_on_where_it_was(
    release: Path, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    calls = 0
    append = Store.append

    def stops(self: Store, *arguments: object, **named: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise KeyboardInterrupt
        return append(self, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", stops)
        with pytest.raises(KeyboardInterrupt):
            import_release(other, release, run_id="i")
    import_release(other, release, run_id="j")
    with Store.open(str(tmp_path / "undisturbed.duckdb")) as undisturbed:
        import_release(undisturbed, release, run_id="i")
        for table in table_schemas().keys() - {"atlas_format", "ledger"}:
            assert rows(other, table) == rows(undisturbed, table), table


def test_the_ledger_knows_imported_batches(both: Atlas, other: Store, tmp_path: Path) -> None:
    model = "simulated/S1/toy/cccccc"
    for stage, key, parts in (
        ("model", model, model_rows(model, "simulated/S1", random_weights(3))),
        ("run", "r1/finished", run_rows(model)),
    ):
        batch = {name: pa.Table.from_pylist(rows) for name, rows in parts.items()}
        run_id = f"run-{model}-1" if stage == "run" else "r1"
        both.store.append(batch, run_id=run_id, stage=stage, key=key)
        release = export(both, tmp_path / stage, models=[model], tables_only=True) if stage == "run" else None
    assert release
    import_release(other, release, run_id="i")
    batch = {
        name: pa.Table.from_pylist(rows) for name, rows in model_rows(model, "simulated/S1", random_weights(3)).items()
    }
    assert other.append(batch, run_id="r2", stage="model", key=model) is False
    assert other.committed("run") == {"r1/finished"}


def test_models_that_share_a_subject_and_words_share_their_rows(both: Atlas, other: Store, tmp_path: Path) -> None:
    second = "simulated/S1/toy/dddddd"
    put(both.store, model_rows(second, "simulated/S1", random_weights(5)), run_rows(second, day=3), key="second")
    one = export(both, tmp_path / "one", models=[VOLUME], tables_only=True)
    two = export(both, tmp_path / "two", models=[second], tables_only=True)
    assert import_release(other, one, run_id="i") == [VOLUME]
    assert import_release(other, two, run_id="i") == [second]
    assert len(rows(other, "subject")) == 1
    assert len(rows(other, "voxel")) == 120
    assert len(rows(other, "label")) == 6


def test_a_model_that_is_there_by_another_way_is_refused_before_anything_is_written(
    release: Path, both: Atlas, other: Store
) -> None:
    with pytest.raises(LedgerConflictError, match=f"rm {SURFACE}"):
        import_release(both.store, release, run_id="i")
    put(other, model_rows(SURFACE, "nod/01", random_weights(2)), key="own")
    with pytest.raises(LedgerConflictError, match=SURFACE):
        import_release(other, release, run_id="i")
    assert rows(other, "subject") == []


def test_words_of_another_space_are_refused(release: Path, other: Store) -> None:
    words = words_rows(["cake"])
    words["label_embedding"][0]["vector"] = [1.0] + [0.0] * 7
    put(other, words, key="own")
    with pytest.raises(LedgerConflictError, match="another vector in label_embedding"):
        import_release(other, release, run_id="i")


def with_own_nouns(rows: dict[str, list[dict]], change: Callable[[list[dict]], object]) -> dict[str, list[dict]]:
    """Rows of words whose list of nouns was changed, and the baseline that such a list has."""
    change(rows["vocabulary"])
    nouns = rows["vocabulary"]
    made = Vocabulary([row["word"] for row in nouns], np.array([row["vector"] for row in nouns], np.float32))
    baseline = {"vocabulary_sha256": made.sha256, "n_words": len(nouns), "vector": made.baseline.tolist()}
    return {**rows, "baseline": [{**rows["baseline"][0], **baseline}]}


@pytest.mark.parametrize("rounding", range(3))
def test_vectors_that_another_machine_rounded_otherwise_are_the_same(
    release: Path, other: Store, rounding: int
) -> None:
    rng = np.random.default_rng(rounding)

    def rounded(rows: list[dict]) -> None:
        for row in rows:
            row["vector"] = (np.array(row["vector"]) + rng.uniform(-1e-6, 1e-6, 8)).tolist()

    words = with_own_nouns(words_rows(), rounded)
    rounded(words["label_embedding"])
    put(other, words, key="own")
    kept = [rows(other, table) for table in ("vocabulary", "baseline", "label_embedding")]
    assert set(import_release(other, release, run_id="i")) == {VOLUME, SURFACE}
    assert [rows(other, table) for table in ("vocabulary", "baseline")] == kept[:2]
    assert set(kept[2]) < set(rows(other, "label_embedding"))
    Vocabulary.stored(other, "toy")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda nouns: nouns.pop(), "another n_words and vector in baseline"),
        (lambda nouns: nouns[3].update(word="quagmire"), "another list of nouns"),
        (lambda nouns: nouns[3].update(vector=nouns[4]["vector"]), "another (n_words and )?vector in"),
    ],
    ids=["a noun less", "another noun", "another vector"],
)
def test_another_list_of_nouns_is_refused(
    release: Path, other: Store, change: Callable[[list[dict]], object], words: str
) -> None:
    put(other, with_own_nouns(words_rows(), change), key="own")
    with pytest.raises(LedgerConflictError, match=words):
        import_release(other, release, run_id="i")
    assert rows(other, "subject") == []


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_a_model_whose_weights_are_no_numbers_is_no_sound_release_and_refused(
    both: Atlas, other: Store, tmp_path: Path, damage: float
) -> None:
    weights = random_weights(5)
    weights[[2, 4], 3] = damage
    broken = "simulated/S1/toy/broken"
    put(both.store, model_rows(broken, "simulated/S1", weights), run_rows(broken), key="broken")
    export(both, tmp_path / "broken", models=[broken], tables_only=True)
    (problem,) = problems(tmp_path / "broken")
    assert problem.startswith(f"voxel 2 of {broken} has weights that are not finite numbers, and 1 more")
    with pytest.raises(BadInputError, match=re.escape(problem)):
        import_release(other, tmp_path / "broken", run_id="i")
    assert rows(other, "subject") == []


def test_a_subject_that_differs_is_refused(release: Path, other: Store) -> None:
    subject = {"subject_id": "nod/01", "dataset": "nod", "simulated": False, "space": "surface", "description": "x"}
    put(other, {"subject": [{**subject, "surface": None, "transform": None, "shape": [1, 1]}]}, key="own")
    with pytest.raises(LedgerConflictError, match="subject nod/01"):
        import_release(other, release, run_id="i")


def test_a_model_that_was_removed_can_be_imported_again(release: Path, other: Store) -> None:
    import_release(other, release, run_id="i")
    remove_model(other.address, VOLUME)
    assert import_release(other, release, run_id="j") == [VOLUME]
    assert len(rows(other, "encoding")) == 160
    assert len(rows(other, "label")) == 7


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _retype(folder: Path) -> None:
    path = folder / parquet_name("voxel")
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "voxel", table["voxel"].cast("int64")), path)
    write_sums(folder)


def _drop_column(folder: Path) -> None:
    path = folder / parquet_name("label")
    pl.read_parquet(path).drop("lemma").write_parquet(path)
    write_sums(folder)


def _newer(folder: Path) -> None:
    path = folder / "dataset_description.json"
    content = json.loads(path.read_text())
    content["VoxelAtlas"]["Format"] = 99
    path.write_text(json.dumps(content))
    write_sums(folder)


def _without_table(folder: Path) -> None:
    (folder / parquet_name("label")).unlink()
    write_sums(folder)


def _no_parquet(folder: Path) -> None:
    (folder / parquet_name("label")).write_text("none")
    write_sums(folder)


def _moved(table: str, step: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / parquet_name(table)
        rows = pq.read_table(path)
        moved = pa.array(rows["voxel"].to_numpy() + np.int32(step))
        place = rows.schema.get_field_index("voxel")
        pq.write_table(rows.set_column(place, rows.schema.field(place), moved), path)
        write_sums(folder)

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: _flip(folder / parquet_name("encoding")), "tables/encoding.parquet has changed"),
        (lambda folder: (folder / "README.md").unlink(), "README.md is missing"),
        (lambda folder: (folder / "extra.txt").write_text("x"), "extra.txt is not in SHA256SUMS"),
        (_retype, "column voxel is int64; expected is int32"),
        (_drop_column, "tables/label.parquet has the columns label_id; expected are label_id, lemma"),
        (_newer, "install a newer one"),
        (_without_table, "lacks the table label"),
        (_no_parquet, "tables/label.parquet is not a Parquet file"),
        (_moved("planting", -1), "planting names voxels -1 to -1 of simulated/S1, which has 0 to 119"),
        (_moved("learning_curve", 1), "learning_curve names voxels 1 to 40 of nod/01, which has 0 to 39"),
    ],
)
def test_damage_is_one_sentence_and_is_not_imported(
    release: Path, other: Store, damage: Callable[[Path], object], said: str
) -> None:
    damage(release)
    (found,) = problems(release)
    assert said in found
    with pytest.raises(BadInputError, match=said):
        import_release(other, release, run_id="i")
    assert other.generation() == 0


def test_voxels_that_are_not_counted_from_0_are_found(release: Path, other: Store) -> None:
    _moved("voxel", 1)(release)
    found = problems(release)
    said = "the voxels of {} are not numbered 0, 1, 2 …; ask for a sound release."
    assert found == [said.format(name) for name in ("nod/01", "simulated/S1")]
    with pytest.raises(BadInputError, match="voxels of nod/01 are not numbered"):
        import_release(other, release, run_id="i")


def test_every_flipped_byte_is_found(release: Path) -> None:
    for path in sorted(release.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS" and path.stat().st_size:
            kept = path.read_bytes()
            _flip(path)
            assert [line for line in problems(release) if "has changed" in line], path
            path.write_bytes(kept)
    assert problems(release) == []


def test_a_list_that_points_outside_is_refused(release: Path) -> None:
    with (release / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  ../secret\n")
    with pytest.raises(BadInputError, match="SHA256SUMS, line"):
        problems(release)


def test_a_folder_that_is_no_release_is_named(tmp_path: Path, release: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path, release / "README.md"):
        with pytest.raises(NotFoundError, match="is not a release"):
            problems(folder)


def test_a_copied_release_is_as_good(release: Path, other: Store, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "copy")
    shutil.rmtree(release)
    assert import_release(other, copy, run_id="i") == [SURFACE, VOLUME]


_SERVES = """
import sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1]) as store, store.served():
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_served_atlas_is_exported_and_imported_into_all_the_same(release: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "served.duckdb")
    child = subprocess.Popen(
        [sys.executable, "-c", _SERVES, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with Store.open(address) as store:
            assert import_release(store, release, run_id="i") == [SURFACE, VOLUME]
            again = export(Atlas(store, home=tmp_path / "home"), tmp_path / "again", tables_only=True)
    finally:
        child.communicate("")
    for name in table_schemas().keys() - {"atlas_format"}:
        assert (again / parquet_name(name)).read_bytes() == (release / parquet_name(name)).read_bytes(), name
