"""Cut-outs from a colour emoji font: thousands of named pictures of people, food, places, animals and things."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from fontTools.ttLib import TTFont

from .categories import DOUBTFUL_EMOJI, EMOJI_CONCEPTS, portrait
from .cutouts import CutOut

_LINE = re.compile(r"([0-9A-F ]+?) *; fully-qualified +# \S+ E\S+ (.+)")
_SKIN = re.compile(r"(, |: )?[a-z-]+ skin tone(, [a-z-]+ skin tone)?")
_VARIATION_SELECTOR = 0xFE0F
_LIGATURE = 4
"""Lookup type of ligature substitutions in an OpenType GSUB table."""

# Without Unicode's list of names: blocks of characters, and the subgroup that stands for them.
_BLOCKS = (
    (0x1F600, 0x1F637, "face-smiling"),
    (0x1F641, 0x1F644, "face-concerned"),
    (0x1F910, 0x1F917, "face-hand"),
    (0x1F920, 0x1F92F, "face-unwell"),
    (0x1F466, 0x1F469, "person"),
    (0x1F3C2, 0x1F3C4, "person-sport"),
    (0x1F3CA, 0x1F3CC, "person-sport"),
    (0x1F442, 0x1F44F, "hands"),
    (0x1F345, 0x1F353, "food-fruit"),
    (0x1F954, 0x1F955, "food-vegetable"),
    (0x1F354, 0x1F35D, "food-prepared"),
    (0x1F366, 0x1F36F, "food-sweet"),
    (0x1F375, 0x1F37A, "drink"),
    (0x1F3D4, 0x1F3DE, "place-geographic"),
    (0x1F3E0, 0x1F3EF, "place-building"),
    (0x1F400, 0x1F43C, "animal-mammal"),
    (0x1F331, 0x1F343, "plant-other"),
    (0x1F680, 0x1F6A4, "transport-ground"),
    (0x1F527, 0x1F52B, "tool"),
    (0x1F3B7, 0x1F3BB, "musical-instrument"),
    (0x1F452, 0x1F462, "clothing"),
)


def emoji_cutouts(font: Path, names: Path | None) -> list[CutOut]:
    """The pictures of a font that show one thing beyond doubt.

    Args:
        font: a font that holds emoji as bitmaps (CBDT), as Noto Color Emoji does.
        names: Unicode's emoji-test.txt; without it, the characters that Python itself can name.

    Returns:
        One cut-out a name, with a picture for each skin colour; none where the font holds no bitmaps.
    """
    with TTFont(font, lazy=True) as opened:
        if "CBDT" not in opened:
            return []
        listed = _listed(names) if names else _from_python()
        pictures = _Pictures(opened)
        sources: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        for characters, name, subgroup in listed:
            concept = EMOJI_CONCEPTS.get(subgroup)
            plain = _SKIN.sub("", name).replace(", ", ": ")
            if concept is None or plain in DOUBTFUL_EMOJI:
                continue
            concept = portrait(plain) if concept == "person" else concept
            if concept is not None and (picture := pictures.of(characters)):
                sources[plain, concept].append(picture)
    return [
        CutOut(f"emoji/{name}", _description(name, concept), concept, tuple(pictures))
        for (name, concept), pictures in sources.items()
    ]


def _description(name: str, concept: str) -> str:
    name = name.replace("keycap: ", "the number ").replace(":", " with")
    return f"the face of a {name}" if concept.endswith("'s face") else name


def _listed(names: Path) -> Iterator[tuple[list[int], str, str]]:
    """(code points, name, subgroup) of every line of emoji-test.txt that font and reader agree on."""
    subgroup = ""
    for line in names.read_text(encoding="utf-8").splitlines():
        if line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ").replace(" ", "")
        elif match := _LINE.match(line):
            yield [int(code, 16) for code in match[1].split()], match[2], subgroup


def _from_python() -> Iterator[tuple[list[int], str, str]]:
    for first, last, subgroup in _BLOCKS:
        for code in range(first, last + 1):
            if name := unicodedata.name(chr(code), ""):
                yield [code], name.lower(), subgroup


class _Pictures:
    """The bitmaps of a font by sequences of characters."""

    def __init__(self, font: TTFont) -> None:
        self._glyphs = font.getBestCmap()
        self._bitmaps = font["CBDT"].strikeData[0]
        self._ligatures = {
            (first, *ligature.Component): ligature.LigGlyph
            for lookup in (font["GSUB"].table.LookupList.Lookup if "GSUB" in font else ())
            if lookup.LookupType == _LIGATURE
            for table in lookup.SubTable
            for first, ligatures in table.ligatures.items()
            for ligature in ligatures
        }

    def of(self, characters: list[int]) -> bytes | None:
        """The PNG file of a sequence; None where the font has none."""
        glyphs = tuple(self._glyphs.get(code) for code in characters if code != _VARIATION_SELECTOR)
        glyph = glyphs[0] if len(glyphs) == 1 else self._ligatures.get(glyphs)
        bitmap = self._bitmaps.get(glyph)
        return bitmap.imageData if bitmap is not None else None
