"""What an attack is, the live server that all of them are run against, and the list of them.

Every attacks_*.py of this folder registers its own. An attack raises AssertionError where the server falls. It does
what can be done from another machine, and knows no more of the atlas than that it has a model.
"""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

from voxel_atlas.api.http.access.tokens import Scope, Tokens

PATIENCE_S = 300.0
"""How long an answer may take on a busy machine; it only ends a hang."""
_SERVE = """
import json, sys
from voxel_atlas.schemas import limits
limits.LIMITS = limits.LIMITS.model_copy(update=json.loads(sys.argv.pop(1)))
from voxel_atlas.__main__ import main
main()
"""
STEP = {"free_share": 2**29 / psutil.virtual_memory().available}
"""512 MB for what one step of a statement gathers, on a machine of any size: attacks want six times as much."""
HONEST = {"query": '{ similarVoxels(concept: "cake", baseline: NONE) { totalCount edges { node { voxel } } } }'}
"""What honest visitors ask."""


@dataclass(frozen=True)
class Target:
    """A server that was started as for a laboratory: it answers other machines, and everyone needs a token."""

    port: int
    pid: int
    home: Path
    tokens: Mapping[str, str] = field(repr=False)
    """A token of each scope, by the scope's name."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, scope: str = "read", address: str = "127.0.0.1") -> httpx.Client:
        """A client.

        Args:
            scope: of its token; empty for none.
            address: where it asks from: what the server counts by address counts for this one.
        """
        headers = {"authorization": f"Bearer {self.tokens[scope]}"} if scope else {}
        transport = httpx.HTTPTransport(local_address=address, verify=False)
        return httpx.Client(base_url=self.url, headers=headers, transport=transport, timeout=PATIENCE_S)

    def connection(self, address: str = "127.0.0.1") -> socket.socket:
        """A connection for what is no proper HTTP."""
        raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (address, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw

    def work(self) -> float:
        """Seconds of processor time that the process has had."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that the process holds now; mapped files do not count, which the system drops and reads as it likes."""
        return self._status("RssAnon")

    def peak(self, forget: bool = False) -> int:
        """The most bytes that the process held at once, since the last call that forgot it."""
        if forget:
            Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(status.split(f"{name}:")[1].split()[0])

    def require_answers(self) -> None:
        """An honest visitor is answered, in full.

        Raises:
            AssertionError: not so.
        """
        with self.client(address="127.0.1.1") as honest:
            answer = honest.post("/graphql", json=HONEST)
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            assert data is not None, answer.text
            assert data["similarVoxels"]["totalCount"] > 0, answer.text


@dataclass(frozen=True)
class Attack:
    """One way to harm a server."""

    name: str
    run: Callable[[Target], None]


ATTACKS: list[Attack] = []
"""All that are registered so far."""

Case = TypeVar("Case")


def attack(run: Callable[[Target], None]) -> Callable[[Target], None]:
    """Register a function as an attack of its name."""
    ATTACKS.append(Attack(run.__name__, run))
    return run


def attacks(**cases: Case) -> Callable[[Callable[[Target, Case], None]], Callable[[Target, Case], None]]:
    """Register a function as an attack for each of the named cases, which it is given."""

    def register(run: Callable[[Target, Case], None]) -> Callable[[Target, Case], None]:
        for name, case in cases.items():
            ATTACKS.append(Attack(f"{run.__name__}-{name}", lambda target, case=case: run(target, case)))  # type: ignore[misc]
        return run

    return register


def all_attacks() -> Sequence[Attack]:
    """Every attack of this folder, in order of the files' names."""
    for path in sorted(Path(__file__).parent.glob("attacks_*.py")):
        importlib.import_module(path.stem)
    return ATTACKS


@contextmanager
def besieged(home: Path, limits: Mapping[str, float] | None = None, **settings: str) -> Iterator[Target]:
    """Serve the atlas of a home folder to all addresses of this machine, in a process of its own.

    Args:
        home: the folder; it gets a token of each scope.
        limits: those of `schemas.limits` that this server has otherwise.
        settings: environment variables that the server gets besides.
    """
    tokens = Tokens(home)
    made = {scope.name.lower(): tokens.make(f"siege-{scope.name.lower()}", scope) for scope in Scope}
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "VOXEL_ATLAS_HOME": str(home), "VOXEL_ATLAS_HOST": "0.0.0.0", **settings}
    program = [str(Path(sys.executable).with_name("voxel-atlas"))]
    if limits:
        program = [sys.executable, "-c", _SERVE, json.dumps(limits)]
    command = [*program, "serve", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    target = Target(port, process.pid, home, made)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _is_ready(target):
            assert process.poll() is None, (home / "server.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield target
    finally:
        process.terminate()
        process.wait()
        for scope in made:
            tokens.revoke(f"siege-{scope}")


def _is_ready(target: Target) -> bool:
    with target.client() as client:
        try:
            return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


def codes(response: httpx.Response) -> list[str]:
    """The codes of an answer's errors; every answer that is no success has the shape of errors.

    Raises:
        AssertionError: it has another shape.
    """
    try:
        errors = response.json().get("errors", [])
        return [error["extensions"]["code"] for error in errors]
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise AssertionError(f"{response.status_code}: {response.text[:200]!r} is no error as ours are") from error
