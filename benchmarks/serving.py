"""For `server.py`: an atlas of random voxels, a process that serves one, and a client that costs little."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.tables import label_id

DIM = 384
"""Width of `lite`'s vectors, whose text tower reads what is no label."""
WORDS = tuple(f"{shade} {thing}" for shade in ("red", "old", "big", "wet") for thing in (
    "cake", "dog", "house", "face", "street", "banana", "hand", "letter", "kitchen", "tree", "boat", "chair", "horse",
    "bottle", "window", "shoe", "plate", "road", "train", "clock", "field", "river", "door", "lamp", "bench", "cup",
))  # fmt: skip
"""Labels of the random atlas."""
_SHAPE = (31, 100, 100)
"""Volume (z, y, x) of pycortex's S1, on which the random voxels lie."""
_BATCH = 20_000
_LABELS_EACH = 5
_PATIENCE_S = 300.0


def random_atlas(home: Path, n: int, *, dim: int = DIM, backbone: str = "lite", number: int = 0) -> str:
    """Make an atlas of n voxels with random weights, labels and scores in `home`; the model's id.

    One more model, of a subject of its own, comes into the atlas with each `number`, from 0.
    """
    random = np.random.default_rng(number)
    name = f"R{number or ''}"
    config = IngestConfig(dataset="simulated", subject=name, backbone=backbone)
    subject, model = f"simulated/{name}", f"simulated/{name}/{backbone}/{config.sha256[:6]}"
    run = {"run_id": name, "model_id": model, "config": "{}", "code_version": "0", "message": ""}
    now = datetime.now(UTC)
    vectors = random.normal(size=(len(WORDS), dim))
    ids = [label_id(word) for word in WORDS]
    once = {
        "subject": [{"subject_id": subject, "dataset": "simulated", "simulated": True, "space": "volume",
                     "surface": "S1", "transform": "fullhead", "shape": list(_SHAPE), "description": "Random."}],
        "roi": [{"subject_id": subject, "roi": name, "source": "simulated", "description": name} for name in "ABCDE"],
        "model": [{"model_id": model, "subject_id": subject, "backbone": backbone, "config": config.canonical_json(),
                   "config_sha256": config.sha256, "feature_mean": [0.0] * dim,
                   "feature_covariance": np.eye(dim, dtype=np.float32).ravel().tolist(), "label_backbone": backbone,
                   "n_train": 85, "n_test": 15, "n_voxels": n}],
        "label": [{"label_id": number, "lemma": word} for number, word in zip(ids, WORDS, strict=True)],
        "label_embedding": [
            {"label_id": number, "backbone": backbone, "vector": (vector / np.linalg.norm(vector)).tolist()}
            for number, vector in zip(ids, vectors, strict=True)
        ],
        "run": [{**run, "state": state, "recorded_at": now} for state in ("started", "finished")],
    }  # fmt: skip
    if number:
        del once["label"], once["label_embedding"]
    with Store.open(str(home / "atlas.duckdb")) as store:
        tables = {name: pa.Table.from_pylist(rows) for name, rows in once.items()}
        store.append(tables, run_id=name, stage="model", key=model)
        for first in range(0, n, _BATCH):
            voxels = np.arange(first, min(first + _BATCH, n), dtype=np.int32)
            batch = _voxels(random, voxels, subject, model, np.array(ids), dim)
            store.append(batch, run_id=name, stage="fit", key=f"{model}/{first}")
    return model


def _voxels(
    random: np.random.Generator, voxels: np.ndarray, subject: str, model: str, ids: np.ndarray, dim: int
) -> dict[str, pa.Table]:
    n = len(voxels)
    ones = np.ones(n, np.float32)
    weights = random.standard_normal((n, dim), np.float32)
    offsets = np.arange(0, n * dim + 1, dim, dtype=np.int32)
    rows = {"voxel": voxels, "model_id": [model] * n}
    each = np.repeat(voxels, _LABELS_EACH)
    words = np.argsort(random.random((n, len(ids))), axis=1)[:, :_LABELS_EACH]
    probability = np.sort(random.dirichlet(np.ones(_LABELS_EACH), n), axis=1)[:, ::-1]
    return {
        "voxel": pa.table(
            {"subject_id": [subject] * n, "voxel": voxels, "i": voxels % 100, "j": voxels // 100 % 100,
             "k": voxels // 10_000, "noise_ceiling": 0.5 * ones, "hemisphere": pa.nulls(n, pa.string()),
             "vertex": pa.nulls(n, pa.int32())}
        ),
        "voxel_roi": pa.table(
            {"subject_id": [subject] * n, "voxel": voxels, "roi": ["ABCDE"[v % 5] for v in voxels],
             "t": pa.nulls(n, pa.float32())}
        ),
        "encoding": pa.table(
            {**rows, "weights": pa.ListArray.from_arrays(offsets, weights.ravel()), "bias": 0 * ones,
             "alpha": ones.astype(np.float64), "r2": random.random(n, np.float32),
             "r": random.random(n, np.float32), "p": 0 * ones}
        ),
        "significance": pa.table({**rows, "q": 0.01 * ones}),
        "label_score": pa.table(
            {"model_id": [model] * len(each), "voxel": each, "method": ["brainlmm-eq2"] * len(each),
             "label_id": ids[words.ravel()], "score": -probability.ravel(), "probability": probability.ravel(),
             "rank": np.tile(np.arange(1, _LABELS_EACH + 1, dtype=np.int32), n)}
        ),
    }  # fmt: skip


@dataclass
class Served:
    """A running `voxel-atlas serve`."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def metric(self, name: str) -> float:
        """A number of /metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def memory(self) -> int:
        """Bytes of memory that the process has written; other programs decide whether it shares pages of libraries."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="utf-8")
        return 1024 * int(rollup.split("Private_Dirty:")[1].split()[0])


@contextmanager
def serving(home: Path, *, towers: bool = True) -> Iterator[Served]:
    """Serve the atlas of a home folder in a process of its own, from when it is ready; with its text towers or not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("voxel-atlas")), "serve", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "VOXEL_ATLAS_HOME": str(home)})
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz", towers=towers)
        yield Served(port, process)
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, *, towers: bool) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                if json.load(answer)["textTowers"] or not towers:
                    return
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer and how long it took."""

    status: int
    body: bytes
    ms: float


class Client:
    """One connection that is kept open. A general client would need as much of the two cores as the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, query: str, variables: Mapping[str, object] | None = None) -> Answer:
        """POST a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        return await self._send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def get(self, path: str) -> Answer:
        """GET a path."""
        return await self._send(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    async def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
            await self._streams[1].wait_closed()

    async def _send(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        began = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        return Answer(int(head[9:12]), body, (time.perf_counter() - began) * 1e3)


def p50(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))
