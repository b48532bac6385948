"""Bodies that are dear to read: nobody waits while they are read."""

import threading

import httpx
from attack import Target, attacks

BYTES = 11 * 2**20
"""Just below what a body may have."""
BODIES = {
    "lists": b'{"query": "{atlas{format}}", "variables": {"a": [' + b"[]," * (BYTES // 3) + b"[]]}}",
    "numbers": b'{"query": "{atlas{format}}", "variables": {"a": [' + b"1," * (BYTES // 2) + b"1]}}",
    "objects": b'{"query": "{atlas{format}}", "variables": {"a": [' + b'{"":0},' * (BYTES // 7) + b"0]}}",
    "nested": b'{"query": ' + b"[" * BYTES,
    "escapes": b'{"query": "' + b"\\u0041" * (BYTES // 6) + b'"}',
}
LATE_S = 0.5
"""What the server may work before it answers another; without its limit of parts, a body of lists took it 1.2."""


@attacks(**{f"{path[1:].replace('/', '_')}_{name}": (path, body) for path in ("/graphql", "/frames/similar", "/mcp")
            for name, body in BODIES.items()})  # fmt: skip
def dear_json(target: Target, case: tuple[str, bytes]) -> None:
    """Twelve megabytes of small parts."""
    path, body = case
    done = threading.Event()
    late = [0.0]

    def watch() -> None:
        with target.client(address="127.0.1.7") as other:
            while not done.is_set():
                before = target.work()
                assert other.get("/healthz").status_code == 200
                late[0] = max(late[0], target.work() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with target.client() as client:
            answers = [_sent(client, path, body) for _ in range(3)]
    finally:
        done.set()
        watcher.join()
    assert set(answers) <= {200, 400, 413, 429}, answers
    assert late[0] < LATE_S, f"others waited for {late[0]:.1f} s of work"


def _sent(client: httpx.Client, path: str, body: bytes) -> int:
    return client.post(path, content=body, headers={"content-type": "application/json"}).status_code
