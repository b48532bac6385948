"""Frequent concrete nouns: what the `lite` captioner can name."""

from pathlib import Path

from ...atlas.backbones.lite.lite import sentence_weights
from ...schemas.files import write_atomically
from .wordnet import WordNet

_SEEN = frozenset({"05", "06", "08", "13", "17", "18", "20"})
"""WordNet's lexical files of things one can see: animal, artifact, body, food, object, person, plant."""
_KINDS = frozenset({"06349220", "06362953", "06793231", "06828818", "06877078"})
"""Senses (WordNet 3.0's offsets) whose kinds count too: written language, writing, sign, letter, facial expression."""
_PERSON = "18"
_N_NOUNS, _N_PERSONS = 2600, 300
_SHORTEST = 3
_NOUN_SHARE = 0.45
"""Words that texts use less often as nouns are left out: `run`, `long`."""
_UNFIT = frozenset(
    {"ass", "bastard", "bitch", "clit", "cock", "condom", "crotch", "cum", "dick", "fanny", "nipple", "penis", "pussy"}
    | {"slut", "sperm", "vagina", "whore"}
)
"""Words that nobody wants to see as labels on a shared screen."""
_N_SENSES = 2
"""So many of a word's most frequent senses are looked at: a letter is a missive first, and then of the alphabet."""


def concrete_nouns(home: Path) -> list[str]:
    """Nouns for things that can be seen, the most frequent first; at most 2,600, kept in the home folder.

    One of a noun's two most frequent senses must be an animal, an artifact, a part of the body, a food, a natural
    object, a person, a plant, something written or a facial expression, and texts must use the word mostly as a noun.
    How frequent words are is taken from the order of MiniLM's own vocabulary, which is newer than WordNet's counts.

    Raises:
        NotFoundError: WordNet is neither installed nor to be fetched.
    """
    kept = home / "vocabulary.txt"
    if kept.exists():
        return kept.read_text(encoding="utf-8").split("\n")
    words = (sentence_weights() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    nouns = _choose(WordNet.find(home), words)
    write_atomically(kept, lambda file: file.write("\n".join(nouns).encode()))
    return nouns


def _choose(wordnet: WordNet, words: list[str]) -> list[str]:
    chosen, n_persons = [], 0
    for word in words:
        if word not in wordnet.senses_of or word in _UNFIT or not word.isalpha() or len(word) < _SHORTEST:
            continue
        offsets, uses = wordnet.senses_of[word][:_N_SENSES], wordnet.uses[word]
        seen = [o for o in offsets if wordnet.senses[o].lexical_file in _SEEN or _KINDS & wordnet.ancestors(o)]
        if not seen:
            continue
        sense = wordnet.senses[seen[0]]
        if sense.is_name or any(other != word and other.lower() == word for other in sense.words):
            continue
        if uses["1"] < _NOUN_SHARE * sum(uses.values()) or _is_plural(word, wordnet):
            continue
        n_persons += sense.lexical_file == _PERSON
        if sense.lexical_file == _PERSON and n_persons > _N_PERSONS:
            continue
        chosen.append(word)
        if len(chosen) == _N_NOUNS:
            break
    return chosen


def _is_plural(word: str, wordnet: WordNet) -> bool:
    """Whether a word is listed as a noun of its own but is another's plural: `arms`, `glasses`."""
    return word.endswith("s") and not word.endswith("ss") and word[:-1] in wordnet.senses_of
