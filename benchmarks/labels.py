"""First labels, and several of them, against what was planted in the simulated subject.

Of significant voxels that are tuned to a category, by kinds.py. Shuffled: every voxel has the labels of another one, or
responses that were permuted over images.

- top1_hit: first labels by brainlmm-fused that are right; eq2_top1_hit: by Eq. 2; top1_sd: standard deviation over ten
  resamples of each word's pictures; top1_sd_words: over ten times that a tenth of the words, the same for all voxels,
  is left out at random (600 voxels);
- split_half_first_label: voxels whose first label is the same by either half of the pictures (600 voxels);
- undepictable_first_labels: first labels by brainlmm-fused that name nothing that can be drawn;
- pool_complete: voxels of several categories all of which some candidate names, of diverse images; all_found: all of
  which the labels of brainlmm-joint name; all_found_precision: categories that these name and that are planted;
- multi_auc: how well the second t of declared categories, as a share of the first, tells voxels of several categories
  from those of one; multi_false, multi_power: voxels of one, and of several, that pass for several; declared,
  shuffled_declared: voxels for which any counts.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from kinds import depictable, kinds
from numpy.typing import NDArray
from wordnet import WordNet

from voxel_atlas.api.report.analysis.declared import CATEGORIES, category_t, n_declared
from voxel_atlas.api.report.analysis.statistics import auc
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.backbones.interface import Backbone, Floats
from voxel_atlas.atlas.search.model import Model
from voxel_atlas.atlas.search.readouts import model_spectrum
from voxel_atlas.ingest.datasets.interface import Dataset
from voxel_atlas.ingest.dissection.activation import FittedVoxels
from voxel_atlas.ingest.dissection.brainlmm import Eq2Scorer, FusedScorer
from voxel_atlas.ingest.dissection.interface import Material, Pictures, TextQueries
from voxel_atlas.schemas.config import IngestConfig

METHODS = ("brainlmm-eq2", "brainlmm-fused", "brainlmm-joint")
"""What the models must have been labelled by."""
N_RESCORED, N_REPEATS = 600, 10

Planted = Mapping[int, set[str]]
Matrix = NDArray[np.bool_]


def measure(
    model: Model,
    diverse: Model,
    lite: Backbone,
    dataset: Dataset,
    features: Floats,
    planted: Planted,
    wordnet: WordNet,
    home: Path,
) -> dict[str, float]:
    """The figures of the module.

    Args:
        model: labelled by METHODS, of the most driving images.
        diverse: the same of diverse images (candidate_images).
        lite: their backbone.
        dataset: the simulated subject.
        features: of all its images, (n_stimuli, dim).
        planted: voxel → the categories that it is tuned to.
        wordnet: for the judge of labels.
        home: where features of pictures are kept.
    """
    sql = "SELECT voxel FROM significance WHERE model_id = ? AND q <= 0.05 ORDER BY voxel"
    significant = model.tables.store.frame(sql, [model.model_id])["voxel"].to_list()
    tuned = [voxel for voxel in significant if planted[voxel] - {"contrast"}]
    return (
        _first_labels(model, tuned, planted, wordnet)
        | _rescored(model, lite, tuned, planted, wordnet, home)
        | _several(diverse, tuned, planted, wordnet)
        | _declared(model, lite, dataset, features, tuned, planted)
    )


def _first_labels(model: Model, tuned: list[int], planted: Planted, wordnet: WordNet) -> dict[str, float]:
    order = np.random.default_rng(1).permutation(len(tuned))
    measured: dict[str, float] = {}
    for prefix, method in (("", "brainlmm-fused"), ("eq2_", "brainlmm-eq2")):
        labels = model.voxel_labels(tuned, first=1, method=method)
        first = dict(labels.select("voxel", "label").iter_rows())
        of_word = {word: kinds(wordnet, word) for word in set(first.values())} | {"": set[str]()}
        own = [of_word[first.get(voxel, "")] for voxel in tuned]
        hit = [bool(a & planted[v]) for a, v in zip(own, tuned, strict=True)]
        measured[f"{prefix}top1_hit"] = float(np.mean(hit))
        moved = [bool(own[other] & planted[voxel]) for other, voxel in zip(order, tuned, strict=True)]
        measured[f"shuffled_{prefix}top1_hit"] = float(np.mean(moved))
        unseen = [not depictable(wordnet, word) for word in first.values()]
        measured[f"{prefix}undepictable_first_labels"] = float(np.mean(unseen))
    return measured


def _rescored(
    model: Model, lite: Backbone, tuned: list[int], planted: Planted, wordnet: WordNet, home: Path
) -> dict[str, float]:
    """Spread of top1_hit over words, and agreement of the halves of the pictures."""
    store, rng = model.tables.store, np.random.default_rng(0)
    sample = np.sort(rng.choice(tuned, min(N_RESCORED, len(tuned)), replace=False))
    pairs = store.frame(
        "SELECT voxel, label_id, label FROM label_score JOIN (SELECT label_id, lemma AS label FROM label) "
        "USING (label_id) WHERE model_id = ? AND method = 'brainlmm-eq2' AND rank IS NOT NULL "
        "AND list_contains(?::INTEGER[], voxel) ORDER BY voxel, label_id",
        [model.model_id, sample.tolist()],
    )
    voxel, label = np.searchsorted(sample, pairs["voxel"].to_numpy()), pairs["label_id"].to_numpy()
    words = dict(pairs.select("label_id", "label").unique().sort("label_id").iter_rows())
    drawn = store.frame(
        "SELECT label_id, ordinal, sha256 FROM synthetic_image WHERE list_contains(?::BIGINT[], label_id) "
        "ORDER BY label_id, ordinal",
        [list(words)],
    ).unique(["label_id", "ordinal"], keep="first", maintain_order=True)
    kept = FeatureCache(home, lite, 16).get(drawn["sha256"].to_list(), _unreadable)
    of_label, part = drawn["label_id"].to_numpy(), drawn["ordinal"].to_numpy() % 2
    weights = store.vectors(
        "SELECT weights FROM encoding WHERE model_id = ? AND list_contains(?::INTEGER[], voxel) ORDER BY voxel",
        [model.model_id, sample.tolist()],
        model.dim,
    )
    half = np.asarray(model_spectrum(store, model.model_id).power(0.5), np.float32)
    voxels = FittedVoxels(weights, np.zeros(len(weights), np.float32), np.zeros(model.dim, np.float32))
    config = IngestConfig.model_validate(model.settings)
    vocabulary = model.text_towers.vocabulary(model.backbone)
    text = TextQueries(np.array(list(words)), vocabulary.centred(lite.text(list(words.values()))), half)

    def first(pictures: NDArray[np.int64], pair: Matrix, *, fused: bool) -> NDArray[np.int64]:
        """The first label of each voxel of the sample; 0 where it has none."""
        chosen = Pictures(of_label[pictures], kept[pictures])
        material = Material(config, kept, pictures=chosen, text=text)
        scorer = (FusedScorer if fused else Eq2Scorer)(material, ())
        scores = scorer.score_pairs(voxels, voxel[pair], label[pair])
        found = dict(zip(scores.voxel[scores.rank == 1], scores.label[scores.rank == 1], strict=True))
        return np.array([found.get(row, 0) for row in range(len(sample))], np.int64)

    every, all_pairs = np.arange(len(kept)), np.ones(len(label), np.bool_)
    right = {number: kinds(wordnet, word) for number, word in words.items()} | {0: set[str]()}
    measured = {}
    for prefix, fused in (("", True), ("eq2_", False)):
        halves = [first(np.flatnonzero(part == which), all_pairs, fused=fused) for which in (0, 1)]
        measured[f"{prefix}split_half_first_label"] = float((halves[0] == halves[1]).mean())
        measured[f"shuffled_{prefix}split_half_first_label"] = float((halves[0] == rng.permutation(halves[1])).mean())
        for name in ("top1_sd", "top1_sd_words"):
            hits = []
            for _ in range(N_REPEATS):
                rows, pair = every, all_pairs
                if name == "top1_sd":
                    rows = np.concatenate([np.sort(rng.choice(own, len(own))) for own in _runs(of_label)])
                else:
                    pair = ~np.isin(label, rng.choice(list(words), len(words) // 10, replace=False))
                labels = first(rows, pair, fused=fused).tolist()
                hit = [bool(right[n] & planted[v]) for n, v in zip(labels, sample.tolist(), strict=True)]
                hits.append(float(np.mean(hit)))
            measured[f"{prefix}{name}"] = float(np.std(hits, ddof=1))
    return measured


def _runs(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of each run of equal labels."""
    return np.split(np.arange(len(labels)), np.flatnonzero(np.diff(labels)) + 1)


