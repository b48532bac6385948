"""More of something than a server takes: in a request's head, around its body, in a query, on a socket."""

import base64
import io
import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from attack import PATIENCE_S, Target, attack, attacks, codes
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from voxel_atlas.api.http.handlers.cortex_handlers import MOST_IMAGES
from voxel_atlas.schemas.limits import LIMITS

MOST_HELD = 2**20
"""Bytes that a connection without a token may make the server hold."""
PATH = "/graphql?query={atlas{format}}"


def _is_closed_after(target: Target, begin: bytes, part: bytes, most: int) -> bool:
    """Whether the server ends a connection before it has taken so many bytes of the same part over and over."""
    with target.connection() as raw:
        raw.settimeout(PATIENCE_S)
        raw.sendall(begin)
        with suppress(ConnectionError):
            for _ in range(0, most, len(part)):
                raw.sendall(part)
            return False
    return True


@attacks(
    header=(b"GET / HTTP/1.1\r\nhost: a\r\nx-a: ", b"a" * 2**16),
    headers=(b"GET / HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n" * 1000),
    trailer=(b"POST /login HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: ", b"a" * 2**16),
    trailers=(b"POST /login HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 1000),
    extension=(b"POST /login HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a=", b"a" * 2**16),
    pipeline=(b"", b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" * 1000),
)
def endless(target: Target, case: tuple[bytes, bytes]) -> None:
    """A part of a request that does not end, from nobody."""
    before = target.memory()
    assert _is_closed_after(target, *case, most=2**26)
    assert target.memory() - before < 32 * MOST_HELD


@attack
def strangers_body(target: Target) -> None:
    """Nobody sends 12 MB to where people log in."""
    with target.client("") as client:
        assert client.post("/login", content=b"a" * 12_000_000).status_code == 413


def _introspection(n: int) -> str:
    levels = ["fields", "type", "fields", "type"]
    body = "name"
    names = itertools.count()
    fragments = []
    for level in reversed(levels):
        kind = "__Field" if level == "type" else "__Type"
        name = f"F{next(names)}"
        fragments.append(
            f"fragment {name} on {kind} {{" + " ".join(f"a{k}: {level} {{ {body} }}" for k in range(n)) + "}"
        )
        body = f"...{name}"
    return f"{{ __schema {{ types {{ {body} }} }} }} " + " ".join(fragments)


@attacks(
    introspection=_introspection(8),
    one_type='{ __type(name: "RootQuery") { ...A ...A } } fragment A on __Type {'
    + " ".join(f"a{k}: fields {{ name }}" for k in range(20))
    + "}",
)
def costly_query(target: Target, query: str) -> None:
    """Introspection that is larger than what is asked of rows may be."""
    with target.client() as client:
        answer = client.post("/graphql", json={"query": query})
        assert "LIMIT_EXCEEDED" in codes(answer) or "INVALID_QUERY" in codes(answer), answer.text[:200]
        assert len(answer.content) < 2**20


@attacks(
    aliases="{ " + " ".join(f'a{n}: similarVoxels(concept: "a{n}") {{ totalCount }}' for n in range(100)) + " }",
    depth="{ voxel(index: 0) { " + "neighbours(first: 1) { " * 30 + "voxel" + " }" * 30 + " } }",
    cycle="{ ...A } fragment A on RootQuery { ...B } fragment B on RootQuery { ...A }",
    directives="{ atlas { format " + "@include(if: true) " * 100 + "} }",
    cost='{ similarVoxels(concept: "a", first: 100) { edges { node { neighbours(first: 100) {'
    " labels(first: 100) { text } } } } } }",
    words="{ atlas { " + "format " * 3000 + "} }",
    input="{ rois(subject: " + "[" * 900 + "]" * 900 + ") { name } }",
    concept='{ similarVoxels(concept: "' + "a - " * 5000 + 'b") { totalCount } }',
)
def dear_query(target: Target, query: str) -> None:
    """A query whose answer would cost far more than its text."""
    with target.client() as client:
        answer = client.post("/graphql", json={"query": query})
    assert answer.status_code < 500
    assert codes(answer), answer.text[:200]


@attack
def quoted_in_a_refusal(target: Target) -> None:
    """What is refused is quoted: 128 KB of what might be addresses with passwords, each of which is looked for."""
    query = "query ($s: String) { compare(methodA: CLIP_MSM, scorerA: $s) { __typename } }"
    before = target.work()
    with target.client() as client:
        answer = client.post("/graphql", json={"query": query, "variables": {"s": "://:" * 2**15}})
    assert codes(answer) == ["BAD_INPUT"]
    assert len(answer.content) < 2**16
    assert target.work() - before < 5


def _picture(width: int, height: int) -> str:
    """A picture of one colour: few bytes and many pixels."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@attack
def one_picture_many_times(target: Target) -> None:
    """29 aliases of a search by a picture of 40 megapixels."""
    image = _picture(8000, 5000)
    fields = " ".join(f"a{n}: similarVoxels(image: $image) {{ totalCount }}" for n in range(29))
    with target.client() as client:
        body = {"query": f"query ($image: String) {{ {fields} }}", "variables": {"image": image}}
        assert codes(client.post("/graphql", json=body)) == ["LIMIT_EXCEEDED"]


def _figure(**mark: object) -> dict[str, object]:
    placed = {"x": 0, "y": 0, **mark}
    return {"width": 900, "height": 900, "title": "", "marks": [placed] * MOST_IMAGES}


@attacks(
    images=lambda: _figure(image=_picture(8000, 5000), width=9, height=9),
    letters=lambda: _figure(text="Wq" * 500, size=200, bold=True, halo="#000000"),
)
def dear_figure(target: Target, made: Callable[[], dict[str, object]]) -> None:
    """A figure to be made a PDF, of images that unfold to 10 GB or of letters that are all drawn as lines."""
    held, before = target.peak(forget=True), target.work()
    with target.client() as client:
        answer = client.post("/figure.pdf", json=made())
    assert codes(answer) == ["BAD_INPUT"]
    assert target.peak() - held < 2**30
    assert target.work() - before < 10


@attacks(
    neighbours=("neighbours", {"voxels": list(range(2000)), "first": 100_000}),
    labels=("voxel_labels", {"voxels": list(range(3000)), "first": 100_000}),
    images=("top_images", {"voxels": list(range(3000)), "first": 100_000}),
)
def costly_frame(target: Target, case: tuple[str, dict[str, object]]) -> None:
    """Frames that would fill the memory."""
    question, arguments = case
    with target.client() as client:
        answer = client.post(f"/frames/{question}", json=arguments)
        assert answer.status_code == 400, answer.text[:200]
        assert codes(answer)


@attacks(
    null_image=b'{"image": null}',
    huge_number=b'{"voxels": [1], "first": 9223372036854775808}',
    huge_voxel=b'{"voxels": [9223372036854775808]}',
    minus_huge=b'{"voxels": [-9223372036854775809]}',
    digits=b'{"voxels": [1], "first": ' + b"9" * 5000 + b"}",
    surrogate=b'{"search": "\\ud800"}',
    list_=b"[1]",
    deep=b"[" * 100_000,
)
def odd_frame(target: Target, body: bytes) -> None:
    """Arguments of `/frames` that are none."""
    with target.client() as client:
        for question in ("predict", "neighbours", "voxels", "labels", "label_voxels", "similar", "voxel_labels"):
            answer = client.post(f"/frames/{question}", content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500, f"{question}: {answer.text[:200]}"
            assert answer.status_code == 200 or codes(answer)


@attacks(
    huge="{ voxels(voxels: [9223372036854775808]) { voxel } }",
    digits="{ labels(first: " + "9" * 5000 + ") { totalCount } }",
    surrogate='{ labels(search: "\\ud800") { totalCount } }',
    surrogate_label='{ label(text: "\\ud800") { text } }',
    surrogate_concept='{ similarVoxels(concept: "\\ud83d") { totalCount } }',
    search='{ labels(search: "' + "a" * 5_000_000 + '") { totalCount } }',
    label='{ label(text: "' + "a" * 5_000_000 + '") { text } }',
)
def odd_query(target: Target, query: str) -> None:
    """Values that GraphQL's types do not rule out."""
    with target.client() as client:
        answer = client.post("/graphql", json={"query": query})
        assert answer.status_code < 500, answer.text[:200]
        assert codes(answer), answer.text[:200]
        assert "INTERNAL" not in codes(answer), answer.text[:300]
        assert len(answer.content) < 10_000


@attack
def variables_beyond_unicode(target: Target) -> None:
    """A lone half of a pair, as JSON's escapes can write it."""
    body = b'{"query": "query ($s: String!) { labels(search: $s) { totalCount } }", "variables": {"s": "\\ud800"}}'
    with target.client() as client:
        answer = client.post("/graphql", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text[:200]
        assert codes(answer)


def _socket(target: Target, token: str) -> ClientConnection:
    url = target.url.replace("http", "ws") + "/graphql"
    headers = {"authorization": f"Bearer {token}"}
    return connect(url, additional_headers=headers, subprotocols=["graphql-transport-ws"])


def _code_of_end(socket: ClientConnection) -> int:
    """Why the server closes a socket, before it says anything else."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


@attacks(list_="[]", number="1", text='"a"', nothing="null", no_json="{", surrogate='{"type": "\\ud800"}')
def odd_message(target: Target, message: str) -> None:
    """Messages of a socket that are none."""
    with _socket(target, target.tokens["read"]) as socket:
        socket.send(message)
        assert _code_of_end(socket) == 4400


@attack
def revoked_socket(target: Target) -> None:
    """A socket whose token is revoked subscribes anew."""
    with target.client("admin") as admin:
        token = admin.post("/tokens?name=siege-revoked").json()["token"]
        with _socket(target, token) as socket:
            socket.send('{"type": "connection_init"}')
            assert json.loads(socket.recv(PATIENCE_S))["type"] == "connection_ack"
            assert admin.delete("/tokens/siege-revoked").status_code == 200
            payload = {"query": "subscription { ingestProgress { generation } }"}
            socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            assert _code_of_end(socket) == 1008


@attack
def guesses(target: Target) -> None:
    """Guesses go on after the twentieth of a minute, under names that only a proxy may give."""
    began = time.monotonic()
    for n in range(1000):
        with target.client("", address="127.0.0.99") as client:
            headers = {"authorization": f"Bearer guess-{n}", "x-forwarded-for": f"10.0.0.{n}"}
            status = client.get(PATH, headers=headers).status_code
        if status == 429:
            break
        assert status == 401
        # The window slides: on a busy machine, more are due by the time of the twenty-first.
        assert n < 20 * (1 + (time.monotonic() - began) / 60)


@attacks(login=("POST", "/login"), health=("POST", "/healthz"), sheet=("GET", "/assets/explorer.css"))
def guesses_that_are_not_counted(target: Target, case: tuple[str, str]) -> None:
    """Where anybody is answered, a right token is answered as a wrong one is, whatever is sent with it."""
    told = set()
    for token in (target.tokens["read"], "wrong"):
        with target.client("", address="127.0.0.98") as client:
            headers = {"authorization": f"Bearer {token}"}
            answer = client.request(*case, headers=headers, content=b"a" * 2 * LIMITS.stranger_bytes)
        told.add((answer.status_code, answer.content))
    assert len(told) == 1, told


@attack
def kept_for_strangers(target: Target) -> None:
    """What only who has a token is told may be kept by no cache that others are answered from."""
    with target.client("owner") as client:
        query = {"query": "{ flatmap(metric: R2, width: 64) { url } }"}
        asked = client.post("/graphql", json=query)
        url = asked.json()["data"]["flatmap"]["url"]
        paths = [url, "/", "/values?metric=r2", "/tokens", "/quack", "/metrics", "/readyz", PATH]
        for answer in [asked, *map(client.get, paths)]:
            assert answer.status_code == 200, answer.text
            said = answer.headers.get("cache-control", "")
            assert "public" not in said
            assert "private" in said or "no-store" in said, f"{answer.url}: {said!r}"


@attacks(
    quack=("ingest", "GET", "/quack"),
    quack_as_admin=("admin", "GET", "/quack"),
    tokens=("ingest", "GET", "/tokens"),
    owner_by_admin=("admin", "POST", "/tokens?name=siege-more&scope=owner"),
    admin_by_ingest=("ingest", "POST", "/tokens?name=siege-more&scope=admin"),
)
def more_than_the_scope(target: Target, case: tuple[str, str, str]) -> None:
    """Tokens of a scope do what needs more."""
    scope, method, path = case
    with target.client(scope) as client:
        answer = client.request(method, path)
        assert answer.status_code in {400, 403}, answer.text
        assert codes(answer)
