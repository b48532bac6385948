"""Care of an atlas: removing a model, making its file small, upgrading its format."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from lakes import new_lake
from toy_atlas import SURFACE, VOLUME, model_rows, put, random_weights, run_rows, subject_rows

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.maintenance import STEPS, Step, remove_model, upgrade, vacuum
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, StoreError, StoreLockedError
from voxel_atlas.schemas.tables import FORMAT_VERSION, model_tables, table_schemas


def rows(store: Store, table: str, where: str = "TRUE") -> list[str]:
    return sorted(repr(row) for row in store.frame(f"FROM {table} WHERE {where}").iter_rows())


def test_a_removed_model_is_gone_and_everything_else_stays(both: Atlas) -> None:
    store = both.store
    before = {name: rows(store, name) for name in table_schemas()}
    others = {name: rows(store, name, f"model_id != '{SURFACE}'") for name in model_tables()}
    removed = remove_model(store.address, SURFACE)
    assert removed == sum(len(before[name]) - len(others[name]) for name in model_tables()) > 100
    for name in table_schemas().keys() - {"ledger"}:
        assert rows(store, name) == others.get(name, before[name]), name
    assert both.models()["model_id"].to_list() == [VOLUME]


def test_generations_only_ever_grow(both: Atlas) -> None:
    seen = [both.store.generation()]
    for n in range(3):
        put(both.store, model_rows("a/b/c", "simulated/S1", random_weights(2, n)), key=f"again {n}")
        seen.append(both.store.generation())
        remove_model(both.store.address, "a/b/c")
        seen.append(both.store.generation())
    assert seen == sorted(set(seen))


def test_a_removed_model_can_be_ingested_again_by_the_same_keys(store: Store) -> None:
    def ingest() -> bool:
        batch = {
            name: pa.Table.from_pylist(part) for name, part in model_rows("s/toy/a", "s", random_weights(3)).items()
        }
        return store.append(batch, run_id="r", stage="fit", key="s/toy/a/0")

    assert ingest() is True
    store.append({}, run_id="r", stage="fit", key="s/toy/ab/0")  # another model whose id begins the same
    remove_model(store.address, "s/toy/a")
    assert store.committed("fit") == {"s/toy/ab/0"}
    assert ingest() is True
    remove_model(store.address, "s/toy/a")
    assert ingest() is True
    assert store.arrow("SELECT count(*) = count(DISTINCT (stage, batch_key)) AS once FROM ledger")["once"][0].as_py()
    assert len(rows(store, "encoding")) == 3


def test_a_removal_that_fails_removes_nothing(both: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: rows(both.store, name) for name in table_schemas()}
    change = Store.change
    monkeypatch.setattr(Store, "change", lambda self, todo: change(self, [*todo, ("SELECT error('stop')", None)]))
    with pytest.raises((StoreError, duckdb.Error), match="stop"):
        remove_model(both.store.address, SURFACE)
    assert {name: rows(both.store, name) for name in table_schemas()} == before


def test_a_model_that_is_not_there_is_named_with_those_that_are(both: Atlas) -> None:
    with pytest.raises(NotFoundError, match=VOLUME):
        remove_model(both.store.address, "nod/01")


@pytest.mark.parametrize("act", [lambda a: remove_model(a, "m"), vacuum, upgrade])
def test_a_servers_address_is_refused(act: Callable[[str], object]) -> None:
    with pytest.raises(BadInputError, match="stop the server"):
        act("http://localhost:8765")


@pytest.fixture(scope="module")
def worn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas file in which most rows were removed; it also holds somebody's own table and view."""
    path = tmp_path_factory.mktemp("worn") / "atlas.duckdb"
    weights = np.random.default_rng(0).standard_normal((1000, 1000)).astype(np.float32)
    with Store.open(str(path)) as store:
        put(store, subject_rows("s", 10), key="subject")
        for name in "ab":
            put(store, model_rows(f"s/toy/{name}", "s", weights, text=False), run_rows(f"s/toy/{name}"), key=name)
    remove_model(str(path), "s/toy/a")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 42 AS n; CREATE VIEW my_view AS FROM mine")
        connection.execute("COMMENT ON TABLE mine IS 'my own'")
    return path


@pytest.fixture
def worn(worn_file: Path, address: str) -> str:
    return str(shutil.copy(worn_file, address))


