"""Known attacks on GraphQL servers, one test for each class, on a live server: refused at once, and it goes on."""

import gc
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from graphql import DocumentNode
from hostile import texts
from hypothesis import example, given, settings
from toy_network import Toy
from toy_server import Grow, Serve, Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voxel_atlas.api.http import graphql_endpoint as endpoint
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.picture_cache import PictureCache
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.limits import LIMITS

FOLLOW = json.dumps(
    {"id": "1", "type": "subscribe", "payload": {"query": "subscription { ingestProgress { generation } }"}}
)
PATIENCE_S = 120  # for what comes on a busy machine, too
PROTOCOL: Any = ["graphql-transport-ws"]


@pytest.fixture(autouse=True)
def alive(server: Server) -> Iterator[None]:
    """Whatever a test does to the server, it answers afterwards."""
    yield
    assert server.data("{ atlas { nVoxels } }") == {"atlas": {"nVoxels": 300}}


def refused(server: Server, query: str, code: str, words: str) -> None:
    """A query is refused before it runs, with a code and a sentence."""
    response = server.client.post("/graphql", json={"query": query})
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == code
    assert words in error["message"]
    assert len(error["message"]) < 300
    assert response.json().get("data") is None


def test_alias_overloading(server: Server) -> None:
    aliases = " ".join(f'a{n}: similarVoxels(concept: "cake") {{ totalCount }}' for n in range(100))
    refused(server, f"{{ {aliases} }}", "LIMIT_EXCEEDED", "aliased")


def test_directive_overloading(server: Server) -> None:
    refused(server, "{ atlas { format " + "@include(if: true) " * 100 + "} }", "LIMIT_EXCEEDED", "directives")


def test_field_duplication(server: Server) -> None:
    refused(server, "{ atlas { " + "format " * 3000 + "} }", "INVALID_QUERY", "tokens")


def test_circular_fragments(server: Server) -> None:
    query = "{ ...A } fragment A on Query { atlas { format } ...B } fragment B on Query { ...A }"
    refused(server, query, "INVALID_QUERY", "within itself")


def test_fragments_that_double(server: Server) -> None:
    chain = " ".join(
        f"fragment F{n} on Query {{ a{n}: atlas {{ format }} ...F{n + 1} ...F{n + 1} }}" for n in range(50)
    )
    refused(server, f"{{ ...F0 }} {chain} fragment F50 on Query {{ atlas {{ format }} }}", "LIMIT_EXCEEDED", "aliased")


def test_deep_nesting(server: Server) -> None:
    deep = "neighbours(first: 1) { " * 30 + "voxel" + " }" * 30
    refused(server, f"{{ voxel(index: 0) {{ {deep} }} }}", "LIMIT_EXCEEDED", "levels")


def test_deeply_nested_input(server: Server) -> None:
    refused(server, "{ rois(subject: " + "[" * 900 + "]" * 900 + ") { name } }", "INVALID_QUERY", "nested too deeply")


def test_cost_of_nested_lists(server: Server) -> None:
    query = """{ similarVoxels(concept: "a", first: 100) { edges { node { neighbours(first: 100) {
      labels(first: 100) { text } } } } } }"""
    refused(server, query, "LIMIT_EXCEEDED", "objects at worst, 50000 are allowed")


def test_cost_that_hides_in_a_variable(server: Server) -> None:
    query = """query ($n: Int!) { similarVoxels(concept: "a", first: $n) { edges { node { neighbours(first: $n) {
      labels(first: $n) { text } } } } } }"""
    error = server.client.post("/graphql", json={"query": query, "variables": {"n": 1}}).json()["errors"][0]
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"


def test_batching(server: Server) -> None:
    response = server.client.post("/graphql", json=[{"query": "{ atlas { format } }"}] * 1000)
    assert response.status_code == 400
    assert "one operation" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("mutation { x }", 400, "BAD_REQUEST"),
        ("subscription { ingestProgress { generation } }", 200, "BAD_INPUT"),
    ],
)
def test_get_changes_nothing(server: Server, query: str, status: int, code: str) -> None:
    response = server.client.get("/graphql", params={"query": query})
    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == code


def test_cross_site_requests(server: Server) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            response = server.client.post(
                "/graphql",
                content=b'{"query": "{ atlas { format } }"}',
                headers={**headers, "content-type": content_type},
            )
            assert response.status_code == 403


def test_introspection_cost(server: Server) -> None:
    deep = "fields { type { " * 12 + "name" + " } }" * 12
    refused(server, f"{{ __schema {{ types {{ {deep} }} }} }}", "LIMIT_EXCEEDED", "objects")


def test_field_suggestions(server: Server) -> None:
    error = server.client.post("/graphql", json={"query": "{ similarVoxel atla { formt } }"}).json()["errors"]
    assert all("Did you mean" not in one["message"] for one in error)
    wrong = " ".join(f"wrong{n}" for n in range(900))
    assert server.client.post("/graphql", json={"query": f"{{ {wrong} }}"}).json()["errors"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"query": {}}', b"NaN", b"1e999"])
def test_malformed_bodies(server: Server, body: bytes) -> None:
    response = server.client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_documents_of_brackets(server: Server) -> None:
    refused(server, "{" * 100_000, "INVALID_QUERY", "Syntax Error")


