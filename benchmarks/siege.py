"""A server under siege: honest visitors and an ingest beside a stream of attacks, then what is lost and how it stops.

    python benchmarks/siege.py [--minutes N] [--only PART]… [--json FILE]

The attacks are those of tests/siege, each of which is also a test. Honest load and ingest are the same before the
attacks and beside them; clients, attacker and server share the machine. Networks are those of the home folder in which
the demo was run. Object stores need moto_server, see tests/atlas/buckets.py.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pyarrow as pa
from serving import WORDS, random_atlas

import figures
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import AtlasError

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS / folder) for folder in ("siege", "atlas", "api", "ingest")]

from attack import STEP, Target, all_attacks, besieged  # noqa: E402 - of the folders above
from buckets import PROGRAM, bucket, killed_ingests  # noqa: E402
from lakes import new_lake, race, running_postgres  # noqa: E402

PARTS = ("siege", "lakes", "s3")
VOXELS = 3000
RACES, KILLS = 40, 20
EVERY_S = 0.2
"""Between two questions of a visitor."""
BATCH_EVERY_S, BATCH_ROWS = 5.0, 500
VISITORS = 2
QUERY = """query ($concept: String!) { similarVoxels(concept: $concept, first: 10, significant: false) {
  totalCount edges { node { voxel similarity } } } }"""
FLOOD = 40
ROWS_HELD = "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory() WHERE tag IN ('BASE_TABLE', 'IN_MEMORY_TABLE')"


class Held(NamedTuple):
    """What the server's process holds some seconds after the attacks began."""

    seconds: float
    bytes: int
    rows: int
    """Bytes of those that are rows of DuckDB's."""


class Visitors:
    """Honest visitors, whose answers are compared with those that an atlas at rest gave."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        with target.client(address="127.0.2.1") as client:
            self._right = {word: _asked(client, word) for word in WORDS}

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends; what was measured before is forgotten."""
        self.seconds.clear()
        over = threading.Event()
        visitors = [threading.Thread(target=self._ask, args=(number, over)) for number in range(VISITORS)]
        for visitor in visitors:
            visitor.start()
        try:
            yield
        finally:
            over.set()
            for visitor in visitors:
                visitor.join()

    def _ask(self, number: int, over: threading.Event) -> None:
        words = WORDS[number::VISITORS]
        with self._target.client(address=f"127.0.2.{2 + number}") as client:
            for n in range(10**9):
                if over.wait(EVERY_S):
                    return
                word, began = words[n % len(words)], time.perf_counter()
                try:
                    answer = _asked(client, word)
                except (httpx.HTTPError, ValueError) as error:
                    answer = repr(error)
                self.seconds.append(time.perf_counter() - began)
                if answer != self._right[word]:
                    self.wrong.append(f"{word}: {answer}"[:300])


def _asked(client: httpx.Client, word: str) -> object:
    answer = client.post("/graphql", json={"query": QUERY, "variables": {"concept": word}}).json()
    return answer.get("data") or answer  # an error's own words, where nothing came


def p99(seconds: list[float]) -> float:
    """The 99th percentile."""
    return float(np.percentile(seconds, 99))


