"""Concepts: words, and sums and differences of words, as unit vectors of a text tower's space (METHOD §6.1).

Text vectors share a large mean, so that a cosine with them ranks voxels by something that is the same for every word. A
concept is therefore a contrast: the sum of its terms' unit vectors less as many times the mean of a vocabulary.
"""

import functools
import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from ...schemas.errors import BadInputError
from ...schemas.tables import label_id
from ..backbones.interface import Backbone, Floats, Image, WordList
from ..backbones.products import unit_rows
from ..store.maintenance import require_model
from ..store.store import Store
from .baseline import Vocabulary
from .tables.model_row import ModelRow

MAX_LETTERS = 200
_PICTURES = 32
"""Pictures whose features are kept, and nothing else of them: one is asked for its map, its list and its nouns."""
_FAR, _FAR_WITHOUT_LIST = 0.1, 0.01
"""Share of the vocabulary's nouns that are as far from their nearest one as a word that is not known."""
_SHORTEST = 3
"""Letters of a word that may be a term of its own beside a hyphen."""
_SIGNS = "+-\u2212\u2013\u2014"
"""Plus and hyphen, and the minus sign and the dashes that word processors make of a hyphen."""
_NO_WORD = re.compile(r"^-|--|[+*\u2212\u2013\u2014]")
"""What a word does not hold, and a sum without its spaces does."""
Baseline = Literal["vocabulary", "none"]
"""What a concept is a contrast to."""


class Term(NamedTuple):
    """One word or phrase of a concept, added or taken away."""

    sign: int
    text: str


def parse_concept(concept: str) -> list[Term]:
    """The terms of a concept: "cake - kitchen + dog" is cake, less kitchen, and dog. A sign stands after a space.

    A minus sign or a dash that stands there is a "-".

    Raises:
        BadInputError: it is empty, longer than 200 characters, has a sign within a word or a factor, or a sign has no
            word on one of its sides.
    """
    if len(concept) > MAX_LETTERS:
        raise BadInputError(f"A concept has at most {MAX_LETTERS} characters, and this one has {len(concept)}.")
    words = concept.split()
    if not words:
        raise BadInputError('The concept is empty; give a word or a phrase, such as "cake" or "cake - kitchen".')
    terms: list[Term] = []
    sign, phrase = 1, list[str]()
    for word in [*words, "+"]:
        starts = word[0] in _SIGNS
        rest = word[1:] if starts else word
        if (starts and not phrase) or (rest and rest[-1] in _SIGNS):
            raise BadInputError(f"{concept!r}: a + or - needs a word on both of its sides, and a space before it.")
        if _NO_WORD.search(rest):
            raise BadInputError(
                f'{concept!r}: {word!r} is no word; give signs a space on both sides, as in "cake - kitchen", and no '
                "factors."
            )
        if not starts:
            phrase.append(word)
            continue
        terms.append(Term(sign, " ".join(phrase)))
        sign, phrase = (1 if word[0] == "+" else -1), [rest] if rest else []
    return terms


