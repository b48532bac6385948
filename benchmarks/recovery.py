"""What the demo recovers of what was planted in its simulated subject, beside the same with shuffled responses.

Reads the atlas of VOXEL_ATLAS_HOME, which `voxel-atlas demo --no-serve` fills; the planting table is read here and
nowhere else. The control fits the same network to responses that were permuted over images, and gives every voxel the
labels of another one.

- encoding: median r of predicted and noise-free response on held-out scenes, over significant voxels;
- concept search: AUC of the similarity to query words, voxels planted with the category against the others;
- dissection: share of significant voxels with a planted category whose first label (one of the first five) belongs to
  such a category, by kinds.py;
- photographs: share of real photographs of a thing (and of all of them) with their noun among the first five of the
  656 that `lite`'s captioner draws from.
"""

from pathlib import Path

import numpy as np
import polars as pl
from kinds import kinds
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage import data as skimage_data
from skimage.io import imread
from sklearn.datasets import load_sample_images
from wordnet import WordNet

import figures
from voxel_atlas.api.cli import demo
from voxel_atlas.atlas.backbones import default_readout, load
from voxel_atlas.atlas.backbones.feature_cache import FeatureCache
from voxel_atlas.atlas.backbones.interface import Backbone
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import Vocabulary
from voxel_atlas.atlas.search.evidence import FeatureSpectrum
from voxel_atlas.atlas.search.readouts import EXPONENTS
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.dissection.word_lists import depictable_nouns
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.split import split_by
from voxel_atlas.schemas.config import IngestConfig, Settings

QUERIES = {
    "face": ("face", "head", "smile", "portrait", "cheek"),
    "body": ("body", "sport", "arm", "dancer", "people"),
    "place": ("place", "house", "building", "landscape", "city"),
    "food": ("food", "dessert", "cake", "lunch", "cooking"),
    "word": ("word", "text", "letter", "writing", "alphabet"),
}
"""Five words a category; most are in no scene's description."""

PHOTOGRAPHS = {
    "astronaut": {"astronaut", "person", "woman", "man", "spacesuit", "uniform", "suit", "face"},
    "brick": {"brick", "wall", "stone", "tile"},
    "camera": {"camera", "tripod", "man", "photographer", "person"},
    "chelsea": {"cat", "kitten", "tabby"},
    "clock_motion": {"clock", "watch"},
    "coffee": {"coffee", "cup", "espresso", "mug", "drink"},
    "coins": {"coin", "money", "button"},
    "grass": {"grass", "lawn", "field", "plant"},
    "gravel": {"gravel", "stone", "rock", "pebble"},
    "motorcycle_left": {"motorcycle", "bike", "moped", "scooter", "bicycle"},
    "page": {"page", "text", "book", "paper", "letter", "newspaper", "document"},
    "rocket": {"rocket", "missile", "launcher", "tower"},
    "text": {"text", "letter", "writing", "paper", "page", "document", "book"},
    "hubble_deep_field": {"galaxy", "star", "sky", "planet"},
    "china.jpg": {"temple", "palace", "pagoda", "building", "roof", "house", "monastery", "shrine"},
    "flower.jpg": {"flower", "blossom", "petal", "daisy", "lily", "plant", "rose", "lotus"},
}
"""Photographs that come with scikit-image and scikit-learn, and the nouns that are right for each."""

WITHOUT_A_THING = {"brick", "grass", "gravel", "hubble_deep_field"}
"""Surfaces that fill the frame, and a field of stars: named apart, since there is no thing in front to be named.

They were set apart after a first look at the names (`lite` misses all four); photo_top5_all is the share of all 16.
"""


