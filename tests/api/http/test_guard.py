"""Who is let in: loopback without a token, anyone with it, pages of other sites never."""

import asyncio
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import Message, Send
from toy_server import Serve, Server

from voxel_atlas.api.http.access.guard import PART, _Limited, check_binding, check_place_of_tokens
from voxel_atlas.api.http.access.shares import Share
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError
from voxel_atlas.schemas.limits import LIMITS
from voxel_atlas.schemas.tables import FORMAT_VERSION

PATIENCE_S = 300
"""How long it is waited for what comes on a busy machine, too."""
TOKEN = "correct horse battery staple"


def test_another_address_than_loopback_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no token"):
        check_binding(Settings(host="0.0.0.0"), Tokens(tmp_path))
    check_binding(Settings(host="0.0.0.0"), Tokens(tmp_path, TOKEN))
    check_binding(Settings(host="localhost"), Tokens(tmp_path))
    Tokens(tmp_path).make("ada", Scope.READ)
    check_binding(Settings(host="0.0.0.0"), Tokens(tmp_path))


def test_a_lake_whose_folder_holds_the_tokens_is_not_served(tmp_path: Path) -> None:
    home, lake = tmp_path / "home", f"ducklake:sqlite:{tmp_path}/catalog.sqlite data="
    for data in (tmp_path, home, f"{home}/parquet/.."):
        with pytest.raises(BadInputError, match="lies in the lake's folder"):
            check_place_of_tokens(Settings(home=home, atlas=f"{lake}{data}"))
    for data in (f"{home}/parquet", "s3://bucket/"):
        check_place_of_tokens(Settings(home=home, atlas=f"{lake}{data}"))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "192.168.0.4"])
def test_a_name_that_only_resolves_to_us_is_refused(server: Server, host: str) -> None:
    response = server.client.get("/", headers={"host": host})
    assert response.status_code in {400, 403}


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_page_of_another_site_may_not_ask(server: Server, headers: dict[str, str]) -> None:
    response = server.client.post("/graphql", json={"query": "{ atlas { format } }"}, headers=headers)
    assert response.status_code == 403
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == "FORBIDDEN"
    if origin := headers.get("origin"):  # what a proxy has made of the two is how one finds out that it is wrong
        assert f"Origin is '{origin}' and Host '{server.url.removeprefix('http://')}'" in error["message"]


def test_a_link_from_another_site_may_be_followed(server: Server) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert server.client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_cannot_post_a_query(server: Server, content_type: str) -> None:
    body = b'{"query": "{ atlas { format } }"}'
    response = server.client.post("/graphql", content=body, headers={"content-type": content_type})
    assert response.status_code == 400


