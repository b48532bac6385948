"""From an activation map to crops: Otsu's threshold, external contours, bounding boxes, and which of them to keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from ...atlas.backbones.interface import Box, Floats, Image
from ...schemas.config import IngestConfig

SIDE = 375
"""Side in pixels to which the released code resizes images, maps and crops."""


@dataclass(frozen=True)
class CropRules:
    """Which boxes become crops (METHOD §2, step 1; the defaults are the released code's)."""

    crops_per_image: int = 4
    """Crops of one image and voxel at most."""
    iou: float = 0.5
    """A box that overlaps a larger kept one by more is left out (intersection over union, 0 to 1)."""
    cover: float = 0.8
    """A box that covers this share of what the network sees is left out: it would be the image again."""
    grid: int = 0
    """Cells a side of a grid that boxes snap to, so that voxels share crops; 0 leaves boxes as they are."""

    @classmethod
    def of(cls, config: IngestConfig) -> Self:
        """The rules that a configuration asks for."""
        return cls(config.crops_per_image, config.crop_iou, config.crop_cover, config.crop_grid)


def crop_boxes(activation_map: Floats, seen: Box, rules: CropRules, image_size: tuple[int, int]) -> list[Box]:
    """Find the parts of an image that drive a voxel.

    The map is scaled to 0 … 255 and split by Otsu's threshold; the bounding boxes of the connected parts above it are
    taken from the largest down, as the rules allow. A map that is constant, or not finite, has no crops.

    Args:
        activation_map: (h, w) float32.
        seen: the part of the image that the map covers, from `Backbone.seen`.
        rules: which boxes are kept.
        image_size: width and height of the image in pixels.

    Returns:
        At most `rules.crops_per_image` boxes in pixels of the original image, largest first.
    """
    width, height = image_size
    whole = _clip(seen, width, height)
    parts = _parts(activation_map)
    boxes = {_clip(_in_image(part, seen, rules.grid), width, height) for part in parts}
    largest_first = sorted((-area(box), box) for box in boxes)
    kept: list[Box] = []
    for minus_area, box in largest_first:
        if len(kept) == rules.crops_per_image:
            break
        if 0 < -minus_area < rules.cover * area(whole) and all(overlap(box, other) <= rules.iou for other in kept):
            kept.append(box)
    return kept


def _parts(activation_map: Floats) -> list[Box]:
    """Boxes of the external contours above Otsu's threshold (METHOD §2, Eq. 1), in pixels of a map of 375 × 375."""
    values = activation_map.astype(np.float64)  # in which no range of float32 is too large
    lowest, highest = values.min(), values.max()
    if lowest == highest or not np.isfinite(values).all():
        return []
    grey = ((values - lowest) * (255 / (highest - lowest))).astype(np.float32)
    pixels = cv2.convertScaleAbs(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
    _, above = cv2.threshold(pixels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(x, y, x + width, y + height) for x, y, width, height in map(cv2.boundingRect, contours)]


def _in_image(part: Sequence[int], seen: Box, grid: int) -> Box:
    """A box of the 375 × 375 pixels that stand for what the network sees, in pixels of the image."""
    x0, y0, x1, y1 = _snap(part, grid) if grid else part
    left, top, right, bottom = seen
    x_scale, y_scale = (right - left) / SIDE, (bottom - top) / SIDE
    return left + round(x0 * x_scale), top + round(y0 * y_scale), left + round(x1 * x_scale), top + round(y1 * y_scale)


def _snap(part: Sequence[int], grid: int) -> tuple[float, float, float, float]:
    """Move each edge to the nearest line of the grid; a box that would vanish keeps the cell of its middle."""

    def edges(low: int, high: int) -> tuple[float, float]:
        cell = SIDE / grid
        first, last = round(low / cell), round(high / cell)
        if first == last:
            first = min(int((low + high) / 2 / cell), grid - 1)
            last = first + 1
        return first * cell, last * cell

    x0, x1 = edges(part[0], part[2])
    y0, y1 = edges(part[1], part[3])
    return x0, y0, x1, y1


def _clip(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def area(box: Box) -> int:
    """Pixels in a box; 0 where it is empty."""
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = area(a) + area(b) - shared
    return shared / union if union else 0.0


def cut(image: Image, box: Box) -> Image:
    """Cut a crop and resize it to 375 × 375, as the released code does, so that a network sees all of it."""
    left, top, right, bottom = box
    part = image[top:bottom, left:right]
    shrinks = min(part.shape[:2]) > SIDE
    resized: Image = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized
