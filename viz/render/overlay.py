"""ROI outlines and names as pixels: white lines with a dark halo, seen on every colour. Drawn once, then reused."""

from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon  # type: ignore[import-untyped]
from shapely.ops import polylabel  # type: ignore[import-untyped]

from ..surfaces.pixel_map import Outlines
from .lettering import fitted, font

Box = tuple[float, float, float, float]

_LINE, _HALO, _TEXT = 1.3, 1.0, 12.0  # pixels in a picture of 1,024
_WIDEST_NAME = 0.15  # of the picture's width; longer names end in an ellipsis
_LEAST_ROOM = 0.45  # of a name's width that its ROI must be wide
_NEAR = 3.0  # widths of a name within which it does not stand twice in a hemisphere
_BESIDE = tuple((aside, up) for up in (0, -0.8, 0.8, -1.3, 1.3) for aside in (0, -0.7, 0.7))
"""Where a name may stand, nearest first: half widths to the right and sizes below the middle of its ROI."""
_SMALLEST = 0.75  # of their size in a picture of 1,024: names are no smaller in smaller ones
_FRACTION_BITS = 4  # of a pixel, in the corners of lines
_FRACTION = 2**_FRACTION_BITS


@dataclass(frozen=True, eq=False)
class Overlay:
    """The pixels of a picture that lines and names touch."""

    shape: tuple[int, int]
    """(height, width) of the picture."""
    rows: NDArray[np.intp]
    """Their rows, (n,)."""
    columns: NDArray[np.intp]
    """Their columns, (n,)."""
    white: NDArray[np.float32]
    """How much of each pixel is line or letter, (n,) float32, 0 to 1."""
    dark: NDArray[np.float32]
    """How much of the rest is darkened by the halo, (n,) float32, 0 to 1."""


def _content(outlines: Outlines, shape: tuple[int, int], *, names: bool = True) -> tuple[object, ...]:
    """All that an overlay depends on: outlines are equal when their names and paths are."""
    return shape, names, *((name, *(path.tobytes() for path in paths)) for name, paths in outlines.items())


@cached(LRUCache(16), _content, Lock())
def overlay(outlines: Outlines, shape: tuple[int, int], *, names: bool = True) -> Overlay:
    """Draw the outlines, and the ROIs' names where there is room, for a picture of this shape (h, w)."""
    height, width = shape
    oversampling = max(1, min(3, 6144 // width))
    unit = oversampling * max(width / 1024, 0.5)
    size = (width * oversampling, height * oversampling)
    core, halo = (np.zeros(size[::-1], np.uint8) for _ in range(2))
    scale = np.array(size) * _FRACTION
    lines = [np.rint(path * scale).astype(np.int32) for paths in outlines.values() for path in paths if len(path) > 1]
    for drawn, thickness in ((halo, _LINE + 2 * _HALO), (core, _LINE)):
        cv2.polylines(drawn, lines, True, 255, max(1, round(thickness * unit)), shift=_FRACTION_BITS)
    letters, shadow = Image.fromarray(core), Image.fromarray(halo)
    if names:
        text = _TEXT * oversampling * max(width / 1024, _SMALLEST)
        for name, x, y in label_places(outlines, (size[1], size[0]), text):
            name = fitted(name, text, size[0] * _WIDEST_NAME, bold=True)
            around = round(1.6 * _HALO * unit)
            # Lines break off around letters, which are as white as they are.
            for image, white_or_not, stroke in ((shadow, 255, around), (letters, 0, around), (letters, 255, 0)):
                ImageDraw.Draw(image).text((x, y), name, white_or_not, font(text), "mm", stroke_width=stroke)
    white, dark = (np.asarray(image.reduce(oversampling), np.float32) / np.float32(255) for image in (letters, shadow))
    rows, columns = np.nonzero((white > 0.02) | (dark > 0.02))
    return Overlay(shape, rows, columns, white[rows, columns], np.float32(0.6) * dark[rows, columns])


def label_places(outlines: Outlines, shape: tuple[int, int], size: float) -> list[tuple[str, float, float]]:
    """Where names go: (name, x, y) of their centres in pixels, in or beside their ROIs, largest first, well apart.

    Names that are much wider than their ROIs are left out, and so are those of islands near one that bears the name.
    """
    height, width = shape
    face, placed, places = font(size), list[Box](), list[tuple[str, float, float]]()
    polygons = []
    for name, paths in outlines.items():
        for path in paths:
            if len(path) >= 4 and (polygon := Polygon(path * np.array([width, height], np.float32)).buffer(0)).area > 0:
                largest = max(getattr(polygon, "geoms", [polygon]), key=lambda part: part.area)
                polygons.append((largest.area, name, largest))
    for _, roi, polygon in sorted(polygons, key=lambda item: -item[0]):
        name = fitted(roi, size, width * _WIDEST_NAME, bold=True)
        left, _, right, _ = polygon.bounds
        if right - left < _LEAST_ROOM * face.getlength(name):
            continue
        centre = polylabel(polygon, tolerance=max(1.0, polygon.length / 100))
        reach, is_left = _NEAR * face.getlength(name), centre.x < width / 2
        own = [(x, y) for other, x, y in places if other == roi and (x < width / 2) == is_left]
        if any(np.hypot(centre.x - x, centre.y - y) < reach for x, y in own):
            continue
        half_width, half_height = face.getlength(name) / 2 + 0.3 * size, size * 0.5
        for aside, up in _BESIDE:
            x = min(max(centre.x + aside * half_width, half_width), width - half_width)
            y = centre.y + up * size
            box = (x - half_width, y - half_height, x + half_width, y + half_height)
            if not any(_overlap(box, other) for other in placed):
                placed.append(box)
                places.append((roi, x, y))
                break
    return places


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
