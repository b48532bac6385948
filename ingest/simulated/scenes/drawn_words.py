"""Cut-outs that hold words: drawn with fonts on signs and pages, anew at every use."""

from functools import lru_cache, partial
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as PIL_Image
from PIL import ImageDraw, ImageFont

from .cutouts import RGBA, CutOut

_FONT_NAMES = """
    DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSansMono DejaVuSansMono-Bold DejaVuSerif DejaVuSerif-Bold
    DejaVuSerif-Italic STIXGeneral STIXGeneralBol STIXGeneralItalic cmr10 cmb10 cmss10 cmtt10
"""
_WORD_LIST = """
    about above across action after again agree almost along always among answer around autumn away basic before
    begin behind believe better between beyond bright broad carry certain change clear close common concern daily
    decide deep different direct during early easy eight either enough equal even event every exact exit fair famous
    fast final first follow forward four free fresh friend full general gentle give glad good grand great grow half
    happen happy hello help here high honest hope idea inside just keep kind know large late lead learn less level
    likely little local long lucky main maybe mean member modern moment monday more morning much narrow nature near
    never next nice night noble noon normal north notice often only open order other over past perfect please plenty
    point possible private public quick quiet quite rapid rather ready real reason remember rich right round safe
    same save second seem seven several short simple since sincere slow small soft some soon south special spring
    start stay still strong such sudden summer sure take thank their these think this three through time today
    together true under until useful usual very visit wait warm welcome well west when where while wide will winter
    with wonder yes young your
"""
_FONTS, _WORDS = _FONT_NAMES.split(), _WORD_LIST.split()
_COLOURS = ((20, 20, 20), (150, 20, 30), (20, 60, 150), (10, 100, 50), (90, 20, 110), (245, 245, 240))
_PAPERS = (
    (250, 250, 245),
    (240, 225, 190),
    (205, 225, 245),
    (255, 215, 70),
    (200, 40, 40),
    (30, 60, 130),
    (25, 25, 25),
)


def lettering_cutouts() -> list[CutOut]:
    """Words, pages of words, letters and numbers; every word belongs to one half only."""
    words = [
        CutOut(f"word/{word}", "printed word on a sign", "printed word", (partial(_draw_sign, word),))
        for word in _WORDS
    ]
    # A page takes its words from a stretch of the list: which words they are is nothing that a small picture shows.
    pages = [
        CutOut(f"page/{n}", "page of writing", "page of writing", (partial(_draw_page, tuple(_WORDS[n::8])),))
        for n in range(8)
    ]
    letters = [
        CutOut(f"letter/{letter}", "letter", "letter", (partial(_draw_sign, letter),))
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ]
    numbers = [
        CutOut(f"number/{number}", "number", "number", (partial(_draw_sign, str(number)),)) for number in range(10, 60)
    ]
    return [*words, *pages, *letters, *numbers]


def _draw_sign(word: str, rng: np.random.Generator) -> RGBA:
    """A word in large letters, with or without a sign under it."""
    case = rng.integers(3)
    word = word.upper() if case == 0 else word.capitalize() if case == 1 else word
    font = _font(_FONTS[rng.integers(len(_FONTS))], 48)
    left, top, right, bottom = font.getbbox(word)
    width, height = int(right - left) + 24, int(bottom - top) + 24
    paper, ink = _paper_and_ink(rng)
    opacity = 255 if rng.random() < 0.6 else 0
    picture = PIL_Image.new("RGBA", (width, height), (*paper, opacity))
    ImageDraw.Draw(picture).text((12 - left, 12 - top), word, font=font, fill=(*ink, 255))
    return np.asarray(picture)


def _draw_page(words: tuple[str, ...], rng: np.random.Generator) -> RGBA:
    """Lines of words on a sheet of paper."""
    font = _font(_FONTS[rng.integers(len(_FONTS))], int(rng.integers(13, 20)))
    n_lines, words_a_line = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    drawn = [words[i] for i in rng.integers(len(words), size=n_lines * words_a_line)]
    lines = [" ".join(drawn[i::n_lines]) for i in range(n_lines)]
    paper, ink = _paper_and_ink(rng)
    ascent, descent = font.getmetrics()
    step = ascent + descent + 3
    width = int(max(font.getlength(line) for line in lines)) + 20
    picture = PIL_Image.new("RGBA", (width, n_lines * step + 16), (*paper, 255))
    draw = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        draw.text((10, 8 + n * step), line, font=font, fill=(*ink, 255))
    return np.asarray(picture)


def _paper_and_ink(rng: np.random.Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """A colour of the paper and one of the ink that stands out from it."""
    paper = _PAPERS[rng.integers(len(_PAPERS))]
    inks = [ink for ink in _COLOURS if abs(sum(ink) - sum(paper)) > 250]
    return paper, inks[rng.integers(len(inks))]


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font laid out by Pillow alone: by a library of the system, which is not everywhere, letters stand otherwise."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
