"""What stands above and below a flat map: title, colour bar with quantity and range, note, names in their colours.

Strips are drawn as slots of viz.palette, so that they join palette pictures as they are.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from . import palette
from .colormaps import Scale
from .lettering import fitted, font

Strip = NDArray[np.uint8]
Names = Sequence[tuple[str, tuple[int, int, int]]]
"""Names and the colours (red, green, blue; 0 to 255) that they stand for."""


TITLE_UNITS, SCALE_UNITS = 34, 62
"""Heights of the strips, in 1,024ths of the picture's width."""


def strip_height(units: float, width: int) -> int:
    """Pixels that a strip is tall in a picture of this width."""
    return round(units * _unit(width))


@lru_cache(maxsize=64)
def title_strip(title: str, width: int) -> Strip:
    """A line of text in the middle, (h, width) uint8 slots."""
    unit = _unit(width)
    strip = _Strip(width, strip_height(TITLE_UNITS, width))
    strip.text(width / 2, strip.height / 2, title, 17 * unit, "mm", room=width - 24 * unit, bold=True)
    return strip.slots()


@lru_cache(maxsize=256)
def scale_strip(scale: Scale, quantity: str, note: str, width: int) -> Strip:
    """Colour bar with the ends and the middle of its range, the quantity above it, the note at the right."""
    unit = _unit(width)
    strip = _Strip(width, strip_height(SCALE_UNITS, width))
    left, right, top, bottom = (round(edge * unit) for edge in (24, 324, 24, 38))
    right = min(right, width - left)
    strip.text(left, 11 * unit, quantity, 13 * unit, "lm", room=width / 2 - left if note else width - 2 * left)
    strip.text(width - left, 11 * unit, note, 12 * unit, "rm", room=width / 2 - left)
    middle = (scale.vmin + scale.vmax) / 2
    for value, x, anchor in ((scale.vmin, left, "lm"), (middle, (left + right) / 2, "mm"), (scale.vmax, right, "rm")):
        strip.text(x, 48 * unit, number(value, scale.vmax - scale.vmin), 12 * unit, anchor)
    slots = strip.slots()
    steps = np.arange(right - left) * 256 // (right - left)
    slots[top:bottom, left:right] = palette.colour_slots(scale.colormap)[steps]
    return slots


def names_height(n_names: int, width: int, *, note: bool) -> int:
    """Pixels that `names_strip` is tall."""
    return round((-(-n_names // _columns(width)) * 20 + (36 if note else 16)) * _unit(width))


def name_places(n_names: int, width: int) -> tuple[list[tuple[float, float]], float]:
    """Where names stand: the left ends and middles (x, y) of their lines in pixels, and the room that each has."""
    unit, columns = _unit(width), _columns(width)
    cell = width / columns
    places = [
        (place % columns * cell + 14 * unit, ((place // columns + 0.5) * 20 + 6) * unit) for place in range(n_names)
    ]
    return places, cell - 36 * unit


def names_strip(names: Names, note: str, width: int) -> NDArray[np.uint8]:
    """Names, each behind a square of its colour, in columns; (h, width, 4) uint8 RGBA."""
    unit = _unit(width)
    strip = _Strip(width, names_height(len(names), width, note=bool(note)))
    squares = []
    places, room = name_places(len(names), width)
    for (name, colour), (x, y) in zip(names, places, strict=True):
        strip.text(x + 18 * unit, y, name, 12 * unit, "lm", room=room)
        squares.append((round(y - 6 * unit), round(x), round(12 * unit), colour))
    strip.text(width - 24 * unit, strip.height - 14 * unit, note, 12 * unit, "rm", room=width - 48 * unit)
    pixels = palette.palette("viridis", False)[strip.slots()]
    for top, left, side, colour in squares:
        pixels[top : top + side, left : left + side, :3] = colour
    return pixels


def number(value: float, span: float) -> str:
    """The value with as many decimals as a range of this span needs, and a true minus sign."""
    if span >= 1e6 or span < 1e-5:
        return f"{value:.2g}".replace("-", "−")
    decimals = max(0, 1 - int(np.floor(np.log10(span))))
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


class _Strip:
    """Grey letters on nothing, turned into palette slots at the end."""

    def __init__(self, width: int, height: int) -> None:
        self.height = height
        self._image = Image.new("L", (width, height))
        self._draw = ImageDraw.Draw(self._image)

    def text(
        self, x: float, y: float, text: str, size: float, anchor: str, *, room: float = np.inf, bold: bool = False
    ) -> None:
        """Write on one line, within `room` pixels."""
        size = max(size, 7)
        self._draw.text((x, y), fitted(text, size, room, bold=bold), 255, font(size, bold), anchor)

    def slots(self) -> Strip:
        levels = np.asarray(self._image, np.uint16) * len(palette.LETTERS) // 256
        return palette.LETTERS[levels]


def _columns(width: int) -> int:
    return max(1, int(width // (128 * _unit(width))))


def _unit(width: int) -> float:
    return max(width / 1024, 0.45)