def _unreadable(row: int) -> NDArray[np.uint8]:
    raise LookupError(f"The features of picture {row} are not kept; dissect again.")


def _several(model: Model, tuned: list[int], planted: Planted, wordnet: WordNet) -> dict[str, float]:
    """Whether all categories of voxels with several are among the candidates, and among the chosen labels."""
    rows = model.tables.store.frame(
        "SELECT voxel, lemma, rank IS NOT NULL AS chosen FROM label_score JOIN label USING (label_id) "
        "WHERE model_id = ? AND method = 'brainlmm-joint'",
        [model.model_id],
    )
    of_word = {word: kinds(wordnet, word) for word in rows["lemma"].unique()}
    pool: dict[int, set[str]] = {}
    found: dict[int, set[str]] = {}
    for voxel, word, chosen in rows.iter_rows():
        pool.setdefault(voxel, set()).update(of_word[word])
        if chosen:
            found.setdefault(voxel, set()).update(of_word[word])
    several = [voxel for voxel in tuned if len(planted[voxel]) > 1]
    other = np.random.default_rng(1).permutation(several).tolist()

    def shares(of: list[int]) -> tuple[float, float, float]:
        named = [found.get(voxel, set()) for voxel in of]
        both = list(zip(named, (planted[voxel] for voxel in several), strict=True))
        complete = np.mean([planted[v] <= pool.get(o, set()) for v, o in zip(several, of, strict=True)])
        precision = sum(len(a & b) for a, b in both) / max(1, sum(map(len, named)))
        return float(complete), float(np.mean([b <= a for a, b in both])), precision

    names = ("pool_complete", "all_found", "all_found_precision")
    measured = dict(zip(names, shares(several), strict=True))
    return measured | {f"shuffled_{name}": value for name, value in zip(names, shares(other), strict=True)}


def _declared(
    model: Model, lite: Backbone, dataset: Dataset, features: Floats, tuned: list[int], planted: Planted
) -> dict[str, float]:
    contrasts = model.text_towers.vocabulary(model.backbone).centred(lite.text(CATEGORIES))
    responses = dataset.responses_of(np.array(tuned, np.intp))
    several = np.array([len(planted[voxel]) > 1 for voxel in tuned])
    measured = {}
    for prefix, shown in (("", responses), ("shuffled_", np.random.default_rng(0).permuted(responses, axis=0))):
        t = category_t(shown, features, contrasts)
        first, second = np.sort(t, axis=0)[:-3:-1]
        measured[f"{prefix}multi_auc"] = auc(second / first, several)
        measured[f"{prefix}declared"] = float((n_declared(t, len(features)) > 0).mean())
    passes = n_declared(category_t(responses, features, contrasts), len(features)) > 1
    return measured | {"multi_false": float(passes[~several].mean()), "multi_power": float(passes[several].mean())}
