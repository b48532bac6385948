"""The nouns that concepts are held against, and what of a text tower's space they stand for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np

from ...schemas.errors import BadInputError
from ..backbones.interface import Backbone, Floats
from ..backbones.products import unit_rows
from ..store.store import Store


@cache
def nouns() -> tuple[str, ...]:
    """The fixed list: frequent concrete nouns, drawn from WordNet without an eye to any category."""
    return tuple(files(__package__).joinpath("nouns.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A list of nouns in the space of a text tower."""

    words: Sequence[str]
    vectors: Floats
    """Unit vectors, not centred, (n_words, dim)."""

    @classmethod
    def of(cls, tower: Backbone) -> "Vocabulary":
        """The fixed list, embedded by a text tower under the prompt of its queries; in the order of `stored`."""
        words = sorted(nouns())
        return cls(words, unit_rows(tower.text(words)))

    @classmethod
    def stored(cls, store: Store, backbone: str) -> "Vocabulary | None":
        """The list that an atlas holds of a text tower; None where it holds none.

        Raises:
            BadInputError: it has been changed since.
        """
        baseline = store.arrow(
            "SELECT vocabulary_sha256, len(vector) AS dim FROM baseline WHERE backbone = ?", [backbone]
        )
        if not baseline.num_rows:
            return None
        sql = "FROM vocabulary WHERE backbone = ? ORDER BY word"
        words = store.arrow("SELECT word " + sql, [backbone])["word"].to_pylist()
        vectors = store.vectors("SELECT vector " + sql, [backbone], baseline["dim"][0].as_py())
        vocabulary = cls(words, vectors)
        if vocabulary.sha256 != baseline["vocabulary_sha256"][0].as_py():
            raise BadInputError(
                f"The vocabulary of {backbone} in this atlas is not the one that its answers were made with; import or "
                "ingest its models into a new atlas."
            )
        return vocabulary

    @property
    def sha256(self) -> str:
        """Fingerprint of words and vectors, whatever their order."""
        order = np.argsort(np.array(self.words))
        digest = hashlib.sha256("\n".join(self.words[row] for row in order).encode())
        digest.update(np.ascontiguousarray(self.vectors[order], "<f4").tobytes())
        return digest.hexdigest()

    @cached_property
    def baseline(self) -> Floats:
        """The mean vector, (dim,): what a concept is a contrast to."""
        return np.asarray(self.vectors.mean(axis=0, dtype=np.float64), np.float32)

    @cached_property
    def contrasts(self) -> Floats:
        """The nouns themselves as concepts, unit vectors, (n_words, dim)."""
        return self.centred(self.vectors)

    @cached_property
    def spread(self) -> Floats:
        """How similar each noun is to its nearest one among the others, ascending, (n_words,)."""
        cosines = self.contrasts @ self.contrasts.T
        np.fill_diagonal(cosines, -1)
        return np.sort(cosines.max(axis=1))

    def centred(self, vectors: Floats) -> Floats:
        """Unit vectors less the baseline, and of length 1 again; shape as `vectors`, (n, dim)."""
        return unit_rows(vectors - self.baseline)
