"""Statements of others at a served atlas: they end with who asked, with their time, and with the server."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from addresses import server
from batches import append, labels

from voxel_atlas.atlas.store import readers, sql_socket
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError, BusyError, StoreError
from voxel_atlas.schemas.limits import LIMITS

ENDLESS = "SELECT count(*) AS n FROM range(1000000000000) a WHERE hash(a.range) % 7 = 3"
PATIENCE_S = 120.0
_ASK = """
import sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1], read_only=True) as store:
    print("asking", flush=True)
    store.query(sys.argv[2])
"""


@pytest.fixture
def process(address: str) -> Iterator["subprocess.Popen[str]"]:
    with server(address) as running:
        yield running


def _work(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_idle(pid: int) -> bool:
    before = _work(pid)
    time.sleep(0.5)
    return _work(pid) - before < 0.1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_endless_statement_ends_with_its_client(
    process: "subprocess.Popen[str]", address: str, end: signal.Signals
) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _ASK, address, ENDLESS]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "asking\n"
        start = _work(process.pid)
        _until(lambda: _work(process.pid) > start + 0.5)
        client.send_signal(end)
        client.communicate(timeout=PATIENCE_S)
    _until(lambda: _is_idle(process.pid))
    with Store.open(address, read_only=True) as store:
        assert store.query("SELECT 1 AS one")["one"].to_list() == [1]


def test_a_statement_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LIMITS", LIMITS.model_copy(update={"statement_s": 0.5}))
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, store.served() as running:
        assert running is not None
        with pytest.raises(BadInputError, match="took longer than"):
            sql_socket.Socket(running.sql, "it").table(ENDLESS, None)


def test_a_server_that_had_too_many_files_open_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 3
    accept = sql_socket.Listener.accept

    def failing(listener: sql_socket.Listener) -> object:
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr(sql_socket.Listener, "accept", failing)
    monkeypatch.setattr(sql_socket, "_AGAIN_S", 0.01)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, store.served() as running:
        assert running is not None
        assert sql_socket.Socket(running.sql, "it").table("SELECT 1 AS one", None)["one"].to_pylist() == [1]
        assert not failures


def test_statements_beyond_the_limit_are_refused_and_the_server_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LIMITS", LIMITS.model_copy(update={"statements": 0}))
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, store.served() as running:
        assert running is not None
        served = sql_socket.Socket(running.sql, "it")
        with pytest.raises(BusyError, match="0 statements are under way"):
            served.table("SELECT 1", None)


def test_an_endless_statement_does_not_keep_a_server(process: "subprocess.Popen[str]", address: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _ASK, address, ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:  # fmt: skip  # noqa: E501
        assert client.stdout is not None
        assert client.stdout.readline() == "asking\n"
        start = _work(process.pid)
        _until(lambda: _work(process.pid) > start + 0.5)
        process.communicate("", timeout=PATIENCE_S)  # its standard input ends, so that it closes the atlas
        _, error = client.communicate(timeout=PATIENCE_S)
    assert "BadInputError" in error or "StoreError" in error


def test_a_stopped_server_is_told_as_such_and_waited_for_quietly(
    process: "subprocess.Popen[str]", address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_socket, "_ANSWER_S", 1.0)
    process.send_signal(signal.SIGSTOP)
    try:
        before = time.process_time()
        with pytest.raises(StoreError, match="does not answer, as if it were stopped"):
            Store.open(address, read_only=True)
        assert time.process_time() - before < 0.5
    finally:
        process.send_signal(signal.SIGCONT)


def test_answers_are_those_of_the_database(process: "subprocess.Popen[str]", address: str) -> None:
    assert process.poll() is None
    with Store.open(address) as store:
        append(store, labels("cake", "d'og", "\0"))
        frame = store.query("SELECT lemma FROM label WHERE lemma != ? ORDER BY lemma", ["cake"])
        assert frame["lemma"].to_list() == ["\0", "d'og"]
        empty = store.query("SELECT lemma, label_id FROM label WHERE lemma = 'nothing'")
        assert (empty.columns, empty.height) == (["lemma", "label_id"], 0)
        assert store.query("FROM range(100000)")["range"].sum() == 4999950000
        with pytest.raises(BadInputError, match="nowhere does not exist"):
            store.query("FROM nowhere")
