"""SQL that somebody else wrote: it reads the atlas, and no file, setting, port or program besides."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from addresses import opened
from batches import append, labels
from harms import HARMS

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError

READS = (
    "FROM label",
    "WITH a AS (SELECT lemma FROM label) SELECT upper(lemma) FROM a",
    "FROM roi_labels('FFA')",
    "SELECT * FROM range(3), unnest([1, 2])",
    "DESCRIBE label",
    "SHOW TABLES",
    "VALUES (1)",
    "SELECT column_name FROM duckdb_columns() LIMIT 1",
)


@pytest.fixture
def reader(kind: str, tmp_path: Path, database: str) -> Iterator[Store]:
    """A store on each kind of address, as a person's statement meets it: open for reading."""
    with opened(kind, tmp_path, database) as store:
        append(store, labels("cake"))
        if kind == "served":
            yield store
            return
    with Store.open(store.address, read_only=True) as reading:
        yield reading


def test_statements_that_read_the_atlas_are_answered(reader: Store) -> None:
    for sql in READS:
        assert reader.query(sql).columns, sql


def test_statements_that_do_more_are_refused_and_do_nothing(reader: Store, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    before = {path: path.stat().st_size for path in tmp_path.glob("*") if path.is_file()}
    for sql in HARMS:
        with pytest.raises(BadInputError):
            reader.query(sql.format(folder=tmp_path, port=1))
        after = {path: path.stat().st_size for path in before}
        assert after == before, sql
        assert not (tmp_path / "new.csv").exists(), sql
        assert reader.query("SELECT lemma FROM label")["lemma"].to_list() == ["cake"], sql


def test_only_files_that_are_named_can_be_read(tmp_path: Path) -> None:
    address, (shared, secret) = str(tmp_path / "atlas.duckdb"), (tmp_path / "shared", tmp_path / "shared-secret")
    for folder in (shared, secret):
        folder.mkdir()
        (folder / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with Store.open(address) as store:
        append(store, labels("cake"))
    with Store.open(address, read_only=True, files=[str(shared)]) as store:
        assert store.query(f"SELECT a FROM '{shared}/t.csv'")["a"].to_list() == [1]
        for path in (f"{secret}/t.csv", f"{shared}/../shared-secret/t.csv"):
            with pytest.raises(BadInputError, match="disabled by configuration"):
                store.query(f"FROM read_csv('{path}')")
        shutil.rmtree(shared)


@pytest.mark.parametrize("kind", ["served"], indirect=True)
def test_a_served_atlas_reads_no_files_for_others(reader: Store) -> None:
    with pytest.raises(BadInputError, match="reads no files for others"):
        Store.open(reader.address, read_only=True, files=["/"])


@pytest.mark.parametrize(
    ("columns", "names", "values"),
    [
        ("1 AS roi, 2 AS roi, 3 AS roi_1, 4 AS roi", ["roi", "roi_2", "roi_1", "roi_3"], (1, 2, 3, 4)),
        ("INTERVAL 90 SECOND AS took", ["took"], ("00:01:30",)),
        ("[INTERVAL 1 DAY] AS took", ["took"], ("[1 day]",)),
        ("union_value(k := 1) AS u", ["u"], ("1",)),
        ("'infinity'::DATE AS d, DATE '2026-01-31' AS e", ["d", "e"], ("infinity", date(2026, 1, 31))),
        ("'-infinity'::TIMESTAMPTZ AS d", ["d"], ("-infinity",)),
        ('DATE \'300000-01-01\' AS "a""b"', ['a"b'], ("300000-01-01",)),
    ],
)
def test_any_type_and_any_name_is_answered(
    tmp_path: Path, columns: str, names: list[str], values: tuple[object, ...]
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        frame = store.query(f"SELECT {columns}")
    assert frame.columns == names
    assert frame.row(0) == values
