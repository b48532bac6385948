"""Stage `encode`: images to features, each image once per network, kept between runs."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...atlas.backbones.interface import Backbone, Floats, Image
from ...schemas.files import write_atomically
from .context import Bench, Context, ranges

_IMAGES_PER_FILE = 64


class FeatureCache:
    """Pooled features on disk, one file for each group of images, named by the images' content and the network."""

    def __init__(self, home: Path, backbone: Backbone, batch_images: int) -> None:
        self._folder = home / "features" / backbone.fingerprint[:16]
        self._backbone = backbone
        self._batch_images = batch_images

    def get(
        self, sha256s: Sequence[str], load: Callable[[int], Image], advance: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Features of images, (n_images, dim).

        Args:
            sha256s: content hash of each image; equal hashes must mean equal pixels.
            load: gives image i; called only for what is not on disk.
            advance: told how many images are done.
        """
        features = np.empty((len(sha256s), self._backbone.dim), np.float32)
        for start in range(0, len(sha256s), _IMAGES_PER_FILE):
            stop = min(start + _IMAGES_PER_FILE, len(sha256s))
            path = self._folder / f"{hashlib.sha256(''.join(sha256s[start:stop]).encode()).hexdigest()}.npy"
            if path.exists():
                features[start:stop] = np.load(path)
                advance(stop - start)
                continue
            for i in range(start, stop, self._batch_images):
                end = min(i + self._batch_images, stop)
                features[i:end] = self._backbone.features([load(index) for index in range(i, end)])
                advance(end - i)
            write_atomically(path, partial(np.save, arr=features[start:stop]))
        return features


def encode(context: Context) -> Floats:
    """Features of the data set's images, (n_stimuli, dim), in the order of its `stimuli`."""
    n_images = context.dataset.stimuli.height
    features = np.empty((n_images, context.backbone.dim), np.float32)
    parts = ranges(n_images, _IMAGES_PER_FILE)
    with context.progress.stage("encode images", n_images) as advance:
        for (start, stop), found in zip(parts, context.workers.map(_encoded, context.bench, parts), strict=True):
            features[start:stop] = found()
            advance(stop - start)
    return features


def _encoded(bench: Bench, part: tuple[int, int]) -> Floats:
    """Features of images start … stop-1; who makes them keeps them in the cache."""
    start, stop = part
    cache = FeatureCache(bench.home, bench.backbone, bench.batch_images)
    sha256s = bench.dataset.stimuli["sha256"][start:stop].to_list()
    return cache.get(sha256s, lambda index: bench.image(start + index))
