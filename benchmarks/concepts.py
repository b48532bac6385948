"""How well concepts find the voxels that were simulated to be tuned to them, and what z, q and specific are worth.

On the demo's subject, on seven fresh truths (truths.py), on noise, and on real text vectors of CLIP ViT-B/32. Each
function gives figures with the same of a shuffled control beside them; evidence.py runs them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recovery import QUERIES, auc
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
from truths import ELEVEN, GRID, N_TRAIN, TRUTHS, Pictures, make_pictures, simulate

from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.backbones.interface import Backbone, Floats, Readout
from voxel_atlas.atlas.backbones.products import unit_rows
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.search.evidence import ReadoutGains
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.search.readouts import EXPONENTS
from voxel_atlas.ingest.encoding.metrics import r2
from voxel_atlas.ingest.encoding.ridge import Ridge, RidgeFit
from voxel_atlas.ingest.encoding.significance import benjamini_hochberg, correlation_p, p_values
from voxel_atlas.ingest.stages.concept_queries import ConceptSpace
from voxel_atlas.schemas.config import IngestConfig

CLIP_TEXT = Path(__file__).parents[2] / "shared" / "data" / "detic_clip_text" / "lvis_v1_clip_a+cname.npy"
"""Text vectors of CLIP ViT-B/32 for the 1,203 names of LVIS, from Detic's metadata (Apache-2.0), where they are."""

_SEMANTIC = """
    SELECT e.voxel, s.q <= 0.05 AS significant, s.q <= 0.05 AND coalesce(beyond.q <= 0.05, FALSE) AS semantic
    FROM encoding e JOIN significance s USING (model_id, voxel) LEFT JOIN semantic beyond USING (model_id, voxel)
    WHERE model_id = ? ORDER BY voxel
"""
_UNCENTRED: Mapping[str, Readout] = {"uncentred_pattern_": "pattern", "paper_": "weights"}
CONFIG = IngestConfig.model_validate({"dataset": "simulated", "subject": "S1", "backbone": "lite"})
"""Settings of an ingest, at their defaults."""
Mask = NDArray[np.bool_]


def of_demo(atlas: Atlas, model: Model, planted: Mapping[int, set[str]]) -> dict[str, float]:
    """Ranking and flags of the demo's voxels, asked for as a user does, by the defaults.

    Args:
        atlas: holds the demo's subject.
        model: the demo's.
        planted: voxel → the categories that it was simulated to be tuned to.
    """
    voxels = atlas.store.frame(_SEMANTIC, [model.model_id])
    significant, semantic = voxels["significant"].to_numpy(), voxels["semantic"].to_numpy()
    shuffled = np.flatnonzero(significant)
    figures: dict[str, float] = {}
    for control, order in (("", shuffled), ("shuffled_", np.random.default_rng(0).permutation(shuffled))):
        by_word: dict[str, dict[str, float]] = {}
        for category, words in QUERIES.items():
            tuned = np.array([category in planted[voxel] for voxel in voxels["voxel"]])
            tuned[shuffled] = tuned[order]
            by_word |= {word: _of_word(model.map(word).frame, tuned, significant, semantic) for word in words}
        means = {name: float(np.nanmean([of[name] for of in by_word.values()])) for name in by_word["cake"]}
        worst = min(of["concept_auc_mean"] for of in by_word.values())
        told = {**means, "concept_auc_worst_query": worst, "cake_precision_at_20": by_word["cake"]["precision_at_20"]}
        figures |= {control + name: value for name, value in told.items()}
    return figures


def _of_word(frame: pl.DataFrame, tuned: Mask, significant: Mask, semantic: Mask) -> dict[str, float]:
    similarity, specific = frame["similarity"].to_numpy(), frame["specific"].to_numpy()
    best = np.flatnonzero(significant)[np.argsort(-similarity[significant], kind="stable")[:20]]
    return {
        "concept_auc_mean": auc(similarity[significant], tuned[significant]),
        "precision_at_20": float(tuned[best].mean()),
        "specific_false_share": _share(~tuned[specific & semantic]),
        "specific_power": _share(specific[semantic & tuned]),
        "specific_false_share_all_significant": _share(~tuned[specific & significant]),
        "specific_power_all_significant": _share(specific[significant & tuned]),
    }


