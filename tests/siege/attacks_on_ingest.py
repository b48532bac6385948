"""Attacks by the door for batches, and by the line that attaches a shell: rows are added, and nothing else is done."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
from attack import PATIENCE_S, Target, attack, attacks, codes

from voxel_atlas.atlas.store.address import load_extensions
from voxel_atlas.atlas.store.content import conform
from voxel_atlas.atlas.store.serving import attach_statement
from voxel_atlas.schemas.limits import LIMITS
from voxel_atlas.schemas.tables import label_id

MODEL = "siege/1/toy/000000"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
Tables = Mapping[str, pa.Table]


def _body(
    tables: Tables, options: pa.ipc.IpcWriteOptions | None = None, run: str = "siege", stage: str = "fit", key: str = ""
) -> bytes:
    """A batch as no honest client makes it."""
    streams = {}
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        streams[name] = sink.getvalue().to_pybytes()
    sizes = {name: len(stream) for name, stream in streams.items()}
    head = {"run_id": run, "stage": stage, "key": key or f"{MODEL}/0", "tables": sizes}
    return b"".join([json.dumps(head).encode(), b"\n", *streams.values()])


def _encoding(weight: float = 1.0, model: str = MODEL) -> pa.Table:
    row = {"model_id": model, "voxel": 0, "weights": [weight] * 4, "bias": 0, "alpha": 1, "r2": 0, "r": 0, "p": 1}
    return conform("encoding", pa.Table.from_pylist([row]))


def _run(run: str, model: str = MODEL, state: str = "started") -> dict[str, pa.Table]:
    row = {"run_id": run, "model_id": model, "config": "{}", "code_version": "0", "state": state, "message": ""}
    return {"run": conform("run", pa.table({**{name: [value] for name, value in row.items()}, "recorded_at": [_NOW]}))}


def _ledger_row() -> pa.Table:
    row = {
        "run_id": "other",
        "stage": "fit",
        "batch_key": "x",
        "content_sha256": "0",
        "n_rows": 1,
        "committed_at": _NOW,
    }
    return conform("ledger", pa.Table.from_pylist([row]))


def _post(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/ingest/batches", content=body)


def _ask(client: httpx.Client, sql: str) -> httpx.Response:
    return client.post("/ingest/rows", json=[sql, None])


def _rows(answer: httpx.Response) -> list[Any]:
    with pa.ipc.open_stream(answer.content) as reader:
        return reader.read_all().to_pylist()  # type: ignore[no-any-return]


def _ledger(client: httpx.Client) -> list[Any]:
    """All batches but those of the honest ingest that benchmarks/siege.py has beside."""
    return _rows(_ask(client, "SELECT * FROM ledger WHERE run_id <> 'soak' ORDER BY ALL"))


def _begin(client: httpx.Client) -> None:
    answer = _post(client, _body(_run("siege"), stage="run", key="siege/started"))
    assert answer.status_code == 200, answer.text


_LABEL = conform("label", pa.table({"label_id": [label_id("siege")], "lemma": ["siege"]}))


@attacks(
    ledger=lambda: _body({"ledger": _ledger_row()}),
    ledger_beside_rows=lambda: _body({"encoding": _encoding(), "ledger": _ledger_row()}),
    format=lambda: _body({"atlas_format": conform("atlas_format", pa.table({"version": [9], "created": [_NOW]}))}),
    no_table=lambda: _body({"encoding; DROP TABLE label": _encoding()}),
    view=lambda: _body({"top_label": _LABEL}),
    more_columns=lambda: _body({"encoding": _encoding().append_column("x", pa.array([1]))}),
    fewer_columns=lambda: _body({"encoding": _encoding().drop_columns(["weights"])}),
    other_types=lambda: _body({"label": _LABEL.set_column(0, "label_id", pa.array(["1"]))}),
    dictionary=lambda: _body({"label": _LABEL.set_column(1, "lemma", _LABEL["lemma"].dictionary_encode())}),
    compressed=lambda: _body({"encoding": _encoding()}, pa.ipc.IpcWriteOptions(compression="zstd")),
    nan=lambda: _body({"encoding": _encoding(float("nan"))}),
    infinite=lambda: _body({"encoding": _encoding(float("inf"))}),
    other_model=lambda: _body({"encoding": _encoding(model="other/1/toy/1")}),
    key_of_other_model=lambda: _body({"encoding": _encoding()}, key="other/1/toy/1/0"),
    run_of_nobody=lambda: _body({"encoding": _encoding()}, run="unheard"),
    run_within_fit=lambda: _body({"encoding": _encoding(), **_run("siege")}),
    end_of_another_run=lambda: _body(_run("unheard", state="finished"), stage="run", key="unheard/finished"),
    two_runs=lambda: _body(_run("another"), stage="run", key="siege/started"),
    maintenance=lambda: _body({"encoding": _encoding()}, stage="rm"),
    no_stage=lambda: _body({"encoding": _encoding()}, stage="SELECT 1"),
    long_key=lambda: _body({"encoding": _encoding()}, key=f"{MODEL}/" + "a" * 100_000),
    half=lambda: _body({"encoding": _encoding()})[:-200],
    nothing=lambda: b"",
    noise=lambda: bytes(range(256)) * 100,
    sizes=lambda: b'{"run_id":"siege","stage":"fit","key":"k","tables":{"label":-9000000000}}\n',
)
def batch_that_is_none(target: Target, make: Callable[[], bytes]) -> None:
    """Batches of an ingest token that are to change what is not its run's, or hold what rows never have."""
    with target.client("ingest") as client:
        _begin(client)
        before = _ledger(client)
        answer = _post(client, make())
        assert answer.status_code == 400, answer.text[:300]
        assert codes(answer) == ["BAD_INPUT"], answer.text[:300]
        assert _ledger(client) == before


