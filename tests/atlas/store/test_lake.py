"""A lake that several processes make at once, and one whose catalog's server dies and comes back."""

from pathlib import Path

import pytest
from buckets import killed_ingests
from lakes import new_lake, race, running_postgres

RESTARTS = 2


@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_a_new_lake_that_two_processes_open_at_once_is_made_once(
    catalog: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres") if catalog == "postgres" else ""
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    assert race(new_lake(folder, url) for folder in folders) == []


def test_a_catalog_whose_server_crashes_under_an_ingest_loses_and_doubles_nothing(tmp_path: Path) -> None:
    # Where PostgreSQL dies in a transaction, DuckDB ends the ingester, too, which is then as one that was killed.
    with running_postgres() as postgres:
        if postgres is None:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        restart = postgres.restart
        done = killed_ingests(new_lake(tmp_path, postgres.url), RESTARTS, {}, lambda _: restart())
    assert (done.kills, done.lost, done.doubled) == (RESTARTS, 0, 0)
