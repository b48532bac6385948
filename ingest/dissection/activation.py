"""Which images drive a voxel, and where in them: top images, and activation maps made image by image."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats, Image
from ...atlas.backbones.products import inner_products, unit_rows

_CHUNK_BYTES = 64 << 20
"""Responses that are held at once while the best images are chosen."""

Group = tuple[int, NDArray[np.intp]]
"""An image's index, and the rows of the voxels that want it."""


@dataclass(frozen=True)
class FittedVoxels:
    """Voxels with their models: METHOD §1."""

    weights: Floats
    """Ridge weights, (n_voxels, dim) float32, in z-scored beta per feature unit."""
    bias: Floats
    """Mean training responses, (n_voxels,) float32."""
    feature_mean: Floats
    """Mean of the training features, (dim,) float32."""

    @cached_property
    def _offset(self) -> Floats:
        return np.asarray(self.bias - inner_products(self.feature_mean[None], self.weights)[0])

    def respond(self, features: Floats, rows: NDArray[np.intp] | slice = slice(None)) -> Floats:
        """Predicted responses (x - mean) · w + bias of some voxels: features (n, dim) -> (n_rows, n)."""
        return np.asarray(inner_products(self.weights[rows], features) + self._offset[rows, None])


def top_images(features: Floats, voxels: FittedVoxels, k: int) -> tuple[NDArray[np.int32], Floats]:
    """Find the k images that each voxel's model answers to most (METHOD §2, step 1).

    Voxels are taken in chunks, so that memory does not grow with their number. Equal responses go by image index.

    Args:
        features: pooled features of the images, (n_images, dim) float32.
        voxels: the voxels.
        k: images per voxel; all of them where there are fewer.

    Returns:
        Indices (n_voxels, k) int32, and responses (x - mean) · w + bias, (n_voxels, k) float32 in z-scored beta;
        strongest first.
    """
    n_images, n_voxels = len(features), len(voxels.weights)
    k = min(k, n_images)
    indices = np.empty((n_voxels, k), np.int32)
    values = np.empty((n_voxels, k), np.float32)
    step = max(1, _CHUNK_BYTES // (4 * max(1, n_images)))
    for start in range(0, n_voxels, step):
        rows = slice(start, min(start + step, n_voxels))
        block = voxels.respond(features, rows)
        best = _strongest(block, k)
        indices[rows] = best
        values[rows] = np.take_along_axis(block, best, axis=1)
    return indices, values


def diverse_images(features: Floats, top: NDArray[np.int32], responses: Floats, k: int) -> NDArray[np.int32]:
    """Choose among each voxel's strongest images k that differ: maximal marginal relevance (Carbonell 1998).

    The strongest comes first, and then the image with the largest 0.3 · response, scaled to 0 … 1 over the voxel's
    images, less 0.7 · its largest cosine with those chosen; equal ones by their place.

    Args:
        features: of all images, less their mean, (n_images, dim).
        top: indices of each voxel's strongest images, strongest first, (n_voxels, n).
        responses: theirs, (n_voxels, n).
        k: images per voxel.

    Returns:
        Indices (n_voxels, k), in the order of choice.
    """
    unit = unit_rows(features)
    spread = np.ptp(responses, axis=1)[:, None]
    relevance = (responses - responses[:, -1:]) / np.where(spread > 0, spread, 1)
    chosen = np.zeros((len(top), min(k, top.shape[1])), np.intp)
    for voxel, images in enumerate(top):
        cosines = unit[images] @ unit[images].T
        free, nearest = np.ones(len(images), bool), np.full(len(images), -np.inf, np.float32)
        for place in range(chosen.shape[1]):
            nearest = np.maximum(nearest, cosines[chosen[voxel, place - 1]]) if place else nearest
            value = 0.3 * relevance[voxel] - 0.7 * nearest if place else relevance[voxel]
            chosen[voxel, place] = np.argmax(np.where(free, value, -np.inf))
            free[chosen[voxel, place]] = False
    return np.take_along_axis(top, chosen, axis=1)


def _strongest(block: Floats, k: int) -> NDArray[np.intp]:
    """Columns of the k largest values of each row, largest first, equal values by column."""
    if k in (0, block.shape[1]):
        return np.argsort(-block, axis=1, kind="stable")[:, :k]
    best = np.argpartition(block, -k, axis=1)[:, -k:]
    best.sort(axis=1)  # so that the stable sort below leaves equal values in the order of their columns
    values = np.take_along_axis(block, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    # argpartition chooses freely among images that tie for the last place: those rows are sorted in full.
    tied = (block >= values.min(axis=1, keepdims=True)).sum(axis=1) > k
    if tied.any():
        best[tied] = np.argsort(-block[tied], axis=1, kind="stable")[:, :k]
    return best


def by_image(top_indices: NDArray[np.int32]) -> Iterator[Group]:
    """Turn the voxels' top images round: each image once, with the voxels that want it.

    Args:
        top_indices: image indices, (n_voxels, k) int32, as from `top_images`.

    Yields:
        The image's index and the rows of the voxels that have it among their top images, both ascending.
    """
    flat = top_indices.ravel()
    order = np.argsort(flat, kind="stable")
    images, starts = np.unique(flat[order], return_index=True)
    for image, places in zip(images, np.split(order, starts[1:]), strict=False):
        yield int(image), places // top_indices.shape[1]


@dataclass(frozen=True)
class ImageMaps:
    """The activation maps of one image, for the voxels that want it."""

    index: int
    """Which image."""
    rows: NDArray[np.intp]
    """The voxels, as rows of the weights."""
    maps: Floats
    """(n_rows, h, w) float32: how much each position drives each of the voxels."""
    image: Image
    """The image itself, so that crops are cut without reading it again."""


def image_maps(
    backbone: Backbone,
    image: Callable[[int], Image],
    groups: Iterable[Group],
    weights: Floats,
    batch_images: int = 16,
) -> Iterator[ImageMaps]:
    """Make activation maps image by image: an image is seen once, and one matrix product serves all its voxels.

    Args:
        backbone: the network whose features the weights belong to.
        image: reads the image of an index.
        groups: images with their voxels, as `by_image` gives them.
        weights: (n_voxels, dim) float32.
        batch_images: images in one forward pass; bounds memory.

    Yields:
        The maps of each image, in the order of `groups`.
    """
    remaining = iter(groups)
    while batch := list(islice(remaining, batch_images)):
        images = [image(index) for index, _ in batch]
        for (index, rows), pixels, local in zip(batch, images, backbone.local_features(images), strict=True):
            yield ImageMaps(index, rows, backbone.activation_maps(local, weights[rows]), pixels)
