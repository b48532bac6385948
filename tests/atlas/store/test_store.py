"""The store on every kind of address: a file, a served file, a DuckLake."""

import sys
import threading
from contextlib import nullcontext

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from batches import append, encoding, labels
from hypothesis import given, settings
from hypothesis import strategies as st

from voxel_atlas.atlas.store import appending
from voxel_atlas.atlas.store.links import executed
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, LedgerConflictError, StoreError
from voxel_atlas.schemas.tables import table_schemas


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


def test_a_batch_is_added_once_with_its_ledger_row(store: Store) -> None:
    assert append(store, labels("cake", "dog"))
    assert not append(store, labels("cake", "dog"))
    assert store.frame("SELECT lemma FROM label ORDER BY lemma")["lemma"].to_list() == ["cake", "dog"]
    entry = store.arrow("SELECT * FROM ledger").to_pylist()
    assert [(row["run_id"], row["stage"], row["batch_key"], row["n_rows"]) for row in entry] == [("r", "s", "k", 2)]


def test_the_same_key_with_other_content_is_refused_and_names_both(store: Store) -> None:
    append(store, labels("cake"))
    with pytest.raises(LedgerConflictError, match=r"'k' of stage 's'.*run r committed [0-9a-f]{12}, run other"):
        store.append(labels("dog"), run_id="other", stage="s", key="k")
    assert store.frame("SELECT lemma FROM label")["lemma"].to_list() == ["cake"]


def test_a_batch_with_one_bad_table_leaves_nothing(store: Store) -> None:
    bad = {**labels("cake"), "significance": pa.table({"model_id": ["m"], "voxel": [1], "q": pa.nulls(1)})}
    with pytest.raises(BadInputError, match="'q' with null values"):
        append(store, bad)
    assert store.arrow("SELECT * FROM label").num_rows == 0
    assert store.committed("s") == set()


@pytest.mark.parametrize("kind", ["file", "ducklake-sqlite"], indirect=True)
def test_a_failure_between_tables_rolls_back_and_the_store_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = appending.insert

    def fail_at_ledger(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
        if name.endswith("ledger"):
            raise KeyboardInterrupt
        insert(connection, name, rows)

    with monkeypatch.context() as patch:
        patch.setattr(appending, "insert", fail_at_ledger)
        with pytest.raises(KeyboardInterrupt):
            append(store, labels("cake"))
    assert store.arrow("SELECT * FROM label").num_rows == 0
    assert append(store, labels("cake"))


def test_generation_grows_with_batches_and_not_with_repeats(store: Store) -> None:
    seen = [store.generation()]
    for key in ("a", "a", "b"):
        append(store, labels(key), key=key)
        seen.append(store.generation())
    assert seen[0] < seen[1] == seen[2] < seen[3]


def test_vectors_come_back_as_one_array(store: Store) -> None:
    weights = np.random.default_rng(0).standard_normal((20_000, 16), dtype=np.float32)
    for start in range(0, 20_000, 7_000):
        append(store, encoding(weights[start : start + 7_000], start), key=str(start))
    got = store.vectors("SELECT weights FROM encoding WHERE model_id = ? ORDER BY voxel;", ["m"], 16)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, weights)
    keys, got = store.keyed_vectors("SELECT voxel, weights FROM encoding WHERE voxel >= ?", [19_990], 16)
    np.testing.assert_array_equal(got, weights[keys])
    assert sorted(keys) == list(range(19_990, 20_000))


def test_no_vectors_is_an_empty_array(store: Store) -> None:
    assert store.vectors("SELECT weights FROM encoding", None, 16).shape == (0, 16)
    keys, vectors = store.keyed_vectors("SELECT voxel, weights FROM encoding", None, 16)
    assert (keys.shape, vectors.shape) == ((0,), (0, 16))


def test_vectors_of_another_length_are_an_error(store: Store) -> None:
    append(store, encoding(np.ones((3, 16), np.float32)))
    with pytest.raises(StoreError, match="another length than 8"):
        store.vectors("SELECT weights FROM encoding", None, 8)


def test_every_table_gives_back_the_types_of_its_schema(store: Store) -> None:
    for table, schema in table_schemas().items():
        got = store.arrow(f"SELECT * FROM {table}").schema
        assert got.names == schema.names
        # DuckDB names a list's element differently and gives every column as nullable.
        assert [str(field.type).replace("<l:", "<item:") for field in got] == [
            str(field.type).replace("<element:", "<item:") for field in schema
        ]


REFUSED = [
    ("DELETE FROM ledger", "reads is taken.*DELETE"),
    ("DROP TABLE ledger", "reads is taken.*DROP"),
    ("INSERT INTO label VALUES (1, 'x')", "reads is taken.*INSERT"),
    ("COPY label TO 'label.csv'", "reads is taken.*COPY"),
    ("SET GLOBAL memory_limit = '1MB'", "reads is taken.*SET"),
    ("CALL quack_serve('quack:localhost:1')", "reads is taken.*CALL"),
    ("EXPLAIN ANALYZE DELETE FROM ledger", "reads is taken.*EXPLAIN"),
    ("COMMIT; DELETE FROM ledger", "there are 2"),
    ("", "there are 0"),
    ("SELEC 1", "syntax error"),
    ("SELECT * FROM nowhere", "nowhere does not exist"),
]


def test_reading_changes_nothing_and_says_what_is_wrong(store: Store) -> None:
    append(store, labels("cake"))
    for sql, message in REFUSED:
        with pytest.raises(BadInputError, match=message):
            store.arrow(sql)
        assert store.arrow("SELECT * FROM label").num_rows == 1


