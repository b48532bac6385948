"""Maps over subjects: are planted effects found, is nothing found where none is, and do the others predict a subject?

Twelve simulated subjects on fsaverage5, in a real atlas. Each has a region of 18 mm for five concepts, whose middle is
5 mm from where it is on average, in a direction of its own. At each vertex a similarity varies over subjects with a
standard deviation of 0.1, and is 0.15 higher in a region: d = 1.5 over subjects. The sixth concept is planted nowhere.
mm are those of fsaverage's cortex between white matter and pia, on its registered sphere.

- group_recovered: share of the average regions' vertices with q ≤ .05 over subjects, all maps smoothed over 8 mm;
  group_recovered_unsmoothed without, and group_recovered_eight of the first eight subjects, as many as NSD has.
- group_null: share of vertices with p ≤ .05 for the concept that is planted nowhere; group_null_q with q ≤ .05.
- group_leave_one_out_r: mean over subjects and planted concepts.
"""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import figures
from voxel_atlas.api.maps.group.group_maps import GroupMap, GroupRequest, group_map
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import IngestConfig
from voxel_atlas.schemas.tables import label_id
from voxel_atlas.viz.surfaces.standard import fsaverage5_spheres

PLANTED = ("face", "hand", "street", "cake", "letter")
NOWHERE = "zebra"
CONCEPTS = (*PLANTED, NOWHERE)
N_SUBJECTS, SMOOTH_MM = 12, 8.0
RADIUS_MM, JITTER_MM = 18.0, 5.0
SPREAD, D = 0.1, 1.5
MESH, N_MESH = "fsaverage5", 10_242
_SPHERE_MM = 1.3
"""mm on the registered sphere, whose radius is 100, for one mm of cortex: the ratio of their edges' medians."""
_DIM, _NOUNS = 48, 200
"""Width of the text vectors, and nouns of the vocabulary."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """An atlas of simulated subjects, and what was planted."""

    address: str
    regions: dict[str, NDArray[np.bool_]]
    """Concept → the vertices of its average region, right ones after the left, (2 · n,)."""


def main() -> None:
    arguments = figures.arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        with Atlas.open(world.address, home=Path(folder)) as atlas:
            found = {concept: group_map(atlas, GroupRequest(concept=concept, smooth=SMOOTH_MM)) for concept in CONCEPTS}
            rough = {concept: group_map(atlas, GroupRequest(concept=concept)) for concept in PLANTED}
            few = sorted(atlas.models()["model_id"])[:8]
            eight = {
                each: group_map(atlas, GroupRequest(concept=each, smooth=SMOOTH_MM, models=few)) for each in PLANTED
            }
            seconds, _ = figures.timed(lambda: group_map(atlas, GroupRequest(concept="face")), 3)
    null = found[NOWHERE].statistics
    results = {
        "group_recovered": float(np.mean([recovered(found[each], world.regions[each]) for each in PLANTED])),
        "group_recovered_unsmoothed": float(np.mean([recovered(rough[each], world.regions[each]) for each in PLANTED])),
        "group_recovered_eight": float(np.mean([recovered(eight[each], world.regions[each]) for each in PLANTED])),
        "group_null": float((null.p <= 0.05).mean()),
        "group_null_q": float((null.q <= 0.05).mean()),
        "group_leave_one_out_r": float(np.mean([found[each].mean_leave_one_out for each in PLANTED])),
        "group_leave_one_out_r_null": found[NOWHERE].mean_leave_one_out,
        "group_s": seconds,
    }
    rows = [
        {
            "concept": concept,
            "planted vertices": int(region.sum()),
            "at q ≤ .05": recovered(found[concept], region),
            "elsewhere": float((found[concept].statistics.q[~region] <= 0.05).mean()),
            "leave-one-out r": found[concept].mean_leave_one_out,
        }
        for concept, region in world.regions.items()
    ]
    title = f"{N_SUBJECTS} simulated subjects on {MESH}, d = {D} over subjects, {JITTER_MM:g} mm of jitter"
    figures.emit(title, results, rows, arguments.json)


def recovered(found: GroupMap, region: NDArray[np.bool_]) -> float:
    """Share of a region's vertices with q at most .05 over subjects."""
    return float((found.statistics.q[region] <= 0.05).mean())


def make_world(home: Path, n_subjects: int = N_SUBJECTS, n: int = N_MESH, seed: int = 0) -> World:
    """Write the atlas of the simulated subjects, of the first `n` vertices of each hemisphere."""
    random = np.random.default_rng(seed)
    spheres = [sphere[:n] for sphere in fsaverage5_spheres()]
    middles = {concept: spheres[place % 2][random.integers(n)] for place, concept in enumerate(PLANTED)}
    average = {concept: _disc(spheres, place % 2, middles[concept]) for place, concept in enumerate(PLANTED)}
    vectors, directions = _words(random)
    address = str(home / "atlas.duckdb")
    with Store.open(address) as store:
        _append(store, "words", "model", _word_rows(vectors))
        for number in range(n_subjects):
            subject = f"simulated/G{number + 1:02}"
            similarity, face = SPREAD * random.normal(size=(2 * n, len(CONCEPTS))), np.zeros(2 * n, bool)
            for place, concept in enumerate(PLANTED):
                own = _disc(spheres, place % 2, _moved(random, middles[concept]))
                similarity[own, place] += D * SPREAD
                face |= own & (concept == "face")
            weights = _weights(random, similarity.clip(-0.4, 0.4), directions)
            _append(store, subject, "fit", _subject_rows(subject, n, weights, face, vectors))
    return World(address, average)


