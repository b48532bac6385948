"""Assistants: the five tools by the protocol's own client, over standard input and output and over HTTP."""

import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jsonschema
import pyarrow as pa
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from PIL import Image
from toy_server import Server

from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.mcp.agent_tools import RunSql
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError
from voxel_atlas.schemas.limits import LIMITS

NAMES = ["describe_atlas", "search_voxels", "read_voxel", "run_sql", "flatmap"]
Converse = Callable[[Client], Awaitable[Any]]


async def _over_http(url: str, token: str, converse: Converse) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        return await converse(client)


async def _over_stdio(environment: dict[str, str], converse: Converse) -> Any:
    process = StdioServerParameters(command=sys.executable, args=["-m", "voxel_atlas", "mcp"], env=environment)
    async with Client(process) as client:
        return await converse(client)


Ask = Callable[..., Any]


@pytest.fixture(scope="module", params=["http", "stdio"])
def ask(
    request: pytest.FixtureRequest, server: Server, home: Path, awaited: Callable[[Coroutine[Any, Any, Any]], Any]
) -> Ask:
    """Has a conversation with the small atlas."""
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def conversation(converse: Converse) -> Any:
        over_http = request.param == "http"
        return awaited(_over_http(server.url, "", converse) if over_http else _over_stdio(environment, converse))

    return conversation


def calls(*asked: tuple[str, dict[str, object]]) -> Converse:
    async def converse(client: Client) -> list[CallToolResult]:
        return [await client.call_tool(name, arguments) for name, arguments in asked]

    return converse


def found(answer: CallToolResult) -> Any:
    assert not answer.is_error, answer.content
    return json.loads(answer.content[0].text)


def refusal(answer: CallToolResult) -> str:
    """The one sentence of an answer that is an error."""
    assert answer.is_error
    (said,) = answer.content
    assert "\n" not in said.text
    return str(said.text)


