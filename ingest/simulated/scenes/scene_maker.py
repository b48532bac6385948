"""Collages for a word: scenes made of the A-half cut-outs whose descriptions are nearest to it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....atlas.backbones import load
from ....atlas.backbones.interface import Backbone, Floats, Image
from .compose import compose
from .picture_library import load_pictures

NEAR = 0.5
"""Cosine of a word and a description from which on a cut-out may stand for the word."""
N_NEAREST = 6
"""Cut-outs at most that a word's collages are made of."""
_BELOW_BEST = 0.12
"""Cut-outs that are less near than the nearest one by more are not used."""


class SceneMaker:
    """Makes pictures for words from the calibration half; nothing that a simulated subject saw is in them."""

    def __init__(self, home: Path, lite: Backbone | None = None) -> None:
        """Read the pictures; `lite` is the network that compares words with them, where it is loaded already."""
        pictures = load_pictures(home)
        self._cutouts = pictures.of_half("A")
        self._photographs = pictures.photographs
        self._tower = lite or load("lite", device="cpu", home=home)
        self._descriptions = self._tower.text([cutout.description for cutout in self._cutouts])
        names = "\n".join(cutout.name for cutout in self._cutouts)
        self.fingerprint = hashlib.sha256(f"{names} {NEAR} {N_NEAREST} {self._tower.fingerprint}".encode()).hexdigest()

    def collages(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """For each label a picture for each of its seeds, or None where no cut-out is near the label."""
        vectors = self._tower.text([label for label, _ in requests])
        return [self._of_word(vector, seeds) for vector, (_, seeds) in zip(vectors, requests, strict=True)]

    def _of_word(self, vector: Floats, seeds: Sequence[int]) -> list[Image] | None:
        nearness = self._descriptions @ vector
        order = np.argsort(-nearness, kind="stable")[:N_NEAREST]
        near = [int(i) for i in order if nearness[i] >= max(NEAR, nearness[order[0]] - _BELOW_BEST)]
        return [self._collage(near, seed) for seed in seeds] if near else None

    def _collage(self, near: Sequence[int], seed: int) -> Image:
        rng = np.random.default_rng(seed)
        things = [self._cutouts[near[int(rng.integers(len(near)))]] for _ in range(1 + int(rng.integers(2)))]
        return compose(things, rng, self._photographs).image
