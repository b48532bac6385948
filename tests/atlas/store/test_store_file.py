"""An atlas as a file: making, opening, and what is wrong with it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from batches import append, encoding, labels
from disks import disk_of, make_read_only

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, StoreError, StoreLockedError


def test_what_was_written_is_there_after_reopening(address: str) -> None:
    with Store.open(address) as store:
        append(store, labels("cake"))
    with Store.open(address, create=False) as store:
        assert store.committed("s") == {"k"}


def test_a_new_file_says_what_every_table_column_and_macro_is(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        silent = store.frame(
            "SELECT table_name AS name FROM duckdb_tables() WHERE comment IS NULL UNION ALL "
            "SELECT function_name FROM duckdb_functions() WHERE comment IS NULL AND NOT internal UNION ALL "
            "SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
        )
    assert silent["name"].to_list() == []


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


@pytest.mark.parametrize("address", ["", " ", "http://", "http://a b", "quack:localhost:9494", "duckalake:x", "a\0b"])
def test_an_address_that_does_not_parse_is_refused(address: str) -> None:
    with pytest.raises(BadInputError):
        Store.open(address)


def test_nothing_is_made_where_nothing_was_asked_for(address: str) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NotFoundError, match="no atlas at"):
            Store.open(address, **options)
    assert not Path(address).exists()


def test_another_process_that_has_the_file_is_named(store: Store, address: str) -> None:
    code = "import sys; from voxel_atlas.atlas.store.store import Store; Store.open(sys.argv[1])"
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


def test_an_atlas_on_a_read_only_medium_is_read_and_not_written(tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk") as disk:
        address = str(disk / "atlas.duckdb")
        with Store.open(address) as store:
            append(store, labels("cake"))
        make_read_only(disk)
        with Store.open(address, read_only=True) as store:
            assert store.committed("s") == {"k"}
        for wanted in (address, str(disk / "new.duckdb")):
            with pytest.raises(StoreError, match=r"open it read-only or change|No atlas can be made at") as caught:
                Store.open(wanted)
            assert "\n" not in str(caught.value)


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
