"""Tokens and their scopes, how often one may ask, and sites whose pages may ask."""

import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from toy_server import Serve, Server

from voxel_atlas.api.cli.main import main
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, StoreError

ATLAS = {"query": "{ atlas { nVoxels } }"}
ORIGIN = "https://lab.example"


@pytest.fixture
def own(atlas: Atlas, tmp_path: Path, serve: Serve, surfaces: LoadSurface) -> Serve:
    """Starts a server with a token file of its own."""

    def start(**settings: Any) -> AbstractContextManager[Server]:
        return serve(create_app(atlas, Settings(home=tmp_path, **settings), load=surfaces))

    return start


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def code_of(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    return str(error["extensions"]["code"])


def test_a_token_is_found_until_it_is_revoked(tmp_path: Path) -> None:
    tokens, elsewhere = Tokens(tmp_path), Tokens(tmp_path)
    assert not elsewhere.any
    made = tokens.make("ada@lab", Scope.INGEST)
    found = elsewhere.find(made)
    assert found is not None
    assert (found.name, found.allows) == ("ada@lab", Scope.INGEST)
    assert elsewhere.find(made + "x") is elsewhere.find("") is None
    assert [token.name for token in elsewhere.listed()] == ["ada@lab"]
    elsewhere.revoke("ada@lab")
    assert tokens.find(made) is None
    assert not tokens.any
    assert tokens.wanted


@pytest.mark.parametrize("lose", ["revoked", "removed"])
def test_losing_the_last_token_opens_nothing(tmp_path: Path, own: Serve, lose: str) -> None:
    tokens = Tokens(tmp_path)
    tokens.make("ada", Scope.READ)
    with own(public_url="https://lab.example") as server:
        if lose == "revoked":
            tokens.revoke("ada")
        else:
            (tmp_path / "tokens.json").unlink()
        assert server.client.post("/graphql", json=ATLAS, headers={"host": "localhost"}).status_code == 401


def test_on_this_machine_too_losing_the_last_token_opens_nothing(tmp_path: Path, own: Serve) -> None:
    tokens = Tokens(tmp_path)
    tokens.make("ada", Scope.READ)
    with own() as server:
        tokens.revoke("ada")
        assert server.client.post("/graphql", json=ATLAS).status_code == 401
        (tmp_path / "tokens.json").unlink()
        assert server.client.post("/graphql", json=ATLAS).status_code == 401


def test_wrong_tokens_shut_out_what_could_be_guessed_and_nobody_else(tmp_path: Path, own: Serve) -> None:
    made, chosen = Tokens(tmp_path).make("ada", Scope.READ), "correct horse battery"
    with own(token=chosen) as server:
        assert server.client.post("/graphql", json=ATLAS, headers=bearer(chosen)).status_code == 200
        for n in range(20):
            assert server.client.get("/", headers=bearer(f"guess {n}")).status_code == 401
        for given, status in ((chosen, 429), ("another", 429), (made, 200)):
            cookie = {"cookie": f"voxel_atlas_token={given}"}
            for headers in (bearer(given), cookie):
                assert server.client.post("/graphql", json=ATLAS, headers=headers).status_code == status, given
            assert server.client.post("/login", data={"token": given}).status_code == (303 if status == 200 else 429)


def test_addresses_of_proxies_count_only_where_the_proxy_is_trusted(tmp_path: Path, own: Serve) -> None:
    Tokens(tmp_path).make("ada", Scope.READ)
    for trusted, last in (("", 429), ("127.0.0.1", 401)):
        with own(trusted_proxies=trusted) as server:
            answers = [
                server.client.get("/", headers={**bearer(f"guess {n}"), "x-forwarded-for": f"10.0.0.{n}"}).status_code
                for n in range(21)
            ]
            assert answers == [401] * 20 + [last]


def test_cookies_of_other_programs_do_not_hide_ours(tmp_path: Path, own: Serve) -> None:
    right = Tokens(tmp_path).make("ada", Scope.READ)
    with own() as server:
        for others in ('prefs={"a":[1]}; ', "a b=c; ", '"; ', "=; ;; "):
            cookie = f"{others}voxel_atlas_token={right}"
            assert server.client.post("/graphql", json=ATLAS, headers={"cookie": cookie}).status_code == 200, others


def test_there_are_only_as_many_tokens_as_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxel_atlas.api.http.access.tokens._MOST_TOKENS", 2)
    for name in ("ada", "bob"):
        Tokens(tmp_path).make(name, Scope.READ)
    with pytest.raises(BadInputError, match="There are 2 tokens, and no more may be; revoke some first"):
        Tokens(tmp_path).make("eve", Scope.READ)
    Tokens(tmp_path).revoke("bob")
    Tokens(tmp_path).make("eve", Scope.READ)


def test_a_token_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.make("ada", Scope.READ)
    with pytest.raises(BadInputError, match="already"):
        tokens.make("ada", Scope.READ)
    for name in ("", "two words", "a/b", "\n", "x" * 65):
        with pytest.raises(BadInputError, match="1 to 64"):
            tokens.make(name, Scope.READ)
    with pytest.raises(NotFoundError, match="there are ada"):
        tokens.revoke("bob")
    with pytest.raises(BadInputError, match="no scope"):
        Scope.parse("root")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tokens": 3}', '{"tokens": [{"name": "a"}]}', "[" * 10**5])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, own: Serve, text: str) -> None:
    tokens = Tokens(tmp_path)
    made = tokens.make("ada", Scope.ADMIN)
    with own() as server:
        assert server.client.post("/graphql", json=ATLAS, headers=bearer(made)).status_code == 200
        (tmp_path / "tokens.json").write_text(text)
        for headers in (bearer(made), {}):
            response = server.client.post("/graphql", json=ATLAS, headers=headers)
            assert (response.status_code, code_of(response)) == (503, "STORE")
    with pytest.raises(StoreError, match="restore it"):
        Tokens(tmp_path)


def test_each_scope_opens_its_doors_and_no_others(tmp_path: Path, own: Serve) -> None:
    made = {scope: Tokens(tmp_path).make(scope.name, scope) for scope in Scope}
    with own() as server:
        for scope, token in made.items():
            status = {
                path: server.client.get(path, headers=bearer(token)).status_code
                for path in ("/graphql?query={atlas{format}}", "/quack", "/tokens")
            }
            # The atlas of this server is offered to nobody, so whoever may ask for it learns that it is not there.
            quack, tokens = 404 if scope >= Scope.OWNER else 403, 200 if scope >= Scope.ADMIN else 403
            assert list(status.values()) == [200, quack, tokens]
        response = server.client.get("/quack", headers=bearer(made[Scope.INGEST]))
        assert "--scope owner" in response.json()["errors"][0]["message"]
        # Who may make tokens may not make one that may do more.
        more = server.client.post("/tokens?name=more&scope=owner", headers=bearer(made[Scope.ADMIN]))
        assert (more.status_code, code_of(more)) == (400, "BAD_INPUT")


def test_without_any_token_this_machine_may_read_and_nothing_else(own: Serve) -> None:
    with own() as server:
        assert server.client.post("/graphql", json=ATLAS).status_code == 200
        for method, path in (
            ("GET", "/quack"),
            ("GET", "/tokens"),
            ("POST", "/tokens?name=a"),
            ("DELETE", "/tokens/a"),
        ):
            response = server.client.request(method, path)
            assert (response.status_code, code_of(response)) == (403, "FORBIDDEN")


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "large"])
def test_what_is_no_file_of_tokens_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tokens.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"")
        os.truncate(path, 2**40)  # a hole, which takes no disk
    with pytest.raises(StoreError, match=r"tokens\.json cannot be read as tokens"):
        Tokens(tmp_path)


