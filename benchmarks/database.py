"""The atlas's promises, measured: speed of writing, reading and searching, asking while it fills, and kills.

    python benchmarks/database.py [--parts writing searching serving kills memory] [--json FILE]

`executemany` is DuckDB's own, called as it comes: each row is a transaction; `_in_transaction` is what fewer people
write. Rates are rows of 512 numbers a second, in batches of 10,000. The floor of a search is reading as many float16
numbers once, with all cores. Readers are eight threads of the process that serves the atlas: each asks for the voxels
most similar to a concept, in a model of 300,000 voxels and in the one that is being ingested, and then looks at the
answers for a second on average: one search takes both of two cores, so without a pause readers would wait for readers.
Quiet is one reader, without an ingester, who asks as often as those eight together.
The ingester is a process of its own, as fast as fits are: a batch of 2,000 voxels each 0.37 s. Kills are of the tiny
subject's ingest at every step, and of ingesters and servers at random moments.
"""
# Not called atlas.py: a script's folder comes first on the path, and that name would hide the package from it.

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import faiss
import numpy as np
import pyarrow as pa
import serving as serving_atlas
from numpy.typing import NDArray

import figures
from voxel_atlas.api.http.access.tokens import Scope, Tokens
from voxel_atlas.api.http.server import PATIENCE_S, SWITCH_S
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.store.store import Store

DIM, BATCH = 512, 10_000
GROWING = "simulated/R/growing"
INGESTED, PACE_S = 2000, 0.37
"""Voxels of a batch while others read, and seconds from one to the next."""
READERS, PAUSE_S = 8, 1.0
HERE = Path(__file__).parent
PARTS = ("writing", "searching", "serving", "kills", "memory")
Floats = NDArray[np.float32]

_SERVER = """
import sys
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1]) as store, store.served():
    print("ready", flush=True)
    sys.stdin.read()
"""
_INGESTER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from voxel_atlas.atlas.store.store import Store
from database import encoding
address, model, n, dim, pace = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
with Store.open(address) as store:
    print("ready", flush=True)
    for batch in range(1_000_000):
        began = time.perf_counter()
        rows = encoding(np.random.default_rng(batch).standard_normal((n, dim), dtype=np.float32), batch * n, model)
        store.append(rows, run_id="r", stage="fit", key=f"{model}/{batch}")
        print(batch, time.time(), flush=True)
        time.sleep(max(0, pace - (time.perf_counter() - began)))
"""


def encoding(weights: Floats, first: int, model: str = "m") -> dict[str, pa.Table]:
    """Rows of `encoding` with these weights (n, dim), numbered from `first`."""
    n, dim = weights.shape
    one = np.ones(n, np.float32)
    columns = {
        "model_id": [model] * n,
        "voxel": np.arange(first, first + n, dtype=np.int32),
        "weights": pa.ListArray.from_arrays(np.arange(0, n * dim + 1, dim, dtype=np.int32), weights.ravel()),
        **dict.fromkeys(("bias", "r2", "r", "p"), one),
        "alpha": one.astype(np.float64),
    }
    return {"encoding": pa.table(columns)}


@contextmanager
def server(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that serves the atlas at `path`."""
    process = _start(_SERVER, str(path))
    try:
        yield process
    finally:
        process.communicate()


def _start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def http_rates(home: Path, vectors: Floats) -> list[float]:
    """The same for batches of another model that a token of scope ingest sends to `voxel-atlas serve`."""
    home.mkdir()
    serving_atlas.random_atlas(home, len(vectors), dim=DIM)
    run = {"run_id": "r", "model_id": GROWING, "config": "{}", "code_version": "", "state": "started", "message": ""}
    rows = pa.Table.from_pylist([{**run, "recorded_at": datetime.now(UTC)}])
    with serving_atlas.serving(home, towers=False) as server:
        token = Tokens(home).make("lab", Scope.INGEST)
        with Store.open(server.url, token=token) as store:
            store.append({"run": rows}, run_id="r", stage="run", key="r/started")
            model = store.arrow("SELECT * REPLACE (? AS model_id) FROM model", [GROWING])
            store.append({"model": model}, run_id="r", stage="model", key=GROWING)
            return append_rates(store, vectors, GROWING)


