"""What is to be seen in an image, as a sentence: BLIP, or the offline stand-in `lite`."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ...atlas.backbones.interface import Backbone, Floats, Image
from ...atlas.backbones.reloading import reloadable
from ...schemas.errors import BadInputError

_WORDS = 3
"""Nouns in a caption of the lite captioner."""
_BATCH = 16
"""Images that the lite captioner looks at at once, where it has to look."""


class Captioner(Protocol):
    """Describes images in English."""

    name: str
    """Kind and a hash of the settings, for example lite@1f03aa: another name means other captions."""

    def caption(self, images: Sequence[Image], features: Floats | None = None) -> list[str]:
        """Describe each image in one sentence.

        Args:
            images: May be lazy: a captioner that can work on features reads none.
            features: The images' features in the space of the model's backbone, (n_images, dim) float32, where known.

        Returns:
            A caption an image; an empty one where the captioner found nothing to say.
        """
        ...


def settings_name(kind: str, settings: dict[str, object]) -> str:
    """Name of a captioner or generator with its settings: kind@ and six digits of the settings' hash."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return f"{kind}@{hashlib.sha256(canonical.encode()).hexdigest()[:6]}"


class LiteCaptioner:
    """Names the concrete nouns nearest to an image in a shared image-text space: an offline stand-in for BLIP.

    Args:
        space: A backbone with a text tower.
        nouns: The vocabulary.
        features_are_mine: Whether the features given to `caption` are of `space`; otherwise the images are looked at.

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

    def caption(self, images: Sequence[Image], features: Floats | None = None) -> list[str]:
        """See Captioner."""
        if features is None or not self._features_are_mine:
            batches = [self._space.features(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
            features = np.concatenate(batches) if batches else np.empty((0, self._space.dim), np.float32)
        nearest = np.argsort(-(features @ self._vectors.T), axis=1, kind="stable")[:, :_WORDS]
        return [_sentence([self._nouns[word] for word in row]) for row in nearest]


def _sentence(nouns: Sequence[str]) -> str:
    things = [f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in nouns]
    return f"a photo of {', '.join(things[:-1])} and {things[-1]}"


@reloadable
def load_captioner(
    name: str, backbone: Backbone, home: Path, device: str = "auto", lite: Backbone | None = None
) -> Captioner:
    """Load the captioner of a name.

    Args:
        name: lite; blip; or a Hugging Face image-to-text model id or a folder that holds one.
        backbone: The model's backbone; the captioner `lite` reads its features when it is lite itself.
        home: The atlas's home folder.
        device: auto, cpu, cuda, cuda:1 …
        lite: The network lite, where it is loaded already.

    Raises:
        MissingWeightsError: The weights are not on this machine.
    """
    # What one captioner needs takes seconds to import, and the others do without it.
    if name == "lite":
        from ...atlas.backbones import load
        from ..simulated.noun_vocabulary import concrete_nouns

        mine = backbone.name == "lite"
        space = backbone if mine else lite or load("lite", device=device, home=home)
        return LiteCaptioner(space, concrete_nouns(home), features_are_mine=mine)
    from .blip import BlipCaptioner

    return BlipCaptioner(name, device)
