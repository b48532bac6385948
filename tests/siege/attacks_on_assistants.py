"""Attacks by the door for assistants: what would read files or settings, take all time, or fill memory."""

import threading

from attack import Target, attack, attacks

from voxel_atlas.schemas.limits import LIMITS

HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
STATEMENTS = {
    "files": "SELECT content FROM read_text('/etc/passwd')",
    "file_names": "FROM glob('/**')",
    "file_as_table": "FROM '/etc/passwd'",
    "settings": "SELECT current_setting('temp_directory')",
    "own_views": "FROM duckdb_settings()",
    "writing": "INSERT INTO voxel SELECT * FROM voxel",
    "two": "SELECT 1; DROP TABLE voxel",
    "copying": "COPY voxel TO '/tmp/siege.csv'",
    "end_of_brackets": "SELECT 1) LIMIT 1; DROP TABLE voxel; --",
    "rows": "FROM range(100000000)",
    "letters": "SELECT repeat('a', 100000000)",
    "letters_of_an_error": "SELECT error(repeat('a', 1000000))",
    "memory": "SELECT list(range) FROM range(2000000000)",
}

LETTERS = "SELECT sum(length(repeat('a', 1500000 + i::INT))) FROM range(2048) t(i)"


def _asked(target: Target, statement: str, address: str = "127.0.0.1") -> tuple[bool, str]:
    """Whether a statement is refused, and what is said."""
    call = {"name": "run_sql", "arguments": {"statement": statement}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    with target.client(address=address) as client:
        answer = client.post("/mcp", json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    return result["isError"], result["content"][0]["text"]


@attacks(**STATEMENTS)
def assistant_asks_for_more(target: Target, statement: str) -> None:
    """A statement that is more than a question about the atlas, or has too long an answer."""
    held = target.memory()
    refused, said = _asked(target, statement)
    assert refused, said[:200]
    assert len(said) < 2**16
    assert "root:" not in said
    assert target.memory() - held < 2**30


@attacks(
    letters=LETTERS,
    lists="SELECT sum(len(list_resize([1], 400000 + i::INT))) FROM range(2048) t(i)",
)
def assistant_fills_memory_in_one_step(target: Target, statement: str) -> None:
    """3 GB by one function over the rows that DuckDB takes at once: it counts nothing of that, and cannot be ended."""
    held = target.peak(forget=True)
    refused, said = _asked(target, statement)
    assert refused, said[:200]
    assert target.peak() - held < 2**31
    target.require_answers()


@attack
def assistant_raises_what_the_process_may_have(target: Target) -> None:
    """The same again and again, each time by half a gigabyte more, if what was let go still counted as taken."""
    peaks = []
    for _ in range(3):
        target.peak(forget=True)
        assert _asked(target, LETTERS)[0]
        peaks.append(target.peak())
    assert peaks[-1] - peaks[0] < 2**29, peaks


@attack
def assistant_uses_up_what_duckdb_counts(target: Target) -> None:
    """Lists that are counted and then refused by the system, six times a quarter of DuckDB's memory."""
    for _ in range(6):
        refused, said = _asked(target, "SELECT len(list(repeat(chr(97), 300000000 + i::INT))) FROM range(1) t(i)")
        assert refused, said[:200]
    refused, said = _asked(target, "SELECT count(*) FROM range(100000000) t(i) WHERE hash(i) = 7")
    assert not refused, said[:200]


@attack
def assistants_that_take_all_time(target: Target) -> None:
    """Twelve statements that never end; who looks at the page is answered meanwhile, and they end with their time."""
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range, b.range) = 7"
    told: list[tuple[bool, str]] = []
    askers = [threading.Thread(target=lambda: told.append(_asked(target, slow, "127.0.0.8"))) for _ in range(12)]
    for asker in askers:
        asker.start()
    while alive := [asker for asker in askers if asker.is_alive()]:
        target.require_answers()
        alive[0].join(0.5)
    assert all(refused for refused, _ in told), told
    assert len(told) == len(askers)


@attack
def assistants_without_a_token(target: Target) -> None:
    """Strangers are told nothing, and may not send much."""
    with target.client(scope="") as stranger:
        for body in (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}', b" " * LIMITS.stranger_bytes * 2):
            assert stranger.post("/mcp", content=body, headers=HEADERS).status_code in {401, 413, 429}