@attacks(
    there={},
    twice={"voxel": [10**6, 10**6]},
    negative={"voxel": [-1]},
    beyond={"voxel": [2**31 - 1]},
    short={"voxel": [10**6], "weights": [[1.0]]},
    no_model={"model_id": [MODEL]},
)
def row_that_spoils(target: Target, changes: dict[str, list[object]]) -> None:
    """A run of the model that is there brings rows of voxels that are there or are none, or of another length."""
    with target.client("ingest") as client:
        row = _rows(_ask(client, "FROM encoding LIMIT 1"))[0]
        model = str(changes.get("model_id", [row["model_id"]])[0])
        run = f"spoils {model}"
        begun = _post(client, _body(_run(run, model), stage="run", key=f"{run}/started", run=run))
        assert begun.status_code == 200, begun.text
        n = max(map(len, changes.values()), default=1)
        rows = pa.table({name: changes.get(name, [value] * n) for name, value in row.items()})
        answer = _post(client, _body({"encoding": conform("encoding", rows)}, key=f"{model}/x{n}", run=run))
        assert codes(answer) == ["BAD_INPUT"], answer.text
        assert answer.status_code == 400, answer.text


@attacks(
    label={"label": {"label_id": label_id("cake"), "lemma": "siege"}},
    vector={"label_embedding": {"label_id": 1, "backbone": "tower", "vector": [1.0]}},
    noun={"vocabulary": {"word": "siege", "backbone": "tower", "vector": [1.0, 0.0]}},
    baseline={"baseline": {"vocabulary_sha256": "0", "n_words": 1, "backbone": "tower", "vector": [1.0]}},
)
def words_that_spoil(target: Target, tables: Mapping[str, Mapping[str, object]]) -> None:
    """Labels under numbers of others, and words of a text tower that models of others are compared with."""
    with target.client("ingest") as client:
        _begin(client)
        noun = {"backbone": "tower", "word": "noun", "vector": [1.0, 0.0]}
        baseline = {"backbone": "tower", "vocabulary_sha256": "1", "n_words": 1, "vector": [1.0, 0.0]}
        for key, rows in (("tower", {"vocabulary": noun, "baseline": baseline}), ("spoils", tables)):
            batch = {name: conform(name, pa.Table.from_pylist([row])) for name, row in rows.items()}
            answer = _post(client, _body(batch, stage="vocabulary", key=key))
        assert answer.status_code == 400, answer.text
        assert codes(answer) == ["BAD_INPUT"], answer.text