def ingest(home: Path, model: str, over: threading.Event) -> None:
    """Commit a batch every few seconds, as an ingest beside the server does, until it is over."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        for n in range(10**9):
            if over.wait(BATCH_EVERY_S):
                return
            first = n * BATCH_ROWS
            voxels = np.arange(first, first + BATCH_ROWS, dtype=np.int32)
            ones = np.ones(BATCH_ROWS, np.float32)
            rows = {"model_id": [model] * BATCH_ROWS, "voxel": voxels, "n_blocks": [5] * BATCH_ROWS,
                    "n_train": [10] * BATCH_ROWS, "r2": 0 * ones, "r": 0 * ones}  # fmt: skip
            store.append({"learning_curve": pa.table(rows)}, run_id="soak", stage="curve", key=f"{model}/siege/{n}")


def besiege(target: Target, seconds: float) -> tuple[int, dict[str, str]]:
    """Run every attack, again and again, for some seconds, each at least once; how many, and which got through.

    In a process of its own, so that visitors do not wait for the attacker's threads.
    """
    fell: dict[str, str] = {}
    attacks, first, until = all_attacks(), True, time.monotonic() + seconds
    while first or time.monotonic() < until:
        for attack in attacks:
            try:
                attack.run(target)
                target.require_answers()
            except Exception:  # noqa: BLE001 - whatever it is, the server fell
                fell.setdefault(attack.name, traceback.format_exc(limit=-2))
            if not first and time.monotonic() > until:
                break
        first = False
    return len(attacks), fell


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], object]) -> Iterator[None]:
    """Do some work in a thread, which an event tells that the block has ended, however it did."""
    over = threading.Event()
    worker = threading.Thread(target=work, args=(over,))
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


def siege(scratch: Path, minutes: float) -> tuple[dict[str, float], list[figures.Row]]:
    """The soak, and how the server stops in the midst of it."""
    home = scratch / "home"
    home.mkdir()
    model = random_atlas(home, VOXELS)
    shutil.copytree(Settings().home / "backbones", home / "backbones")
    memory: list[Held] = []
    with besieged(home, STEP) as target:
        visitors = Visitors(target)
        with beside(partial(ingest, home, model)):
            with visitors.asking():
                time.sleep(60 * max(0.5, minutes / 6))
            quiet = p99(visitors.seconds)
            began = time.monotonic()

            def watch(over: threading.Event) -> None:
                with Store.open(str(home / "atlas.duckdb")) as store:
                    while not over.wait(2.0):
                        with contextlib.suppress(AtlasError):  # an attack takes what it would be answered with
                            ((rows,),) = store.frame(ROWS_HELD).rows()
                            memory.append(Held(time.monotonic() - began, target.memory(), rows))

            spawned = multiprocessing.get_context("spawn")
            with beside(watch), visitors.asking(), ProcessPoolExecutor(1, spawned) as attacker:
                n_attacks, fell = attacker.submit(besiege, target, 60 * minutes * 5 / 6).result()
            besieged_p99 = p99(visitors.seconds)
        held = unauthenticated_bytes(target)
        took = stopping(target)
    for name, error in fell.items():
        print(f"fell: {name}\n{error}")
    minute = [[held.bytes - held.rows for held in memory if held.seconds // 60 == n] for n in range(round(minutes) + 1)]
    print("MB, the least of each minute, net of rows:", *(f"{min(each) / 1e6:.0f}" for each in minute if each))
    for wrong in visitors.wrong[:5]:
        print(f"wrong: {wrong}")
    figures_ = {
        "attacks": float(n_attacks),
        "fell": float(len(fell)),
        "honest_p99_ms": 1e3 * besieged_p99,
        "honest_p99_over_quiet": besieged_p99 / quiet,
        "wrong_answers": float(len(visitors.wrong)),
        "soak_minutes": minutes,
        "soak_memory_growth": growth(memory, minutes),
        "unauthenticated_bytes_held": held,
        "shutdown_s": took,
    }
    return figures_, [{"phase": "quiet", "p99 ms": 1e3 * quiet}, {"phase": "under siege", "p99 ms": 1e3 * besieged_p99}]


def growth(memory: list[Held], minutes: float) -> float:
    """How much more memory the process has at the end than after the first five minutes, or a third of fewer.

    Rows that came do not count. Within a round of attacks, of three to six minutes, memory rises by as much as DuckDB
    may have and falls again, for minutes at a time: what is compared is the least that the process holds in the first
    and in the last third, each of which has a whole round in thirty minutes.
    """
    warm = min(300.0, 60 * minutes / 3)
    counted = [held.bytes - held.rows for held in memory if held.seconds >= warm]
    third = max(1, len(counted) // 3)
    return min(counted[-third:]) / min(counted[:third]) - 1


def unauthenticated_bytes(target: Target) -> float:
    """Bytes of memory for each connection of a client without a token, whatever it sends; the most of several kinds."""
    kinds = {
        "head": b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 60_000,
        "body": b"POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n" + b"a" * 8_000_000,
        "refused": b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n" + b"a" * 8_000_000,
        "pipelined": b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" * 8000,
    }
    most = 0.0
    for said in kinds.values():
        before = target.memory()
        held = []
        for number in range(FLOOD):
            raw = target.connection(f"127.0.3.{1 + number}")
            held.append(raw)
            raw.settimeout(0.5)
            with contextlib.suppress(OSError):
                raw.sendall(said)
        most = max(most, (target.memory() - before) / FLOOD)
        for raw in held:
            raw.close()
    return most


def stopping(target: Target) -> float:
    """Seconds from SIGTERM to the end of the process, while it works on what takes long and holds idle connections."""
    held = [target.connection() for _ in range(20)]
    slow = threading.Thread(target=_ignored, args=(target, "/labelcolours"))
    slow.start()
    time.sleep(0.5)
    began = time.monotonic()
    os.kill(target.pid, 15)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(target.pid, 0)
    took = time.monotonic() - began
    slow.join()
    for raw in held:
        raw.close()
    return took


def _ignored(target: Target, path: str) -> None:
    with target.client() as client, contextlib.suppress(httpx.HTTPError):
        client.get(path)


def lakes(scratch: Path) -> dict[str, float]:
    """Lakes that two processes open at once: one half with a catalog in a file, the other in PostgreSQL."""
    failed = 0
    with running_postgres() as postgres:
        url = postgres.url if postgres else ""
        for number in range(RACES):
            folder = scratch / f"lake{number}"
            folder.mkdir()
            wrong = race([new_lake(folder, url if number % 2 else "")])
            failed += bool(wrong)
            print(*wrong, sep="\n", end="")
    return {"lake_races": float(RACES), "lake_races_failed": float(failed)}


def s3(scratch: Path) -> dict[str, float]:
    """An ingest into a bucket, killed again and again."""
    if not shutil.which(PROGRAM):
        print(f"{PROGRAM} is not on the PATH: no bucket was tried")
        return {}
    with bucket() as running:
        os.environ.update(running.keys)
        done = killed_ingests(running.address(scratch), KILLS, running.keys)
    return {"s3_kills": float(done.kills), "s3_lost": float(done.lost), "s3_doubled": float(done.doubled)}


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=36.0, help="of the soak, a sixth of which is quiet")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; can be given again; none: all")


def main() -> None:
    """Measure all and report."""
    arguments = figures.arguments(__doc__, _extend)
    only = set(arguments.only or PARTS)
    found: dict[str, float] = {}
    rows: list[figures.Row] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if "lakes" in only:
            found |= lakes(scratch)
        if "s3" in only:
            found |= s3(scratch)
        if "siege" in only:
            measured, rows = siege(scratch, arguments.minutes)
            found |= measured
    figures.emit("A server under siege", found, rows, arguments.json)


if __name__ == "__main__":
    main()
