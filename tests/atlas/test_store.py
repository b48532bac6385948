import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas import links, quack
from atlas.store import Store
from schemas.errors import BadInputError, LedgerConflictError, NotFoundError, StoreError, StoreLockedError
from schemas.tables import TABLES


def labels(*lemmas: str) -> dict[str, pa.Table]:
    return {"label": pa.table({"label_id": [abs(hash(x)) for x in lemmas], "lemma": list(lemmas)})}


def append(any_store: Store, batch: dict[str, pa.Table], key: str = "k") -> bool:
    return store.append(batch, run_id="r", stage="s", key=key)


def encoding(weights: np.ndarray, first: int = 0) -> dict[str, pa.Table]:
    n, dim = weights.shape
    one = np.ones(n, np.float32)
    return {
        "encoding": pa.table(
            {
                "model_id": ["m"] * n,
                "voxel": np.arange(first, first + n, dtype=np.int32),
                "weights": pa.ListArray.from_arrays(np.arange(0, n * dim + 1, dim, dtype=np.int32), weights.ravel()),
                **dict.fromkeys(("bias", "r2", "r", "p"), one),
                "alpha": one.astype(np.float64),
            }
        )
    }


def test_a_batch_is_added_once_with_its_ledger_row(any_store: Store) -> None:
    assert append(store, labels("cake", "dog"))
    assert not append(store, labels("cake", "dog"))
    assert store.frame("SELECT lemma FROM label ORDER BY lemma")["lemma"].to_list() == ["cake", "dog"]
    entry = store.arrow("SELECT * FROM ledger").to_pylist()
    assert [(row["run_id"], row["stage"], row["batch_key"], row["n_rows"]) for row in entry] == [("r", "s", "k", 2)]


def test_the_same_key_with_other_content_is_refused_and_names_both(any_store: Store) -> None:
    append(store, labels("cake"))
    with pytest.raises(LedgerConflictError, match=r"'k' of stage 's'.*run r committed [0-9a-f]{12}, run other"):
        store.append(labels("dog"), run_id="other", stage="s", key="k")
    assert store.frame("SELECT lemma FROM label")["lemma"].to_list() == ["cake"]


def test_a_batch_with_one_bad_table_leaves_nothing(any_store: Store) -> None:
    bad = {**labels("cake"), "significance": pa.table({"model_id": ["m"], "voxel": [1], "q": pa.nulls(1)})}
    with pytest.raises(BadInputError, match="'q' with null values"):
        append(store, bad)
    assert store.arrow("SELECT * FROM label").num_rows == 0
    assert store.committed("s") == set()


