"""A small atlas, written row by row: two subjects, words and images in a space of eight dimensions."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.search.evidence import FeatureSpectrum
from voxel_atlas.atlas.search.readouts import EXPONENTS
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.tables import label_id

DIM = 8
WORDS = ("cake", "pizza", "face", "house", "sign", "dog")
METHOD = "brainlmm-eq2"
VOLUME, SURFACE = "simulated/S1/toy/aaaaaa", "nod/01/toy/bbbbbb"
ALPHAS = [1.0, 40.0]
_EVIDENCE = ((None, None, None, None), (0.7, 3.0, 0.004, 0.01), (0.52, 0.4, 0.35, 0.4))
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])


@lru_cache(1000)
def word_vector(text: str) -> np.ndarray:
    """Unit vector of a text: the same in every run, another for every text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def concept_vector(*texts: str, signs: Sequence[int] = (1,)) -> np.ndarray:
    """Sum of the unit vectors of texts with signs, as a contrast to the vocabulary."""
    total = sum(sign * word_vector(text) for sign, text in zip(signs, texts, strict=True))
    return total - sum(signs) * Vocabulary.of(Toy()).baseline


class Toy:
    """A backbone whose image features are eight pixels, and whose text tower is `word_vector`."""

    name, dim, has_text, fingerprint = "toy", DIM, True, "toy"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([image.reshape(-1)[:DIM].astype(np.float32) / 255 for image in images])

    def text(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([word_vector(text) for text in texts])


def subject_rows(
    subject: str, n: int, *, space: str = "volume", shape: Sequence[int] = (4, 5, 6)
) -> dict[str, list[dict[str, Any]]]:
    volume = space == "volume"
    places = [
        {"i": v % 6, "j": v // 6 % 5, "k": v // 30, "hemisphere": None, "vertex": None}
        if volume
        else {"i": None, "j": None, "k": None, "hemisphere": "left" if v < n // 2 else "right", "vertex": v % (n // 2)}
        for v in range(n)
    ]
    return {
        "subject": [
            {
                "subject_id": subject,
                "dataset": "folder",
                "simulated": subject.startswith("simulated"),
                "space": space,
                "surface": None,
                "transform": None,
                "shape": list(shape),
                "description": "For tests.",
            }
        ],
        "roi": [
            {"subject_id": subject, "roi": roi, "source": "drawn", "description": roi}
            for roi in ("FFA", "PPA", "empty")
        ],
        "voxel": [{"subject_id": subject, "voxel": v, **place, "noise_ceiling": 0.5} for v, place in enumerate(places)],
        "voxel_roi": [
            {"subject_id": subject, "voxel": v, "roi": roi, "t": None}
            for roi, members in (("FFA", range(n // 2)), ("PPA", range(n // 4, 3 * n // 4)))
            for v in members
        ],
        "region_test": [
            {"subject_id": subject, "roi": "FOOD", "voxel": v, "t": v - n / 2, "q": 1 - v / n} for v in range(n)
        ],
        "region_image": [{"subject_id": subject, "roi": "FOOD", "stimulus_id": f"{subject}/0"}],
    }


def model_rows(
    model: str,
    subject: str,
    weights: np.ndarray,
    *,
    backbone: str = "toy",
    text: bool = True,
    covariance: np.ndarray | None = None,
) -> dict[str, list[dict[str, Any]]]:
    n, dim = weights.shape
    covariance = np.eye(dim) if covariance is None else covariance
    r2 = np.linspace(-0.1, 0.5, n)
    return {
        "model": [
            {
                "model_id": model,
                "subject_id": subject,
                "backbone": backbone,
                "config": json.dumps({"methods": [METHOD]}),
                "config_sha256": "0" * 64,
                "feature_mean": [0.1] * dim,
                "feature_covariance": covariance.ravel().tolist() if text else None,
                "label_backbone": "toy",
                "n_train": 80,
                "n_test": 20,
                "n_voxels": n,
            }
        ],
        "encoding": [
            {
                "model_id": model,
                "voxel": v,
                "weights": row.tolist(),
                "bias": 0.25,
                "alpha": ALPHAS[v % len(ALPHAS)],
                "r2": r2[v],
                "r": 0.5,
                "p": 0.01,
                "residual_variance": 0.5 + v / n,
            }
            for v, row in enumerate(weights)
        ],
        "significance": [{"model_id": model, "voxel": v, "q": 0.2 if v % 3 == 0 else 0.01} for v in range(n)],
        "beyond_low_level": [{"model_id": model, "voxel": v, "r": 0.3, "p": 0.001} for v in range(n)],
        "semantic": [{"model_id": model, "voxel": v, "r": 0.3, "p": 0.001, "q": 0.01} for v in range(n)],
    }


def concept_rows(
    model: str, weights: np.ndarray, words: Sequence[str] = WORDS, covariance: np.ndarray | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What an ingest stores of a model for concepts: norms of its readouts, and queries of words."""
    spectrum = FeatureSpectrum.of(np.eye(DIM) if covariance is None else covariance, 80)
    vocabulary = Vocabulary.of(Toy())
    nouns = vocabulary.centred(vocabulary.vectors)
    norms, queries = [], []
    for readout, exponent in EXPONENTS.items():
        vectors = weights @ spectrum.power(exponent)
        for voxel, vector in enumerate(vectors):
            norm = float(np.linalg.norm(vector))
            q95 = float(np.quantile(nouns @ vector / norm, 0.95))
            norms.append({"model_id": model, "voxel": voxel, "readout": readout, "norm": norm, "q95": q95})
        for word in {*words, *vocabulary.words}:
            unit = vocabulary.centred(word_vector(word)[None])[0]
            length = float(np.linalg.norm(word_vector(word) - vocabulary.baseline))
            named = {"model_id": model, "readout": readout, "word": word, "length": length}
            errors = spectrum.standard_errors(unit, np.array(ALPHAS), exponent).tolist()
            turned = (unit @ spectrum.power(exponent)).tolist()
            queries.append({**named, "vector": turned, "alphas": ALPHAS, "errors": errors})
    return {
        "readout_norm": norms,
        "concept_query": sorted(queries, key=lambda row: (row["readout"], row["word"])),
    }


def label_rows(
    model: str, labels: dict[int, Sequence[tuple[str, float]]], method: str = METHOD
) -> dict[str, list[dict[str, Any]]]:
    return {
        "label_score": [
            {
                "model_id": model,
                "voxel": voxel,
                "method": method,
                "label_id": label_id(word),
                "score": -float(rank),
                "rank": rank,
                "probability": share,
            }
            for voxel, words in labels.items()
            for rank, (word, share) in enumerate(words, 1)
        ],
        # By rank: verified, not verified, not tested, and so on.
        "label_evidence": [
            {
                "model_id": model,
                "voxel": voxel,
                "method": method,
                "label_id": label_id(word),
                "shown_by": "detector",
                "n_images": 2 if rank % 3 == 0 else 10,
                **dict(zip(("auc", "t", "p", "q"), _EVIDENCE[rank % 3], strict=True)),
            }
            for voxel, words in labels.items()
            for rank, (word, _) in enumerate(words, 1)
        ],
    }


def vocabulary_rows(vocabulary: Vocabulary) -> dict[str, list[dict[str, Any]]]:
    """The nouns that the toy's concepts are held against."""
    baseline = {
        "backbone": "toy",
        "vocabulary_sha256": vocabulary.sha256,
        "n_words": len(vocabulary.words),
        "vector": vocabulary.baseline.tolist(),
    }
    named = zip(vocabulary.words, vocabulary.vectors.tolist(), strict=True)
    return {
        "baseline": [baseline],
        "vocabulary": [{"backbone": "toy", "word": word, "vector": vector} for word, vector in named],
    }


def words_rows(words: Sequence[str] = WORDS) -> dict[str, list[dict[str, Any]]]:
    """Labels with their vectors, and the vocabulary that they are held against."""
    return {
        **vocabulary_rows(Vocabulary.of(Toy())),
        "label": [{"label_id": label_id(word), "lemma": word} for word in words],
        "label_embedding": [
            {"label_id": label_id(word), "backbone": "toy", "vector": word_vector(word).tolist()} for word in words
        ],
    }


def run_rows(model: str, state: str = "finished", *, day: int = 1) -> dict[str, list[dict[str, Any]]]:
    at = datetime(2026, 1, day, tzinfo=UTC)
    row = {"run_id": f"run-{model}-{day}", "model_id": model, "config": "{}", "code_version": "0", "message": ""}
    ended = [{**row, "state": state, "recorded_at": at + timedelta(hours=1)}] if state != "started" else []
    return {"run": [{**row, "state": "started", "recorded_at": at}, *ended]}


def put(store: Store, *parts: dict[str, list[dict[str, Any]]], key: str) -> None:
    """Append rows as one batch, named as an ingest names its own: the model's id, then `key`."""
    batch: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for name, rows in part.items():
            batch.setdefault(name, []).extend(rows)
    tables = {name: pa.Table.from_pylist(rows) for name, rows in batch.items() if rows}
    models = {row["model_id"] for rows in batch.values() for row in rows if row.get("model_id")}
    stage = "fit" if "encoding" in batch else "test"
    store.append(tables, run_id="test", stage=stage, key="/".join([*sorted(models), key]))


def random_weights(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def cosines(query: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ query / np.linalg.norm(weights, axis=1) / np.linalg.norm(query)
