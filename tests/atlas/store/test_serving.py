"""An atlas that one process serves and others read and write: kills of either side, and what a user is told."""

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest
from addresses import server
from batches import append, encoding, labels
from harms import HARMS

from voxel_atlas.atlas.store import serving
from voxel_atlas.atlas.store.address import load_extensions
from voxel_atlas.atlas.store.content import LedgerBatch
from voxel_atlas.atlas.store.sql_socket import Socket
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, StoreError, StoreLockedError

N_ROWS, DIM, N_BATCHES = 300, 64, 6

_INGESTER = f"""
n_batches, n_rows, dim = {N_BATCHES}, {N_ROWS}, {DIM}
"""
_INGESTER += """
import os, signal, sys
import numpy as np
from batches import encoding
from voxel_atlas.atlas.store.sql_socket import Socket
from voxel_atlas.atlas.store.store import Store

address, step, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
n = 0

def die_at(name):
    global n
    if name == step:
        n += 1
        if n == last:
            os.kill(os.getpid(), signal.SIGKILL)

append = Socket.append

def dying_append(self, batch):
    die_at("before append")
    added = append(self, batch)
    die_at("after append")
    return added

Socket.append = dying_append
with Store.open(address) as store:
    print("ready", flush=True)
    for batch in range(n_batches):
        rows = encoding(np.full((n_rows, dim), batch, np.float32), batch * n_rows)
        store.append(rows, run_id="r", stage="s", key=str(batch))
        print(batch, flush=True)
"""


def ingester(address: str, step: str = "never", last: int = 0) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _INGESTER, address, step, str(last)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def batches(store: Store) -> int:
    """How many batches there are, each of which is whole and there once, with its ledger row."""
    found = store.frame(
        "SELECT weights[1]::INTEGER AS batch, count(*) AS n, count(DISTINCT voxel) AS v FROM encoding GROUP BY 1"
    )
    assert set(found["n"]) <= {N_ROWS}
    assert set(found["v"]) <= {N_ROWS}
    ledger = store.frame("SELECT batch_key FROM ledger WHERE stage = 's'")["batch_key"].to_list()
    assert sorted(ledger) == sorted(str(batch) for batch in found["batch"])
    return found.height


def test_an_ingester_that_is_killed_at_any_step_loses_and_doubles_nothing(address: str) -> None:
    with Store.open(address) as store, store.served():
        done = 0
        for step, last in (("before append", 2), ("after append", 3)):
            with ingester(address, step, last) as process:
                acknowledged, errors = process.communicate()
                assert process.returncode == -signal.SIGKILL, errors
            assert {int(line) for line in acknowledged.splitlines() if line.isdigit()} <= set(range(batches(store)))
            assert batches(store) >= done
            done = batches(store)
        with ingester(address) as process:
            assert process.communicate()[0].split()[-1] == str(N_BATCHES - 1)
        assert batches(store) == N_BATCHES


def test_a_batch_of_which_a_part_was_sent_leaves_nothing_and_others_go_on(address: str) -> None:
    with Store.open(address) as store, store.served() as offer:
        assert offer is not None
        body = b"B" + LedgerBatch.of(labels("cake"), run_id="r", stage="s", key="k").to_bytes()
        for sent in (b"", body[:100], body[:-1]):
            with socket.socket(socket.AF_UNIX) as dying:
                dying.connect(offer.sql)
                dying.sendall(struct.pack("!i", len(body)) + sent)
        served = Socket(offer.sql, "it")
        assert served.table("FROM label", None).num_rows == served.table("FROM ledger", None).num_rows == 0
        assert served.append(LedgerBatch.from_bytes(body[1:]))
        assert not served.append(LedgerBatch.from_bytes(body[1:]))
        assert store.committed("s") == {"k"}


@pytest.mark.parametrize("acknowledged", [0, 2, 4])
def test_a_server_that_is_killed_loses_no_acknowledged_batch(address: str, acknowledged: int) -> None:
    with server(address) as process:
        ingest = ingester(address)
        assert ingest.stdout is not None
        for _ in range(1 + acknowledged):
            ingest.stdout.readline()
        process.kill()
        rest, errors = ingest.communicate()
        if ingest.returncode:
            assert "StoreError" in errors.strip().splitlines()[-1]
    seen = acknowledged + len(rest.split())
    with Store.open(address) as store, store.served():
        assert batches(store) in (seen, seen + 1)  # a batch can be in though its acknowledgement was not seen
        with ingester(address) as resumed:
            resumed.communicate()
        assert batches(store) == N_BATCHES


def test_the_offer_is_for_its_owner_only_and_goes_with_the_server(address: str) -> None:
    file = serving.server_file(Path(address))
    with Store.open(address) as store, store.served() as quack_server:
        assert quack_server is not None
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(quack_server.token) >= 48
        assert serving.find_server(Path(address)) == quack_server
        assert quack_server.token not in serving.attach_statement(address)
    assert not file.exists()


