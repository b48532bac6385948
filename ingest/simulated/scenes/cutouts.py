"""A cut-out: one picture of one thing, without its surroundings, and what it is called."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PIL_Image

RGBA = NDArray[np.uint8]
"""A picture with opacity, (height, width, 4)."""
Source = Path | bytes | Callable[[np.random.Generator], RGBA]
"""A picture file, its content, or what draws it anew each time."""
Half = Literal["A", "B"]

_LONGEST_SIDE = 192


@dataclass(frozen=True)
class CutOut:
    """A thing that can be pasted into scenes."""

    name: str
    """Unique; pictures that differ in skin colour only share it."""
    description: str
    """What a person would call it, in a few words."""
    concept: str
    """One of those of `categories`."""
    sources: tuple[Source, ...]
    """Its pictures; each use takes one of them."""

    @property
    def half(self) -> Half:
        """The half that it belongs to, for ever."""
        return half_of(self.name)

    @property
    def held_out(self) -> bool:
        """Whether it is one of the quarter that only pictures to test on show, so that no outline is known there."""
        return hashlib.sha256(f"part {self.name}".encode()).digest()[0] < 64

    def picture(self, rng: np.random.Generator) -> RGBA:
        """One of its pictures, cut to what is not transparent, at most 192 pixels wide or high."""
        source = self.sources[rng.integers(len(self.sources))]
        return source(rng) if callable(source) else _read(source)


def half_of(name: str) -> Half:
    """A or B by a hash of a name."""
    return "A" if hashlib.sha256(name.encode()).digest()[0] % 2 else "B"


@lru_cache(maxsize=4096)
def _read(source: Path | bytes) -> RGBA:
    with PIL_Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
        picture.thumbnail((2 * _LONGEST_SIDE, 2 * _LONGEST_SIDE))
        coloured = picture.convert("RGBA")
    visible = coloured.getchannel("A").point(lambda opacity: 255 if opacity > 8 else 0).getbbox()
    if visible is not None:
        coloured = coloured.crop(visible)
    coloured.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(coloured)
