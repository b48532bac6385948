"""The world of `voxel_atlas.demo()`: pictures of two or three cards, each a word, drawn in milliseconds."""

import hashlib
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PIL_Image
from PIL import ImageDraw, ImageFont

from ...atlas.backbones.interface import Box, Image
from ...atlas.backbones.lite.word_cards import CARD_WORDS, WordCards, colour
from ...schemas.files import write_atomically
from ..dissection.interface import settings_name
from .scenes.compose import Thing
from .scenes.scene_set import SavedScene

SIDE = 256
_CARD = 104
_CONCEPT_OF = {
    "smiley": "face smile",
    "man's face": "man",
    "woman's face": "woman child",
    "athlete": "runner athlete",
    "person in motion": "dancer swimmer",
    "hand": "hand finger",
    "building": "house church castle tower bridge",
    "landscape": "mountain beach forest",
    "fruit": "apple banana",
    "vegetable": "carrot tomato",
    "meal": "pizza sandwich soup",
    "dessert": "cake cookie",
    "drink": "coffee wine",
    "printed word": "word",
    "page of writing": "newspaper book",
    "letter": "letter",
    "number": "number",
}
CONCEPT_OF = {word: concept for concept, words in _CONCEPT_OF.items() for word in words.split()}
"""A card's word → the concept that simulated voxels can be tuned to; those of other words are none's."""


def card_scenes(home: Path, n: int, seed: int = 0) -> list[SavedScene]:
    """Pictures of two or three cards on grey; made the first time, and the same in every home folder.

    Args:
        home: folder; pictures go to home/cards.
        n: how many.
        seed: another seed is another set.
    """
    scenes = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        words = rng.choice(len(CARD_WORDS), 2 + int(rng.random() < 0.5), replace=False).tolist()
        corners = rng.permutation(4)[: len(words)]
        boxes = [_placed(int(corner), rng) for corner in corners]
        content = _png(draw_cards(dict(zip(boxes, words, strict=True))))
        sha256 = hashlib.sha256(content).hexdigest()
        path = home / "cards" / f"{sha256}.png"
        if not path.exists():
            write_atomically(path, partial(_write, content))
        area = (_CARD / SIDE) ** 2
        things = [
            Thing(CARD_WORDS[word], CARD_WORDS[word], CONCEPT_OF.get(CARD_WORDS[word], "thing"), area, box)
            for box, word in zip(boxes, words, strict=True)
        ]
        scenes.append(SavedScene(path, sha256, tuple(things)))
    return scenes


def draw_cards(cards: dict[Box, int]) -> Image:
    """A picture, RGB, (256, 256, 3): cards by their places and the numbers of their words, on grey."""
    picture = PIL_Image.new("RGB", (SIDE, SIDE), (30, 30, 30))
    draw = ImageDraw.Draw(picture)
    for (left, top, right, bottom), word in cards.items():
        draw.rectangle((left, top, right - 1, bottom - 1), colour(word))
        middle = ((left + right) / 2, (top + bottom) / 2)
        draw.text(middle, CARD_WORDS[word], (0, 0, 0), ImageFont.load_default(19), "mm")
    return np.asarray(picture)


class CardGenerator:
    """Draws cards of labels, and nothing of a word that no card bears; see `ingest.dissection.interface.Generator`."""

    name = settings_name("cards", {"words": CARD_WORDS, "side": _CARD})

    def generate(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """See Generator."""
        return [self._of(label, seeds) if label in CARD_WORDS else None for label, seeds in requests]

    def _of(self, label: str, seeds: Sequence[int]) -> list[Image]:
        rngs = [np.random.default_rng(seed) for seed in seeds]
        return [draw_cards({_placed(int(rng.integers(4)), rng): CARD_WORDS.index(label)}) for rng in rngs]


class CardReader:
    """Captions that name the cards that can be seen; see `ingest.dissection.interface.Captioner`."""

    def __init__(self, network: WordCards) -> None:
        self.name = settings_name("cards", {"words": CARD_WORDS})
        self._network = network

    def caption(self, images: Sequence[Image], features: object = None) -> list[str]:  # noqa: ARG002 - it reads them itself
        """See Captioner."""
        seen = [self._network.words_on(image) for image in images]
        return [f"a picture of {' and '.join(f'a {word}' for word in words)}" if words else "" for words in seen]


def _placed(corner: int, rng: np.random.Generator) -> Box:
    """Where a card lies, in one of four quarters of a picture."""
    left, top = (half * SIDE // 2 + int(rng.integers(SIDE // 2 - _CARD)) for half in divmod(corner, 2))
    return left, top, left + _CARD, top + _CARD


def _write(content: bytes, out: BinaryIO) -> None:
    out.write(content)


def _png(image: Image) -> bytes:
    encoded = io.BytesIO()
    PIL_Image.fromarray(image).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
