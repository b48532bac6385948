"""The server behind nginx, Apache and Caddy, set up as the manual says, at the root of a host and below a path."""

import json
import ssl
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest
from doc_blocks import PROXIES
from proxied import Proxied, needed, proxied
from websockets.sync.client import connect

import voxel_atlas
from voxel_atlas.api.http.access.guard import COOKIE
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.schemas.config import Settings

Reached = tuple[Proxied, str]
PICTURES = """{ flatmap(concept: "cake", width: 200) { url } voxel(index: 0) { topImages(first: 1) { url } } }"""
OF_PEOPLE = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
PATHS = {"root": "/", "path": "/lab/atlas/"}


@pytest.fixture(scope="module", params=[f"{kind}-{path}" for kind in PROXIES for path in PATHS])
def reached(
    request: pytest.FixtureRequest, atlas: Atlas, surfaces: LoadSurface, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reached]:
    """A server behind a proxy, and a token."""
    kind, _, path = request.param.partition("-")
    needed(kind)
    folder = tmp_path_factory.mktemp(kind)
    token = Tokens(folder).make("ada", Scope.READ)
    with proxied(
        kind, PATHS[path], folder, lambda url: create_app(
            atlas, Settings(home=folder, public_url=url, trusted_proxies=("127.0.0.1",)), load=surfaces
        )
    ) as behind:  # fmt: skip
        yield behind, token


def _client(behind: Proxied, token: str = "", address: str = "127.0.0.5") -> httpx.Client:
    """From an address that is no proxy's, as everyone who asks from elsewhere."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    secure = ssl.create_default_context(cafile=behind.certificate)
    transport = httpx.HTTPTransport(local_address=address, verify=secure)
    return httpx.Client(base_url=behind.url, headers=headers, transport=transport, timeout=120)


def test_people_are_sent_to_log_in_and_back_and_the_cookie_is_for_our_path_and_tls(reached: Reached) -> None:
    behind, token = reached
    with _client(behind) as client:
        sent = client.get("graphql", headers=OF_PEOPLE)
        login = urljoin(str(sent.url), sent.headers["location"])
        assert (sent.status_code, login) == (303, f"{behind.url}login")
        answer = client.post(login, data={"token": token}, headers={"origin": behind.url.rstrip("/").rsplit("/lab")[0]})
        assert (answer.status_code, urljoin(login, answer.headers["location"])) == (303, behind.url)
        (cookie,) = client.cookies.jar
        assert (cookie.name, cookie.path, cookie.secure) == (COOKIE, httpx.URL(behind.url).path, True)
        for page in ("", "graphql"):
            assert client.get(page, headers=OF_PEOPLE).headers["content-type"].startswith("text/html")


def test_the_path_without_its_slash_leads_to_the_page(reached: Reached) -> None:
    behind, _ = reached
    if httpx.URL(behind.url).path == "/":
        return
    with _client(behind) as client:
        sent = client.get(behind.url.rstrip("/"))
        assert sent.status_code in {301, 302, 308}
        assert urljoin(str(sent.url), sent.headers["location"]) == behind.url


def test_pictures_come_from_the_addresses_that_graphql_gives_out(reached: Reached) -> None:
    behind, token = reached
    with _client(behind, token) as client:
        data = client.post("graphql", json={"query": PICTURES}).json()["data"]
        for url, kind in ((data["flatmap"]["url"], "png"), (data["voxel"]["topImages"][0]["url"], "jpeg")):
            picture = client.get(urljoin(behind.url, url))
            assert (picture.status_code, picture.headers["content-type"]) == (200, f"image/{kind}")


def test_names_that_are_paths_and_have_marks_arrive_as_they_are(reached: Reached) -> None:
    behind, token = reached
    with _client(behind, token) as client:
        for name in ("/elsewhere/a%20b%23c%3Fd%25e.png", "a//b", "%C3%A4%2Bb"):
            sentences = [
                one.get(f"{base}stimuli/{name}", headers=client.headers).json()["errors"][0]["message"]
                for one, base in ((client, behind.url), (behind.server.client, "/"))
            ]
            assert sentences[0] == sentences[1]


def test_sockets_pass(reached: Reached) -> None:
    behind, token = reached
    with connect(
        f"{behind.url}graphql".replace("https", "wss"), subprotocols=["graphql-transport-ws"], proxy=None,
        ssl=ssl.create_default_context(cafile=behind.certificate),
        additional_headers={"authorization": f"Bearer {token}"},
    ) as socket:  # fmt: skip
        socket.send('{"type": "connection_init"}')
        assert json.loads(socket.recv(60))["type"] == "connection_ack"
        query = {"query": "subscription { ingestProgress { generation } }"}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
        assert json.loads(socket.recv(60))["payload"]["data"]["ingestProgress"]["generation"] > 0


def test_python_asks_under_the_public_address(reached: Reached, atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    behind, token = reached
    monkeypatch.setenv("SSL_CERT_FILE", str(behind.certificate))
    with voxel_atlas.open(behind.url, token=token) as remote:
        assert remote.model().similar("cake").frame.equals(atlas.model().similar("cake").frame)


def test_what_the_server_takes_the_proxy_passes_on(reached: Reached) -> None:
    behind, token = reached
    with _client(behind, token) as client:
        body = {"query": "{ atlas { format } }", "variables": {"image": "a" * 11_000_000}}
        assert client.post("graphql", json=body).json()["data"]


def test_addresses_behind_the_proxy_are_told_apart_and_none_is_made_up(reached: Reached) -> None:
    behind, token = reached
    with _client(behind, address="127.0.0.66") as stranger, _client(behind, token) as other:
        guesses = [
            stranger.get("graphql", headers={"authorization": f"Bearer {n}", "x-forwarded-for": f"10.0.0.{n}"})
            for n in range(21)
        ]
        assert [guess.status_code for guess in guesses] == [401] * 20 + [429]
        assert other.get("graphql?query={atlas{format}}").status_code == 200
        assert other.get("graphql", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_who_asks_the_server_itself_writes_the_path_or_leaves_it_out(reached: Reached) -> None:
    behind, _ = reached
    path = httpx.URL(behind.url).path
    for asked in ("/healthz", f"{path}healthz"):
        assert behind.server.client.get(asked).json() == {"healthy": True}
