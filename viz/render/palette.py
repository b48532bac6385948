"""The 256 colours of a palette picture: background, curvature, a colormap, and lines and letters blended over them."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .colormaps import colours
from .overlay import Overlay

BACKGROUND = 0
SHADES = 7
FIRST_SHADE = 1
FIRST_COLOUR = FIRST_SHADE + SHADES
COLOURS = 200
"""Slots for a colormap. Its 256 colours share them; those of a gradient are off by 1 of 255 in a channel at most."""
LETTERS = np.array([BACKGROUND, 253, 254, 255], np.uint8)
"""Slots from no letter to all letter, for anti-aliased text on the background."""

_WHITE = FIRST_COLOUR + COLOURS
_FIRST_BLEND = _WHITE + 1
_BLENDS = ((0.67, 0.6), (0.33, 0.6), (0.0, 0.55), (0.0, 0.25))
"""(white, dark) of the four blends; 11 colours stand for all that lies below."""
_BUCKETS = 11
_SULCUS, _GYRUS = 140, 196
_INK = 38


@lru_cache(maxsize=1)
def _buckets() -> NDArray[np.uint8]:
    """Slot → which of the 11 stand-ins it is blended as: background, two shades, eight parts of the colormap."""
    bucket = np.zeros(256, np.uint8)
    bucket[FIRST_SHADE:FIRST_COLOUR] = 1 + (np.arange(SHADES) > SHADES // 2)
    bucket[FIRST_COLOUR:_WHITE] = 3 + np.arange(COLOURS) * (_BUCKETS - 3) // COLOURS
    return bucket


@lru_cache(maxsize=1)
def _blended() -> NDArray[np.uint8]:
    """(6, 256) uint8: row 0 leaves a slot as it is, 1 to 4 blend it, 5 makes it white."""
    table = np.empty((2 + len(_BLENDS), 256), np.uint8)
    table[0], table[-1] = np.arange(256), _WHITE
    for kind in range(len(_BLENDS)):
        table[1 + kind] = _FIRST_BLEND + _BUCKETS * kind + _buckets()
    return table


@lru_cache(maxsize=16)
def _touched(drawn: Overlay) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The overlay's pixels as positions in the picture, and where each one's row of `_blended` begins."""
    kinds = np.select(
        [drawn.white > 0.83, drawn.white > 0.5, drawn.white > 0.17, drawn.dark > 0.4, drawn.dark > 0.12],
        [5, 1, 2, 3, 4],
        0,
    )
    return drawn.rows * drawn.shape[1] + drawn.columns, 256 * kinds


def draw_lines(slots: NDArray[np.uint8], drawn: Overlay) -> None:
    """Blend an overlay into (h, w) slots, in place."""
    positions, begins = _touched(drawn)
    flat = slots.reshape(-1)
    flat[positions] = _blended().ravel().take(begins + flat.take(positions, mode="clip"), mode="clip")


@lru_cache(maxsize=64)
def colour_slots(colormap: str) -> NDArray[np.uint8]:
    """The slot of each of the colormap's 256 colours; neighbours that hardly differ share one."""
    exact = colours(colormap).astype(np.int16)
    spread = 0  # twice the greatest error
    while True:
        slots, low, high = [0], exact[0], exact[0]
        for colour in exact[1:]:
            low, high = np.minimum(low, colour), np.maximum(high, colour)
            if (high - low).max() > spread:
                low = high = colour
                slots.append(slots[-1] + 1)
            else:
                slots.append(slots[-1])
        if slots[-1] < COLOURS:
            return (FIRST_COLOUR + np.array(slots)).astype(np.uint8)
        spread += 1


@lru_cache(maxsize=64)
def palette(colormap: str, transparent: bool) -> NDArray[np.uint8]:
    """The palette, (256, 4) uint8 RGBA; the background is white or clear."""
    table = np.full((256, 4), 255, np.uint8)
    shades = np.linspace(_SULCUS, _GYRUS, SHADES)
    table[FIRST_SHADE:FIRST_COLOUR, :3] = np.rint(shades)[:, None]
    exact, slots = colours(colormap).astype(np.int16), colour_slots(colormap)
    for slot in range(FIRST_COLOUR, _WHITE):
        members = exact[slots == slot] if slot <= slots[-1] else exact[-1:]
        table[slot, :3] = (members.min(0) + members.max(0)) // 2
    table[BACKGROUND, 3] = 0 if transparent else 255
    below = np.array([table[_buckets() == bucket, :3][:COLOURS].mean(0) for bucket in range(_BUCKETS)])
    below[0] = 255
    for kind, (white, dark) in enumerate(_BLENDS):
        start = _FIRST_BLEND + _BUCKETS * kind
        table[start : start + _BUCKETS, :3] = np.rint(below * (1 - dark) * (1 - white) + 255 * white)
    for step, slot in enumerate(LETTERS[1:], start=1):
        share = step / (len(LETTERS) - 1)
        table[slot, :3] = _INK if transparent else round(255 + (_INK - 255) * share)
        table[slot, 3] = round(255 * share) if transparent else 255
    table.setflags(write=False)
    return table


def shades(curvature: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Slots of the curvature's greys: sulci dark, gyri light."""
    return (FIRST_SHADE + curvature.astype(np.uint16) * SHADES // 256).astype(np.uint8)