def test_an_administrator_makes_lists_and_revokes_over_http(tmp_path: Path, own: Serve) -> None:
    admin = bearer(Tokens(tmp_path).make("root", Scope.ADMIN))
    with own() as server:
        made = server.client.post("/tokens?name=bob&scope=read", headers=admin).json()
        assert server.client.post("/graphql", json=ATLAS, headers=bearer(made["token"])).status_code == 200
        listed = server.client.get("/tokens", headers=admin).json()["tokens"]
        assert [(one["name"], one["scope"]) for one in listed] == [("bob", "read"), ("root", "admin")]
        assert made["token"] not in json.dumps(listed)
        assert server.client.delete("/tokens/bob", headers=admin).json() == {"revoked": "bob"}
        assert server.client.post("/graphql", json=ATLAS, headers=bearer(made["token"])).status_code == 401
        assert server.client.delete("/tokens/bob", headers=admin).status_code == 404
        Tokens(tmp_path).make("own", Scope.OWNER)
        assert code_of(server.client.delete("/tokens/own", headers=admin)) == "BAD_INPUT"
        assert [token.name for token in Tokens(tmp_path).listed()] == ["own", "root"]
        assert server.client.post("/tokens?name=a%20b", headers=admin).status_code == 400


def test_the_command_line_makes_lists_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_HOME", str(tmp_path))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["voxel-atlas", "token", *arguments])
        main()
        return capsys.readouterr().out

    made = run("make", "ada", "--scope", "ingest").strip()
    found = Tokens(tmp_path).find(made)
    assert found is not None
    assert found.allows == Scope.INGEST
    assert [row["name"] for row in json.loads(run("list", "--json"))] == ["ada"]
    assert json.loads(run("revoke", "ada", "--json")) == [{"revoked": "ada"}]
    assert Tokens(tmp_path).find(made) is None


