"""Known attacks on GraphQL servers, one test for each class, on a live server: refused at once, and it goes on."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hostile import texts
from hypothesis import example, given, settings
from strawberry.extensions import ParserCache, ValidationCache
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voxel_atlas.api.graphql.watch import INTERVAL_S
from voxel_atlas.api.http import graphql_endpoint as endpoint
from voxel_atlas.api.http.access.guard import MAX_BODY
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.http.logs import JsonLines
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

FOLLOW = json.dumps(
    {"id": "1", "type": "subscribe", "payload": {"query": "subscription { ingestProgress { generation } }"}}
)
PATIENCE_S = 20.0  # a busy machine takes seconds, and an attack that gets through for ever
PROTOCOL: Any = ["graphql-transport-ws"]


@pytest.fixture(autouse=True)
def alive(server: Any) -> Iterator[None]:
    """Whatever a test does to the server, it answers afterwards."""
    yield
    assert server.data("{ atlas { nVoxels } }") == {"atlas": {"nVoxels": 300}}


def refused(server: Any, query: str, code: str, words: str) -> None:
    """A query is refused before it runs, with a code and a sentence."""
    began = time.perf_counter()
    response = server.client.post("/graphql", json={"query": query})
    assert time.perf_counter() - began < PATIENCE_S
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == code
    assert words in error["message"]
    assert len(error["message"]) < 300
    assert response.json().get("data") is None


def test_alias_overloading(server: Any) -> None:
    aliases = " ".join(f'a{n}: similarVoxels(concept: "cake") {{ totalCount }}' for n in range(100))
    refused(server, f"{{ {aliases} }}", "LIMIT_EXCEEDED", "aliased")


def test_directive_overloading(server: Any) -> None:
    refused(server, "{ atlas { format " + "@include(if: true) " * 100 + "} }", "LIMIT_EXCEEDED", "directives")


def test_field_duplication(server: Any) -> None:
    refused(server, "{ atlas { " + "format " * 3000 + "} }", "INVALID_QUERY", "tokens")


def test_circular_fragments(server: Any) -> None:
    query = "{ ...A } fragment A on Query { atlas { format } ...B } fragment B on Query { ...A }"
    refused(server, query, "INVALID_QUERY", "within itself")


def test_fragments_that_double(server: Any) -> None:
    chain = " ".join(
        f"fragment F{n} on Query {{ a{n}: atlas {{ format }} ...F{n + 1} ...F{n + 1} }}" for n in range(50)
    )
    refused(server, f"{{ ...F0 }} {chain} fragment F50 on Query {{ atlas {{ format }} }}", "LIMIT_EXCEEDED", "aliased")


def test_deep_nesting(server: Any) -> None:
    deep = "neighbours(first: 1) { " * 30 + "voxel" + " }" * 30
    refused(server, f"{{ voxel(index: 0) {{ {deep} }} }}", "LIMIT_EXCEEDED", "levels")


def test_deeply_nested_input(server: Any) -> None:
    refused(server, "{ rois(subject: " + "[" * 900 + "]" * 900 + ") { name } }", "INVALID_QUERY", "")


def test_cost_of_nested_lists(server: Any) -> None:
    query = """{ similarVoxels(concept: "a", first: 100) { edges { node { neighbours(first: 100) {
      labels(first: 100) { text } } } } } }"""
    refused(server, query, "LIMIT_EXCEEDED", "objects at worst, 50000 are allowed")


def test_cost_that_hides_in_a_variable(server: Any) -> None:
    query = """query ($n: Int!) { similarVoxels(concept: "a", first: $n) { edges { node { neighbours(first: $n) {
      labels(first: $n) { text } } } } } }"""
    error = server.client.post("/graphql", json={"query": query, "variables": {"n": 1}}).json()["errors"][0]
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"


def test_batching(server: Any) -> None:
    response = server.client.post("/graphql", json=[{"query": "{ atlas { format } }"}] * 1000)
    assert response.status_code == 400
    assert "one operation" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("query", ["mutation { x }", "subscription { ingestProgress { generation } }"])
def test_get_changes_nothing(server: Any, query: str) -> None:
    response = server.client.get("/graphql", params={"query": query})
    assert response.status_code in {200, 400}
    assert response.json()["errors"][0]["extensions"]["code"] in {"BAD_REQUEST", "BAD_INPUT", "INVALID_QUERY"}


def test_cross_site_requests(server: Any) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            response = server.client.post(
                "/graphql",
                content=b'{"query": "{ atlas { format } }"}',
                headers={**headers, "content-type": content_type},
            )
            assert response.status_code == 403


def test_introspection_cost(server: Any) -> None:
    deep = "fields { type { " * 12 + "name" + " } }" * 12
    refused(server, f"{{ __schema {{ types {{ {deep} }} }} }}", "INVALID_QUERY", "introspection")


def test_field_suggestions(server: Any) -> None:
    error = server.client.post("/graphql", json={"query": "{ similarVoxel atla { formt } }"}).json()["errors"]
    assert all("Did you mean" not in one["message"] for one in error)
    began = time.perf_counter()
    server.client.post("/graphql", json={"query": "{ " + " ".join(f"wrong{n}" for n in range(900)) + " }"})
    assert time.perf_counter() - began < PATIENCE_S


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"query":' + b'"' + b"{" * 100_000 + b'"}',
        b'{"query": {}}',
        b"NaN",
        b"1e999",
    ],
)
def test_malformed_bodies(server: Any, body: bytes) -> None:
    response = server.client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code in {200, 400}
    assert response.json()["errors"][0]["extensions"]["code"] in {"BAD_REQUEST", "INVALID_QUERY"}


def test_oversized_bodies(server: Any) -> None:
    response = server.client.post(
        "/graphql", content=b" " * (MAX_BODY + 1), headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")
    sent = server.client.post("/graphql?" + "a" * 60_000, json={})
    assert sent.status_code in {200, 400, 414, 431}


def test_documents_that_would_fill_the_memory(server: Any) -> None:
    caches = (ParserCache().cached_parse_document, ValidationCache().cached_validate_document)

    def kept(concept: str) -> list[int]:
        """How many documents are in each cache after one question."""
        for cache in caches:
            cache.cache_clear()
        query = f'{{ similarVoxels(concept: "{concept}") {{ totalCount }} }}'
        assert server.client.post("/graphql", json={"query": query}).status_code == 200
        return [cache.cache_info().currsize for cache in caches]

    assert kept("cake") == [1, 1]
    assert kept("x" * 2**20) == [0, 0]


@pytest.mark.parametrize("first", [101, 10**6, 2**31 - 1])
def test_huge_first(server: Any, first: int) -> None:
    for query in (
        f'{{ similarVoxels(concept: "cake", first: {first}) {{ totalCount }} }}',
        f"{{ voxel(index: 0) {{ topImages(first: {first}) {{ rank }} }} }}",
        f'{{ label(text: "cake") {{ voxels(first: {first}) {{ rank }} }} }}',
        f"{{ runs(first: {first}) {{ state }} }}",
    ):
        assert "1 to 100" in server.error(query)["message"]


def test_subscribers_that_do_not_read(
    tmp_path: Path, serve: Any, surfaces: Any, toy_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, Atlas(store, home=tmp_path) as atlas:
        toy_rows(store, range(4))
        app = create_app(atlas, Settings(home=tmp_path), load=surfaces)
        with serve(app) as server:
            url = server.url.replace("http", "ws") + "/graphql"
            with ExitStack() as sockets:
                for _ in range(20):
                    socket = sockets.enter_context(connect(url, subprotocols=PROTOCOL, proxy=None))
                    socket.send('{"type": "connection_init"}')
                    socket.send(FOLLOW)
                reads = []
                original = atlas.store.generation
                monkeypatch.setattr(atlas.store, "generation", lambda: reads.append(1) or original())
                began = time.monotonic()
                for n in range(1, 13):
                    toy_rows(store, range(4 * n, 4 * n + 4))
                    assert server.client.get("/healthz").status_code == 200
                    time.sleep(0.1)
                # One look a second serves all of them, however many there are.
                assert len(reads) <= 2 + (time.monotonic() - began) / INTERVAL_S


def test_sockets_without_end(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_SOCKETS", 3)
    url = server.url.replace("http", "ws") + "/graphql"
    with ExitStack() as sockets:
        for _ in range(3):
            sockets.enter_context(connect(url, subprotocols=PROTOCOL, proxy=None))
        with pytest.raises(InvalidStatus), connect(url, subprotocols=PROTOCOL, proxy=None):
            pass
    while "voxel_atlas_sockets 0.0" not in server.client.get("/metrics").text:
        time.sleep(0.02)
    with connect(url, subprotocols=PROTOCOL, proxy=None):
        pass


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"]])
def test_sockets_without_the_subprotocol(server: Any, subprotocols: Any) -> None:
    with connect(server.url.replace("http", "ws") + "/graphql", subprotocols=subprotocols, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4406


def test_sockets_without_introduction(server: Any) -> None:
    with connect(server.url.replace("http", "ws") + "/graphql", subprotocols=PROTOCOL, proxy=None) as socket:
        socket.send(FOLLOW)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_sockets_without_a_token(atlas: Atlas, tmp_path: Path, serve: Any, surfaces: Any) -> None:
    Tokens(tmp_path).make("ada", Scope.READ)
    with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as own:
        url = own.url.replace("http", "ws") + "/graphql"
        with pytest.raises(InvalidStatus), connect(url, subprotocols=PROTOCOL, proxy=None):
            pass


@settings(max_examples=40)
@example(text="." * 300)  # longer than a file's name may be
@example(text="0/")
@given(text=texts)
def test_no_part_of_a_path_is_ever_more_than_text(server: Any, text: str) -> None:
    part = quote(text.encode("utf-8", "surrogatepass"), safe="")
    for path in (
        f"/{part}", f"/assets/{part}", f"/flatmaps/{part}.png", f"/pixelmaps/{part}.bin", f"/outlines/{part}.json",
        f"/meshes/{part}/{part}.bin", f"/stimuli/{part}", f"/stimuli/toy/0/3?box={part}", f"/values?concept={part}",
        f"/values?metric={part}", f"/values?concept=cake&model={part}", f"/toplabels?model={part}",
        f"/toplabels?method={part}",
    ):  # fmt: skip
        response = server.client.get(path)
        assert response.status_code in {200, 303, 400, 404}, path
        if response.status_code >= 400:
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] in {"NOT_FOUND", "BAD_INPUT", "BAD_REQUEST"}
            assert response.headers["content-type"] == "application/json"
        assert "root:" not in response.text[:200]
    for path, body in (
        (f"/frames/{part}", {}), ("/frames/labels", {"search": text}), ("/frames/metric_map", {"metric": text}),
        ("/frames/similar", {"concept": text, "rois": [text]}),
    ):  # fmt: skip
        response = server.client.post(path, json=body)
        assert response.status_code in {200, 307, 400, 404, 405}, path
        if response.status_code == 307:  # to the same without the slash at its end
            assert response.headers["location"].startswith(f"{server.url}/frames/")
        else:
            assert response.status_code == 200 or len(response.json()["errors"]) == 1


def test_what_is_asked_cannot_forge_a_line_of_the_log() -> None:
    record = logging.LogRecord("voxel_atlas", logging.INFO, "", 0, "%s", ('x"\n{"level": "error"}',), None)
    record.fields = {"path": "/a\r\nb\u2028\x1b[31m"}
    line = JsonLines().format(record)
    assert line.isascii()
    assert not set(line) & {"\n", "\r", "\x1b"}
    assert json.loads(line)["path"] == "/a\r\nb\u2028\x1b[31m"


def test_the_event_loop_is_never_held_up(server: Any) -> None:
    # Work on the loop would hold it up each time; a busy machine does not.
    assert any(held_up(server) < 0.05 for _ in range(10))


def held_up(server: Any) -> float:
    """Seconds that the server's loop is late at most while threads ask heavy questions, less how late a watchdog is."""
    ended = threading.Event()
    queries = (
        """{ similarVoxels(concept: "cake", first: 100) { edges { node {
          labels { text } topImages { url } neighbours { voxel } } } } }""",
        '{ flatmap(concept: "cake - face", width: 2000) { url } rois { topLabels { text } } }',
        "{ labels(first: 100) { edges { node { neighbours { text } byRoi { roi } } } } }",
    )

    def press(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while not ended.is_set():
                answer = client.post("/graphql", json={"query": queries[number % len(queries)]}).json()
                if "flatmap" in answer["data"]:
                    assert client.get(answer["data"]["flatmap"]["url"]).status_code == 200

    late: list[float] = []

    async def watch() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.02)
            late.append(time.perf_counter() - began - 0.02)

    threads = [threading.Thread(target=press, args=(n,)) for n in range(3)]
    watchdog = threading.Thread(target=lambda: asyncio.run(watch()))
    server.client.get("/metrics")  # forgets what was before
    for thread in (*threads, watchdog):
        thread.start()
    time.sleep(2)
    text = server.client.get("/metrics").text
    ended.set()
    for thread in (*threads, watchdog):
        thread.join()
    delay = next(line for line in text.splitlines() if line.startswith("voxel_atlas_event_loop_delay_seconds "))
    # The watchdog's loop is in the same process: what makes both late is the machine or the interpreter's lock.
    return float(delay.split()[1]) - max(late)
