"""Frequent concrete nouns: what the `lite` captioner can name. From WordNet's text files (Debian's wordnet-base)."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from atlas.files import write_atomically
from ingest.scenes.packages import package_root
from schemas.errors import NotFoundError

_FOLDER = "usr/share/wordnet"
_FILES = {"05": "animal", "06": "artifact", "08": "body", "13": "food", "17": "object", "18": "person", "20": "plant"}
"""WordNet's lexical files (lexnames) that hold things one can see."""
_N_NOUNS, _N_PERSONS = 2000, 350
_SHORTEST = 3
_NOUN_SHARE = 0.7
"""Words that texts use less often as nouns are left out: `run`, `long`."""
_MIN_COUNT = 1


@dataclass(frozen=True)
class _Sense:
    lexical_file: str
    words: tuple[str, ...]
    is_name: bool
    """An instance, such as a city, and not a kind of thing."""


def concrete_nouns(home: Path) -> list[str]:
    """About 2,000 nouns for things that can be seen, the most frequent first; kept in the home folder.

    A noun's first sense must be an animal, an artifact, a part of the body, a food, a natural object, a person or a
    plant, and texts must use the word mostly as a noun.

    Raises:
        NotFoundError: WordNet is neither installed nor to be fetched.
    """
    kept = home / "vocabulary.txt"
    if kept.exists():
        return kept.read_text(encoding="utf-8").split("\n")
    root = package_root("wordnet-base", f"{_FOLDER}/data.noun", (".noun", ".rev"), home / "pictures")
    if root is None:
        raise NotFoundError(
            "WordNet's files are not there: install Debian's wordnet-base, or connect to a Debian mirror once."
        )
    nouns = _choose(root / _FOLDER)
    write_atomically(kept, lambda file: file.write("\n".join(nouns).encode()))
    return nouns


def _choose(folder: Path) -> list[str]:
    senses, first_sense = _senses(folder / "data.noun"), _first_senses(folder / "index.noun")
    counts = _counts(folder / "cntlist.rev")
    chosen, persons = [], 0
    for word in sorted(counts, key=lambda word: (-counts[word]["1"], word)):
        if word not in first_sense or not word.isalpha() or len(word) < _SHORTEST:
            continue
        sense, uses = senses[first_sense[word]], counts[word]
        if sense.lexical_file not in _FILES or sense.is_name or uses["1"] < _MIN_COUNT:
            continue
        if uses["1"] < _NOUN_SHARE * sum(uses.values()) or any(w != word and w.lower() == word for w in sense.words):
            continue
        if sense.lexical_file == "18":
            persons += 1
            if persons > _N_PERSONS:
                continue
        chosen.append(word)
        if len(chosen) == _N_NOUNS:
            break
    return chosen


def _lines(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[0].split() for line in lines if not line.startswith("  ")]  # the licence is indented


def _senses(path: Path) -> dict[str, _Sense]:
    senses = {}
    for fields in _lines(path):
        n_words = int(fields[3], 16)
        words = tuple(fields[4 + 2 * i] for i in range(n_words))
        pointers = fields[5 + 2 * n_words :]
        senses[fields[0]] = _Sense(fields[1], words, "@i" in pointers[::4])
    return senses


def _first_senses(path: Path) -> dict[str, str]:
    """Word → offset of its most frequent sense."""
    return {fields[0]: fields[-int(fields[2])] for fields in _lines(path)}


def _counts(path: Path) -> dict[str, dict[str, int]]:
    """Word → part of speech (1 noun, 2 verb, 3 adjective …) → how often texts used it so."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        word, _, sense = key.partition("%")
        counts[word][sense[0]] += int(count)
    return counts
