"""Pictures of a word, where no diffusion model is at hand: scenes of the A-half cut-outs that are described like it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...atlas.backbones.interface import Backbone, Floats, Image
from ..dissection.interface import drawable, settings_name
from .lite_captioner import lite_among
from .scenes.compose import compose
from .scenes.picture_library import PictureLibrary, load_pictures

NEAR = 0.5
"""Cosine of a word and a description from which on a cut-out may stand for the word."""
N_NEAREST = 6
"""Cut-outs at most that a word's collages are made of, beside those that are described like one of them."""
_BELOW_BEST = 0.12
"""Cut-outs that are less near than the nearest one by more are not used."""
_RECIPE = 2
"""Raised when the same seed would give another picture."""


class CollageGenerator:
    """Makes pictures for words from the calibration half; nothing that a simulated subject saw is in them.

    Many cut-outs share a description ("letter"), so that no vector tells which of them is nearest. Such equals stand
    for a word together, and each picture's seed draws among all of them: which cut-outs are used must not depend on the
    last digit of a cosine, as that depends on the processor and on what else is embedded in the same batch.

    Args:
        pictures: what collages are made of.
        tower: the network that compares words with the cut-outs' descriptions.
    """

    picture_bytes = 65_000
    """Of a picture on disk, measured on the demo."""

    def __init__(self, pictures: PictureLibrary, tower: Backbone) -> None:
        cutouts, self._photographs = sorted(pictures.of_half("A"), key=lambda cutout: cutout.name), pictures.photographs
        self._tower = tower
        self._descriptions = sorted({cutout.description for cutout in cutouts})
        self._vectors = tower.text(self._descriptions)
        self._described = [[c for c in cutouts if c.description == described] for described in self._descriptions]
        names = "\n".join(f"{cutout.name}\t{cutout.description}" for cutout in cutouts)
        made_of = hashlib.sha256(f"{_RECIPE} {names} {NEAR} {N_NEAREST} {tower.fingerprint}".encode()).hexdigest()
        self.name = settings_name("collage", {"pictures": made_of})

    @classmethod
    def load(cls, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> "CollageGenerator":  # noqa: ARG003
        """See `GeneratorClass`: with the pictures of Debian's packages and the network lite."""
        return cls(load_pictures(home), lite_among(loaded, home, "cpu"))

    def generate(self, requests: Sequence[tuple[str, Sequence[int]]]) -> list[list[Image] | None]:
        """See Generator; None where no cut-out is near the label."""
        vectors = self._tower.text([drawable(label) for label, _ in requests])
        return [self._of_word(vector, seeds) for vector, (_, seeds) in zip(vectors, requests, strict=True)]

    def _of_word(self, vector: Floats, seeds: Sequence[int]) -> list[Image] | None:
        nearness = self._vectors @ vector
        order = np.argsort(-nearness, kind="stable")[:N_NEAREST]
        near = [int(i) for i in order if nearness[i] >= max(NEAR, nearness[order[0]] - _BELOW_BEST)]
        # A description has as many places as cut-outs, until all are taken; the order of places is that of the words.
        places = sorted([i for i in near for _ in self._described[i]][:N_NEAREST])
        return [self._collage(places, seed) for seed in seeds] if places else None

    def _collage(self, places: Sequence[int], seed: int) -> Image:
        rng = np.random.default_rng(seed)
        described = [self._described[places[int(rng.integers(len(places)))]] for _ in range(1 + int(rng.integers(2)))]
        things = [equals[int(rng.integers(len(equals)))] for equals in described]
        return compose(things, rng, self._photographs).image