def _disc(spheres: list[Doubles], side: int, middle: Doubles) -> NDArray[np.bool_]:
    """Vertices within a region's radius of a point of one hemisphere's sphere, (2 · n,)."""
    inside = [np.zeros(len(sphere), bool) for sphere in spheres]
    along = 100 * np.arccos(np.clip(unit_rows(spheres[side]) @ (middle / 100), -1, 1))
    inside[side] = along <= RADIUS_MM * _SPHERE_MM
    return np.concatenate(inside)


def _moved(random: np.random.Generator, middle: Doubles) -> Doubles:
    """A point as far off as the jitter, in a random direction along the sphere."""
    aside = random.normal(size=3)
    aside -= aside @ middle * middle / 1e4
    moved = middle + JITTER_MM * _SPHERE_MM * aside / np.linalg.norm(aside)
    return np.asarray(100 * moved / np.linalg.norm(moved))


def _words(random: np.random.Generator) -> tuple[dict[str, Doubles], Doubles]:
    """Unit vectors of concepts and nouns that share a mean, and the concepts' directions without it, (6, dim)."""
    axes = np.linalg.qr(random.normal(size=(_DIM, len(CONCEPTS) + 1)))[0].T
    shared, directions = axes[0], axes[1:]
    nouns = random.normal(size=(_NOUNS // 2, _DIM))
    nouns -= np.outer(nouns @ shared, shared)
    own = np.vstack([directions, unit_rows(nouns), -unit_rows(nouns)])
    names = [*CONCEPTS, *(f"noun {number}" for number in range(_NOUNS))]
    return dict(zip(names, 0.8 * shared + 0.6 * own, strict=True)), directions


def _weights(random: np.random.Generator, similarity: Doubles, directions: Doubles) -> NDArray[np.float32]:
    """Unit weights whose cosines with the concepts' directions are given, (n, dim), and else random."""
    rest = random.normal(size=(len(similarity), _DIM))
    rest -= rest @ directions.T @ directions
    left = np.sqrt(1 - (similarity**2).sum(axis=1, keepdims=True))
    return np.asarray(similarity @ directions + left * unit_rows(rest), np.float32)


def _word_rows(vectors: dict[str, Doubles]) -> dict[str, list[dict[str, object]]]:
    nouns = [name for name in vectors if name not in CONCEPTS]
    vocabulary = Vocabulary(nouns, np.stack([vectors[name] for name in nouns]).astype(np.float32))
    baseline = {"backbone": "lite", "vocabulary_sha256": vocabulary.sha256, "n_words": len(nouns)}
    return {
        "label": [{"label_id": label_id(name), "lemma": name} for name in CONCEPTS],
        "label_embedding": [
            {"label_id": label_id(name), "backbone": "lite", "vector": vectors[name].tolist()} for name in CONCEPTS
        ],
        "baseline": [{**baseline, "vector": vocabulary.baseline.tolist()}],
        "vocabulary": [
            {"backbone": "lite", "word": name, "vector": vector.tolist()}
            for name, vector in zip(nouns, vocabulary.vectors, strict=True)
        ],
    }


def _subject_rows(
    subject: str, n: int, weights: NDArray[np.float32], face: NDArray[np.bool_], vectors: dict[str, Doubles]
) -> dict[str, list[dict[str, object]]]:
    config = IngestConfig(dataset="simulated", subject=subject.split("/")[1], backbone="lite")
    model = f"{subject}/lite/{config.sha256[:6]}"
    of_model = [{"model_id": model, "voxel": voxel} for voxel in range(2 * n)]
    nouns = np.stack([vector for name, vector in vectors.items() if name not in CONCEPTS])
    q95 = np.quantile(unit_rows(nouns - nouns.mean(axis=0)) @ weights.T, 0.95, axis=0).tolist()
    run = {"run_id": model, "model_id": model, "config": "{}", "code_version": "0", "message": ""}
    return {
        "subject": [
            {"subject_id": subject, "dataset": "simulated", "simulated": True, "space": "surface", "surface": MESH,
             "transform": None, "shape": [N_MESH, N_MESH], "description": "Simulated for a group."}
        ],
        "roi": [{"subject_id": subject, "roi": "FFA", "source": "simulated", "description": "Planted with face."}],
        "voxel": [
            {"subject_id": subject, "voxel": voxel, "hemisphere": "right" if voxel >= n else "left",
             "vertex": voxel % n} for voxel in range(2 * n)
        ],
        "voxel_roi": [{"subject_id": subject, "voxel": voxel, "roi": "FFA"} for voxel in np.flatnonzero(face).tolist()],
        "model": [
            {"model_id": model, "subject_id": subject, "backbone": "lite", "config": config.canonical_json(),
             "config_sha256": config.sha256, "feature_mean": [0.0] * _DIM,
             "feature_covariance": np.eye(_DIM).ravel().tolist(), "label_backbone": "lite", "n_train": 850,
             "n_test": 150, "n_voxels": 2 * n}
        ],
        "encoding": [
            {**row, "weights": vector, "bias": 0.0, "alpha": 10.0, "r2": 0.2, "r": 0.45, "p": 0.001,
             "residual_variance": 0.8} for row, vector in zip(of_model, weights.tolist(), strict=True)
        ],
        "significance": [{**row, "q": 0.01} for row in of_model],
        "readout_norm": [
            {**row, "readout": "half", "norm": 1.0, "q95": bound} for row, bound in zip(of_model, q95, strict=True)
        ],
        "run": [{**run, "state": state, "recorded_at": datetime.now(UTC)} for state in ("started", "finished")],
    }  # fmt: skip


def _append(store: Store, key: str, stage: str, rows: dict[str, list[dict[str, object]]]) -> None:
    tables = {name: pa.Table.from_pylist(part) for name, part in rows.items() if part}
    store.append(tables, run_id="group", stage=stage, key=key)


if __name__ == "__main__":
    main()
