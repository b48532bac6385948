"""A network for `voxel_atlas.demo()`: it reads cards, coloured squares that stand for words, and nothing else.

Real networks need real pictures and minutes. This one's text tower is that of `lite`, so that any word can be asked
for; its image tower knows a card's word by the card's colour, at each of 8 × 8 positions of a picture.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..interface import Box, Floats, Image, Readout
from ..products import weighted
from .lite import DIM, PROMPTS, prompted, sentence_weights

if TYPE_CHECKING:
    from .minilm import SentenceTower

_CARD_WORDS = """
    face smile man woman child runner dancer swimmer athlete hand finger house church castle tower bridge mountain beach
    forest apple banana carrot tomato pizza sandwich soup cake cookie coffee wine word newspaper letter number book dog
    cat bird horse fish tree flower car train boat airplane shirt shoe hammer guitar chair clock ball lamp computer
"""
CARD_WORDS = tuple(_CARD_WORDS.split())
"""Words that a card can bear."""
_GRID = 8
_SAMPLES = 6
"""Pixels a side by which a position is judged."""
_LOWEST, _STEP, _LEVELS = 64, 40, 5
"""Values of a colour's red, green and blue."""


def _code(word: int) -> int:
    """Which of all colours a word has: a step without a common divisor with their number spreads neighbours apart."""
    return 1 + word * 41 % (_LEVELS**3 - 1)


_WORD_OF = np.array(
    [{_code(word): word for word in range(len(CARD_WORDS))}.get(code, len(CARD_WORDS)) for code in range(_LEVELS**3)]
)
"""Code of a colour → the number of its word."""


def colour(word: int) -> tuple[int, int, int]:
    """The colour of a card, by the number of its word."""
    code = _code(word)
    return tuple(_LOWEST + _STEP * (code // _LEVELS**place % _LEVELS) for place in range(3))


class WordCards:
    """See atlas.backbones.interface.Backbone."""

    name, dim, has_text = "word-cards", DIM, True
    default_readout: Readout = "half"
    preprocessing = "6 × 6 pixels at each of 8 × 8 positions, by their colour"

    def __init__(self) -> None:
        weights = sentence_weights() / "model.safetensors"
        self.weights_file = weights
        said = repr((CARD_WORDS, PROMPTS, _GRID, _SAMPLES, weights.stat().st_size))
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()

    @classmethod
    def load(cls, name: str, *, weights: Path | None, device: str, home: Path) -> "WordCards":  # noqa: ARG003 - it has none
        """See BackboneClass."""
        return cls()

    @cached_property
    def _sentences(self) -> "SentenceTower":
        from .minilm import SentenceTower

        return SentenceTower(sentence_weights())

    @cached_property
    def _raw(self) -> NDArray[np.float64]:
        return prompted(self._sentences, CARD_WORDS)

    @cached_property
    def _vectors(self) -> NDArray[np.float64]:
        """Of each word and, last, of no card: (n_words + 1, 384)."""
        return np.concatenate([self.text(CARD_WORDS).astype(np.float64), np.zeros((1, DIM))])

    @staticmethod
    def words_on(image: Image) -> list[str]:
        """The words of the cards that a picture shows, most of it first."""
        counts = np.bincount(_read(image).ravel(), minlength=len(CARD_WORDS))[: len(CARD_WORDS)]
        return [CARD_WORDS[word] for word in np.argsort(-counts, kind="stable") if counts[word]]

    def local_features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the vector of the word that each of 8 × 8 positions shows, (n_images, 384, 8, 8)."""
        words = np.stack([_read(image) for image in images])
        return np.moveaxis(self._vectors[words], -1, 1).astype(np.float32)

    def features(self, images: Sequence[Image]) -> Floats:
        """See Backbone: the mean of `local_features`."""
        return np.asarray(self.local_features(images).mean(axis=(2, 3), dtype=np.float64), np.float32)

    def activation_maps(self, local: Floats, weights: Floats) -> Floats:
        """See Backbone."""
        return weighted(local, weights)

    def seen(self, width: int, height: int) -> Box:
        """See Backbone: all of it."""
        return 0, 0, width, height

    def text(self, texts: Sequence[str]) -> Floats:
        """See Backbone: mean of the prompts' vectors, less the mean of the cards' words."""
        centred = prompted(self._sentences, texts) - self._raw.mean(axis=0)
        return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float32)

    def knows_word(self, word: str) -> bool:
        """See WordList."""
        return self._sentences.knows_word(word)


def _read(image: Image) -> NDArray[np.int64]:
    """Number of the word that each position shows, (8, 8); the number of words where there is no card."""
    n = _GRID * _SAMPLES
    rows, columns = ((np.arange(n) + 0.5) * side // n for side in image.shape[:2])
    pixels = image[rows.astype(int)][:, columns.astype(int)].astype(np.int64)
    levels = ((pixels - _LOWEST + _STEP // 2) // _STEP).clip(0, _LEVELS - 1)
    exact = np.abs(pixels - _LOWEST - _STEP * levels).max(axis=2) <= _STEP // 4
    words = np.where(exact, _WORD_OF[levels @ _LEVELS ** np.arange(3)], len(CARD_WORDS))
    cell = (np.arange(n) // _SAMPLES)[:, None] * _GRID + np.arange(n) // _SAMPLES
    kinds = len(CARD_WORDS) + 1
    seen = np.bincount((cell * kinds + words).ravel(), minlength=_GRID**2 * kinds).reshape(-1, kinds)[:, :-1]
    found = np.where(seen.max(axis=1) >= _SAMPLES**2 // 4, seen.argmax(axis=1), len(CARD_WORDS))
    return found.reshape(_GRID, _GRID)