def test_a_failure_between_tables_rolls_back_and_the_store_goes_on(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = links.insert

    def fail_at_ledger(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
        if name.endswith("ledger"):
            raise KeyboardInterrupt
        insert(connection, name, rows)

    with monkeypatch.context() as patch:
        for module in (links, quack):
            patch.setattr(module, "insert", fail_at_ledger)
        with pytest.raises(KeyboardInterrupt):
            append(store, labels("cake"))
    assert store.arrow("SELECT * FROM label").num_rows == 0
    assert append(store, labels("cake"))


def test_generation_grows_with_batches_and_not_with_repeats(any_store: Store) -> None:
    seen = [store.generation()]
    for key in ("a", "a", "b"):
        append(store, labels(key), key=key)
        seen.append(store.generation())
    assert seen[0] < seen[1] == seen[2] < seen[3]


def test_what_was_written_is_there_after_reopening(address: str) -> None:
    with Store.open(address) as store:
        append(store, labels("cake"))
    with Store.open(address, create=False) as store:
        assert store.committed("s") == {"k"}


def test_vectors_come_back_as_one_array(any_store: Store) -> None:
    weights = np.random.default_rng(0).standard_normal((20_000, 16), dtype=np.float32)
    for start in range(0, 20_000, 7_000):
        append(store, encoding(weights[start : start + 7_000], start), key=str(start))
    got = store.vectors("SELECT weights FROM encoding WHERE model_id = ? ORDER BY voxel;", ["m"], 16)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, weights)
    keys, got = store.keyed_vectors("SELECT voxel, weights FROM encoding WHERE voxel >= ?", [19_990], 16)
    np.testing.assert_array_equal(got, weights[keys])
    assert sorted(keys) == list(range(19_990, 20_000))


def test_no_vectors_is_an_empty_array(any_store: Store) -> None:
    assert store.vectors("SELECT weights FROM encoding", None, 16).shape == (0, 16)
    keys, vectors = store.keyed_vectors("SELECT voxel, weights FROM encoding", None, 16)
    assert (keys.shape, vectors.shape) == ((0,), (0, 16))


def test_vectors_of_another_length_are_an_error(any_store: Store) -> None:
    append(store, encoding(np.ones((3, 16), np.float32)))
    with pytest.raises(StoreError, match="another length than 8"):
        store.vectors("SELECT weights FROM encoding", None, 8)


@pytest.mark.parametrize("table", list(TABLES))
def test_every_table_gives_back_the_types_of_its_schema(any_store: Store, table: str) -> None:
    got = store.arrow(f"SELECT * FROM {table}").schema
    assert got.names == TABLES[table].names
    # DuckDB names a list's element differently and gives every column as nullable.
    assert [str(field.type).replace("<l:", "<item:") for field in got] == [
        str(f.type).replace("<element:", "<item:") for f in TABLES[table]
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM ledger", "read-only"),
        ("DROP TABLE ledger", "read-only"),
        ("INSERT INTO label VALUES (1, 'x')", "read-only"),
        ("COMMIT; DELETE FROM ledger", "there are 2"),
        ("", "there are 0"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", "nowhere does not exist"),
    ],
)
def test_reading_changes_nothing_and_says_what_is_wrong(any_store: Store, sql: str, message: str) -> None:
    append(store, labels("cake"))
    with pytest.raises(BadInputError, match=message):
        store.arrow(sql)
    assert store.arrow("SELECT * FROM label").num_rows == 1


def test_a_python_variable_is_no_table(any_store: Store) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(BadInputError, match="secret"):
        store.arrow("SELECT * FROM secret")
    assert secret.num_rows == 1


HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(
        ["'; DROP TABLE label; --", '"', "'", "$1", "?", "\\", "{}", "%s", "a'b", "label; SELECT 1", "\x00", "😀"]
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(lemma=HOSTILE, key=HOSTILE, stage=HOSTILE, run=HOSTILE)
def test_hostile_text_is_data_and_never_sql(any_store: Store, lemma: str, key: str, stage: str, run: str) -> None:
    before = {name: store.arrow(f"SELECT * FROM {name}").num_rows for name in TABLES}
    new = key not in store.committed(stage)
    try:
        added = store.append(labels(lemma), run_id=run, stage=stage, key=key)
    except LedgerConflictError:
        added = False
    assert added <= new
    assert store.arrow("SELECT lemma FROM label WHERE lemma = ?", [lemma]).num_rows >= added
    assert key in store.committed(stage)
    after = {name: store.arrow(f"SELECT * FROM {name}").num_rows for name in TABLES}
    assert after == {**before, "label": before["label"] + added, "ledger": before["ledger"] + added}


def test_readers_see_whole_batches_while_one_writes(any_store: Store) -> None:
    n, batches, failures = 50, 40, []

    def read() -> None:
        last = 0
        while last < n * batches and not failures:
            try:
                count = store.arrow("SELECT count(*) AS n FROM encoding")["n"][0].as_py()
                if count % n or count < last:
                    failures.append(f"{last} → {count}")
                last = count
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
                failures.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for batch in range(batches):
        append(store, encoding(np.full((n, 8), batch, np.float32), batch * n), key=str(batch))
    for reader in readers:
        reader.join(30)
    assert failures == []


def test_threads_may_append_at_once(any_store: Store) -> None:
    threads = [threading.Thread(target=append, args=(store, labels(str(i)), str(i % 5))) for i in (0, 1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.committed("s") == {"0", "1", "2", "3", "4"}


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def empty(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def foreign(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE sheep (name VARCHAR)")


def altered(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        Store.open(str(path)).close()
        with duckdb.connect(str(path)) as connection:
            connection.execute(statement)

    return make


def flipped(path: Path) -> None:
    with Store.open(str(path)) as store:
        append(store, encoding(np.ones((4_000, 64), np.float32)))
    content = bytearray(path.read_bytes())
    for offset in range(0, len(content), 4096):
        content[offset + 100] ^= 0xFF
    path.write_bytes(content[:8] + b"DUCK" + content[12:])


def truncated(path: Path) -> None:
    flipped(path)
    os.truncate(path, path.stat().st_size // 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (garbage, "is not an atlas: it is not a DuckDB file"),
        (empty, "is not an atlas: it is not a DuckDB file"),
        (folder, "is a folder"),
        (foreign, "another program's database"),
        (altered("UPDATE atlas_format SET version = 99"), "format 99.*newer voxel-atlas"),
        (altered("UPDATE atlas_format SET version = 0"), "older format 0.*upgrade"),
        (altered("DELETE FROM atlas_format"), "without a format number"),
        (altered("DROP TABLE planting"), "lacks the table planting"),
        (flipped, "is damaged"),
        (truncated, "is damaged"),
    ],
)
def test_what_is_no_atlas_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "x.duckdb"
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("address", ["", " ", "http://host/x", "quack:host", "quack:host:99999", "duckalake:x", "a\0b"])
def test_an_address_that_does_not_parse_is_refused(address: str) -> None:
    with pytest.raises(BadInputError):
        Store.open(address)


def test_nothing_is_made_where_nothing_was_asked_for(address: str) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NotFoundError, match="no atlas at"):
            Store.open(address, **options)
    assert not Path(address).exists()


def test_another_process_that_has_the_file_is_named(store: Store, address: str) -> None:
    code = "import sys; from atlas import links, quack
from atlas.store import Store; Store.open(sys.argv[1])"
    child = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True)
    assert "StoreLockedError" in child.stderr
    assert f"process {os.getpid()}" in child.stderr


def test_another_mode_in_the_same_process_is_refused(store: Store, address: str) -> None:
    with pytest.raises(StoreLockedError, match="already open in this process"):
        Store.open(address, read_only=True)


def test_a_store_for_reading_does_not_write(address: str) -> None:
    Store.open(address).close()
    with Store.open(address, read_only=True) as store:
        assert store.generation() == 0
        with pytest.raises(StoreError, match="reading only"):
            append(store, labels("cake"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="choose a folder"):
        Store.open(str(tmp_path / "atlas.duckdb"))


def test_a_place_where_no_folder_can_be_is_named() -> None:
    with pytest.raises(StoreError, match="No atlas can be made at /proc/nowhere"):
        Store.open("/proc/nowhere/atlas.duckdb")


def test_a_symbolic_link_opens_the_atlas_itself(tmp_path: Path, address: str) -> None:
    Store.open(address).close()
    link = tmp_path / "elsewhere" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(address)
    with Store.open(str(link)) as store:
        append(store, labels("cake"))
        assert sorted(p.name for p in link.parent.iterdir()) == ["link.duckdb"]
    with Store.open(address) as store:
        assert store.committed("s") == {"k"}


def test_making_an_atlas_leaves_no_other_file(tmp_path: Path, address: str) -> None:
    Store.open(address).close()
    assert [p.name for p in tmp_path.iterdir()] == ["atlas.duckdb"]