def _share(flags: Mask) -> float:
    return float(flags.mean()) if len(flags) else np.nan


def nonsense(model: Model, words: Sequence[str] = ("zzqqx", "blorptic", "vextrum", "qwfnord", "plimzy")) -> float:
    """Share of the fitted voxels to which words that mean nothing are specific."""
    return float(np.mean([model.map(word).frame["specific"].mean() for word in words]))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Voxels that were fitted as an ingest does, and what concepts are compared with."""

    fit: RidgeFit
    concepts: ConceptSpace

    def similarity(self, vectors: Floats, readout: Readout = "half", *, centred: bool = True) -> Floats:
        """Cosine of every voxel's readout with text vectors (n, dim), as contrasts or as they are, (n_voxels, n)."""
        queries = self.concepts.vocabulary.centred(vectors) if centred else vectors
        readouts = self.fit.weights @ self.concepts.spectrum.power(EXPONENTS[readout])
        return np.asarray(unit_rows(readouts.astype(np.float32)) @ queries.T)

    def z(self, vectors: Floats, responses: Floats) -> NDArray[np.float64]:
        """z of contrasts by the half readout, (n_voxels, n); `responses` are those of the training images."""
        spectrum, queries = self.concepts.spectrum, self.concepts.vocabulary.centred(vectors)
        norms = np.linalg.norm(self.fit.weights @ spectrum.power(0.5), axis=1)
        gains = ReadoutGains.of(norms, self.concepts.residual_variance(self.fit, responses), self.fit.alpha)
        of_queries = zip(self.similarity(vectors).T, queries, strict=True)
        return np.stack([gains.z(column, query, spectrum, 0.5) for column, query in of_queries], axis=1)


def fitted(lite: Backbone, features: Floats, responses: Floats) -> Fitted:
    """Fit responses to training images (n_images, n_voxels) with the settings of an ingest."""
    covariance = np.cov(features, rowvar=False).astype(np.float32)
    ridge = Ridge.from_config(features, CONFIG)
    return Fitted(ridge.fit(responses), ConceptSpace(Vocabulary.of(lite), covariance, len(features)))


def of_fresh_truths(lite: Backbone, home: Path) -> dict[str, float]:
    """Means over seven truths on which nothing was chosen, of every category's words, over significant voxels.

    Voxels are significant by the default test; figures that end in `_calibrated` take the correlation test, which finds
    more of them. No ranking reaches a P@100 of 1 where fewer than 100 significant voxels are tuned to a category:
    `reachable` says what a perfect one would have.
    """
    pictures = make_pictures(home)
    features = encoded(lite, pictures, home)
    train, test = features[:N_TRAIN], features[N_TRAIN:]
    vectors = {category: unit_rows(lite.text(list(QUERIES.get(category, (category,))))) for category in ELEVEN}
    scores: dict[str, list[float]] = {}
    for truth in TRUTHS:
        sheet = simulate(truth, pictures)
        voxels = fitted(lite, train, sheet.responses[:N_TRAIN])
        measured, predicted = sheet.responses[N_TRAIN:], voxels.fit.predict(test)
        tests = {"": p_values(CONFIG, measured, predicted), "_calibrated": correlation_p(measured, predicted)}
        significant = {name: benjamini_hochberg(p) <= 0.05 for name, p in tests.items()}
        scores.setdefault("fresh_r2_median", []).append(float(np.median(r2(measured, predicted)[significant[""]])))
        shuffled = np.random.default_rng(truth.seed).permutation(np.flatnonzero(significant[""]))
        for category in truth.categories:
            tuned, of_words = sheet.has(category), vectors[category]
            similarity = voxels.similarity(of_words)
            for name, among in significant.items():
                _rank(scores, "", name, similarity[among], tuned[among])
                reachable = min(1.0, tuned[among].sum() / 100)
                scores.setdefault(f"fresh_precision_at_100_reachable{name}", []).append(reachable)
            _rank(scores, "shuffled_", "", similarity[significant[""]], tuned[shuffled])
            for way, readout in _UNCENTRED.items():
                plain = voxels.similarity(of_words, readout, centred=False)
                _rank(scores, way, "", plain[significant[""]], tuned[significant[""]])
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    spread = {
        "fresh_r2_median_min": min(scores["fresh_r2_median"]),
        "fresh_r2_median_max": max(scores["fresh_r2_median"]),
    }
    return means | spread | {"fresh_auc_gain": means["fresh_auc_mean"] - means["uncentred_pattern_fresh_auc_mean"]}


