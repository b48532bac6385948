"""Sentences that name the nouns nearest to an image in the space of `lite`: a stand-in for BLIP without a download."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...atlas.backbones import load
from ...atlas.backbones.interface import Backbone, Floats, Image
from ...atlas.backbones.lite.lite import Lite
from ...atlas.backbones.products import inner_products
from ...schemas.errors import BadInputError
from ..dissection.interface import settings_name
from ..dissection.word_lists import depictable_nouns

_WORDS = 3
"""Nouns in a caption."""
_BATCH = 16
"""Images that are looked at at once, where they have to be."""


class LiteCaptioner:
    """Names the depictable nouns nearest to an image in a shared image-text space; see `Captioner`.

    Args:
        space: a backbone with a text tower.
        nouns: the vocabulary.
        features_are_mine: whether the features given to `caption` are of `space`; otherwise the images are looked at.

    Raises:
        BadInputError: `space` has no text tower, or there are fewer nouns than a caption has.
    """

    def __init__(self, space: Backbone, nouns: Sequence[str], *, features_are_mine: bool) -> None:
        if not space.has_text:
            raise BadInputError(f"The lite captioner needs a text tower, and {space.name} has none; use lite or CLIP.")
        if len(nouns) < _WORDS:
            raise BadInputError(f"The lite captioner needs at least {_WORDS} nouns and got {len(nouns)}.")
        vocabulary = hashlib.sha256("\n".join(nouns).encode()).hexdigest()
        self.name = settings_name("lite", {"space": space.fingerprint, "nouns": vocabulary, "words": _WORDS})
        self._space = space
        self._nouns = list(nouns)
        self._features_are_mine = features_are_mine
        self._vectors = space.text(self._nouns)

    @classmethod
    def load(cls, name: str, *, loaded: tuple[Backbone, ...], home: Path, device: str) -> "LiteCaptioner":  # noqa: ARG003
        """See `CaptionerClass`: on the network lite and the depictable nouns."""
        space = lite_among(loaded, home, device)
        return cls(space, depictable_nouns(), features_are_mine=space is loaded[0])

    def caption(self, images: Sequence[Image], features: Floats | None = None) -> list[str]:
        """See Captioner."""
        if features is None or not self._features_are_mine:
            batches = [self._space.features(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
            features = np.concatenate(batches) if batches else np.empty((0, self._space.dim), np.float32)
        nearest = np.argsort(-inner_products(features, self._vectors), axis=1, kind="stable")[:, :_WORDS]
        return [_sentence([self._nouns[word] for word in row]) for row in nearest]


def _sentence(nouns: Sequence[str]) -> str:
    things = [f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in nouns]
    return f"a photo of {', '.join(things[:-1])} and {things[-1]}"


def lite_among(loaded: Sequence[Backbone], home: Path, device: str) -> Backbone:
    """The network lite: the one that is loaded already, or else another.

    Raises:
        MissingWeightsError: it is not calibrated.
    """
    return next((backbone for backbone in loaded if backbone.name == Lite.name), None) or load(
        Lite.name, device=device, home=home
    )
