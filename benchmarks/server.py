"""The API's promises, measured on a live server: answer times, throughput, a long mixed load, and random queries.

    voxel-atlas demo --no-serve
    python benchmarks/server.py [--home FOLDER] [--json FILE] [--only PART]…

A server is a process of its own; the client shares its two cores. Searches are timed in this process, on a copy of the
same atlas, so "overhead" is what HTTP, GraphQL, labels and JSON add to them.
"""
# Not called api.py: a script's folder comes first on the path, and that name would hide the package from it.

import argparse
import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fuzz import fuzz
from serving import WORDS, Answer, Client, Served, p50, random_atlas, serving

import figures
from voxel_atlas.api.graphql.loaders import Loaders
from voxel_atlas.api.graphql.request_context import RequestContext
from voxel_atlas.api.graphql.schema import schema
from voxel_atlas.api.graphql.watch import Watch
from voxel_atlas.api.http.server import PATIENCE_S
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.similarity import VoxelHits
from voxel_atlas.atlas.store.store import Result, Store
from voxel_atlas.schemas.config import Settings

VOXELS = """query ($concept: String!, $first: Int! = 20) { similarVoxels(concept: $concept, first: $first) {
  edges { node { voxel similarity rois r2 labels(first: 5) { text probability } } } } }"""
CARD = """query ($n: Int!) { voxel(index: $n) { rois r2 labels { text } topImages(first: 3) { caption url }
  neighbours(first: 5) { voxel } } }"""
FLATMAP = "query ($concept: String!) { flatmap(concept: $concept) { url } }"
MIXED = (
    ("ask", "{ labels(first: 20) { totalCount edges { node { text nVoxels } } } }"),
    ("ask", "{ rois { name topLabels(first: 5) { text share } } models { modelId } }"),
    ("ask", "{ flatmap(metric: R2) { url } }"),
    ("ask", '{ similarVoxels(concept: "") { totalCount } }'),
    ("ask", "{ nothing }"),
    ("get", "/readyz"),
    ("get", "/values?metric=r2"),
    ("get", "/nothing"),
)
"""What is asked besides voxels and cards; three of them are mistakes, which are answered as such."""
TWO_TERMS = tuple(f"{a} - {b}" for a, b in itertools.pairwise(WORDS))
CLIENTS = 8


def answer_times(home: Path, words: list[str]) -> dict[str, float]:
    """Milliseconds of a question over HTTP, and of its search alone."""
    with Atlas.open(str(home / "atlas.duckdb"), home=home, patience=PATIENCE_S) as opened:

        def search(word: str) -> VoxelHits:
            return opened.model().similar(word, first=21)

        searches = [figures.timed(partial(search, word))[0] * 1e3 for word in words * 2][len(words) :]
    with serving(home) as server:
        whole = asyncio.run(_one_by_one(server, words))
    return {"request": p50(whole), "search": p50(searches), "overhead": p50(whole) - p50(searches)}


async def _one_by_one(server: Served, words: list[str]) -> list[float]:
    client = Client(server.port)
    answers = [await client.ask(VOXELS, {"concept": word}) for word in words * 2]
    await client.close()
    assert all(len(json.loads(answer.body)["data"]["similarVoxels"]["edges"]) == 20 for answer in answers)
    return [answer.ms for answer in answers[len(words) :]]


def text_times(home: Path) -> dict[str, float]:
    """Milliseconds to embed words that are no labels, the first time and the second time."""
    texts = [f"a photograph of {word} number {n}" for n, word in enumerate(WORDS[:20])]
    with Atlas.open(str(home / "atlas.duckdb"), home=home) as opened:
        space = opened.model().backbone
        opened.text_towers.concept(space, "a photograph of nothing at all")
        first, second = (
            [figures.timed(partial(opened.text_towers.concept, space, text))[0] * 1e3 for text in texts]
            for _ in range(2)
        )
    return {"text_new_ms_p50": p50(first), "text_cached_ms_p50": p50(second)}


async def _throughput(server: Served, words: list[str], seconds: float) -> float:
    """Questions answered a second by `CLIENTS` connections."""
    loop = asyncio.get_running_loop()
    words_again = itertools.cycle(words)
    end = loop.time() + seconds

    async def one() -> int:
        client, count = Client(server.port), 0
        while loop.time() < end:
            answer = await client.ask(VOXELS, {"concept": next(words_again)})
            assert answer.status == 200
            assert b"errors" not in answer.body[:12]
            count += 1
        await client.close()
        return count

    began = loop.time()
    return sum(await asyncio.gather(*(one() for _ in range(CLIENTS)))) / (loop.time() - began)