def test_a_python_variable_is_no_table(store: Store) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(BadInputError, match="secret"):
        store.arrow("SELECT * FROM secret")
    assert secret.num_rows == 1


def n_rows(store: Store) -> dict[str, int]:
    counts = ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in table_schemas())
    return store.frame(f"SELECT {counts}").row(0, named=True)


HOSTILE = ["'; DROP TABLE label; --", '"', "'", "$1", "?", "\\", "{}", "%s", "a'b", "label; SELECT 1", "\x00", "😀"]


@pytest.mark.parametrize("kind", ["file", "served"], indirect=True)
@settings(max_examples=40)
@given(data=st.data())
def test_hostile_text_is_data_and_never_sql(store: Store, kind: str, data: st.DataObject) -> None:
    lemma, key, stage, run = (data.draw(st.one_of(st.text(), st.sampled_from(HOSTILE))) for _ in range(4))
    before = n_rows(store)
    new = key not in store.committed(stage)
    unknown = not store.arrow("SELECT 1 FROM label WHERE lemma = ?", [lemma]).num_rows
    try:
        added = store.append(labels(lemma), run_id=run, stage=stage, key=key)
    except LedgerConflictError:
        added = False
    assert added <= new
    assert store.arrow("SELECT lemma FROM label WHERE lemma = ?", [lemma]).num_rows >= added
    assert key in store.committed(stage)
    more = {"label": added and unknown, "ledger": added}
    assert n_rows(store) == {name: count + more.get(name, 0) for name, count in before.items()}


def test_hostile_text_comes_back_as_it_was(store: Store) -> None:
    store.append(labels(*HOSTILE), run_id=HOSTILE[0], stage=HOSTILE[1], key=HOSTILE[2])
    assert set(store.frame("SELECT lemma FROM label")["lemma"]) == set(HOSTILE)
    assert store.committed(HOSTILE[1]) == {HOSTILE[2]}


def test_readers_see_whole_batches_while_one_writes(store: Store) -> None:
    # A lake makes a file of each batch, and reads each.
    n, batches, failures = 50, 6 if store.address.startswith("ducklake") else 40, []

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
        reader.join(300)
    assert failures == []


def test_threads_may_append_at_once(store: Store) -> None:
    threads = [threading.Thread(target=append, args=(store, labels(str(i)), str(i % 5))) for i in (0, 1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.committed("s") == {"0", "1", "2", "3", "4"}


def test_rows_that_models_share_are_added_by_the_first_who_brings_them(store: Store) -> None:
    boxes = [[], [0, 0, 4, 4], []]
    captions = {"stimulus_id": ["a", "a", "b"], "box": boxes, "captioner": ["c"] * 3, "text": ["x", "y", "z"]}
    first = pa.table(captions).slice(1)
    assert append(store, {"caption": first, **labels("cake")}, "first")
    assert append(store, {"caption": pa.table(captions), **labels("cake", "dog", "dog")}, "second")
    rows = store.frame("SELECT stimulus_id, len(box) AS n, text FROM caption ORDER BY ALL")
    assert rows.rows() == [("a", 0, "x"), ("a", 4, "y"), ("b", 0, "z")]
    assert sorted(store.frame("SELECT lemma FROM label")["lemma"]) == ["cake", "dog"]


def test_two_programs_that_append_at_once_add_each_batch_and_each_shared_row_once(store: Store, kind: str) -> None:
    n = 6
    together = threading.Barrier(2, timeout=300)
    added: list[bool] = []

    def ingest(name: str, own: Store) -> None:
        for number in range(n):
            together.wait()
            added.append(append(own, encoding(np.ones((5, 3), np.float32), 5 * number), f"same {number}"))
            append(own, labels(f"shared {number}", f"of {name} {number}"), f"{name} {number}")

    # Another program cannot open a file; threads of one share its store.
    with nullcontext(store) if kind == "file" else Store.open(store.address) as other:
        programs = [threading.Thread(target=ingest, args=pair) for pair in (("one", store), ("other", other))]
        for program in programs:
            program.start()
        for program in programs:
            program.join()
    assert sorted(added) == [False] * n + [True] * n
    for table, name, expected in (
        ("encoding", "voxel", 5 * n),
        ("label", "lemma", 3 * n),
        ("ledger", "batch_key", 3 * n),
    ):
        assert store.frame(f"SELECT count(*), count(DISTINCT {name}) FROM {table}").row(0) == (expected, expected)


@given(
    text=st.text(max_size=20) | st.sampled_from(["'", "''; DROP TABLE voxel; --", "\\'", "$1", "?", "\0", "é\n\t"]),
    number=st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none(),
    texts=st.lists(st.text(max_size=5), max_size=4),
)
def test_values_come_back_as_they_went_in_whether_pandas_is_loaded_or_not(
    text: str, number: int | None, texts: list[str]
) -> None:
    sql, values = "SELECT ? AS a, ?::BIGINT AS b, ?::VARCHAR[] AS c", [text, number, texts]
    named = "SELECT $a AS a, $b::BIGINT AS b, $c::VARCHAR[] AS c"
    with duckdb.connect() as connection, pytest.MonkeyPatch.context() as patch:
        expected = [(text, None if number is None else int(number), texts)]
        assert executed(connection, sql, values).fetchall() == expected
        patch.delitem(sys.modules, "pandas", raising=False)
        assert executed(connection, sql, values).fetchall() == expected
        assert executed(connection, named, dict(zip("abc", values, strict=True))).fetchall() == expected