def main() -> None:
    """Evaluate and report."""
    arguments = figures.arguments(__doc__)
    settings = Settings()
    dataset = demo.subject(settings.home, settings.cortex_filestore)
    lite = load("lite", home=settings.home)
    with (
        Store.open(settings.address, read_only=True) as store,
        Atlas.open(settings.address, home=settings.home) as atlas,
    ):
        model = atlas.model("simulated/S1/lite")
        found = Found(
            store, atlas, model.model_id, IngestConfig.model_validate_json(model.config), dataset.stimuli.height
        )
        cache = FeatureCache(settings.home, lite, settings.batch_images)
        features = cache.get(dataset.stimuli["sha256"].to_list(), dataset.image, lambda _: None)
        noise_free = dataset.noise_free
        responses = dataset.responses_of(found.voxels.astype(np.intp))
        # Every voxel by a permutation of its own: one for all would keep what voxels have in common.
        shuffled = np.random.default_rng(0).permuted(responses, axis=0)
        weights = {"": found.weights, "shuffled_": found.refitted(features, shuffled)}
        measured: dict[str, float] = {}
        for name, fitted in weights.items():
            auc = found.concept_auc(lite, fitted, features)
            measured[f"{name}encoding_r_median"] = found.encoding_r(fitted, features, noise_free)
            measured[f"{name}concept_auc_mean"] = float(np.mean(list(auc.values())))
            measured[f"{name}concept_auc_min"] = min(auc.values())
            everywhere = found.concept_auc(lite, fitted, features, significant=False)
            measured[f"{name}concept_auc_mean_all_voxels"] = float(np.mean(list(everywhere.values())))
            rows = [{"category": category, "AUC": value} for category, value in auc.items()]
            figures.emit(f"{name or 'planted '}concept search", {}, rows)
        wordnet = WordNet.find(settings.home)
        for name, moved in (("", False), ("shuffled_", True)):
            measured[f"{name}top1_hit"] = found.hits(wordnet, 1, moved=moved)
            measured[f"{name}top5_hit"] = found.hits(wordnet, 5, moved=moved)
    for name, moved in (("", False), ("shuffled_", True)):
        named = photographs_named(lite, shuffled=moved)
        measured[f"{name}photo_top5"] = share(named.filter(~pl.col("photograph").is_in(WITHOUT_A_THING)))
        measured[f"{name}photo_top5_all"] = share(named)
        if not moved:
            figures.emit("real photographs", {}, named.to_dicts())
    measured["n_voxels"] = float(len(found.voxels))
    measured["n_significant"] = float(found.significant.sum())
    figures.emit("Recovery of the simulated subject", measured, json_path=arguments.json)


