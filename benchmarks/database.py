"""The atlas's promises, measured: speed of writing, reading and searching, and what is left after kills."""
# Not called atlas.py: a script's folder comes first on the path, and that name would hide the package from it.

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import figures
from atlas import saved_index
from atlas.index import VectorIndex, unit
from atlas.store import Store

DIM, BATCH = 512, 10_000
Floats = NDArray[np.float32]

_SERVER = """
import sys
from atlas.store import Store
with Store.open(sys.argv[1]) as store, store.offered():
    print("ready", flush=True)
    sys.stdin.read()
"""
_INGESTER = """
import sys
sys.path.insert(0, sys.argv[3])
import numpy as np
from atlas.store import Store
from database import encoding
with Store.open(sys.argv[1]) as store:
    print("ready", flush=True)
    for batch in range(int(sys.argv[2])):
        rows = encoding(np.full((500, 64), batch, np.float32), batch * 500)
        store.append(rows, run_id="r", stage="kill", key=str(batch))
        print(batch, flush=True)
"""


def encoding(weights: Floats, first: int) -> dict[str, pa.Table]:
    """Rows of `encoding` with these weights (n, dim), numbered from `first`."""
    n, dim = weights.shape
    one = np.ones(n, np.float32)
    columns = {
        "model_id": ["m"] * n,
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


def append_rates(store: Store, vectors: Floats) -> list[float]:
    """Rows a second of each batch."""
    rates = []
    for first in range(0, len(vectors), BATCH):
        rows = encoding(vectors[first : first + BATCH], first)
        seconds, _ = figures.timed(
            lambda rows=rows, first=first: store.append(rows, run_id="r", stage="s", key=str(first))
        )
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
    late = len(rates) // 2
    return {
        "rows_s": len(few) / float(np.median(rates)),
        "executemany_s": slow,
        "ratio_executemany": float(np.median(rates)) / (len(few) / slow),
        "ratio_executemany_in_transaction": float(np.median(rates)) / (len(few) / together),
        "quack_share": float(np.median(served) / np.median(rates[:3])),
        "size_ratio": (folder / "direct.duckdb").stat().st_size / vectors.nbytes,
        "rate_flatness": float(np.median(rates[late:]) / np.median(rates[: max(late, 1)])),
        "readback_s": readback,
    }


def searching(folder: Path, vectors: Floats) -> dict[str, float]:
    """Time of a search beside reading the same vectors as float16, and its answers beside float64."""
    unit(vectors)
    index = VectorIndex.build(vectors, np.arange(len(vectors)))
    queries = unit(np.random.default_rng(1).standard_normal((32, DIM), dtype=np.float32))
    index.search(queries[:1], 100)
    one, _ = figures.timed(lambda: index.search(queries[:1], 100), 7)
    floor = _memory_floor(vectors.nbytes // 2)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
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
    saved_index.save(index, folder / "index", "f" * 64)
    ready, loaded = figures.timed(lambda: saved_index.load(folder / "index", "f" * 64))
    assert loaded is not None
    return {
        "search_s": one,
        "flat_s": flat_one,
        "search_floor_s": floor,
        "batch32_s": many,
        "flat_batch32_s": flat_many,
        "search_floor_ratio": one / floor,
        "recall_at_100": hits / 400,
        "batch32_over_flat": flat_many / many,
        "ready_s": ready,
    }


def _memory_floor(n_bytes: int) -> float:
    """Seconds that all cores need to read so many bytes once."""
    words = np.ones(n_bytes // 8, np.int64)
    parts = np.array_split(words, len(os.sched_getaffinity(0)))

    def read() -> None:
        threads = [threading.Thread(target=part.max) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return figures.timed(read, 5)[0]


def concurrency(folder: Path, vectors: Floats, seconds: float) -> dict[str, float]:
    """One ingester through the server and eight readers beside it."""
    path = folder / "both.duckdb"
    with Store.open(str(path)) as store, store.offered():
        append_rates(store, vectors[:BATCH])
        quiet = [figures.timed(lambda: _read(store))[0] for _ in range(50)]
        failures, times, counts = [], [], []
        ended = threading.Event()

        def reader() -> None:
            last = 0
            while not ended.is_set():
                try:
                    took, n = figures.timed(lambda: _read(store))
                except Exception as error:  # noqa: BLE001 - a failed read is what is counted
                    failures.append(repr(error))
                    continue
                if n < last or n % 500:
                    failures.append(f"{last} -> {n}")
                last = n
                times.append(took)
                time.sleep(0.02)

        readers = [threading.Thread(target=reader) for _ in range(8)]
        for thread in readers:
            thread.start()
        ingester = _start(_INGESTER, str(path), "1000000", str(Path(__file__).parent))
        time.sleep(seconds)
        ingester.kill()
        ingester.communicate()
        ended.set()
        for thread in readers:
            thread.join()
        counts.append(_read(store))
    for failure in failures[:3]:
        print(failure)
    return {
        "failed_reads": float(len(failures)),
        "read_p99_over_quiet_p50": float(np.percentile(times, 99) / np.median(quiet)),
    }


def _read(store: Store) -> int:
    return int(store.arrow("SELECT count(*) AS n, max(r2) FROM encoding WHERE model_id = 'm'")["n"][0].as_py())


def killing(folder: Path, kills: int) -> dict[str, float]:
    """Kills of the ingester and of the server at random moments, then what is missing and what is there twice."""
    path, random = folder / "killed.duckdb", np.random.default_rng(2)
    acknowledged: set[str] = set()
    for kill in range(kills):
        serving = _start(_SERVER, str(path))
        ingester = _start(_INGESTER, str(path), "100000", str(Path(__file__).parent))
        time.sleep(random.uniform(0, 0.5))
        victim = serving if kill % 2 else ingester
        victim.send_signal(signal.SIGKILL)
        if victim is serving:
            acknowledged.update(ingester.communicate()[0].split())
        else:
            acknowledged.update(ingester.communicate()[0].split())
            serving.communicate()
    with Store.open(str(path)) as store:
        sql = "SELECT weights[1]::INTEGER AS batch, count(*) AS n, count(DISTINCT voxel) AS v FROM encoding GROUP BY 1"
        found = store.frame(sql).to_dicts()
        ledger = store.frame("SELECT batch_key FROM ledger WHERE stage = 'kill'")["batch_key"].to_list()
    whole = {str(row["batch"]) for row in found if row["n"] == row["v"] == 500}
    lost = acknowledged - whole | set(ledger) ^ {str(row["batch"]) for row in found}
    doubled = sum(row["n"] > 500 for row in found) + len(ledger) - len(set(ledger))
    return {"kills": float(kills), "lost_batches": float(len(lost)), "doubled_batches": float(doubled)}


def search_peak(n: int) -> float:
    """GiB that a process with an index of n vectors holds; their float32 originals are mapped from disk."""
    code = (
        "import sys, numpy as np; from atlas.index import VectorIndex; from pathlib import Path; import figures\n"
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


def main() -> None:
    """Measure all and report."""
    arguments = figures.arguments(__doc__, _extend)
    n, kills, seconds, many = (30_000, 6, 6.0, 60_000) if arguments.quick else (300_000, 100, 60.0, 2_400_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = np.random.default_rng(0).standard_normal((n, DIM), dtype=np.float32)
        measured = writing(folder, vectors) | searching(folder, vectors)
        measured |= concurrency(folder, vectors, seconds) | killing(folder, kills)
    measured["search_peak_gib"] = search_peak(many)
    figures.emit(f"The atlas at {n:,} × {DIM}", measured, json_path=arguments.json)


if __name__ == "__main__":
    main()