@attack
def run_of_another_token(target: Target) -> None:
    """A token adds to the run that another began, or begins one that is in the ledger."""
    with target.client("ingest") as client, target.client("admin") as other:
        _begin(client)
        assert codes(_post(other, _body({"encoding": _encoding()}))) == ["BAD_INPUT"]
        known = _ledger(client)[0]["run_id"]
        answer = _post(client, _body(_run(known), stage="run", key=f"{known}/started"))
        assert codes(answer) == ["BAD_INPUT"], answer.text


@attack
def replay(target: Target) -> None:
    """A batch comes again, as it was and with other content; then a part of one, and the connection ends."""
    body = _body({"label": _LABEL}, stage="concepts", key="replay")
    with target.client("ingest") as client:
        _begin(client)
        assert _post(client, body).status_code == 200
        before = _ledger(client)
        assert _post(client, body).json() == {"added": False}
        other_label = conform("label", pa.table({"label_id": [label_id("besieged")], "lemma": ["besieged"]}))
        other = _post(client, _body({"label": other_label}, stage="concepts", key="replay"))
        assert codes(other) == ["LEDGER_CONFLICT"], other.text
        half = _body({"label": other_label}, stage="concepts", key="half")
        with target.connection() as raw:
            token = target.tokens["ingest"]
            head = f"POST /ingest/batches HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
            raw.sendall(f"{head}content-length: {len(half)}\r\n\r\n".encode() + half[:-1])
        assert _ledger(client) == before


@attack
def large_batch(target: Target) -> None:
    """A body without end, and one of a million rows that no table bounds."""
    with target.client("ingest") as client:
        answer = _post(client, b"a" * (LIMITS.batch_bytes + 1))
        assert answer.status_code == 413, answer.text
        assert codes(answer) == ["TOO_LARGE"]
        rows = _ask(client, "SELECT a.range, b.range FROM range(10000) a, range(2000) b")
        assert codes(rows) == ["BAD_INPUT"], rows.text[:200]
        rows = _ask(client, "SELECT range FROM range(1000000000000)")  # more than there is memory
        assert codes(rows) == ["BAD_INPUT"], rows.text[:200]


@attack
def endless_question(target: Target) -> None:
    """SELECTs without end: batches go in meanwhile, and who hangs up has ended them."""
    body = json.dumps(["SELECT count(*) FROM range(1000000000000)", None]).encode()
    head = f"POST /ingest/rows HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {target.tokens['ingest']}\r\n"
    with target.client("ingest") as client, ExitStack() as held:

        def begin() -> int:
            return _post(client, _body(_run("siege"), stage="run", key="siege/started")).status_code

        def until(status: int, ask: Callable[[], int]) -> None:
            deadline = time.monotonic() + PATIENCE_S / 4  # sooner than a statement's time is over
            while ask() != status:
                assert time.monotonic() < deadline
                time.sleep(0.1)

        client.timeout = PATIENCE_S / 4
        asked = [held.enter_context(target.connection()) for _ in range(LIMITS.batches)]
        for raw in asked:
            raw.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        until(503, begin)  # all of them are under way
        asked[0].close()
        until(200, begin)
        held.close()
        until(200, lambda: _ask(client, "FROM label LIMIT 1").status_code)


@attacks(nobody="", read="read")
def batch_without_the_scope(target: Target, scope: str) -> None:
    """Tokens that may only read add rows."""
    with target.client(scope) as client:
        for answer in (_post(client, _body(_run("read"), stage="run", key="read/started")), _ask(client, "SELECT 1")):
            assert answer.status_code == (403 if scope else 401), answer.text
            assert codes(answer)