def test_every_answer_forbids_other_hosts(server: Server) -> None:
    for path in ("/", "/graphql?query={atlas{format}}", "/nothing", "/healthz"):
        headers = server.client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert len(headers["x-request-id"]) == 32


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(server: Server) -> None:
    huge = b" " * (LIMITS.body_bytes + 1)
    headers = {"content-type": "application/json"}
    assert server.client.post("/graphql", content=huge, headers=headers).status_code == 413

    def chunks() -> Any:
        for _ in range(LIMITS.body_bytes // 2**20 + 1):
            yield b" " * 2**20

    response = server.client.post("/graphql", content=chunks(), headers=headers)
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"]["code"] == "TOO_LARGE"


@pytest.mark.parametrize("path", ["/login", "/graphql", "/frames/similar"])
def test_who_hangs_up_within_a_body_is_no_failure_of_the_server(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with serve(create_app(atlas, Settings(home=home), load=surfaces)) as server:
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port)) as raw:
            raw.sendall(f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\na".encode())
        deadline = time.monotonic() + PATIENCE_S
        while 'status="499"' not in server.client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert "unexpected failure" not in caplog.text


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic abc", "Bearer", f"bearer {TOKEN} x"])
def test_without_the_token_nothing_is_told(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface, authorization: str
) -> None:
    app = create_app(atlas, Settings(home=home, token=SecretStr(TOKEN)), load=surfaces)
    headers = {"authorization": authorization} if authorization else {}
    with serve(app) as server:
        for path in ("/", "/graphql", "/metrics", "/values?concept=cake"):
            assert server.client.get(path, headers=headers).status_code == 401, path
        assert server.client.get("/healthz").status_code == 200


def test_with_the_token_everything_works_under_any_name(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface
) -> None:
    app = create_app(atlas, Settings(home=home, token=SecretStr(TOKEN)), load=surfaces)
    with serve(app, TOKEN) as server:
        response = server.client.get("/graphql?query={atlas{format}}", headers={"host": "atlas.lab.example"})
        assert response.json() == {"data": {"atlas": {"format": FORMAT_VERSION}}}
        cookies = {"voxel_atlas_token": "wrong"}
        assert httpx.get(server.url + "/", cookies=cookies, timeout=120).status_code == 401


def test_the_token_is_not_kept_in_clear(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, TOKEN)
    made = tokens.make("ada", Scope.INGEST)
    assert tokens.find(made) is not None
    assert TOKEN not in repr(vars(tokens))
    for path in tmp_path.iterdir():
        assert made not in path.read_text()
    assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0


def test_a_person_shows_the_token_once(atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface) -> None:
    app = create_app(atlas, Settings(home=home, token=SecretStr(TOKEN)), load=surfaces)
    with serve(app) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        sent = client.get("/", headers={"sec-fetch-mode": "navigate", "sec-fetch-site": "none"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        assert "<form" in client.get("/login").text
        wrong = client.post("/login", data={"token": "wrong"})
        assert (wrong.status_code, dict(wrong.cookies)) == (401, {})
        right = client.post("/login", data={"token": TOKEN})
        assert right.status_code == 303
        assert {"HttpOnly", "SameSite=strict"} <= set(right.headers["set-cookie"].split("; "))
        assert client.get("/").status_code == 200


def test_a_page_of_a_listed_site_asks_with_a_token_of_its_own_and_not_with_a_persons_cookie(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface
) -> None:
    other = "http://127.0.0.1:3000"  # of one site with the server, so that browsers send its cookie along
    settings = Settings(home=home, token=SecretStr(TOKEN), cors_origins=(other,))
    with serve(create_app(atlas, settings, load=surfaces)) as server:
        login = server.client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        cookie = {"cookie": login.headers["set-cookie"].partition(";")[0]}
        path = "/graphql?query={atlas{format}}"
        assert server.client.get(path, headers={**cookie, "origin": server.url}).status_code == 200
        assert httpx.get(server.url + path, headers={**cookie, "origin": other}).status_code == 401
        assert httpx.post(f"{server.url}/tokens?name=x", headers={**cookie, "origin": other}).status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}", "origin": other}
        assert httpx.get(server.url + path, headers=bearer).status_code == 200


def test_who_has_a_network_of_addresses_guesses_as_often_as_who_has_one(
    atlas: Atlas, home: Path, serve: Serve, surfaces: LoadSurface
) -> None:
    settings = Settings(home=home, token=SecretStr(TOKEN), trusted_proxies=("127.0.0.1",))

    def asked(client: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}", "x-forwarded-for": client}
        return httpx.get(f"{server.url}/graphql?query={{atlas{{format}}}}", headers=headers).status_code

    with serve(create_app(atlas, settings, load=surfaces)) as server:
        told = [asked(f"2001:db8::{n:x}:{n:x}", f"guess {n}") for n in range(100)]
        assert 429 in told
        assert asked("2001:db8::ffff", TOKEN) == 429
        assert asked("2001:db8:0:1::1", TOKEN) == 200


def test_answers_that_one_client_does_not_read_hold_only_so_much(monkeypatch: pytest.MonkeyPatch, awaited: Any) -> None:
    monkeypatch.setattr(
        "voxel_atlas.api.http.access.shares.LIMITS", LIMITS.model_copy(update={"held_bytes": 3 * 2**20})
    )
    held, app, reads = Counter[str](), Response(b"a" * 2**21), asyncio.Event()

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def asked(client: str, send: Send) -> None:
        await _Limited(app, nothing, send, 2**20, Share(held, client))({"type": "http", "method": "GET"})

    async def status(client: str) -> tuple[int, int]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await asked(client, send)
        return sent[0]["status"], max(len(message.get("body", b"")) for message in sent)

    async def unread(message: Message) -> None:
        if message["type"] == "http.response.body":
            await reads.wait()

    async def run() -> None:
        slow = asyncio.create_task(asked("ada", unread))
        while not held:
            await asyncio.sleep(0)
        assert (await status("ada"))[0] == 503
        assert await status("bob") == (200, PART)
        reads.set()
        await slow
        assert await status("ada") == (200, PART)
        assert not held

    awaited(run())
