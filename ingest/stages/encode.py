"""Stage `encode`: images to features, each image once per network, kept between runs."""

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.feature_cache import IMAGES_PER_FILE, FeatureCache
from ...atlas.backbones.interface import Floats
from .context import BatchContext, Context, ranges


def encode(context: Context, images: NDArray[np.intp] | None = None) -> Floats:
    """Features of some of the data set's images, or of all in the order of its `stimuli`, (n_images, dim)."""
    if images is None:
        images = np.arange(context.dataset.stimuli.height)
    features = np.empty((len(images), context.backbone.dim), np.float32)
    parts = ranges(len(images), IMAGES_PER_FILE)
    batches = [images[start:stop] for start, stop in parts]
    with context.progress.stage("encode images", len(images)) as advance:
        encoded = context.workers.map(_encoded, context.for_workers, batches)
        for (start, stop), found in zip(parts, encoded, strict=True):
            features[start:stop] = found()
            advance(stop - start)
    return features


def _encoded(context: BatchContext, images: NDArray[np.intp]) -> Floats:
    """Features of some images; who makes them keeps them in the cache."""
    cache = FeatureCache(context.home, context.backbone, context.batch_images)
    sha256s = context.dataset.stimuli["sha256"].gather(images).to_list()
    return cache.get(sha256s, lambda row: context.image(int(images[row])))
