"""A whole ingest over HTTP with a token of scope ingest: killed on either side, its tables end as a local one's."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import digest
from toy_server import Serve

from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.app import create_app
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import StoreError

_INGESTS = """
import json, os, signal, sys
from pathlib import Path
from tiny import tiny_config, tiny_parts
from tiny_kills import forked
from voxel_atlas.atlas.store.remote import Http
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.errors import AtlasError

append, n = Http.append, 0

def ingest(address, token, home, step, last, whom):
    def dying(self, batch):
        global n
        n += 1
        if (n, step) == (last, "before"):
            os.kill(whom or os.getpid(), signal.SIGKILL)
        added = append(self, batch)
        if (n, step) == (last, "after"):
            os.kill(whom or os.getpid(), signal.SIGKILL)
        return added

    Http.append = dying
    try:
        with Store.open(address, token=token) as store:
            config = tiny_config()
            Pipeline(store=store, home=Path(home)).ingest(config, tiny_parts(config, Path(home)))
    except AtlasError as error:
        return str(error)
    return ""

print(json.dumps([forked(ingest, *arguments) for arguments in json.loads(sys.argv[1])]))
"""
KILLED = [-signal.SIGKILL, None]
DONE = [0, ""]


def ingests(*plan: tuple[str, str, Path, str, int, int]) -> list[list[Any]]:
    """Ingest the tiny subject again and again, each time in a process of its own: exit statuses, and what was wrong.

    Args:
        plan: address, token, home folder, before or after which batch a process is killed, the batch's number, and the
            process; 0 for the ingest's own.
    """
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests / "ingest"), *filter(None, sys.path)])}
    for _, _, home, *_ in plan:
        home.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _INGESTS, json.dumps(plan, default=str)]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)  # type: ignore[no-any-return]


def test_an_ingest_over_http_that_is_killed_goes_on_to_the_tables_of_a_local_one(tmp_path: Path, serve: Serve) -> None:
    local, served, elsewhere = (tmp_path / name for name in ("local", "served", "elsewhere"))
    served.mkdir()
    token, reader = Tokens(served).make("lab", Scope.INGEST), Tokens(served).make("reader", Scope.READ)
    with (
        Store.open(str(served / "atlas.duckdb")) as store,
        Atlas(store, home=served) as atlas,
        serve(create_app(atlas, Settings(home=served))) as server,
    ):
        there = server.url, token, elsewhere
        done = ingests(
            (str(local / "atlas.duckdb"), "", local, "never", 0, 0),
            (*there, "before", 5, 0),
            (*there, "after", 8, 0),
            (*there, "never", 0, 0),
            (*there, "never", 0, 0),
        )
        assert done == [DONE, KILLED, KILLED, DONE, DONE]
        assert store.frame("SELECT state, count(*) AS n FROM run GROUP BY ALL ORDER BY ALL").rows() == [
            ("finished", 2),
            ("started", 4),
        ]
        for wrong, message in ((reader, "needs a token of scope ingest"), ("x" * 40, "wants a token")):
            with pytest.raises(StoreError, match=message):
                Store.open(server.url, token=wrong)
    assert digest(served) == digest(local)


@pytest.mark.slow
def test_a_server_that_is_killed_under_an_ingest_over_http_goes_on_to_the_same_tables(tmp_path: Path) -> None:
    local, served, elsewhere = (tmp_path / name for name in ("local", "served", "elsewhere"))
    served.mkdir()
    token = Tokens(served).make("lab", Scope.INGEST)
    Store.open(str(served / "atlas.duckdb")).close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("voxel-atlas")), "serve", "--port", str(port)]
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(served)}
    for step, last in (("before", 6), ("after", 4), ("never", 0)):
        with subprocess.Popen(command, env=environment) as it:
            _wait_for(port)
            ((status, said),) = ingests((f"http://127.0.0.1:{port}", token, elsewhere, step, last, it.pid))
            assert status == 0
            assert ("no server answers there" in said) == (step != "never"), said
            it.terminate()
    assert ingests((str(local / "atlas.duckdb"), "", local, "never", 0, 0)) == [DONE]
    assert digest(served) == digest(local)


def _wait_for(port: int) -> None:
    while True:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