class TextTowers:
    """The backbones that concepts and pictures are embedded by; each is loaded when it is first needed, once."""

    def __init__(self, store: Store, home: Path, loader: Callable[..., Backbone]) -> None:
        self._store, self._home, self._loader = store, home, loader
        self._loaded: dict[str, Backbone] = {}
        self._lock = threading.Lock()
        self._word = functools.lru_cache(maxsize=8192)(self._embed)
        self._doubt = functools.lru_cache(maxsize=8192)(self._doubted)
        self._features = _once_for_each_picture(_PICTURES)
        self._vocabularies: dict[str, Vocabulary] = {}

    def backbone(self, name: str) -> Backbone:
        """The backbone of that name.

        Raises:
            NotFoundError: there is none.
            MissingWeightsError: its weights are not on this machine.
        """
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._loader(name, home=self._home)
            return self._loaded[name]

    def vocabulary(self, backbone: str) -> Vocabulary:
        """The nouns that concepts are held against: those in the atlas, or else the fixed list.

        Raises:
            BadInputError: the atlas's list has been changed.
        """
        # Not under the lock of the backbones: words whose vectors are stored need not wait for one that loads.
        known = self._vocabularies.get(backbone) or Vocabulary.stored(self._store, backbone)
        return self._vocabularies.setdefault(backbone, known or Vocabulary.of(self.backbone(backbone)))

    def concept(self, backbone: str, concept: str, baseline: Baseline = "vocabulary") -> Floats:
        """Unit vector of a concept, (dim,); arguments and errors as `contrast`."""
        return unit_rows(self.contrast(backbone, concept, baseline))

    def contrast(self, backbone: str, concept: str, baseline: Baseline = "vocabulary") -> NDArray[np.float64]:
        """A concept in the space of a backbone's text tower, (dim,), as long as sums and differences make it.

        Args:
            backbone: its name.
            concept: see `parse_concept`.
            baseline: vocabulary takes its mean off every term; none is the paper's way.

        Raises:
            BadInputError: the concept makes no sense, or joins two known words by a hyphen, or the backbone has no text
                tower.
        """
        terms = parse_concept(concept)
        for _, text in terms:
            self._check_hyphens(backbone, text)
        total = np.sum([sign * self._word(backbone, text).astype(np.float64) for sign, text in terms], axis=0)
        if baseline == "vocabulary" and (balance := sum(sign for sign, _ in terms)):
            total -= balance * self.vocabulary(backbone).baseline
        if float(np.linalg.norm(total)) < 1e-3:
            raise BadInputError(f"{concept!r} adds up to nothing; take away something else than what was added.")
        return np.asarray(total, np.float64)

    def warnings(self, backbone: str, concept: str) -> list[str]:
        """A sentence for each term of a concept that a backbone's text tower does not seem to know.

        That is one none of whose words is in the tower's list, and which is farther from its nearest noun of the
        vocabulary than nine in ten of its nouns are from theirs; 99 in 100 where a tower tells no list.
        """
        texts = dict.fromkeys(text for _, text in parse_concept(concept))
        return [sentence for text in texts if (sentence := self._doubt(backbone, text))]

    def _doubted(self, backbone: str, text: str) -> str:
        if self._stored(backbone, text) is not None:
            return ""
        vocabulary = self.vocabulary(backbone)
        if text in vocabulary.words:
            return ""
        tower, far = self.backbone(backbone), _FAR_WITHOUT_LIST
        if isinstance(tower, WordList):
            if any(tower.knows_word(word) for word in re.findall(r"\w+", text.lower())):
                return ""
            far = _FAR
        (cosines,) = vocabulary.centred(self._word(backbone, text)[None]) @ vocabulary.contrasts.T
        nearest = int(cosines.argmax())
        if cosines[nearest] >= np.quantile(vocabulary.spread, far):
            return ""
        return (
            f"The text tower of {backbone} does not seem to know {text!r}: the nearest of {len(vocabulary.words)} "
            f"nouns is {vocabulary.words[nearest]!r}, at {cosines[nearest]:.2f}; similarities to it say little."
        )

    def _check_hyphens(self, backbone: str, text: str) -> None:
        """Refuse "cake-kitchen": a difference without its spaces, or a phrase; "t-shirt" is neither.

        Words of fewer than three letters are parts of words, as in "close-up".
        """
        if "-" not in text or self._is_known(backbone, text):
            return
        for word in text.split():
            parts = word.split("-")
            if len(parts) == 1 or min(map(len, parts)) < _SHORTEST or self._is_known(backbone, word):
                continue
            if all(self._is_known(backbone, part) for part in parts):
                raise BadInputError(
                    f"{word!r} may be a difference or a phrase; write {' - '.join(parts)!r} or {' '.join(parts)!r}."
                )

    def _is_known(self, backbone: str, text: str) -> bool:
        """Whether a text is a label, a noun of the vocabulary, or a word that the text tower does not take apart."""
        text = text.lower()
        if self._stored(backbone, text) is not None or text in self.vocabulary(backbone).words:
            return True
        tower = self.backbone(backbone)
        return isinstance(tower, WordList) and tower.knows_word(text)

    def centred(self, model: ModelRow, image: Image) -> Floats:
        """Features of an image by a model's backbone, less the mean of its training images', (dim,).

        Raises:
            BadInputError: the model was fitted with other weights of its network.
            MissingWeightsError: the network's weights are not on this machine.
            NotFoundError: the model was removed.
        """
        backbone = self.backbone(model.backbone)
        fitted_with = model.settings.get("backbone_sha256")
        if fitted_with and fitted_with != backbone.fingerprint:
            raise BadInputError(
                f"{model.model_id} was fitted with other weights of {model.backbone} than these; pass the --weights "
                "of then, or ingest it again."
            )
        sql = "SELECT feature_mean FROM model WHERE model_id = ?"
        means = self._store.vectors(sql, [model.model_id], model.dim)
        if not len(means):
            require_model(self._store, model.model_id)
        centred: Floats = self._features(backbone, image) - means[0]
        return centred

    def _stored(self, backbone: str, text: str) -> Floats | None:
        sql = "SELECT vector FROM label_embedding WHERE label_id = ? AND backbone = ? LIMIT 1"
        stored = self._store.arrow(sql, [label_id(text), backbone])["vector"].to_pylist()
        return np.asarray(stored[0], np.float32) if stored else None

    def _embed(self, backbone: str, text: str) -> Floats:
        # The atlas holds its labels' vectors: for those, no network has to be loaded.
        stored = self._stored(backbone, text)
        vector = self.backbone(backbone).text([text])[0] if stored is None else stored
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise BadInputError(f"{backbone} has no vector for {text!r}; try another word.")
        return unit_rows(vector)


def _once_for_each_picture(n_kept: int) -> Callable[[Backbone, Image], Floats]:
    """A function that gives the features of an image by a backbone, (dim,), and keeps those of the last few.

    Who asks for an image that is in the network waits for it, as the page asks for its map and its list side by side.
    """

    def by_content(backbone: Backbone, image: Image) -> tuple[object, ...]:
        return backbone.fingerprint, np.shape(image), hashlib.sha256(np.ravel(image).data).digest()

    @cached(LRUCache[tuple[object, ...], Floats](n_kept), key=by_content, condition=threading.Condition())
    def features(backbone: Backbone, image: Image) -> Floats:
        pooled: Floats = backbone.features([image])[0]
        return pooled

    return features
