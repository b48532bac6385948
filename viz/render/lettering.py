"""Letters in pictures: one font, one line, no wider than there is room."""

import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont


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