def append_rates(store: Store, vectors: Floats, model: str = "m") -> list[float]:
    """Rows a second of each batch."""
    rates = []
    for first in range(0, len(vectors), BATCH):
        rows = encoding(vectors[first : first + BATCH], first, model)
        seconds, _ = figures.timed(partial(store.append, rows, run_id="r", stage="fit", key=f"{model}/{first}"))
        rates.append(rows["encoding"].num_rows / seconds)
    return rates


def writing(folder: Path, vectors: Floats) -> dict[str, float]:
    """How fast rows go in and come out, beside executemany, and through a server."""
    with Store.open(str(folder / "direct.duckdb")) as store:
        rates = append_rates(store, vectors)
        readback, back = figures.timed(lambda: store.vectors("SELECT weights FROM encoding", None, DIM), 3)
        assert np.array_equal(back[::997], vectors[::997])
        few = vectors[:300]
    with duckdb.connect(str(folder / "many.duckdb")) as plain:
        plain.execute("CREATE TABLE encoding (voxel INTEGER, weights FLOAT[])")
        rows = [[voxel, row.tolist()] for voxel, row in enumerate(few)]
        # As it is called by default, and in one transaction, which fewer people write.
        slow, _ = figures.timed(lambda: plain.executemany("INSERT INTO encoding VALUES (?, ?)", rows))
        plain.begin()
        together, _ = figures.timed(lambda: plain.executemany("INSERT INTO encoding VALUES (?, ?)", rows))
        plain.commit()
    with server(folder / "served.duckdb"), Store.open(str(folder / "served.duckdb")) as store:
        served = append_rates(store, vectors[: 3 * BATCH])
    over_http = http_rates(folder / "home", vectors[: 3 * BATCH])
    late = len(rates) // 2
    return {
        "rows_s": len(few) / float(np.median(rates)),
        "executemany_s": slow,
        "ratio_executemany": float(np.median(rates)) / (len(few) / slow),
        "ratio_executemany_in_transaction": float(np.median(rates)) / (len(few) / together),
        "served_share": float(np.median(served) / np.median(rates[:3])),
        "http_share": float(np.median(over_http) / np.median(rates[:3])),
        "size_ratio": (folder / "direct.duckdb").stat().st_size / vectors.nbytes,
        "rate_flatness": float(np.median(rates[late:]) / np.median(rates[: max(late, 1)])),
        "readback_s": readback,
    }


