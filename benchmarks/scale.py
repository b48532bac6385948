"""Many models on one machine: how soon a server is ready, what it holds, and what questions to one and to all take.

    python benchmarks/scale.py --json FILE                                # 5 models of 30,000 voxels, 2,000 pictures
    python benchmarks/scale.py --only models --models 40 --voxels 300000 --json FILE    # 43 GB of disk
    python benchmarks/scale.py --only probe --pictures 73000 --json FILE                # 5 GB of disk

Weights are random; what is searched for is a voxel's own vector with noise, so that it has near neighbours. Indexes are
made as an ingest makes them. `serve_ready_first_s` is the first start after that, from the command to the first 200 of
/readyz, `cold_model_s` the first question to the oldest model, asked at once then, and `resident_gib` all resident
memory of the server after a question to each model, mapped files counted; `own_gib` is without those. Searches are of
the codes, beside reading as many bytes from memory: of one model as float16, of all their codes. They are where memory
has room for all. `ranking_all_s` is one ranking of the significant voxels of all models with their evidence, when each
has been asked before, and `ranking_all_gib` what the process holds of its own then.

`aggregate_s` is the mean similarity of one concept in every region of every model, of an atlas that has just been
opened; `aggregate_first_s` is the first such question ever, which reads all vectors once, and `aggregate_gib` what the
process holds of its own then. `aggregate_table_s` is the same from tables with intervals, model by model, and
`concept_first_s` what `concept('…')` takes in SQL at first.

Then a study is killed and run again (study_killed.py), and the images that voxels are described by go through the
offline network in one pass (probe_pass.py).
"""

import argparse
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import probe_pass
import psutil
import study_killed
from serving import DIM, WORDS, Served, random_atlas, serving

import figures
from voxel_atlas.api.http.server import PATIENCE_S
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.machine_memory import total_memory
from voxel_atlas.atlas.search.across import roi_means, similar_voxels
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.filters import Filters
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.search.similarity import Compared
from voxel_atlas.atlas.store.store import Store

PARTS = ("models", "study", "probe")
NEAREST = 100
COMPARED = 3
"""Models whose answers are held against float64."""
_QUESTION = """query ($model: String, $concept: String!) {
  similarVoxels(model: $model, concept: $concept, baseline: NONE, first: 10) { totalCount }
}"""


def measure(home: Path, n_models: int, n_voxels: int) -> dict[str, float]:
    """Make the atlas, serve it twice, and search it.

    Args:
        home: an empty folder, for 3.6 KB of disk a voxel.
        n_models: of a subject each.
        n_voxels: of each.
    """
    models = [random_atlas(home, n_voxels, number=number) for number in range(n_models)]
    probe_pass.aligned(home)
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as atlas:
        for model in models:
            atlas.model(model).unit_vectors()
    found = {"vectors": float(n_models * n_voxels)}
    start = time.perf_counter()
    with serving(home, towers=False) as server:
        found["serve_ready_first_s"] = time.perf_counter() - start
        found["serve_ready_first_cpu_s"] = _cpu_s(server)
        found["cold_model_s"], loaded = _asked(server, models[0])
        assert loaded == [models[0]], loaded
        for model in models:
            _asked(server, model)
        for name, line in (("resident_gib", "VmRSS"), ("own_gib", "RssAnon")):
            found[name] = figures.memory_gib(server.process.pid, line)
    start = time.perf_counter()
    with serving(home, towers=False) as server:
        found |= {"serve_ready_s": time.perf_counter() - start, "serve_ready_cpu_s": _cpu_s(server)}
    store = Store.open(str(home / "atlas.duckdb"), read_only=True)
    with Atlas(store, home=home, patience=PATIENCE_S, model_memory=f"{total_memory() // 2**20}MiB") as atlas:
        found |= _searched(atlas, models)
    with Atlas.open(str(home / "atlas.duckdb"), home=home, patience=PATIENCE_S) as atlas:
        found["aggregate_first_s"] = _aggregated(atlas, models)
        found["aggregate_gib"] = figures.memory_gib("self", "RssAnon")
    with Atlas.open(str(home / "atlas.duckdb"), home=home, patience=PATIENCE_S) as atlas:
        found["aggregate_s"] = _aggregated(atlas, models)
        found["concept_first_s"] = figures.timed(lambda: atlas.sql("SELECT len(concept($1))", [WORDS[0]]))[0]
        found["ranking_all_s"] = figures.timed(lambda: _ranked(atlas, models), 2)[0]
        found["ranking_all_gib"] = figures.memory_gib("self", "RssAnon")
        tables = [partial(atlas.model(model).roi_table, [WORDS[0]], baseline="none") for model in models]
        found["aggregate_table_s"] = figures.timed(lambda: [table() for table in tables], 2)[0]
    return found


