"""WordNet's nouns, from the text files of Debian's wordnet-base."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voxel_atlas.ingest.simulated.scenes.debian_packages import package_root
from voxel_atlas.schemas.errors import NotFoundError

_FOLDER = "usr/share/wordnet"


@dataclass(frozen=True)
class Sense:
    """One meaning of some words."""

    lexical_file: str
    """Number of the lexical file: 05 animals, 06 artifacts, 13 food … (WordNet's lexnames)."""
    words: tuple[str, ...]
    broader: tuple[str, ...]
    """Offsets of the senses that this one is a kind of."""
    is_name: bool
    """An instance, such as a city, and not a kind of thing."""


class WordNet:
    """Senses of nouns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def find(cls, home: Path) -> "WordNet":
        """The system's WordNet, or a copy in home/pictures, fetched when it is not there.

        Raises:
            NotFoundError: it is neither installed nor to be fetched.
        """
        root = package_root("wordnet-base", f"{_FOLDER}/data.noun", (".noun",), home / "pictures")
        if root is None:
            raise NotFoundError(
                "WordNet's files are not there: install Debian's wordnet-base, or connect to a Debian mirror once."
            )
        return cls(root / _FOLDER)

    @cached_property
    def senses(self) -> dict[str, Sense]:
        """Offset → sense."""
        senses = {}
        for fields in self._fields("data.noun"):
            n_words = int(fields[3], 16)
            pointers = fields[5 + 2 * n_words :]
            kinds = list(zip(pointers[::4], pointers[1::4], strict=False))
            senses[fields[0]] = Sense(
                lexical_file=fields[1],
                words=tuple(fields[4 + 2 * i] for i in range(n_words)),
                broader=tuple(offset for kind, offset in kinds if kind == "@"),
                is_name=any(kind == "@i" for kind, _ in kinds),
            )
        return senses

    @cached_property
    def senses_of(self) -> dict[str, tuple[str, ...]]:
        """Word (spaces as underscores) → offsets of its senses, the most frequent first."""
        return {fields[0]: tuple(fields[-int(fields[2]) :]) for fields in self._fields("index.noun")}

    def ancestors(self, offset: str) -> set[str]:
        """A sense and all that it is a kind of."""
        found, waiting = set(), [offset]
        while waiting:
            sense = waiting.pop()
            if sense not in found:
                found.add(sense)
                waiting += self.senses[sense].broader
        return found

    def _fields(self, name: str) -> Iterator[list[str]]:
        for line in (self._folder / name).read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):  # the licence is indented
                yield line.split(" | ")[0].split()
