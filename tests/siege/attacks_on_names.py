"""Names that are paths, and requests that two programs read differently: each is told that there is no such thing."""

import json

from attack import PATIENCE_S, Target, attacks


@attacks(
    assets_up="/assets/../../tokens.json",
    assets_encoded="/assets/%2e%2e/%2e%2e/tokens.json",
    assets_double="/assets/%252e%252e%252ftokens.json",
    assets_absolute="/assets//etc/passwd",
    assets_zero="/assets/index.html%00.js",
    picture_up="/flatmaps/../tokens.json.png",
    picture_short="/flatmaps/abc.png",
    picture_other="/flatmaps/" + "a" * 64 + ".json",
    stimulus_path="/stimuli//etc/passwd",
    stimulus_file="/stimuli/file:///etc/passwd",
    stimulus_bricks="/stimuli//etc/passwd%230",
    pixel_map_up="/pixelmaps/../../tokens.bin",
    mesh_up="/meshes/simulated/R/../../x.bin",
    outlines_quote="/outlines/'; DROP TABLE voxel; --.json",
    values_model="/values?metric=r2&model=../../x",
    values_twice="/values?metric=r2&metric=q&colormap=" + "a" * 10_000,
    top_labels_method="/toplabels?method=../x",
)
def name(target: Target, path: str) -> None:
    """What is no name of ours."""
    with target.connection() as raw:
        head = f"GET {path.replace(' ', '%20')} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        raw.sendall(f"{head}authorization: Bearer {target.tokens['read']}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(2**16), b""))
    status = int(answer.split()[1])
    assert 400 <= status < 500, answer[:300]
    assert b"root:" not in answer
    assert b"sha256" not in answer


@attacks(
    both=b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /tokens HTTP/1.1\r\nhost: a\r\n\r\n",
    twice=b"content-length: 0\r\ncontent-length: 40\r\n\r\nGET /tokens HTTP/1.1\r\nhost: a\r\n\r\n",
    negative=b"content-length: -1\r\n\r\n",
    huge=b"content-length: 99999999999999999999999999\r\n\r\n",
    chunk=b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    folded=b"x-a: b\r\n c\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    coding=b"transfer-encoding: xchunked\r\n\r\n",
)
def smuggled(target: Target, said: bytes) -> None:
    """A body whose end proxies and servers see in different places."""
    head = b"POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    with target.connection() as raw:
        raw.sendall(head + said)
        raw.settimeout(PATIENCE_S)
        answer = b""
        try:
            while part := raw.recv(2**16):
                answer += part
        except ConnectionError:
            pass
    assert b'"tokens"' not in answer
    assert not answer or 400 <= int(answer.split()[1]) < 500, answer[:300]


@attacks(
    tokens=("GET", "/tokens"),
    make=("POST", "/tokens?name=x&scope=admin"),
    revoke=("DELETE", "/tokens/siege-admin"),
    quack=("GET", "/quack"),
    below=("GET", "/tokens/"),
    dotted=("GET", "/./tokens"),
    upper=("GET", "/TOKENS"),
    encoded=("GET", "/%74okens"),
    newline=("GET", "/tokens%0A"),
    newline_quack=("GET", "/quack%0a"),
    newline_make=("POST", "/tokens%0A?name=x&scope=admin"),
    newline_rows=("POST", "/ingest/rows%0A"),
)
def beyond_its_scope(target: Target, case: tuple[str, str]) -> None:
    """A token that may only read asks for what needs more."""
    method, path = case
    with target.client("read") as client:
        answer = client.request(method, path)
    assert answer.status_code in {403, 404, 405}, f"{answer.status_code}: {answer.text[:200]}"
    with target.client("admin") as admin:
        assert "siege-admin" in json.dumps(admin.get("/tokens").json())
