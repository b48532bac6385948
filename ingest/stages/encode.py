"""Stage `encode`: images to features, each image once per network, kept between runs."""

import numpy as np

from ...atlas.backbones.feature_cache import IMAGES_PER_FILE, FeatureCache
from ...atlas.backbones.interface import Floats
from .context import BatchContext, Context, ranges


def encode(context: Context) -> Floats:
    """Features of the data set's images, (n_stimuli, dim), in the order of its `stimuli`."""
    n_images = context.dataset.stimuli.height
    features = np.empty((n_images, context.backbone.dim), np.float32)
    parts = ranges(n_images, IMAGES_PER_FILE)
    with context.progress.stage("encode images", n_images) as advance:
        for (start, stop), found in zip(parts, context.workers.map(_encoded, context.for_workers, parts), strict=True):
            features[start:stop] = found()
            advance(stop - start)
    return features


def _encoded(context: BatchContext, part: tuple[int, int]) -> Floats:
    """Features of images start … stop-1; who makes them keeps them in the cache."""
    start, stop = part
    cache = FeatureCache(context.home, context.backbone, context.batch_images)
    sha256s = context.dataset.stimuli["sha256"][start:stop].to_list()
    return cache.get(sha256s, lambda index: context.image(start + index))