def _rank(scores: dict[str, list[float]], way: str, test: str, similarity: Floats, tuned: Mask) -> None:
    for column in similarity.T:
        ranked = tuned[np.argsort(-column, kind="stable")]
        scores.setdefault(f"{way}fresh_auc_mean{test}", []).append(auc(column, tuned))
        scores.setdefault(f"{way}fresh_precision_at_20{test}", []).append(float(ranked[:20].mean()))
        scores.setdefault(f"{way}fresh_precision_at_100{test}", []).append(float(ranked[:100].sum() / 100))


def encoded(lite: Backbone, pictures: Pictures, home: Path) -> Floats:
    """Features of the pictures of the fresh truths, (n_pictures, dim)."""
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in pictures.images]
    return FeatureCache(home, lite, 16).get(hashes, pictures.images.__getitem__)


def of_noise(lite: Backbone, features: Floats, vectors: Floats) -> dict[str, float]:
    """Share of z that pass p < .05 one-sided where responses are noise, plain or correlated over neighbours.

    Args:
        lite: the backbone.
        features: of the training images, (n_images, dim).
        vectors: text vectors of the words that are asked for, (n_words, dim).
    """
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((len(features), *GRID))
    shares = {}
    for name, field in {"": noise, "_correlated_noise": gaussian_filter(noise, (0, 1.5, 1.5))}.items():
        responses = field.reshape(len(field), -1).astype(np.float32)
        z = fitted(lite, features, responses).z(vectors, responses)
        shares[f"z_null_p05{name}"] = float((norm.sf(z) < 0.05).mean())
    return shares


def clip_map_correlation(text: Floats, n_voxels: int = 2_000, n_words: int = 60) -> dict[str, float]:
    """Mean signed correlation of concept maps over pairs of names, with CLIP's own text vectors and planted voxels.

    A picture shows some of the names, and its features are the sum of their contrasts, as far as they show, and noise;
    voxels are tuned to one to three names each, and weights are fitted to noisy responses.
    """
    rng = np.random.default_rng(7)
    text = unit_rows(text)
    shown = rng.choice(len(text), n_words, replace=False)
    vocabulary = Vocabulary([str(row) for row in range(len(text))], text)
    amounts = (rng.random((3_000, n_words)) < 3 / n_words) * rng.uniform(0.3, 1, (3_000, n_words))
    contrasts = vocabulary.centred(text[shown])
    features = (amounts @ contrasts + 0.05 * rng.standard_normal((3_000, text.shape[1]))).astype(np.float32)
    tuning = np.zeros((n_words, n_voxels))
    for voxel in range(n_voxels):
        names = rng.choice(n_words, rng.integers(1, 4), replace=False)
        tuning[names, voxel] = rng.dirichlet(np.full(len(names), 4.0))
    signal = amounts @ tuning
    responses = (signal / signal.std(axis=0) + rng.standard_normal(signal.shape)).astype(np.float32)
    covariance = np.cov(features, rowvar=False).astype(np.float32)
    voxels = Fitted(
        Ridge.from_config(features, CONFIG).fit(responses), ConceptSpace(vocabulary, covariance, len(features))
    )
    figures = {}
    ways = {"": voxels.similarity(text[shown]), "paper_": voxels.similarity(text[shown], "weights", centred=False)}
    for name, maps in ways.items():
        between = np.asarray(np.corrcoef(maps, rowvar=False))[np.triu_indices(n_words, 1)]
        figures[f"{name}clip_map_correlation"] = float(between.mean())
        figures[f"{name}clip_planted_auc"] = float(
            np.mean([auc(maps[:, row], tuning[row] > 0) for row in range(n_words)])
        )
    return figures