def _asked(server: Served, model: str) -> tuple[float, list[str]]:
    """Seconds of one question to a model, and what was loaded for it."""
    body = orjson.dumps({"query": _QUESTION, "variables": {"model": model, "concept": WORDS[0]}})
    request = urllib.request.Request(f"{server.url}/graphql", body, {"content-type": "application/json"})
    start = time.perf_counter()
    with urllib.request.urlopen(request) as response:
        answer = orjson.loads(response.read())
    assert answer["data"]["similarVoxels"]["totalCount"], answer
    return time.perf_counter() - start, answer.get("extensions", {}).get("loaded", [])


def _cpu_s(server: Served) -> float:
    """Processor time of the server so far: what else runs on the machine adds less to it than to seconds."""
    used = psutil.Process(server.process.pid).cpu_times()
    return float(used.user + used.system)


def _index_of(atlas: Atlas, model: str) -> VectorIndex:
    own = atlas.model(model)
    return own.tables.indexed(own.readout())[0].index


def _searched(atlas: Atlas, models: Sequence[str]) -> dict[str, float]:
    random, index = np.random.default_rng(1), _index_of(atlas, models[-1])
    n, dim = index.vectors.shape
    noise = random.standard_normal((len(models), dim), np.float32) / dim**0.5
    queries = unit_rows(index.vectors[random.integers(n, size=len(models))] + noise)
    index.search(queries[:1], NEAREST)
    one_s, _ = figures.timed(lambda: index.search(queries[:1], NEAREST), 7)
    all_s, _ = figures.timed(lambda: [_index_of(atlas, each).search(queries[:1], NEAREST) for each in models], 7)
    hits, compared = 0, models[-COMPARED:]
    for model, query in zip(compared, queries[:, None], strict=False):
        searched = _index_of(atlas, model)
        _, (rows,) = searched.search(query, NEAREST)
        blocks = np.array_split(searched.vectors, 30)
        exact = np.concatenate([block.astype(np.float64) @ query[0].astype(np.float64) for block in blocks])
        hits += len(np.intersect1d(rows, np.argsort(-exact)[:NEAREST]))
    codes = figures.memory_floor(n * dim * len(models))
    return {
        "search_one_ms": 1e3 * one_s,
        "search_one_over_floor": one_s / figures.memory_floor(2 * n * dim),
        "search_all_s": all_s,
        "search_all_over_codes": all_s / codes,
        "recall_at_100": hits / (NEAREST * len(compared)),
    }


def _aggregated(atlas: Atlas, models: Sequence[str]) -> float:
    return figures.timed(lambda: roi_means([atlas.model(each) for each in models], [WORDS[0]], baseline="none"))[0]


def _ranked(atlas: Atlas, models: Sequence[str]) -> None:
    compared, filters = Compared(WORDS[0], baseline="none"), Filters(significant=True, semantic=True)
    similar_voxels([atlas.model(each) for each in models], compared, filters, first=NEAREST)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; can be given again; none: all")
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--voxels", type=int, default=30_000, help="of each model")
    parser.add_argument("--pictures", type=int, default=2000, help="that describe the voxels of the probe")
    parser.add_argument("--folder", type=Path, help="where there is room for the atlas; a temporary one there is used")


def _made(folder: str, name: str) -> Path:
    (path := Path(folder) / name).mkdir()
    return path


def main() -> None:
    """Measure all and report."""
    arguments = figures.arguments(__doc__, _extend)
    only, found = arguments.only or PARTS, dict[str, float]()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if "models" in only:
            found |= measure(_made(folder, "models"), arguments.models, arguments.voxels)
        if "study" in only:
            found |= study_killed.measure(_made(folder, "study"))
        if "probe" in only:
            found |= probe_pass.measure(_made(folder, "probe"), arguments.pictures)
    title = f"{arguments.models} models of {arguments.voxels:,} voxels × {DIM}; {arguments.pictures:,} pictures"
    figures.emit(title, found, json_path=arguments.json)


if __name__ == "__main__":
    main()
