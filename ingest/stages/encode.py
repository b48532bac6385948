"""Stage `encode`: images to features, each image once per network, kept between runs."""

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.feature_cache import IMAGES_PER_FILE, FeatureCache
from ...atlas.backbones.interface import Floats, ImageEncoder
from .context import BatchContext, Context, ranges


def encode(
    context: Context,
    images: NDArray[np.intp] | None = None,
    encoder: ImageEncoder | None = None,
    name: str = "encode images",
) -> Floats:
    """Features of images, (n_images, dim).

    Args:
        context: the ingest.
        images: some of the data set's; None for all in the order of its `stimuli`.
        encoder: what encodes them; None for the backbone.
        name: the stage's name for people.
    """
    if images is None:
        images = np.arange(context.dataset.stimuli.height)
    encoder = encoder or context.backbone
    features = np.empty((len(images), encoder.dim), np.float32)
    parts = ranges(len(images), IMAGES_PER_FILE)
    batches = [images[start:stop] for start, stop in parts]
    with context.progress.stage(name, len(images)) as advance:
        encoded = context.workers.map(_encoded, (context.for_workers, encoder), batches)
        for (start, stop), found in zip(parts, encoded, strict=True):
            features[start:stop] = found()
            advance(stop - start)
    return features


def _encoded(given: tuple[BatchContext, ImageEncoder], images: NDArray[np.intp]) -> Floats:
    """Features of some images; who makes them keeps them in the cache."""
    context, encoder = given
    cache = FeatureCache(context.home, encoder, context.batch_images)
    sha256s = context.dataset.stimuli["sha256"].gather(images).to_list()
    return cache.get(sha256s, lambda row: context.image(int(images[row])))
