"""The catalog's PostgreSQL is gone: whoever asks, of the server or by command, is told so without its password."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack import Target, besieged
from lakes import new_database, running_postgres
from plugin_package import installed
from toy_server import Fill
from websockets.sync.client import connect

from voxel_atlas.atlas.store.store import Store

PASSWORD = "Xyzzy-4711/geheim"
QUERIES = (
    "{ atlas { format generation nVoxels } }", "{ runs { runId message } }", "{ models { modelId } }",
    '{ similarVoxels(concept: "cake") { totalCount } }', '{ flatmap(concept: "cake") { url } }',
    "{ voxel(index: 0) { labels { text } topImages { url } } }",
)  # fmt: skip
PATHS = (
    "/readyz", "/metrics", "/values?concept=cake", "/toplabels", "/labelcolours", "/quack", "/stimuli/toy/0/3",
    "/pixelmaps/simulated/T1.bin", "/tokens",
)  # fmt: skip
COMMANDS = (
    ("settings",), ("settings", "--json"), ("url",), ("query", "cake"), ("sql", "FROM model"), ("verify",),
    ("vacuum", "--yes"), ("export", "release"), ("flatmap", "cake", "-o", "cake.png"),
)  # fmt: skip


@pytest.fixture(scope="module", params=["before the host", pytest.param("as a parameter", marks=pytest.mark.slow)])
def bereft(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fill_atlas: Fill
) -> Iterator[Target]:
    """The server of a lake whose catalog went away after it had started."""
    home = tmp_path_factory.mktemp("bereft")
    with running_postgres() as postgres:
        if postgres is None:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        catalog = new_database(postgres.url)
        if request.param == "as a parameter":
            catalog = f"{catalog}?password={PASSWORD}"
        else:
            catalog = catalog.replace("atlas@", f"atlas:{PASSWORD.replace('/', '%2F')}@")
        address = f"ducklake:postgres:{catalog} data={home}/parquet/"
        with Store.open(address) as store:
            fill_atlas(store, home / "stimuli")
        settings = {
            "VOXEL_ATLAS_ATLAS": address, "VOXEL_ATLAS_LOG_LEVEL": "debug",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }  # fmt: skip
        parts = {"voxel_atlas.backbones": {"toy": "toy_network:Toy"}}
        with (
            installed(tmp_path_factory.mktemp("toy"), "toy", parts),
            pytest.MonkeyPatch.context() as patch,
            besieged(home, **settings) as target,
        ):
            for name, value in {**settings, "VOXEL_ATLAS_HOME": str(home)}.items():
                patch.setenv(name, value)
            # One that is in the midst of a transaction then is ended by DuckDB; docs/serving.md says so.
            with target.client() as client:
                while not client.get("/readyz").json()["textTowers"]:
                    time.sleep(0.1)
            postgres.stop()
            yield target


def _require_none(said: str) -> None:
    for secret in (PASSWORD, PASSWORD.replace("/", "%2F"), "4711", "geheim"):
        assert secret not in said


def test_no_answer_socket_metric_or_line_of_the_log_has_the_password(bereft: Target) -> None:
    with bereft.client("owner") as client:
        answers = [client.post("/graphql", json={"query": query}) for query in QUERIES]
        answers += [client.post(f"/frames/{question}", json={}) for question in ("runs", "stages", "models", "voxels")]
        answers += [client.get(path) for path in PATHS]
    assert answers[-len(PATHS)].status_code == 503
    assert sum('"STORE"' in answer.text for answer in answers) > len(answers) / 2
    headers = {"authorization": f"Bearer {bereft.tokens['read']}"}
    url = bereft.url.replace("http", "ws") + "/graphql"
    with connect(url, additional_headers=headers, subprotocols=["graphql-transport-ws"], proxy=None) as socket:
        socket.send('{"type": "connection_init"}')
        socket.recv(60)
        query = {"query": "subscription { ingestProgress { generation stages { stage } } }"}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
        told = str(socket.recv(60))
    log = (bereft.home / "server.log").read_text(encoding="utf-8")
    _require_none(f"{told}{log}" + "".join(f"{answer.text}{answer.headers}" for answer in answers))


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words))
def test_no_command_prints_the_password(bereft: Target, words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voxel_atlas", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 2}, done.stderr
    assert "Traceback" not in done.stderr
    _require_none(done.stdout + done.stderr)