async def _pictures(server: Served, concepts: list[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of a new flat map (its question and its picture), and of the same picture again."""
    client = Client(server.port)
    new, again = [], []
    for concept in concepts:
        asked = await client.ask(FLATMAP, {"concept": concept})
        url = json.loads(asked.body)["data"]["flatmap"]["url"]
        drawn, cached = await client.get(url), await client.get(url)
        assert drawn.body[:4] == b"\x89PNG"
        new.append(asked.ms + drawn.ms)
        again.append(cached.ms)
    await client.close()
    return new[5:], again[5:]


async def _mixed(server: Served, n: int, n_voxels: int) -> dict[str, float]:
    """Many requests of all kinds: what failed, and how memory and the event loop fared."""
    numbers = iter(range(n))
    failed: list[str] = []
    memory: dict[int, int] = {}
    server.metric("voxel_atlas_event_loop_delay_seconds")

    async def one() -> None:
        client = Client(server.port)
        for number in numbers:
            if number in (n // 2, n - CLIENTS):
                memory[number] = server.memory()
            answer = await _request(client, number, n_voxels)
            if answer.status >= 500 or b'"INTERNAL"' in answer.body:
                failed.append(f"{answer.status} {answer.body[:200]!r}")
        await client.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    for failure in failed[:5]:
        print(failure)
    half, end = (memory[number] for number in sorted(memory))
    return {
        "requests": float(n),
        "errors": float(len(failed)),
        "memory_growth": end / half - 1,
        "loop_block_ms_max": 1e3 * server.metric("voxel_atlas_event_loop_delay_seconds"),
    }


async def _request(client: Client, number: int, n_voxels: int) -> Answer:
    if number % 4 == 0:
        return await client.ask(VOXELS, {"concept": WORDS[number // 4 % len(WORDS)]})
    if number % 4 == 1:
        return await client.ask(VOXELS, {"concept": TWO_TERMS[number // 4 % len(TWO_TERMS)]})
    if number % 4 == 2:
        return await client.ask(CARD, {"n": number * 7919 % n_voxels})
    kind, text = MIXED[number // 4 % len(MIXED)]
    return await (client.ask(text) if kind == "ask" else client.get(text))


def statements(home: Path) -> float:
    """SQL statements of a list of 100 voxels with labels, regions and images, on an atlas that has answered before."""
    query = VOXELS.replace(" rois ", " rois topImages(first: 5) { caption url } ")
    store = _Counting.open(str(home / "atlas.duckdb"), read_only=True)
    with Atlas(store, home=home, patience=PATIENCE_S) as opened:
        for _ in range(2):
            before = store.n
            request: Any = SimpleNamespace(scope={"type": "http"}, state=SimpleNamespace())
            context = RequestContext(opened, None, None, request, Loaders(opened), Watch(opened))  # type: ignore[arg-type]
            variables = {"concept": WORDS[0], "first": 100}
            result = asyncio.run(schema.execute(query, variables, context_value=context))
            assert result.data, result.errors
            assert len(result.data["similarVoxels"]["edges"]) == 100
        return float(store.n - before)


class _Counting(Store):
    """A store that counts its transactions, each of which is one statement."""

    n = 0

    def _explained(self, answer: Callable[[], Result]) -> Result:
        self.n += 1
        return super()._explained(answer)


def measure(home: Path, scratch: Path, only: set[str], sizes: SimpleNamespace) -> tuple[dict[str, float], list[Any]]:
    """All figures of the parts that are wanted, and rows for people."""
    found: dict[str, float] = {}
    rows: list[figures.Row] = []
    demo = _copied(home, scratch / "demo")
    with Atlas.open(str(demo / "atlas.duckdb"), home=demo) as opened:
        words = opened.model().labels(first=150).frame["label"].to_list()
        n_voxels = opened.model().n_voxels

    def times(name: str, at: Path, some: list[str]) -> float:
        took = answer_times(at, some)
        rows.append({"similarVoxels, 20 with labels": name, **{f"{key} ms": value for key, value in took.items()}})
        return took["overhead"]

    if "times" in only:
        found["overhead_ms_p50"] = times(f"simulated subject, {n_voxels:,} voxels", demo, words)
        found |= text_times(demo)
        found["statements_per_100_voxels"] = statements(demo)
    if "pictures" in only:
        with serving(demo) as server:
            new, again = asyncio.run(_pictures(server, [f"{a} + {b}" for a, b in itertools.pairwise(words[:60])]))
        found |= {"flatmap_ms_p50": p50(new), "flatmap_cached_ms_p50": p50(again)}
    if "qps" in only:
        small = _random(scratch / "small", sizes.small, demo)
        times(f"random, {sizes.small:,} voxels", small, list(WORDS))
        with serving(small) as server:
            asyncio.run(_throughput(server, list(WORDS), 2.0))
            found["qps"] = asyncio.run(_throughput(server, list(WORDS), sizes.seconds))
    if "large" in only:
        large = _random(scratch / "large", sizes.large, demo)
        found["overhead_300k_ms_p50"] = times(f"random, {sizes.large:,} voxels", large, list(WORDS))
    if "mixed" in only:
        with serving(demo) as server:
            asyncio.run(_mixed(server, sizes.requests // 10, n_voxels))
            found |= asyncio.run(_mixed(server, sizes.requests, n_voxels))
    if "fuzz" in only:
        with serving(demo) as server:
            counted = fuzz(f"{server.url}/graphql", sizes.cases)
        found |= {
            "schemathesis_cases": float(counted.cases),
            "schemathesis_server_errors": float(counted.server_errors + counted.misshapen),
        }
    return found, rows


def _copied(home: Path, to: Path) -> Path:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("*.server", "scenes", "synthetic", "pictures"))
    return to


def _random(home: Path, n: int, demo: Path) -> Path:
    home.mkdir()
    for name in ("surfaces", "backbones"):
        shutil.copytree(demo / name, home / name)
    random_atlas(home, n)
    return home


PARTS = ("times", "pictures", "qps", "large", "mixed", "fuzz")


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, default=Settings().home, help="home folder in which the demo was run")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; can be given again; none: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, for a look")


def main() -> None:
    """Measure all and report."""
    arguments = figures.arguments(__doc__, _extend)
    sizes = SimpleNamespace(small=20_000, large=300_000, seconds=10.0, requests=10_000, cases=2_000)
    if arguments.quick:
        sizes = SimpleNamespace(small=2_000, large=30_000, seconds=2.0, requests=1_000, cases=200)
    with tempfile.TemporaryDirectory() as scratch:
        found, rows = measure(arguments.home, Path(scratch), set(arguments.only or PARTS), sizes)
    figures.emit("The API on a live server", found, rows, arguments.json)


if __name__ == "__main__":
    main()