def searching(vectors: Floats) -> dict[str, float]:
    """Time of a search beside reading the same vectors as float16, and its answers beside float64."""
    unit_rows(vectors, out=vectors)
    index = VectorIndex.build(vectors, np.arange(len(vectors)))
    queries = unit_rows(np.random.default_rng(1).standard_normal((32, DIM), dtype=np.float32))
    index.search(queries[:1], 100)
    one, _ = figures.timed(lambda: index.search(queries[:1], 100), 7)
    floor = figures.memory_floor(vectors.nbytes // 2)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    flat_one, _ = figures.timed(lambda: flat.search(queries[:1], 100), 3)
    flat_one, _ = figures.timed(lambda: flat.search(queries[:1], 100), 3)
    flat_many, _ = figures.timed(lambda: flat.search(queries, 100), 3)
    many, (scores, rows) = figures.timed(lambda: index.search(queries, 100), 3)
    found = index.search(queries[:4], 100)[1]
    hits = 0
    for query, best in zip(queries[:4], found, strict=True):
        exact = np.concatenate(
            [part.astype(np.float64) @ query.astype(np.float64) for part in np.array_split(vectors, 30)]
        )
        hits += len(np.intersect1d(best, np.argsort(-exact)[:100]))
    assert len(scores) == len(rows) == 32
    return {
        "search_s": one,
        "flat_s": flat_one,
        "search_floor_s": floor,
        "search_floor_ratio": one / floor,
        "recall_at_100": hits / 400,
        "batch32_s": many,
        "flat_batch32_s": flat_many,
        "batch32_over_flat": flat_many / many,
    }


def serving(folder: Path, n: int, seconds: float) -> dict[str, float]:
    """How soon a server is ready, and what readers get while a model grows."""
    model = serving_atlas.random_atlas(folder, n, dim=DIM, backbone="clip-vit-b32")
    word, path = serving_atlas.WORDS[0], folder / "atlas.duckdb"
    with Atlas.open(str(path), home=folder) as opened:
        opened.model(model).similar(word, baseline="none")  # so that an index is kept
    for _ in range(2):  # the first start cuts the flat map, and keeps it
        began = time.perf_counter()
        with serving_atlas.serving(folder, towers=False):
            ready = time.perf_counter() - began
    with Store.open(str(path)) as store, store.served():
        row = store.arrow("SELECT * REPLACE (? AS model_id) FROM model WHERE model_id = ?", [GROWING, model])
        store.append({"model": row}, run_id="r", stage="model", key=GROWING)
        return {"ready_s": ready, **_reading(store, folder, model, word, seconds)}


def _reading(store: Store, folder: Path, model: str, word: str, seconds: float) -> dict[str, float]:
    sys.setswitchinterval(SWITCH_S)
    opened = Atlas(store, home=folder, patience=PATIENCE_S)
    os.sync()  # what was written to prepare this is not to hold up the first commits
    failures, ended = list[str](), threading.Event()
    times: dict[str, list[float]] = {model: [], GROWING: []}
    answers, committed = list[tuple[float, int]](), dict[int, float]()

    def ask(name: str) -> int:
        took, hits = figures.timed(lambda: opened.model(name).similar(word, significant=False, baseline="none"))
        times[name].append(took)
        return hits.total

    def reader(seed: int) -> None:
        last, random = 0, np.random.default_rng(seed)
        while not ended.wait(random.exponential(PAUSE_S)):
            try:
                ask(model)
                asked_at = time.time()
                total = ask(GROWING)
            except Exception as error:  # noqa: BLE001 - a failed read is what is counted
                failures.append(repr(error))
                continue
            if total < last or total % INGESTED:
                failures.append(f"{last} -> {total}")
            answers.append((asked_at, total // INGESTED))
            last = total

    ingester = _start(_INGESTER, str(HERE), store.address, GROWING, str(INGESTED), str(DIM), str(PACE_S))
    assert ingester.stdout is not None
    committed[0] = float(ingester.stdout.readline().split()[1])
    ask(model), ask(GROWING)
    for of_model in times.values():
        of_model.clear()
    readers = [threading.Thread(target=reader, args=(seed,)) for seed in range(READERS)]
    for thread in readers:
        thread.start()
    time.sleep(seconds)
    ingester.kill()
    for line in ingester.communicate()[0].splitlines():
        batch, at = line.split()
        committed[int(batch)] = float(at)
    time.sleep(2)
    ended.set()
    for thread in readers:
        thread.join()
    busy = {name: list(of_model) for name, of_model in times.items()}
    for of_model in times.values():
        of_model.clear()
    for _ in range(50):
        time.sleep(PAUSE_S / READERS)
        ask(model), ask(GROWING)
    quiet = {name: float(np.median(of_model)) for name, of_model in times.items()}
    slower = np.concatenate([np.array(busy[name]) / quiet[name] for name in quiet])
    for failure in failures[:3]:
        print(failure)
    # What an answer does not have yet was committed so long before its question.
    lags = [asked_at - committed[n] for asked_at, n in answers if n in committed]
    unseen = sum(batch >= max(n for _, n in answers) for batch in committed)
    return {
        "reads": float(len(slower)),
        "failed_reads": float(len(failures) + unseen),
        "read_quiet_p50_ms": 1e3 * quiet[model],
        "read_p99_over_quiet_p50": float(np.percentile(slower, 99)),
        "seen_after_s": max(lags, default=0.0),
    }


def pipeline_kills(folder: Path, stride: int) -> dict[str, int]:
    """Kills of the tiny subject's ingest, at every stride-th of its steps."""
    script = HERE.parent / "tests" / "ingest" / "tiny_kills.py"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder), "1", str(stride)]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, int] = json.loads(told)
    return found


