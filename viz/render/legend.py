"""What stands above and below a map: title, colour bar with quantity and range, note, names in their colours.

A strip says where its parts stand; pixels and vectors are drawn from the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from . import palette
from .colormaps import Scale
from .lettering import fitted, font

Colour = tuple[int, int, int]
Names = Sequence[tuple[str, Colour]]
"""Names and the colours (red, green, blue; 0 to 255) that they stand for."""
Align = Literal["left", "center", "right"]

_ANCHORS = {"left": "lm", "center": "mm", "right": "rm"}
_SMALLEST_LETTERS = 7


@dataclass(frozen=True)
class Text:
    """One line, no wider than `room`: (x, y) is the end or the middle that it is aligned by, at half its height."""

    x: float
    y: float
    text: str
    size: float
    align: Align = "left"
    room: float = np.inf
    bold: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle of one colour, or of all colours of a colormap from left to right."""

    left: int
    top: int
    right: int
    bottom: int
    filled: Colour | str


@dataclass(frozen=True)
class Strip:
    """Text and boxes; pixels from the strip's top left corner."""

    width: int
    height: int
    texts: tuple[Text, ...]
    boxes: tuple[Box, ...] = ()

    def slots(self) -> NDArray[np.uint8]:
        """The text and the colour bars as slots of a palette, (height, width) uint8."""
        return _slots(self)

    def pixels(self, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The strip in the colours of a palette, (height, width, 4) uint8 RGBA."""
        pixels: NDArray[np.uint8] = table[self.slots()]
        for box in self.boxes:
            if not isinstance(box.filled, str):
                pixels[box.top : box.bottom, box.left : box.right] = *box.filled, 255
        return pixels


@lru_cache(maxsize=256)
def _slots(strip: Strip) -> NDArray[np.uint8]:
    image = Image.new("L", (strip.width, strip.height))
    draw = ImageDraw.Draw(image)
    for text in strip.texts:
        size = max(text.size, _SMALLEST_LETTERS)
        words = fitted(text.text, size, text.room, bold=text.bold)
        draw.text((text.x, text.y), words, 255, font(size, text.bold), _ANCHORS[text.align])
    slots = palette.LETTERS[np.asarray(image, np.uint16) * len(palette.LETTERS) // 256]
    for box in strip.boxes:
        if isinstance(box.filled, str):
            steps = np.arange(box.right - box.left) * 256 // (box.right - box.left)
            slots[box.top : box.bottom, box.left : box.right] = palette.colour_slots(box.filled)[steps]
    return slots


def title_line(title: str, width: int) -> Strip:
    """A line of text in the middle."""
    unit = _unit(width)
    height = round(34 * unit)
    room = width - 24 * unit
    return Strip(width, height, (Text(width / 2, height / 2, title, 17 * unit, "center", room, bold=True),))


def colour_bar(scale: Scale, quantity: str, notes: tuple[str, str, str], width: int) -> Strip:
    """Colour bar with the ends and the middle of its range, the quantity above, and three lines at the right."""
    unit = _unit(width)
    left, right, top, bottom = (round(edge * unit) for edge in (24, 324, 24, 38))
    right, half = min(right, width - left), width / 2 - left
    beside = max(width - left - right - 24 * unit, 0)
    ends: tuple[tuple[float, float, Align], ...] = (
        (scale.vmin, left, "left"),
        (scale.middle, (left + right) / 2, "center"),
        (scale.vmax, right, "right"),
    )
    texts = (
        Text(left, 11 * unit, quantity, 13 * unit, "left", half if notes[0] else width - 2 * left),
        *(
            Text(width - left, y * unit, note, 12 * unit, "right", room)
            for note, y, room in zip(notes, (11, 31, 48), (half, beside, beside), strict=True)
        ),
        *(Text(x, 48 * unit, _tick(value, scale), 12 * unit, align) for value, x, align in ends),
    )
    return Strip(width, round(62 * unit), texts, (Box(left, top, right, bottom, scale.colormap),))


def _tick(value: float, scale: Scale) -> str:
    """A value of the colour bar as it is written there."""
    if scale.logarithmic and value < 0.01:
        return f"{value:.0e}".replace("e-0", "e-")
    return number(value, scale.vmax - scale.vmin)


def named_colours(names: Names, note: str, width: int) -> Strip:
    """Names, each behind a square of its colour, in columns; the note at the right below them."""
    unit = _unit(width)
    columns = max(1, int(width // (128 * unit)))
    cell, side = width / columns, round(12 * unit)
    height = round((-(-len(names) // columns) * 20 + (36 if note else 16)) * unit)
    texts, boxes = [], []
    for place, (name, colour) in enumerate(names):
        x, y = place % columns * cell + 14 * unit, ((place // columns + 0.5) * 20 + 6) * unit
        left, top = round(x), round(y - 6 * unit)
        texts.append(Text(x + 18 * unit, y, name, 12 * unit, "left", cell - 36 * unit))
        boxes.append(Box(left, top, left + side, top + side, colour))
    texts.append(Text(width - 24 * unit, height - 14 * unit, note, 12 * unit, "right", width - 48 * unit))
    return Strip(width, height, tuple(texts), tuple(boxes))


def number(value: float, span: float) -> str:
    """The value with as many decimals as a range of this span needs, so that ±9.8 is not ±10, and a true minus sign."""
    if span >= 1e6 or span < 1e-5:
        return f"{value:.2g}".replace("-", "−")
    decimals = max(int(span < 100), 1 - int(np.floor(np.log10(span))))
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def _unit(width: int) -> float:
    """Pixels that 1/1,024 of the width stands for; letters of small pictures are larger."""
    return max(width / 1024, 0.45)
