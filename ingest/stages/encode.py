"""Stage `encode`: images and crops to features, each once per network, kept between runs."""

import os
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.feature_cache import IMAGES_PER_FILE, FeatureCache
from ...atlas.backbones.interface import Floats, Image, ImageEncoder
from ...schemas.files import explained_os_errors
from ..datasets.interface import Images
from ..dissection.crops import cut
from .context import BatchContext, Context, ranges, read_image

_IN_MEMORY = 512 << 20
"""Bytes of features that are held in memory."""
Region = tuple[int, tuple[int, ...]]
"""(row of the image, box or () for the whole image)."""


class Regions(Sequence[Image]):
    """Pixels of regions, read when they are looked at: a captioner that works on features reads none."""

    def __init__(self, images: Images, regions: Sequence[Region]) -> None:
        self._images, self._regions = images, regions

    def __len__(self) -> int:
        return len(self._regions)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "Regions": ...
    def __getitem__(self, index: int | slice) -> "Image | Regions":
        if isinstance(index, slice):
            return Regions(self._images, self._regions[index])
        image, box = self._regions[index]
        picture = read_image(self._images, image)
        return cut(picture, (box[0], box[1], box[2], box[3])) if box else picture

    def sha256s(self) -> list[str]:
        """What names their content, for the cache of features."""
        whole = self._images.stimuli["sha256"].gather([image for image, _ in self._regions])
        boxes = (box for _, box in self._regions)
        return [sha256 + "".join(f"-{edge}" for edge in box) for sha256, box in zip(whole, boxes, strict=True)]


def encode(
    context: Context,
    rows: NDArray[np.intp] | None = None,
    encoder: ImageEncoder | None = None,
    name: str = "encode images",
    images: Images | None = None,
) -> Floats:
    """Features of images, (n_images, dim).

    Args:
        context: the ingest.
        rows: which of them; None for all in the order of their `stimuli`.
        encoder: what encodes them; None for the backbone.
        name: the stage's name for people.
        images: where they are; None for the data set.
    """
    images = images or context.dataset
    if rows is None:
        rows = np.arange(images.stimuli.height)
    return encode_regions(context, images, [(row, ()) for row in rows.tolist()], encoder, name)


def encode_regions(
    context: Context,
    images: Images,
    regions: Sequence[Region],
    encoder: ImageEncoder | None = None,
    name: str = "encode crops",
) -> Floats:
    """Features of images and crops, (n_regions, dim); see `encode`."""
    encoder = encoder or context.backbone
    features = _array(context, len(regions), encoder.dim)
    parts = ranges(len(regions), IMAGES_PER_FILE)
    batches = [regions[start:stop] for start, stop in parts]
    with context.progress.stage(name, len(regions)) as advance:
        encoded = context.workers.map(_encoded, (context.for_workers, images, encoder), batches)
        for (start, stop), found in zip(parts, encoded, strict=True):
            features[start:stop] = found()
            advance(stop - start)
    return features


def _array(context: Context, n: int, dim: int) -> Floats:
    """Room for features, (n, dim): of many images in a file without a name, which goes when it is no longer used.

    Raises:
        StoreError: the disk has not so much room.
    """
    size = 4 * n * dim
    if size <= _IN_MEMORY:
        return np.empty((n, dim), np.float32)
    folder = context.home / "cache"
    what = f"Features of {n:,} images, {size / 2**30:.2f} GiB, cannot be held in {folder}"
    with explained_os_errors(what, "make room, then start again: what is done stays"):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            # The system ends a process that writes into a hole of a mapped file when the disk is full.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, shape=(n, dim))


def _encoded(given: tuple[BatchContext, Images, ImageEncoder], regions: Sequence[Region]) -> Floats:
    """Features of some regions; who makes them keeps them in the cache."""
    context, images, encoder = given
    pixels = Regions(images, regions)
    cache = FeatureCache(context.home, encoder, context.batch_images)
    return cache.get(pixels.sha256s(), pixels.__getitem__)