class Found:
    """What the atlas holds of the demo's model, and what was planted."""

    def __init__(self, store: Store, atlas: Atlas, model_id: str, config: IngestConfig, n_stimuli: int) -> None:
        self.config = config
        self.atlas, self.model_id = atlas, model_id
        quality = store.frame(
            "SELECT voxel, significant FROM voxel_quality WHERE model_id = ? ORDER BY voxel", [model_id]
        )
        self.voxels = quality["voxel"].to_numpy()
        self.significant = quality["significant"].to_numpy()
        dim = len(atlas.store.frame("SELECT feature_mean FROM model WHERE model_id = ?", [model_id])["feature_mean"][0])
        sql = "SELECT weights FROM encoding WHERE model_id = ? ORDER BY voxel"
        self.weights = store.vectors(sql, [model_id], dim)
        self.train, self.test = split_by(config, n_stimuli)
        planting = store.frame("SELECT voxel, category FROM planting")
        grouped = planting.group_by("voxel").agg(pl.col("category").unique())
        self.planted: dict[int, set[str]] = {voxel: set(categories) for voxel, categories in grouped.iter_rows()}

    def refitted(self, features: NDArray[np.float32], responses: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights for other responses, fitted as the pipeline does."""
        return Ridge.from_config(features[self.train], self.config).fit(responses[self.train]).weights

    def encoding_r(
        self, weights: NDArray[np.float32], features: NDArray[np.float32], noise_free: NDArray[np.float64]
    ) -> float:
        """Median correlation with the noise-free response on held-out scenes, over significant voxels."""
        test = self.test
        predicted = features[test] @ weights.T
        a = predicted - predicted.mean(axis=0)
        b = noise_free[test][:, self.voxels] - noise_free[test][:, self.voxels].mean(axis=0)
        r = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)).clip(1e-12)
        return float(np.median(r[self.significant]))

    def concept_auc(
        self, lite: Backbone, weights: NDArray[np.float32], features: NDArray[np.float32], *, significant: bool = True
    ) -> dict[str, float]:
        """Mean AUC over its queries of each category, with the readout and the baseline that `similarVoxels` uses.

        Args:
            lite: the backbone.
            weights: of all voxels, (n_voxels, 384).
            features: of all stimuli, (n_stimuli, 384).
            significant: over significant voxels, those that `similarVoxels` answers with; otherwise over all.
        """
        chosen = self.significant if significant else np.ones_like(self.significant)
        spectrum = FeatureSpectrum.of(np.cov(features[self.train], rowvar=False), len(self.train))
        readouts = weights[chosen] @ spectrum.power(EXPONENTS[default_readout(lite.name)])
        readouts /= np.linalg.norm(readouts, axis=1, keepdims=True).clip(1e-12)
        vocabulary = Vocabulary.of(lite)
        concepts = {category: vocabulary.centred(lite.text(queries)) for category, queries in QUERIES.items()}

        def has(category: str) -> NDArray[np.bool_]:
            return np.array([category in self.planted[int(voxel)] for voxel in self.voxels[chosen]])

        return {
            category: float(np.mean([auc(readouts @ query, has(category)) for query in vectors]))
            for category, vectors in concepts.items()
        }

    def hits(self, wordnet: WordNet, first: int, *, moved: bool) -> float:
        """Share of significant voxels tuned to categories with a right label among the first ones."""
        tuned = [int(v) for v in self.voxels[self.significant] if self.planted[int(v)] - {"contrast"}]
        labels = self.atlas.model(self.model_id).voxel_labels(tuned, first=first)
        of_voxel: dict[int, list[str]] = dict(labels.group_by("voxel").agg(pl.col("label")).iter_rows())
        order = np.random.default_rng(1).permutation(len(tuned)) if moved else np.arange(len(tuned))
        right = [
            any(kinds(wordnet, label) & self.planted[voxel] for label in of_voxel.get(tuned[other], ()))
            for voxel, other in zip(tuned, order, strict=True)
        ]
        return float(np.mean(right))


def auc(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)[positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def photographs_named(lite: Backbone, *, shuffled: bool) -> pl.DataFrame:
    """The packaged photographs, the five nearest of the captioner's nouns to each, and whether one is right.

    Args:
        lite: the backbone.
        shuffled: whether to hold the names against the next photograph's right nouns.
    """
    nouns = depictable_nouns()
    photographs = installed_photographs()
    answers = [PHOTOGRAPHS[name] for name in photographs]
    if shuffled:
        answers = answers[1:] + answers[:1]
    nearest = np.argsort(-(lite.features(list(photographs.values())) @ lite.text(nouns).T), axis=1)[:, :5]
    named = [[nouns[i] for i in row] for row in nearest]
    return pl.DataFrame(
        {
            "photograph": list(photographs),
            "first five": [", ".join(found) for found in named],
            "right": [bool(set(found) & right) for found, right in zip(named, answers, strict=True)],
        }
    )


def share(named: pl.DataFrame) -> float:
    """Share of the photographs with a right noun."""
    return float(named["right"].to_numpy().mean())


def installed_photographs() -> dict[str, NDArray[np.uint8]]:
    """Those of PHOTOGRAPHS that came with the wheels, in RGB."""
    folder = Path(skimage_data.__file__).parent
    found = {}
    for name in PHOTOGRAPHS:
        files = [path for path in folder.glob(f"{name}.*") if path.suffix in {".png", ".jpg", ".jpeg", ".tif"}]
        if files:
            picture = imread(files[0])
            picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
            found[name] = np.ascontiguousarray(picture.astype(np.uint8))
    samples = load_sample_images()
    for file, picture in zip(samples.filenames, samples.images, strict=True):
        found[Path(file).name] = picture
    return found


if __name__ == "__main__":
    main()