def test_five_tools_are_listed_and_answer_with_what_the_atlas_holds(ask: Ask, atlas: Atlas) -> None:
    async def converse(client: Client) -> Any:
        listed = (await client.list_tools()).tools
        answers = await calls(
            ("describe_atlas", {}),
            ("describe_atlas", {"table": "voxel"}),
            ("search_voxels", {"concept": "cake", "first": 3}),
            ("read_voxel", {"voxel": 3}),
            ("run_sql", {"statement": "SELECT voxel, similarity FROM voxels_like('cake') ORDER BY similarity LIMIT 2"}),
        )(client)
        return listed, answers

    listed, (about, columns, hits, card, rows) = ask(converse)
    assert [tool.name for tool in listed] == NAMES
    for tool in listed:
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.annotations.read_only_hint
        assert all(field["description"] for field in tool.input_schema["properties"].values())
    model = atlas.model()
    assert [one["model_id"] for one in found(about)["models"]] == atlas.models()["model_id"].to_list()
    assert found(about)["subjects"][0]["simulated"]
    assert {"voxel", "top_label"} <= found(about)["tables"].keys()
    assert {"name": "voxel", "type": "INTEGER"}.items() <= found(columns)["voxel"][1].items()
    assert [hit["voxel"] for hit in found(hits)["voxels"]] == model.similar("cake", first=3).frame["voxel"].to_list()
    assert found(hits)["simulated"]
    assert found(card)["labels"] == model.voxel_labels([3], first=15)["label"].to_list()
    similarities = [similarity for _, similarity in found(rows)["rows"]]
    assert found(rows)["columns"] == ["voxel", "similarity"]
    assert similarities == sorted(similarities)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search_voxels", {"concept": "cake", "first": 1_000_000}, "first is 100 at most, and 1,000,000 was asked"),
        ("search_voxels", {"concept": "cake", "first": "1000000"}, "first is 100 at most, and 1,000,000 was asked"),
        ("search_voxels", {"concept": "cake", "first": "1000000.0"}, "first is 100 at most, and 1,000,000 was asked"),
        ("search_voxels", {"concpt": "cake"}, "concept"),
        ("search_voxels", {"concept": "cake", "rois": ["XYZ"]}, "FFA"),
        ("search_voxels", {"concept": "", "first": 1}, "concept"),
        ("read_voxel", {"voxel": 10**9}, "has not fitted voxel"),
        ("read_voxel", {"voxel": "many"}, "voxel"),
        ("describe_atlas", {"table": "nowhere"}, "There is no table 'nowhere'"),
        ("describe_atlas", {"tables": "all"}, "there are table"),
        ("run_sql", {"statement": "FROM range(1000000)"}, "more than 1,000 rows"),
        ("run_sql", {"statement": "FROM range(1000000000) a, range(1000) b"}, "more than 1,000 rows"),
        ("run_sql", {"statement": "DELETE FROM voxel"}, "this is DELETE"),
        ("run_sql", {"statement": "SELECT 1; SELECT 2"}, "One SQL statement"),
        ("run_sql", {"statement": "FROM read_text('/etc/hostname')"}, "read_text"),
        ("run_sql", {"statement": "FROM '/etc/hostname.csv'"}, "no table or view"),
        ("run_sql", {"statement": "SELECT 1) UNION (SELECT 2"}, "DuckDB refuses"),
        ("run_sql", {"statement": "SELECT repeat('a', 300000)"}, "200,000 are given at most"),
        ("run_sql", {"statement": "SELECT unnest(range(1000)) n, repeat('a', 1000)"}, "fewer rows or columns"),
        ("flatmap", {"concept": "cake", "label": "cake"}, "exactly one"),
        ("flatmap", {"concept": "cake", "width": 10**6}, "width is 2,048 at most"),
        ("bake", {}, "There is no tool 'bake'; there are describe_atlas"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_one_sentence_that_says_what_is_right(
    server: Server, awaited, tool, arguments, said
) -> None:
    (answer,) = awaited(_over_http(server.url, "", calls((tool, arguments))))
    assert said in refusal(answer)


def test_a_flatmap_is_a_picture_and_a_line_about_it(server: Server, awaited) -> None:
    (drawn,) = awaited(_over_http(server.url, "", calls(("flatmap", {"concept": "cake", "width": 200}))))
    assert found(drawn)["shows"].startswith("cake: cosine similarity")
    with Image.open(io.BytesIO(base64.b64decode(drawn.content[1].data))) as picture:
        assert (picture.format, picture.width) == ("PNG", 200)


def test_a_statement_ends_with_its_time(atlas: Atlas, server: Server, awaited, monkeypatch) -> None:
    from voxel_atlas.api.mcp import agent_tools

    monkeypatch.setattr(agent_tools, "LIMITS", LIMITS.model_copy(update={"tool_s": 0.3}))
    slow = (
        "SELECT count(*) FROM range(100000) a, range(100000) b, range(100000) c WHERE a.range * b.range % 7 = c.range"
    )
    (answer,) = awaited(_over_http(server.url, "", calls(("run_sql", {"statement": slow}))))
    assert "took longer than 0.3 s" in refusal(answer)


def test_a_statement_ends_when_its_assistant_has_hung_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def until_gone(_: Store, __: str, ___: object, is_gone: Callable[[], bool], ____: float) -> pa.Table:
        begun.set()
        while not is_gone() and not ended.wait(0.01):
            pass
        ended.set()
        raise BadInputError("gone")

    monkeypatch.setattr(Store, "answer", until_gone)
    call = {"name": "run_sql", "arguments": {"statement": "SELECT 1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
    head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    address = urlsplit(server.url)
    try:
        with socket.create_connection((address.hostname or "", address.port or 0)) as assistant:
            assistant.sendall(head.encode() + body)
            assert begun.wait(60)
        assert ended.wait(60)
    finally:
        ended.set()


def test_a_server_with_tokens_lets_assistants_in_with_one(
    atlas: Atlas, settings: Settings, serve, surfaces, awaited, tmp_path
) -> None:
    guarded = settings.model_copy(update={"home": tmp_path})
    token = Tokens(tmp_path).make("agent", Scope.READ)
    with serve(create_app(atlas, guarded, load=surfaces)) as running:
        (answer,) = awaited(_over_http(running.url, token, calls(("run_sql", {"statement": "SELECT 1 AS one"}))))
        assert found(answer) == {"columns": ["one"], "rows": [[1]]}
        refused = running.client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert refused.status_code == 401
        assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        foreign = running.client.post("/mcp", headers={"origin": "https://elsewhere.example"})
        assert foreign.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"[" * 60_000, 400), (b'{"jsonrpc": "2.0", "id": 1}', 400),
        (b"\xff\xfe", 400), (b" " * (LIMITS.message_bytes + 1), 413),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(server: Server, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    assert server.client.post("/mcp", content=body, headers=headers).status_code == status


def test_no_stream_is_held_open_for_an_assistant(server: Server) -> None:
    assert server.client.get("/mcp", headers={"accept": "text/event-stream"}).status_code == 405


def test_an_atlas_that_grows_is_answered_from_between_two_questions(
    home: Path, tmp_path: Path, toy_rows, awaited
) -> None:
    file = tmp_path / "atlas.duckdb"
    with Store.open(str(file)) as store:
        toy_rows(store, range(4))
    environment = {
        **os.environ, "VOXEL_ATLAS_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))
    }  # fmt: skip

    async def converse(client: Client) -> list[Any]:
        count = ("run_sql", {"statement": "SELECT count(*) FROM encoding"})
        before = await calls(count)(client)
        with Store.open(str(file)) as store:  # an ingest, which wants the file for itself
            toy_rows(store, range(4, 8))
        return [found(answer)["rows"] for answer in before + await calls(count)(client)]

    assert awaited(_over_stdio(environment, converse)) == [[[4]], [[8]]]


def test_without_an_atlas_or_a_line_in_the_program_ends_with_a_sentence(tmp_path: Path, home: Path) -> None:
    def ended(folder: Path, stdin: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "voxel_atlas", "mcp"]
        environment = {**os.environ, "VOXEL_ATLAS_HOME": str(folder)}
        return subprocess.run(command, stdin=stdin, capture_output=True, text=True, env=environment, check=False)

    missing = ended(tmp_path, subprocess.DEVNULL)
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (2, "", 1)
    assert "There is no atlas at" in missing.stderr
    assert (done := ended(home, subprocess.DEVNULL)).returncode == 0, done.stderr


def test_a_server_imports_the_protocol_when_the_first_assistant_asks() -> None:
    names = "import sys, voxel_atlas.api.http.app, voxel_atlas.api.cli.main; print('mcp' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", names], text=True).strip() == "False"


def test_the_example_of_run_sql_runs(atlas: Atlas) -> None:
    statement = str(RunSql.model_fields["statement"].description).partition(": ")[2]
    assert atlas.sql(statement)["roi"].len() > 1