def test_a_token_that_asks_too_often_waits_and_others_do_not(tmp_path: Path, own: Serve) -> None:
    ada, bob = (bearer(Tokens(tmp_path).make(name, Scope.READ)) for name in ("ada", "bob"))
    with own(rate_limit="5/minute") as server:
        answers = [server.client.get("/metrics", headers=ada) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert code_of(answers[-1]) == "RATE_LIMITED"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert server.client.get("/metrics", headers=bob).status_code == 200
        # Without a token it is the address that is counted.
        assert [server.client.get("/healthz").status_code for _ in range(6)] == [200] * 5 + [429]


def test_tokens_cannot_be_guessed_fast(tmp_path: Path, own: Serve) -> None:
    Tokens(tmp_path).make("ada", Scope.READ)
    with own() as server:
        guesses = [server.client.get("/", headers=bearer(f"guess {n}")).status_code for n in range(22)]
        assert guesses == [401] * 20 + [429] * 2
        assert server.client.post("/login", data={"token": "another"}).status_code == 429


def test_on_this_machine_without_tokens_nobody_is_counted(own: Serve) -> None:
    with own(rate_limit="1/minute") as server:
        assert {server.client.get("/healthz").status_code for _ in range(20)} == {200}


def test_a_rate_that_makes_no_sense_is_refused_at_the_start(own: Serve) -> None:
    with pytest.raises(BadInputError, match="3000/minute"), own(rate_limit="often"):
        pass


def test_pages_of_listed_sites_may_ask_and_others_may_not(own: Serve) -> None:
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    preflight = {**cross, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    with own(cors_origins=(ORIGIN,)) as server:
        asked = server.client.options("/graphql", headers={"origin": ORIGIN, **preflight})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert "access-control-allow-credentials" not in asked.headers
        answer = server.client.post("/graphql", json=ATLAS, headers={"origin": ORIGIN, **cross})
        assert answer.json()["data"]["atlas"]["nVoxels"] == 300
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["vary"] == "Origin"
        for other in ("https://evil.example", "https://lab.example.evil.example", "null"):
            refused = server.client.options("/graphql", headers={"origin": other, **preflight})
            assert (refused.status_code, code_of(refused)) == (403, "FORBIDDEN")
            assert "access-control-allow-origin" not in refused.headers
            assert server.client.post("/graphql", json=ATLAS, headers={"origin": other, **cross}).status_code == 403


@pytest.mark.parametrize("origin", ["*", "lab.example", "https://lab.example/path", "https://*.example"])
def test_an_origin_that_is_none_is_refused_in_the_settings(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_CORS_ORIGINS", f"https://a.example, {origin}")
    with pytest.raises(ValueError, match="cors_origins"):
        Settings()
    monkeypatch.setenv("VOXEL_ATLAS_CORS_ORIGINS", "https://a.example, http://b.example:8080")
    assert Settings().cors_origins == ("https://a.example", "http://b.example:8080")