def test_vacuum_makes_the_file_small_and_keeps_every_row_view_macro_and_comment(worn: str) -> None:
    schema = (
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal UNION ALL "
        "SELECT function_name, '', '', comment FROM duckdb_functions() WHERE NOT internal UNION ALL "
        "SELECT table_name, '', '', comment FROM duckdb_tables() ORDER BY ALL"
    )

    def content() -> dict[str, pa.Table]:
        with duckdb.connect(worn, read_only=True) as connection:
            asked = {name: f"FROM {name} ORDER BY ALL" for name in [*table_schemas(), "my_view"]} | {"schema": schema}
            # As Arrow: times as Python objects would need another package.
            return {name: connection.execute(sql).to_arrow_table() for name, sql in asked.items()}

    before = content()
    size_before, size_after = vacuum(worn)
    assert size_after == Path(worn).stat().st_size < 0.7 * size_before
    assert content() == before
    assert sorted(path.name for path in Path(worn).parent.iterdir()) == ["atlas.duckdb"]
    with Store.open(worn) as store:
        assert store.append({}, run_id="r", stage="s", key="after") is True


@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_vacuum_takes_the_files_of_removed_rows_out_of_a_lake_and_no_others(
    catalog: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = new_lake(tmp_path, request.getfixturevalue("postgres") if catalog == "postgres" else "")

    def files() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))

    with Store.open(address) as store:
        for name in "ab":
            put(store, model_rows(f"s/toy/{name}", "s", random_weights(100)), key=f"s/toy/{name}")
    remove_model(address, "s/toy/a")
    with Store.open(address, read_only=True) as store:
        kept = {name: rows(store, name) for name in table_schemas()}
    before = files()
    assert vacuum(address) == (before, files())
    assert files() < 0.7 * before
    assert vacuum(address) == (files(), files())
    with Store.open(address) as store:
        assert {name: rows(store, name) for name in table_schemas()} == kept
        put(store, model_rows("s/toy/a", "s", random_weights(100)), key="again")
        assert len(rows(store, "encoding")) == 200


def test_vacuum_keeps_vectors_uncompressed(worn: str) -> None:
    vacuum(worn)
    with duckdb.connect(worn, read_only=True) as connection:
        found = connection.execute(
            "SELECT DISTINCT compression FROM pragma_storage_info('encoding') "
            "WHERE column_name = 'weights' AND segment_type = 'FLOAT'"
        ).fetchall()
    assert found == [("Uncompressed",)]


_HOLD = """
import contextlib, sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1], read_only=sys.argv[2] == "reads") as store:
    with store.served() if sys.argv[2] == "serves" else contextlib.nullcontext():
        print("open", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["writes", "reads", "serves"])
@pytest.mark.parametrize("act", [vacuum, lambda a: remove_model(a, "s/toy/b")])
def test_a_file_that_another_process_has_open_is_left_alone(worn: str, how: str, act: Callable[[str], object]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, worn, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        before = Path(worn).read_bytes()
        with pytest.raises(StoreLockedError, match=str(child.pid)):
            act(worn)
        assert Path(worn).read_bytes() == before
    finally:
        child.communicate("")


_KILLED = """
import os, pathlib, signal, sys
from voxel_atlas.atlas.store.maintenance import vacuum
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "before":
    pathlib.Path.replace = kill
else:  # the copy is flushed, then the folder that it was renamed in
    waits = {"copied": 0, "after": 1}[sys.argv[2]]
    flushes = iter([lambda: None] * waits + [kill])
    os.fsync = lambda _: next(flushes)()