@attacks(
    copy="COPY label TO 'tokens.json'",
    drop="DROP TABLE label",
    two="SELECT 1; DROP TABLE label",
    set_="SET GLOBAL memory_limit = '1MB'",
    call="CALL quack_serve('quack:localhost:9494', token => 'xxxx')",
    attach="ATTACH 'other.duckdb'",
    insert="INSERT INTO label VALUES (1, 'x')",
    with_insert="WITH a AS (SELECT 1) INSERT INTO label VALUES (1, 'x')",
    file="FROM 'tokens.json'",
    read_text="SELECT * FROM read_text('/etc/passwd')",
    file_within="SELECT (SELECT content FROM read_text('/etc/passwd')) FROM label",
    databases="FROM duckdb_databases",
    databases_of="FROM duckdb_databases()",
    schema="FROM information_schema.tables",
    secrets="FROM duckdb_secrets()",
    query="FROM query('FROM duckdb_databases()')",
    within="WITH label AS (FROM duckdb_databases) FROM label",
    beside_with="FROM duckdb_databases, (WITH duckdb_databases AS (SELECT 1) SELECT 1)",
    file_beside_with="""FROM "a.csv", (WITH "a.csv" AS (SELECT 1) SELECT 1)""",
    show="FROM (SHOW ALL TABLES)",
    setting="SELECT current_setting('temp_directory')",
    log="SELECT write_log('forged')",
    sleep="SELECT sleep_ms(1)",
    guess="SELECT atlas_authentication('a', 'b', 'c')",
    error="SELEC",
    nothing="",
)
def sql_of_an_ingester(target: Target, sql: str) -> None:
    """SQL of an ingest token that does more than to read the atlas's rows."""
    with target.client("ingest") as client:
        before = _ledger(client)
        answer = _ask(client, sql)
        assert answer.status_code == 400, answer.text[:300]
        assert codes(answer) == ["BAD_INPUT"], answer.text[:300]
        assert _ledger(client) == before


@attacks(
    deep=b"[" * 100_000,
    object_=b"{}",
    number=b"1",
    digits=b'["SELECT ?", [' + b"9" * 5000 + b"]]",
    big=b'["SELECT ?", [99999999999999999999999999999999999999999999]]',
    time=b'["SELECT ?", [{"datetime": "never"}]]',
    surrogate=b'["SELECT ?", ["\\ud800"]]',
    missing=b'["SELECT ?", []]',
    names=b'["SELECT $a", {"b": 1}]',
    no_text=b"\xff\xfe",
)
def odd_question(target: Target, body: bytes) -> None:
    """Bodies that are no statement with its values."""
    with target.client("ingest") as client:
        answer = client.post("/ingest/rows", content=body)
        assert answer.status_code < 500, answer.text[:300]
        assert answer.status_code == 200 or codes(answer) == ["BAD_INPUT"], answer.text[:300]


@attack
def shell_of_url(target: Target) -> None:
    """Who attaches a shell by the line of `voxel-atlas url` does more than to read."""
    line = attach_statement(str(target.home / "atlas.duckdb")).removeprefix("INSTALL quack; LOAD quack; ")
    with duckdb.connect() as shell:
        load_extensions(shell, "httpfs", "quack")
        shell.execute(line)
        for sql in (
            "DROP TABLE label",
            f"COPY label TO '{target.home}/tokens.json'",
            "SET GLOBAL quack_authorization_function = 'quack_nop_authorization'",
            "CALL quack_stop('quack:localhost:1')",
            f"FROM read_text('{target.home}/tokens.json')",
        ):
            with pytest.raises(duckdb.Error, match="Authorization failed"):
                shell.execute("FROM quack_query_by_name('atlas', ?)", [sql])
        with pytest.raises(duckdb.Error):
            shell.execute("INSERT INTO label VALUES (1, 'x')")
        assert shell.execute("SELECT count(*) FROM label").fetchone()
