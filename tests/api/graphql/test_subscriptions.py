"""The ingest is followed over a WebSocket, by graphql-transport-ws only."""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from toy_server import Fill, Serve, Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voxel_atlas.api.graphql.watch import INTERVAL_S
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings

PATIENCE_S = 120
PROTOCOL = "graphql-transport-ws"
FOLLOW = "subscription { ingestProgress { generation running stages { stage batches rows } } }"


@contextmanager
def socket(server: Server, subprotocols: Any = (PROTOCOL,), **options: Any) -> Any:
    url = server.url.replace("http", "ws") + "/graphql"
    with connect(url, subprotocols=subprotocols, close_timeout=1, proxy=None, **options) as opened:
        yield opened


def subscribe(opened: Any, query: str = FOLLOW, identity: str = "1") -> None:
    opened.send(json.dumps({"type": "connection_init"}))
    assert json.loads(opened.recv(timeout=PATIENCE_S))["type"] == "connection_ack"
    opened.send(json.dumps({"id": identity, "type": "subscribe", "payload": {"query": query}}))


def test_what_the_ingests_have_done_comes_at_once(server: Server) -> None:
    with socket(server) as opened:
        subscribe(opened)
        message = json.loads(opened.recv(timeout=PATIENCE_S))
    progress = message["payload"]["data"]["ingestProgress"]
    assert progress["generation"] == 1
    assert progress["running"] == []
    assert progress["stages"][0]["stage"] == "toy"
    assert progress["stages"][0]["batches"] == 1
    assert progress["stages"][0]["rows"] > 300


def test_a_committed_batch_is_told_at_the_next_look(
    tmp_path: Path, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill
) -> None:
    atlas = Atlas(Store.open(str(tmp_path / "atlas.duckdb")), home=tmp_path)
    try:
        with serve(create_app(atlas, Settings(home=tmp_path), load=surfaces)) as server, socket(server) as opened:
            subscribe(opened)
            first = json.loads(opened.recv(timeout=PATIENCE_S))["payload"]["data"]["ingestProgress"]
            assert first == {"generation": 0, "running": [], "stages": []}
            fill_atlas(atlas.store, tmp_path, finished=False)
            second = json.loads(opened.recv(timeout=PATIENCE_S))["payload"]["data"]["ingestProgress"]
            assert INTERVAL_S <= 1  # two seconds at most from a commit to what is told, with time to read and to send
            assert second["generation"] == 1
            assert second["running"] == ["run-0"]
    finally:
        atlas.close()


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"], ["soap"]])
def test_other_subprotocols_are_refused(server: Server, subprotocols: Any) -> None:
    with socket(server, subprotocols) as opened, pytest.raises(ConnectionClosed) as closed:
        opened.recv(timeout=PATIENCE_S)
    assert closed.value.rcvd.code == 4406


def test_a_client_that_does_not_introduce_itself_gets_nothing(server: Server) -> None:
    with socket(server) as opened:
        opened.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}))
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=PATIENCE_S)
    assert closed.value.rcvd.code == 4401


def test_queries_do_not_run_over_a_socket(server: Server) -> None:
    with socket(server) as opened:
        subscribe(opened, "{ atlas { format } }")
        message = json.loads(opened.recv(timeout=PATIENCE_S))
    assert message["type"] == "error"
    assert "HTTP POST" in message["payload"][0]["message"]


def test_one_socket_follows_a_few_things_only(server: Server) -> None:
    with socket(server) as opened:
        subscribe(opened, identity="0")
        for identity in range(1, 6):
            payload = {"query": FOLLOW}
            opened.send(json.dumps({"id": str(identity), "type": "subscribe", "payload": payload}))
        kinds = {json.loads(opened.recv(timeout=PATIENCE_S))["type"] for _ in range(5)}
    assert kinds == {"next", "error"}


@pytest.mark.parametrize(
    "message", ["{", "[]", "3", '"x"', "{}", '{"type": 5}', '{"type": "connection_init", "payload": 3}']
)
def test_malformed_messages_end_the_socket_and_nothing_else(server: Server, message: str) -> None:
    with socket(server) as opened:
        opened.send(message)
        with pytest.raises(ConnectionClosed):
            opened.recv(timeout=PATIENCE_S)
    assert server.client.get("/healthz").status_code == 200


def test_a_page_of_another_site_cannot_open_a_socket(server: Server) -> None:
    with pytest.raises(InvalidStatus), socket(server, origin="https://evil.example"):
        pass


def test_a_socket_needs_the_token_too(atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface) -> None:
    token = "correct horse battery staple"
    with serve(create_app(atlas, Settings(home=home, token=SecretStr(token)), load=surfaces), token) as server:
        with pytest.raises(InvalidStatus), socket(server):
            pass
        with socket(server, additional_headers={"cookie": f"voxel_atlas_token={quote(token)}"}) as opened:
            subscribe(opened)
            assert json.loads(opened.recv(timeout=PATIENCE_S))["type"] == "next"