vacuum(sys.argv[1])
"""


@pytest.mark.parametrize("step", ["copied", "before", "after"])
def test_a_vacuum_that_is_killed_leaves_the_old_file_or_the_new_one(worn: str, step: str) -> None:
    with Store.open(worn) as store:
        before = {name: store.arrow(f"FROM {name} ORDER BY ALL") for name in table_schemas()}
    size = Path(worn).stat().st_size
    assert subprocess.run([sys.executable, "-c", _KILLED, worn, step]).returncode == -9
    assert (Path(worn).stat().st_size < size) == (step == "after")
    with Store.open(worn) as store:
        assert {name: store.arrow(f"FROM {name} ORDER BY ALL") for name in table_schemas()} == before


@pytest.mark.parametrize("step", ["copy", "rename"])
def test_a_vacuum_that_fails_leaves_the_file_as_it_was(worn: str, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = Path(worn).read_bytes()

    def fails(*_: object) -> None:
        raise StoreError("stop")

    if step == "copy":
        monkeypatch.setattr("os.fsync", fails)
    else:
        monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(StoreError, match="stop"):
        vacuum(worn)
    assert Path(worn).read_bytes() == before
    assert sorted(path.name for path in Path(worn).parent.iterdir()) == ["atlas.duckdb"]


@pytest.fixture
def old(address: str) -> str:
    """An atlas of a format 0 that never was: labels have no number, and the table `dropped` is not there."""
    Store.open(address).close()
    with duckdb.connect(address) as connection:
        connection.execute("UPDATE atlas_format SET version = 0")
        connection.execute("DROP VIEW top_label; DROP VIEW voxel_label; DROP TABLE dropped")
        connection.execute("CREATE OR REPLACE TABLE label (lemma VARCHAR NOT NULL)")
        connection.execute("INSERT INTO label VALUES ('cake')")
    return address


def number_labels(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE label RENAME TO old_label")
    connection.execute("CREATE TABLE label (label_id BIGINT NOT NULL, lemma VARCHAR NOT NULL)")
    connection.execute("INSERT INTO label SELECT 7, lemma FROM old_label")
    connection.execute("DROP TABLE old_label")


def test_an_older_atlas_is_refused_until_it_is_upgraded(old: str) -> None:
    with pytest.raises(StoreError, match="voxel-atlas upgrade"):
        Store.open(old)
    assert upgrade(old, steps={**STEPS, 0: number_labels}) == (0, FORMAT_VERSION)
    with Store.open(old) as store:
        assert store.arrow("FROM label").to_pylist() == [{"label_id": 7, "lemma": "cake"}]
        assert store.arrow("FROM dropped").num_rows == 0
        assert store.arrow("FROM top_label").num_rows == 0
        assert store.generation() == 1
    assert upgrade(old, steps={}) == (FORMAT_VERSION, FORMAT_VERSION)


def test_an_atlas_of_format_1_gets_a_table_for_learning_curves(both: Atlas) -> None:
    store = both.store
    before = {name: rows(store, name) for name in table_schemas().keys() - {"atlas_format", "ledger", "learning_curve"}}
    store.close()
    with duckdb.connect(store.address) as connection:
        connection.execute("DROP TABLE learning_curve; UPDATE atlas_format SET version = 1")
    with pytest.raises(StoreError, match="older format 1; run `voxel-atlas upgrade` first"):
        Store.open(store.address)
    assert upgrade(store.address) == (1, FORMAT_VERSION)
    with Store.open(store.address) as upgraded:
        assert {name: rows(upgraded, name) for name in before} == before
        assert not rows(upgraded, "learning_curve")


def test_an_atlas_of_format_3_gets_candidates_without_a_score(both: Atlas) -> None:
    store = both.store
    new = {"atlas_format", "ledger", "semantic", "beyond_low_level", "label_evidence", "region_test", "region_image"}
    before = {name: rows(store, name) for name in table_schemas().keys() - new}
    store.close()
    with duckdb.connect(store.address) as connection:
        connection.execute("DROP VIEW top_label; DROP VIEW voxel_label; DROP TABLE label_evidence")
        connection.execute("DROP VIEW voxel_quality; DROP TABLE semantic; DROP TABLE beyond_low_level")
        connection.execute("DROP TABLE region_test; DROP TABLE region_image")
        connection.execute("ALTER TABLE label_score DROP reason; ALTER TABLE label_score DROP stability")
        for column in ("score", "rank", "probability"):
            connection.execute(f"ALTER TABLE label_score ALTER {column} SET NOT NULL")
        connection.execute("UPDATE atlas_format SET version = 3")
    assert upgrade(store.address) == (3, FORMAT_VERSION)
    unscored = {"model_id": SURFACE, "voxel": 1, "method": "brainlmm-eq2", "label_id": 7, "reason": "no picture"}
    with Store.open(store.address) as upgraded:
        assert {name: rows(upgraded, name) for name in before} == before
        batch = {"label_score": pa.Table.from_pylist([unscored])}
        upgraded.append(batch, run_id="run", stage="score", key="later")
        (row,) = upgraded.arrow("FROM label_score WHERE score IS NULL").to_pylist()
        assert row == {**unscored, "score": None, "rank": None, "probability": None, "stability": None}


def test_an_atlas_of_format_4_from_before_its_release_gets_what_came_late(both: Atlas) -> None:
    store = both.store
    store.close()
    late = {"concept_query": ("alphas", "errors"), "subject": ("affine", "affine_code")}
    with duckdb.connect(store.address) as connection:
        for table, columns in late.items():
            for column in columns:
                connection.execute(f"ALTER TABLE {table} DROP {column}")
    assert upgrade(store.address) == (FORMAT_VERSION, FORMAT_VERSION)
    with Store.open(store.address) as upgraded:
        for table, columns in late.items():
            assert set(columns) <= set(upgraded.arrow(f"FROM {table}").column_names)


def test_an_upgrade_within_a_format_that_fails_leaves_the_atlas_as_it_was(both: Atlas) -> None:
    address = both.store.address
    both.store.close()
    with duckdb.connect(address) as connection:
        connection.execute("ALTER TABLE subject DROP affine")
        connection.execute("DROP VIEW voxel_quality; CREATE TABLE voxel_quality (i INTEGER)")
    with pytest.raises(StoreError, match="cannot be upgraded from format 4 and is as it was"):
        upgrade(address)
    with duckdb.connect(address) as connection:
        assert "affine" not in [row[0] for row in connection.execute("DESCRIBE subject").fetchall()]


@pytest.mark.parametrize(("dataset", "zscore"), [("nsd", "session"), ("nod", "auto")])
def test_an_atlas_of_format_3_says_what_responses_of_nsd_were_scored_over(
    both: Atlas, dataset: str, zscore: str
) -> None:
    store = both.store
    store.close()
    given = f'{{"dataset":"{dataset}","zscore":"auto"}}'
    with duckdb.connect(store.address) as connection:
        connection.execute("UPDATE atlas_format SET version = 3")
        connection.execute("UPDATE model SET config = ?", [given])
    assert upgrade(store.address) == (3, FORMAT_VERSION)
    expected = given.replace("auto", zscore)
    with Store.open(store.address) as upgraded:
        assert set(upgraded.arrow("SELECT config FROM model")["config"].to_pylist()) == {expected}
        digests = set(upgraded.arrow("SELECT config_sha256 AS it FROM model")["it"].to_pylist())
    assert (digests == {hashlib.sha256(expected.encode()).hexdigest()}) == (dataset == "nsd")


def breaks(connection: duckdb.DuckDBPyConnection) -> None:
    number_labels(connection)
    connection.execute("SELECT error('stop here')")


def forgets_a_column(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE label ADD COLUMN label_id INTEGER")


def stopped(connection: duckdb.DuckDBPyConnection) -> None:
    number_labels(connection)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({**STEPS, 0: breaks}, "stop here"),
        ({**STEPS, 0: forgets_a_column}, "label"),
        (STEPS, "nothing upgrades format 0"),
        ({**STEPS, 0: stopped}, None),
    ],
)
def test_an_upgrade_that_fails_leaves_the_atlas_as_it_was(old: str, steps: dict[int, Step], said: str | None) -> None:
    def content() -> list[list]:
        with duckdb.connect(old, read_only=True) as connection:
            sql = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
            asked = ("FROM label", "SELECT version FROM atlas_format", sql)
            return [connection.execute(query).fetchall() for query in asked]

    before = content()
    with pytest.raises((StoreError, KeyboardInterrupt), match=said):
        upgrade(old, steps=steps)
    assert content() == before


def test_a_newer_atlas_is_refused(address: str) -> None:
    Store.open(address).close()
    with duckdb.connect(address) as connection:
        connection.execute("UPDATE atlas_format SET version = 99")
    with pytest.raises(StoreError, match="install a newer voxel-atlas"):
        upgrade(address)


def test_what_is_no_atlas_is_not_upgraded(tmp_path: Path) -> None:
    other, text = tmp_path / "other.duckdb", tmp_path / "text"
    duckdb.connect(str(other)).close()
    text.write_text("x" * 100)
    for path, said in ((other, "another program's"), (text, "text"), (tmp_path / "none", "There is no atlas")):
        with pytest.raises((StoreError, NotFoundError), match=said):
            upgrade(str(path))