def killing(folder: Path, kills: int, stride: int) -> dict[str, float]:
    """Kills of ingests, ingesters and servers, then what is missing and what is there twice."""
    pipeline = pipeline_kills(folder / "tiny", stride)
    path, random = folder / "killed.duckdb", np.random.default_rng(2)
    acknowledged: set[str] = set()
    for kill in range(kills):
        serving = _start(_SERVER, str(path))
        ingester = _start(_INGESTER, str(HERE), str(path), "m", "500", "64", "0")
        time.sleep(random.uniform(0, 0.5))
        victim = serving if kill % 2 else ingester
        victim.send_signal(signal.SIGKILL)
        acknowledged.update(line.split()[0] for line in ingester.communicate()[0].splitlines())
        serving.communicate()
    with Store.open(str(path)) as store:
        sql = "SELECT voxel // 500 AS batch, count(*) AS n, count(DISTINCT voxel) AS v FROM encoding GROUP BY 1"
        found = store.frame(sql).to_dicts()
        keys = store.frame("SELECT batch_key FROM ledger WHERE stage = 'fit'")["batch_key"].to_list()
    ledger = [key.removeprefix("m/") for key in keys]
    whole = {str(row["batch"]) for row in found if row["n"] == row["v"] == 500}
    lost = acknowledged - whole | set(ledger) ^ {str(row["batch"]) for row in found}
    doubled = sum(row["n"] > 500 for row in found) + len(ledger) - len(set(ledger))
    return {
        "kills": float(kills + pipeline["kills"]),
        "lost_batches": float(len(lost) + pipeline["lost"]),
        "doubled_batches": float(doubled + pipeline["doubled"]),
        "unequal_atlases": float(pipeline["unequal"]),
    }


def search_peak(n: int) -> float:
    """GiB that a process with an index of n vectors holds; their float32 originals are mapped from disk."""
    code = (
        "import sys, numpy as np; from pathlib import Path; import figures\n"
        "from voxel_atlas.atlas.search.index import VectorIndex\n"
        "n = int(sys.argv[1]); path = Path(sys.argv[2])\n"
        "v = np.lib.format.open_memmap(path, 'w+', np.float32, (n, 512)); r = np.random.default_rng(0)\n"
        "for a in range(0, n, 20000):\n"
        "    b = r.standard_normal((min(20000, n - a), 512), dtype=np.float32)\n"
        "    v[a:a + 20000] = b / np.linalg.norm(b, axis=1, keepdims=True)\n"
        "index = VectorIndex.build(np.asarray(v)); index.search(np.asarray(v[:1]), 100)\n"
        "anon = [int(x.split()[1]) for x in open('/proc/self/status') if x.startswith('RssAnon')][0]\n"
        "print(anon / 2**20)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", code, str(n), str(Path(folder) / "v.npy")]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, for a look")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")


def main() -> None:
    """Measure and report."""
    arguments = figures.arguments(__doc__, _extend)
    quick = arguments.quick
    n, kills, seconds, many = (30_000, 6, 6.0, 60_000) if quick else (300_000, 30, 60.0, 2_400_000)
    measured: dict[str, float] = {}
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            match part:
                case "writing":
                    measured |= writing(folder, _random(n))
                case "searching":
                    measured |= searching(_random(n))
                case "serving":
                    measured |= serving(folder, n, seconds)
                case "kills":
                    measured |= killing(folder, kills, 20 if quick else 1)
                case "memory":
                    measured["search_peak_gib"] = search_peak(many)
    figures.emit(f"The atlas at {n:,} × {DIM}", measured, json_path=arguments.json)


def _random(n: int) -> Floats:
    return np.random.default_rng(0).standard_normal((n, DIM), dtype=np.float32)


if __name__ == "__main__":
    main()
