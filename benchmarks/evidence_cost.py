"""What z, q and specificity add to a search.

Time is that of the process's processors, which counts both cores of a scan and not what else the machine does; of 15
rounds the least, as neighbours on a core only add. The searches take turns. The one without evidence is the index's,
exact as the other; the one with it gives z, q, specific and percentile of its 20 voxels, by a query that is associated
with about a third of all voxels, as words are. Both are among significant voxels, 40 % of all; the index is fastest
where it may give any voxel, so that evidence costs most there.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.baseline import Vocabulary, nouns
from voxel_atlas.atlas.search.evidence import FeatureSpectrum, ReadoutGains
from voxel_atlas.atlas.search.filters import Limits
from voxel_atlas.atlas.search.index import VectorIndex
from voxel_atlas.atlas.search.similarity import Provenance, Query
from voxel_atlas.atlas.search.tables.indexed_voxels import IndexedVoxels
from voxel_atlas.atlas.search.tables.readout_table import ReadoutTable

FIRST, ROUNDS = 20, 15
N_TRAIN, N_PENALTIES = 8500, 100


def measure_cost(n_voxels: int = 300_000, dim: int = 512) -> dict[str, float]:
    """Milliseconds of processor time that evidence adds to a search, and what it adds to where only some voxels pass.

    Returns:
        evidence_added_ms; search_ms and search_with_evidence_ms, of which it is the difference; among_all_added_ms, the
        same where any voxel may be found; specific_added_ms, for a search among the voxels to which the concept is
        specific; map_evidence_ms, z, q and specific of every voxel.
    """
    ask = _questions(n_voxels, dim)
    timed: dict[str, list[float]] = {name: [] for name in ask}
    for _ in range(ROUNDS):
        for name, question in ask.items():
            began = time.process_time()
            question()
            timed[name].append(1e3 * (time.process_time() - began))
    cost = {name: float(min(times)) for name, times in timed.items()}
    return {
        "evidence_added_ms": cost["evidence"] - cost["plain"],
        "search_ms": cost["plain"],
        "search_with_evidence_ms": cost["evidence"],
        "among_all_added_ms": cost["evidence among all"] - cost["plain among all"],
        "specific_added_ms": cost["specific"] - cost["plain"],
        "map_evidence_ms": cost["map"] - cost["scores"],
    }


def _questions(n_voxels: int, dim: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_voxels, dim), np.float32)
    query = unit_rows(rng.standard_normal((1, dim), np.float32))[0]
    vectors += (2 * rng.standard_normal((n_voxels, 1), np.float32)) * query
    index = VectorIndex.build(unit_rows(vectors))
    noise = rng.uniform(0.5, 1.0, n_voxels)
    penalties = rng.choice(np.geomspace(1e-2, 1e6, N_PENALTIES), n_voxels)
    spectrum = FeatureSpectrum(np.geomspace(1e-3, 1, dim), np.eye(dim), N_TRAIN)
    spread = np.sqrt(noise) * spectrum.standard_errors(query, penalties, 0.5)
    # Lengths such that z has a standard deviation of 1 without the concept.
    gains = ReadoutGains.of(spread * dim**0.5, noise, penalties)
    table = ReadoutTable(index.keys, gains, np.full(n_voxels, 1.6 * dim**-0.5), spectrum, "half", frozenset())
    vocabulary = Vocabulary(nouns(), unit_rows(rng.standard_normal((len(nouns()), dim), np.float32)))
    significant, everyone = rng.random(n_voxels) < 0.4, np.ones(n_voxels, bool)

    def asked(*, evidence: bool) -> Query:
        voxels = IndexedVoxels(index, frozenset(), saved=True)
        told = Provenance(
            model_id="",
            simulated=True,
            by="weights",
            readout="half",
            baseline="vocabulary",
            method=None,
            warnings=[],
            generation=0,
        )
        return Query(told, query, voxels, table if evidence else None, vocabulary)

    def search(*, specific: bool = False, among: NDArray[np.bool_] = significant) -> object:
        question = asked(evidence=True)
        evidence = question.evidence()
        mask = among & evidence.passes(Limits(specific=True)) if specific else among
        scores, best = question.nearest(mask, FIRST, None)
        return evidence.columns(best), question.percentiles(best, scores)

    return {
        "plain": lambda: asked(evidence=False).nearest(significant, FIRST, None),
        "evidence": search,
        "plain among all": lambda: asked(evidence=False).nearest(everyone, FIRST, None),
        "evidence among all": lambda: search(among=everyone),
        "specific": lambda: search(specific=True),
        "scores": lambda: asked(evidence=False).scores,
        "map": lambda: asked(evidence=True).evidence().columns(),
    }


if __name__ == "__main__":
    print(*(f"{name} {value:.1f}" for name, value in measure_cost().items()), sep="\n")
