"""Letters in pictures: one font, one line, no wider than there is room, and names that never cover each other."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; of a line its two ends."""

_AROUND, _TALL = 0.3, 1.3
"""Room left and right of a name, and its height, in sizes."""
_RINGS = (1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 10.0, 13.0, 16.0)
"""Where a name may stand that has no room on its place: so many sizes away, nearest first."""
_TURNS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8)
"""In which direction: sixteenths of a turn from straight up."""


@dataclass(frozen=True)
class Name:
    """A name beside or on the place that it belongs to, in pixels."""

    at: int
    """Which of the places it is the name of."""
    x: float
    y: float
    """Its centre."""
    leader: tuple[float, float] | None
    """Where the line from its place ends at it; None where the name covers its place."""


def place_names(
    places: Sequence[tuple[float, float]], widths: Sequence[float], size: float, extent: tuple[float, float]
) -> list[Name]:
    """Where names go; the page does the same (api/web/names.js), and a test holds both to it.

    A name stands on its place, or else as near as it can so that it covers no other name, no other place and no other
    name's line. The first ones choose first; one without any room is left out.

    Args:
        places: x and y of what is named, most important first.
        widths: of the names.
        size: of the letters.
        extent: (width, height) of the picture, which no name leaves.
    """
    placed: list[Name] = []
    boxes: list[Box] = []
    lines: list[Box] = []
    for at, ((x, y), width) in enumerate(zip(places, widths, strict=True)):
        half, up = width / 2 + _AROUND * size, _TALL / 2 * size
        if not (0 <= x <= extent[0] and 0 <= y <= extent[1]):
            continue
        others = [place for other, place in enumerate(places) if other != at]
        for dx, dy in _candidates(half, up, size):
            box = (x + dx - half, y + dy - up, x + dx + half, y + dy + up)
            end = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
            line = (x, y, *end)
            if (
                box[0] < 0
                or box[1] < 0
                or box[2] > extent[0]
                or box[3] > extent[1]
                or any(_overlap(box, other) or _crosses(line, other) for other in boxes)
                or any(_crosses(other, box) for other in lines)
                or any(_inside(place, box) for place in others)
            ):
                continue
            boxes.append(box)
            if dx or dy:
                lines.append(line)
            placed.append(Name(at, x + dx, y + dy, end if dx or dy else None))
            break
    return placed


@lru_cache(maxsize=256)
def _candidates(half: float, up: float, size: float) -> list[tuple[float, float]]:
    """Where the centre of a name may be, from its place, first choice first."""
    found = [(0.0, 0.0)]
    for ring in _RINGS:
        for turn in _TURNS:
            angle = turn * math.pi / 8
            far = ring * size
            found.append((math.sin(angle) * (half + far), -math.cos(angle) * (up + far)))
    return found


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(place: tuple[float, float], box: Box) -> bool:
    return box[0] < place[0] < box[2] and box[1] < place[1] < box[3]


def _crosses(line: Box, box: Box) -> bool:
    """Whether a line from (x, y) to (x, y) has a part within a box (Liang and Barsky 1984)."""
    x, y, dx, dy = line[0], line[1], line[2] - line[0], line[3] - line[1]
    enters, leaves = 0.0, 1.0
    for step, room in ((-dx, x - box[0]), (dx, box[2] - x), (-dy, y - box[1]), (dy, box[3] - y)):
        if step == 0:
            if room <= 0:
                return False
        elif step < 0:
            enters = max(enters, room / step)
        else:
            leaves = min(leaves, room / step)
    return enters < leaves


@lru_cache(maxsize=32)
def font(size: float, bold: bool = True) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, at this size in pixels."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def fitted(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text on one line, ending in an ellipsis where it would be wider than `room` at this size."""
    text, face = one_line(text), font(size, bold)
    if face.getlength(text) <= room:
        return text
    while text and face.getlength(text + "…") > room:
        text = text[: min(len(text) - 1, int(len(text) * 0.95))]
    return text.rstrip() + "…"


def one_line(text: str) -> str:
    """The text without line breaks and characters that control the terminal or the writing direction."""
    kept = (" " if unicodedata.category(letter) in {"Cc", "Zl", "Zp"} else letter for letter in text)
    return "".join(letter for letter in kept if unicodedata.category(letter) not in {"Cf", "Cs"}).strip()
