"""`voxel-atlas serve` as a process: ready, logged, stopped with grace, and killed under load without harm."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import httpx
import pytest
from toy_server import Grow

from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.address import load_extensions
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.limits import LIMITS

QUERY = {
    "query": '{ similarVoxels(concept: "cake", first: 50, significant: false) { totalCount '
    "edges { node { voxel labels { text } } } } }"
}

PATIENCE_S = 300  # for what comes on a busy machine, too


@pytest.fixture
def own(tmp_path: Path, toy_rows: Grow) -> Path:
    """A home folder with a growing atlas of 40 voxels."""
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        toy_rows(store, range(40))
    return tmp_path


@contextmanager
def serving(home: Path, port: int, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """The process, ready to answer."""
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home), **settings}
    command = [str(Path(sys.executable).with_name("voxel-atlas")), "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while _status(port) not in {200, 401}:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def asking(port: int, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, verify=False, **options)


def _status(port: int) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", verify=False).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_sigterm_lets_requests_end_logs_them_and_closes_the_atlas(own: Path, port: int) -> None:
    with serving(own, port, VOXEL_ATLAS_LOG_LEVEL="info") as process, ExitStack() as sockets:
        with asking(port) as client:
            identity = client.get("/readyz").headers["x-request-id"]
        body = json.dumps(QUERY).encode()
        head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        raws = [sockets.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(8)]
        for raw in raws:
            raw.settimeout(PATIENCE_S)
            raw.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:9])
        # A server that has answered a later request has seen these.
        with asking(port) as client:
            assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        while _status(port):
            time.sleep(0.02)
        for raw in raws:
            raw.sendall(body[9:])
        answers = [b"".join(iter(lambda raw=raw: raw.recv(2**16), b"")) for raw in raws]
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 8
    assert all(b'"totalCount":40' in answer for answer in answers)
    lines = [json.loads(line) for line in said.splitlines()]
    assert all({"time", "level", "logger", "request", "message"} <= line.keys() for line in lines)
    (mine,) = [line for line in lines if line["request"] == identity]
    assert (mine["path"], mine["status"], mine["operation"]) == ("/readyz", 200, "ready")
    assert sum(line.get("operation") == "graphql:similarVoxels" for line in lines) == 8
    assert not list(own.glob("*.wal"))
    assert not list(own.glob("*.server"))


NEVER_CLOSED = """
import threading
from voxel_atlas.api.http import server
from voxel_atlas.atlas.search.atlas import Atlas
server.LAST_S = 0.5
Atlas.close = lambda _: threading.Event().wait()
from voxel_atlas.__main__ import main
main()
"""


def test_a_server_ends_in_time_while_a_function_runs_that_nothing_interrupts(own: Path, port: int) -> None:
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(own), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", NEVER_CLOSED, "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            while _status(port) != 200:
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Stopped in the midst" in said


def test_what_is_asked_cannot_forge_a_line_of_the_log(own: Path, port: int) -> None:
    forged = '/a\r\n{"level": "error"}\u2028\x1b[31m'
    of_proxy, of_stranger = "5f" * 16, 'x", "level": "error'
    with serving(own, port, VOXEL_ATLAS_LOG_LEVEL="info") as process:
        with asking(port) as client:
            answers = [
                client.get(quote(forged), headers={"x-request-id": identity}) for identity in (of_proxy, of_stranger)
            ]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    identities = [answer.headers["x-request-id"] for answer in answers]
    assert identities[0] == of_proxy
    assert len(identities[1]) == 32
    assert said.isascii()
    assert "\x1b" not in said
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["path"] for line in lines if line["request"] in identities] == [forged, forged]


def test_a_server_that_is_killed_under_load_comes_back_whole(own: Path, port: int, toy_rows: Grow) -> None:
    ended = threading.Event()
    answers: list[int] = []
    failures: set[str] = set()

    def ask() -> None:
        while not ended.is_set():
            try:
                with asking(port) as client:
                    response = client.post("/graphql", json=QUERY)
            except httpx.TransportError as error:
                failures.add(type(error).__name__)
                time.sleep(0.02)
                continue
            assert "errors" not in response.json()
            answers.append(response.json()["data"]["similarVoxels"]["totalCount"])

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    committed = 40
    for turn in range(2):
        with serving(own, port) as process:
            if turn == 0:
                for thread in threads:
                    thread.start()
            before = len(answers)
            with Store.open(str(own / "atlas.duckdb")) as store:
                for _ in range(3):
                    toy_rows(store, range(committed, committed + 20))
                    committed += 20
            deadline = time.monotonic() + PATIENCE_S
            while len(answers) < before + 20:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
    ended.set()
    for thread in threads:
        thread.join()
    # Clients saw a refused or a broken connection, or a whole answer; nothing in between.
    assert failures <= {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}
    assert set(answers) <= set(range(40, committed + 1, 20))
    with Atlas.open(str(own / "atlas.duckdb"), home=own) as opened:
        assert opened.sql("SELECT count(*) AS n FROM encoding")["n"].to_list() == [committed]
        assert opened.model().similar("cake", significant=False, first=1).total == committed


def test_an_owner_runs_sql_that_reaches_no_file_while_others_write(own: Path, port: int, toy_rows: Grow) -> None:
    tokens = Tokens(own)
    headers = {"authorization": f"Bearer {tokens.make('ada', Scope.OWNER)}"}
    with serving(own, port), asking(port, headers=headers) as client:
        offer = client.get("/quack").json()
        with duckdb.connect() as shell:
            load_extensions(shell, "httpfs", "quack")
            shell.execute(f"ATTACH '{offer['address']}' AS atlas (TOKEN '{offer['token']}')")
            for sql in (f"COPY model TO '{own}/tokens.json'", f"FROM read_text('{own}/tokens.json')"):
                with pytest.raises(duckdb.Error, match="disabled"):
                    shell.execute("FROM quack_query_by_name('atlas', ?)", [sql])
        with Store.open(str(own / "atlas.duckdb")) as store:
            toy_rows(store, range(40, 60))
        query = {"query": "{ atlas { nVoxels } }"}
        deadline = time.monotonic() + PATIENCE_S
        while client.post("/graphql", json=query).json()["data"]["atlas"]["nVoxels"] != 60:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_headers_without_end_are_cut_off_and_large_bodies_are_not(own: Path, port: int) -> None:
    with serving(own, port):
        for said, status, code in (
            (b"GET / HTTP/1.1\r\nx-a: " + b"a" * LIMITS.head_bytes, b"431", "TOO_LARGE"),
            (b"\x16\x03\x01 hello\r\n\r\n", b"400", "BAD_REQUEST"),
        ):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.settimeout(PATIENCE_S)
                raw.sendall(said)
                head, _, text = b"".join(iter(lambda raw=raw: raw.recv(2**16), b"")).partition(b"\r\n\r\n")
            assert head.split()[1] == status
            (error,) = json.loads(text)["errors"]
            assert error["extensions"] == {"code": code}
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(PATIENCE_S)
            sent = 0
            with pytest.raises(OSError, match=r"reset|pipe|abort"):  # noqa: PT012 - which call meets it is chance
                raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n")
                while sent < 2**24:
                    sent += raw.send(b"x-a: " + b"a" * 8000 + b"\r\n")
        body = {**QUERY, "padding": "x" * 2**20}
        with asking(port) as client:
            assert [client.post("/graphql", json=body).status_code for _ in range(3)] == [200] * 3
