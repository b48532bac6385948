"""What a command loads before it answers: nothing that takes longer to import than the answer takes to work out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_server import Run

from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.http.server import url_here
from voxel_atlas.atlas import client
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store

_LOADED = """
import gc, sys
from voxel_atlas.__main__ import main
sys.argv = ["voxel-atlas", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
assert gc.get_freeze_count(), "the interpreter would look through all that is loaded once more"
print(*sys.modules, file=sys.stderr)
"""
NEVER_FOR_HELP = {"numpy", "polars", "duckdb", "pydantic", "mcp"}
NEVER_FOR_A_LABEL = {"pandas", "scipy", "torch", "transformers", "httpx", "mcp", "strawberry", "starlette", "cortex"}


def loaded(home: Path, *words: str) -> set[str]:
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _LOADED, *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return set(ended.stderr.splitlines()[-1].split())


def test_help_loads_none_of_the_libraries_that_work_with_data(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "--help") & NEVER_FOR_HELP


def test_a_query_of_a_label_loads_no_library_that_it_can_do_without(home: Path) -> None:
    assert not loaded(home, "query", "cake") & NEVER_FOR_A_LABEL


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"),
     ("lab", "http://lab:1")],
)  # fmt: skip
def test_a_server_of_this_machine_is_asked_at_an_address_of_this_machine(host: str, url: str) -> None:
    assert url_here(host, 1) == url


def test_a_query_asks_the_server_that_has_the_atlas_also_where_it_wants_tokens(
    home: Path, settings, surfaces, serve, run: Run, toy_rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "atlas.duckdb")
    with Store.open(file) as store:
        toy_rows(store, range(40))
        own = settings.model_copy(update={"home": tmp_path, "token": type(settings.token)("a token of 16 letters")})
        with Atlas(store, home=tmp_path) as atlas:
            app = create_app(atlas, own, load=surfaces, visitor="visitor")
            with serve(app) as running, store.served(running.url, "visitor"):
                asked = list[str]()
                ask = client.RemoteAtlas.ask
                monkeypatch.setattr(
                    client.RemoteAtlas, "ask",
                    lambda self, question, *given, **named: asked.append(question.__name__)
                    or ask(self, question, *given, **named),
                )  # fmt: skip
                status, printed, _ = run("query", "face", "--no-significant", "--first", 3, "--atlas", file)
                assert (status, "similar" in asked) == (0, True)
                assert len(printed.splitlines()) == 4
                assert running.client.get("/frames/models").status_code == 401