def test_oversized_bodies(server: Server) -> None:
    response = server.client.post(
        "/graphql", content=b" " * (LIMITS.body_bytes + 1), headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (413, "TOO_LARGE")
    assert server.client.post("/graphql?" + "a" * 60_000, json={}).status_code == 400


def test_documents_that_would_fill_the_memory(server: Server) -> None:
    def kept(marker: str, documents: Iterable[str]) -> int:
        """How many of the documents are in memory when all have been answered."""
        for document in documents:
            assert server.client.post("/graphql", json={"query": document}).status_code == 200
        gc.collect()
        nodes = [thing for thing in gc.get_objects() if type(thing) is DocumentNode and thing.loc]
        return sum(marker in node.loc.source.body for node in nodes)

    padding = " " * 2**20
    assert kept("long", (f"{{ long{n}: atlas {{ format }} }}{padding}" for n in range(3))) == 0
    assert 0 < kept("short", (f"{{ short{n}: atlas {{ format }} }}" for n in range(300))) < 300


@pytest.mark.parametrize("first", [101, 10**6, 2**31 - 1])
def test_huge_first(server: Server, first: int) -> None:
    for query in (
        f'{{ similarVoxels(concept: "cake", first: {first}) {{ totalCount }} }}',
        f"{{ voxel(index: 0) {{ topImages(first: {first}) {{ rank }} }} }}",
        f'{{ label(text: "cake") {{ voxels(first: {first}) {{ rank }} }} }}',
        f"{{ runs(first: {first}) {{ state }} }}",
    ):
        assert "1 to 100" in server.error(query)["message"]


def test_subscribers_that_do_not_read(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface, toy_rows: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store, Atlas(store, home=tmp_path) as atlas:
        stages, looks = atlas.stages, []
        monkeypatch.setattr(atlas, "stages", lambda: looks.append(1) or stages())
        with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server, ExitStack() as sockets:
            url = server.url.replace("http", "ws") + "/graphql"
            for _ in range(20):
                socket = sockets.enter_context(connect(url, subprotocols=PROTOCOL, proxy=None))
                socket.send('{"type": "connection_init"}')
                socket.send(FOLLOW)
            for n in range(5):
                if n:
                    toy_rows(store, range(4 * n - 4, 4 * n))
                assert server.client.get("/healthz").status_code == 200
                while len(looks) <= n:
                    time.sleep(0.02)
            # One look at each state of the ledger serves all of them, however many there are.
            assert len(looks) == 5


def test_sockets_without_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LIMITS", LIMITS.model_copy(update={"sockets": 3}))
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
def test_sockets_without_the_subprotocol(server: Server, subprotocols: Any) -> None:
    with connect(server.url.replace("http", "ws") + "/graphql", subprotocols=subprotocols, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4406


def test_sockets_without_introduction(server: Server) -> None:
    with connect(server.url.replace("http", "ws") + "/graphql", subprotocols=PROTOCOL, proxy=None) as socket:
        socket.send(FOLLOW)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_sockets_without_a_token(atlas: Atlas, tmp_path: Path, serve: Serve, surfaces: LoadSurface) -> None:
    Tokens(tmp_path).make("ada", Scope.READ)
    with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as own:
        url = own.url.replace("http", "ws") + "/graphql"
        with pytest.raises(InvalidStatus), connect(url, subprotocols=PROTOCOL, proxy=None):
            pass


@settings(max_examples=15)
@example(text="." * 300)  # longer than a file's name may be
@example(text="0/")
@example(text=".")  # which clients leave out of a path: it ends in a slash then, or in none
@given(text=texts)
def test_no_part_of_a_path_is_ever_more_than_text(server: Server, text: str) -> None:
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
        assert response.status_code in {200, 400, 404, 405}, path
        assert response.status_code == 200 or len(response.json()["errors"]) == 1


def test_no_work_is_done_in_the_thread_of_the_event_loop(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, set[int | None]] = {}

    def note(kind: type, name: str) -> None:
        original, seen = getattr(kind, name), threads.setdefault(f"{kind.__name__}.{name}", set())

        def noted(*given: Any, **named: Any) -> Any:
            seen.add(threading.get_ident())
            return original(*given, **named)

        monkeypatch.setattr(kind, name, noted)

    subject = "simulated/T1"
    for kind, name in ((Store, "arrow"), (Toy, "text"), (VectorIndex, "search"), (PictureCache, "fetch")):
        note(kind, name)
    picture = server.data('{ flatmap(concept: "never asked before") { url } }')["flatmap"]["url"]
    for path in (
        picture, "/values?concept=nor this", "/values?metric=r2", f"/outlines/{subject}.json", "/toplabels",
        f"/pixelmaps/{subject}.bin", "/stimuli/toy/0/3",
        '/graphql?query={similarVoxels(concept:"or this",first:9){edges{node{labels{text} neighbours{voxel}}}}}',
        "/graphql?query={labels(first:9){edges{node{neighbours{text} byRoi{roi}}}} rois{topLabels{text}}}",
    ):  # fmt: skip
        assert server.client.get(path).status_code == 200, path
    assert server.client.post("/frames/labels", json={"search": "a"}).status_code == 200
    for work, seen in threads.items():
        assert seen, work
        assert server.thread.ident not in seen, work
