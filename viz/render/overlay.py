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
from .lettering import fitted, font, place_names

_LINE, _HALO, _TEXT = 1.3, 1.0, 12.0  # pixels in a picture of 1,024
_LEADER = 0.9  # likewise, of the line from a name to its region
_WIDEST_NAME = 0.15  # of the picture's width; longer names end in an ellipsis
_NEAR = 0.15  # of the picture's width, within which a name does not stand twice in a hemisphere
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
        named = region_names(outlines, (size[1], size[0]), text)
        thin = max(1, round(_LEADER * unit))
        for line in (one.leader for one in named if one.leader):
            ImageDraw.Draw(shadow).line(line, 255, thin + 2 * round(_HALO * unit))
            ImageDraw.Draw(letters).line(line, 255, thin)
        around = round(1.6 * _HALO * unit)
        for one in named:
            # Lines break off around letters, which are as white as they are.
            for image, white_or_not, stroke in ((shadow, 255, around), (letters, 0, around), (letters, 255, 0)):
                pen = ImageDraw.Draw(image)
                pen.text((one.x, one.y), one.text, white_or_not, font(text), "mm", stroke_width=stroke)
    white, dark = (np.asarray(image.reduce(oversampling), np.float32) / np.float32(255) for image in (letters, shadow))
    rows, columns = np.nonzero((white > 0.02) | (dark > 0.02))
    return Overlay(shape, rows, columns, white[rows, columns], np.float32(0.6) * dark[rows, columns])


@dataclass(frozen=True)
class RegionName:
    """The name of an ROI in a picture, in pixels."""

    text: str
    """No wider than there is room for names."""
    x: float
    y: float
    """Its centre."""
    leader: tuple[float, float, float, float] | None
    """The line from the ROI to it, x, y, x, y; None where it stands in the ROI."""


def region_names(outlines: Outlines, shape: tuple[int, int], size: float) -> list[RegionName]:
    """The names of the ROIs in a picture of this shape (h, w) with letters of this size, none over another."""
    height, width = shape
    anchors = name_anchors(outlines, shape)
    texts = [fitted(name, size, width * _WIDEST_NAME, bold=True) for name, _, _ in anchors]
    places = [(x, y) for _, x, y in anchors]
    widths = [font(size).getlength(text) for text in texts]
    return [
        RegionName(texts[one.at], one.x, one.y, one.leader and (*places[one.at], *one.leader))
        for one in place_names(places, widths, size, (width, height))
    ]


def name_anchors(outlines: Outlines, shape: tuple[int, int]) -> list[tuple[str, float, float]]:
    """What names belong to: (name, x, y) in pixels of a point well within each ROI, the largest ROI first.

    An island near one of the same ROI and hemisphere is not named again.
    """
    height, width = shape
    polygons = []
    for name, paths in outlines.items():
        for path in paths:
            if len(path) >= 4 and (polygon := Polygon(path * np.array([width, height], np.float32)).buffer(0)).area > 0:
                largest = max(getattr(polygon, "geoms", [polygon]), key=lambda part: part.area)
                polygons.append((largest.area, name, largest))
    anchors: list[tuple[str, float, float]] = []
    for _, name, polygon in sorted(polygons, key=lambda item: -item[0]):
        centre = polylabel(polygon, tolerance=max(1.0, polygon.length / 100))
        is_left = centre.x < width / 2
        own = [(x, y) for other, x, y in anchors if other == name and (x < width / 2) == is_left]
        if not any(np.hypot(centre.x - x, centre.y - y) < _NEAR * width for x, y in own):
            anchors.append((name, centre.x, centre.y))
    return anchors
