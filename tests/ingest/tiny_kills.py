"""A program that ingests the tiny subject again and again, each time killed one step later, and tells what is left.

A step is what a power cut could fall into: before and after every batch and every commit, before and after every rename
of a file (features, pictures, indexes), in the midst of the checkpoint that closes the file. After each kill the atlas
is looked at as it is, then the ingest is run to its end, and its tables are compared with an undisturbed run's.

    python tiny_kills.py FOLDER [FIRST_STEP STRIDE]

Prints one line of JSON: {"kills": …, "lost": …, "doubled": …, "unequal": …, "steps": [names]}.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import faiss  # noqa: F401 - here, so that the copies of this process need not
import pandas as pd  # noqa: F401
import pyarrow.dataset as pyarrow_dataset  # noqa: F401
from tiny import digest, tiny_config, tiny_parts

from voxel_atlas.atlas.store.links import Local
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.nouns import NounExtractor
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.tables import table_schemas

_NOT_OF_BATCHES = {"atlas_format", "ledger"}


class Steps:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, last: int | None) -> None:
        self.last, self.names = last, list[str]()

    def reached(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, method: str) -> None:
        """Make steps of the moments before and after a method."""
        original: Callable[..., object] = getattr(owner, method)

        def stepped(*arguments: object, **named: object) -> object:
            self.reached(f"before {owner.__name__}.{method}")
            result = original(*arguments, **named)
            self.reached(f"after {owner.__name__}.{method}")
            return result

        setattr(owner, method, stepped)

    def within(self, owner: type, method: str, delay_s: float) -> None:
        """Make a step of the time within a method, which goes on in another thread meanwhile."""
        original: Callable[..., object] = getattr(owner, method)

        def stepped(*arguments: object, **named: object) -> object:
            self.names.append(f"within {owner.__name__}.{method}")
            if len(self.names) == self.last:
                threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
                original(*arguments, **named)
                signal.pause()
            return original(*arguments, **named)

        setattr(owner, method, stepped)


def run(home: Path, last: int | None) -> list[str]:
    """Ingest and close; the names of the steps."""
    steps = Steps(last)
    steps.around(Store, "append")
    steps.around(Local, "commit")
    steps.around(type(home), "replace")
    steps.within(Local, "close", 0.001 * ((last or 0) % 5))
    home.mkdir(parents=True, exist_ok=True)
    config = tiny_config()
    with Store.open(str(home / "atlas.duckdb")) as store:
        Pipeline(store=store, home=home).ingest(config, tiny_parts(config, home))
    return steps.names


def look(home: Path) -> dict[str, int]:
    """Batches that are in the ledger without their rows (or the other way), and batches that are there twice."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        ledger = store.frame("SELECT stage, batch_key, n_rows FROM ledger")
        tables = [table for table in table_schemas() if table not in _NOT_OF_BATCHES]
        rows = sum(store.frame(f"SELECT count(*) AS n FROM {table}")["n"][0] for table in tables)
    return {"lost": abs(int(ledger["n_rows"].sum()) - rows), "doubled": ledger.height - ledger.n_unique()}


def forked(work: Callable[..., object], *arguments: object) -> tuple[int, object]:
    """Do `work` in a copy of this process, so that nothing is imported anew: its exit status and its result."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            json.dump(work(*arguments), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as out:
        text = out.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, json.loads(text) if status == 0 else None


def main() -> None:
    """Kill at every step (or every STRIDE-th from FIRST_STEP on) and report."""
    folder = Path(sys.argv[1])
    first, stride = (int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else (1, 1)
    NounExtractor()  # read here, too
    status, steps = forked(run, folder / "undisturbed", None)
    assert status == 0
    assert isinstance(steps, list)
    expected = forked(digest, folder / "undisturbed")[1]
    found = {"kills": 0, "lost": 0, "doubled": 0, "unequal": 0}
    for last in range(first, len(steps) + 1, stride):
        home = folder / str(last)
        assert forked(run, home, last)[0] == -signal.SIGKILL, steps[last - 1]
        found["kills"] += 1
        seen = forked(look, home)[1] if (home / "atlas.duckdb").exists() else {}
        assert isinstance(seen, dict)
        for name, number in seen.items():
            found[name] += number
        assert forked(run, home, None)[0] == 0, f"does not go on after a kill {steps[last - 1]}"
        found["unequal"] += forked(digest, home)[1] != expected
    print(json.dumps({**found, "steps": sorted(set(steps))}))


if __name__ == "__main__":
    main()