@contextmanager
def shell(address: str, token: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A person's DuckDB, attached by the line of `voxel-atlas url`, or with another token than that."""
    line = serving.attach_statement(address).removeprefix("INSTALL quack; LOAD quack; ")
    found = serving.find_server(Path(address))
    assert found is not None
    assert found.reader in line
    with duckdb.connect() as connection:
        load_extensions(connection, "httpfs", "quack")
        connection.execute(line.replace(found.reader, token or found.reader))
        yield connection


def test_a_shell_attached_by_the_line_of_url_reads_and_changes_nothing(address: str) -> None:
    with Store.open(address) as store, store.served():
        append(store, labels("cake"))
        with shell(address) as reader:
            assert reader.execute("SELECT count(*) FROM label WHERE lemma = 'cake'").fetchone() == (1,)
            assert reader.execute("SELECT lemma FROM label JOIN (SELECT 'cake' AS lemma) USING (lemma)").fetchall()
            for sql in ("FROM roi_labels('FFA')", "FROM duckdb_tables()", "SELECT 42; ", "SELECT $$DROP TABLE x$$"):
                assert len(reader.execute("FROM quack_query_by_name('atlas', ?)", [sql]).fetchall()) >= 0
            before = store.arrow("SELECT table_name, sql FROM duckdb_tables() ORDER BY ALL")
            for sql in (
                *(harm.format(folder=Path(address).parent, port=1) for harm in HARMS),
                "DROP TABLE label",
                "SELECT 1; DROP TABLE label",
                "DELETE FROM label",
                "INSERT INTO label VALUES (1, 'pie')",
                "WITH a AS (SELECT 1) INSERT INTO label VALUES (1, 'pie')",
                "UPDATE label SET lemma = 'pie'",
                "CREATE OR REPLACE MACRO atlas_authorization(a, b) AS true",
                "SET GLOBAL quack_authorization_function = 'quack_nop_authorization'",
                "BEGIN TRANSACTION",
                "EXPLAIN ANALYZE DELETE FROM label",
                "PREPARE a AS DELETE FROM label",
                "VACUUM",
                "CHECKPOINT",
                "CALL quack_stop('x')",
                "FROM quack_active_connections()",
            ):
                with pytest.raises(duckdb.Error):
                    reader.execute("FROM quack_query_by_name('atlas', ?)", [sql])
            for sql in (
                "INSERT INTO label VALUES (1, 'pie')",
                "INSERT INTO label SELECT range, 'pie' FROM range(5000)",
                "DROP TABLE label",
                "CREATE TABLE other (i INTEGER)",
            ):
                with pytest.raises(duckdb.Error):
                    reader.execute(sql)
        assert store.arrow("SELECT lemma FROM label")["lemma"].to_pylist() == ["cake"]
        assert store.arrow("SELECT table_name, sql FROM duckdb_tables() ORDER BY ALL") == before
        with pytest.raises(duckdb.Error, match="Authentication failed"), shell(address, "x" * 64):
            pass


def test_an_owners_shell_runs_any_sql(address: str) -> None:
    with Store.open(address) as store, store.served() as quack_server:
        assert quack_server is not None
        with shell(address, quack_server.token) as owner:
            owner.execute("INSERT INTO label VALUES (1, 'pie')")
            assert store.arrow("SELECT lemma FROM label")["lemma"].to_pylist() == ["pie"]
            owner.execute("FROM quack_query_by_name('atlas', 'DELETE FROM label')")
        assert store.arrow("FROM label").num_rows == 0


def test_an_atlas_is_served_again_with_other_tokens(address: str) -> None:
    with Store.open(address) as store:
        with store.served() as first:
            assert first is not None
        with store.served(), pytest.raises(duckdb.Error, match="Authentication failed"), shell(address, first.token):
            pass


def test_an_offer_of_a_dead_process_is_ignored_and_replaced(address: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    file = serving.server_file(Path(address))
    file.write_text(json.dumps({"pid": dead.pid, "port": 1, "token": "x"}))
    assert serving.find_server(Path(address)) is None
    with Store.open(address) as store, store.served() as quack_server:
        assert serving.find_server(Path(address)) == quack_server


def test_what_is_wrong_with_a_served_atlas_is_one_sentence(address: str) -> None:
    with server(address) as process:
        quack_server = serving.find_server(Path(address))
        assert quack_server is not None
        assert quack_server.pid == process.pid
        with pytest.raises(StoreLockedError, match=f"being served by process {process.pid} already"):
            Store.open(address, shared=False)
        with pytest.raises(BadInputError, match="not the address of an atlas"):
            Store.open(quack_server.target, token=quack_server.token)
        with Store.open(address) as client:
            append(client, encoding(np.ones((3, 4), np.float32)))
            assert client.arrow("FROM top_label").num_rows == 0
            assert client.arrow("FROM roi_labels(?)", ["FFA"]).num_rows == 0
            process.kill()
            process.wait()
            with pytest.raises(StoreError, match="its server is gone; start `voxel-atlas serve` again") as gone:
                client.generation()
            assert "\n" not in str(gone.value)
    with Store.open(address) as store:
        assert store.committed("s") == {"k"}


def test_an_atlas_that_is_read_only_is_not_offered(address: str) -> None:
    Store.open(address).close()
    with Store.open(address, read_only=True) as store, store.served() as quack_server:
        assert quack_server is None
