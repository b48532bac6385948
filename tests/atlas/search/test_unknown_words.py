"""A word that a text tower does not know comes with a sentence that says so."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from toy_atlas import WORDS

from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.search.baseline import nouns
from voxel_atlas.atlas.search.concepts import TextTowers
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.errors import BadInputError

HALF = 32


class Unlisted:
    """A text tower that puts nouns in one half of its space, and words that it does not know in the other."""

    name, dim, has_text = "toy", 2 * HALF, True

    def text(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            near = text.removeprefix("big ")
            half = row[:HALF] if near in nouns() else row[HALF:]
            half[:] = np.random.default_rng([ord(letter) for letter in near]).standard_normal(HALF)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Listed(Unlisted):
    """One that tells what words it has."""

    def knows_word(self, word: str) -> bool:
        return word in ("purple", "big")


def towers(store: Store, folder: Path, tower: Unlisted) -> TextTowers:
    return TextTowers(store, folder, lambda name, home: tower)


def test_what_is_far_from_every_noun_is_questioned(store: Store, tmp_path: Path) -> None:
    (sentence,) = towers(store, tmp_path, Unlisted()).warnings("toy", "zzqqx")
    assert sentence.startswith("The text tower of toy does not seem to know 'zzqqx': the nearest of 418 nouns is ")
    assert towers(store, tmp_path, Listed()).warnings("toy", "zzqqx") == [sentence]


@pytest.mark.parametrize("concept", [nouns()[7], f"big {nouns()[7]}", f"{nouns()[7]} - {nouns()[8]}"])
@pytest.mark.parametrize("tower", [Unlisted(), Listed()], ids=["unlisted", "listed"])
def test_what_is_near_a_noun_is_not(store: Store, tmp_path: Path, tower: Unlisted, concept: str) -> None:
    assert towers(store, tmp_path, tower).warnings("toy", concept) == []


def test_a_word_of_the_tower_s_list_is_known_however_far_it_is(store: Store, tmp_path: Path) -> None:
    assert len(towers(store, tmp_path, Unlisted()).warnings("toy", "purple")) == 1
    assert towers(store, tmp_path, Listed()).warnings("toy", "purple, zzqqx") == []


@pytest.mark.parametrize("joined", [f"{nouns()[7]}-{nouns()[8]}", f"big {nouns()[7]}-purple"])
def test_two_known_words_that_a_hyphen_joins_are_refused_with_both_spellings(
    store: Store, tmp_path: Path, joined: str
) -> None:
    for concept in (joined, f"{joined} - {nouns()[9]}"):
        with pytest.raises(BadInputError) as caught:
            towers(store, tmp_path, Listed()).contrast("toy", concept)
        one, other = joined.split()[-1].split("-")
        assert f"write '{one} - {other}' or '{one} {other}'" in str(caught.value)


@pytest.mark.parametrize("word", ["t-shirt", f"{nouns()[7]}-zzqqx", f"{nouns()[7]}-up", f"{nouns()[7]}'s-purple"])
def test_a_hyphen_beside_what_is_no_word_is_part_of_one(store: Store, tmp_path: Path, word: str) -> None:
    assert towers(store, tmp_path, Listed()).contrast("toy", word).shape == (2 * HALF,)


def test_a_label_with_a_hyphen_between_words_stays_one(atlas: Atlas) -> None:
    one, other, towers = WORDS[0], WORDS[1], atlas.model().text_towers
    with pytest.raises(BadInputError, match="a difference or a phrase"):
        atlas.model().map(f"{one}-{other}")
    assert towers.contrast(atlas.model().backbone, f"{one} - {other}").any()


def test_each_term_is_questioned_once(store: Store, tmp_path: Path) -> None:
    found = towers(store, tmp_path, Listed()).warnings("toy", "zzqqx + purple - qqxzz + zzqqx")
    assert ["'zzqqx'" in found[0], "'qqxzz'" in found[1], len(found)] == [True, True, 2]


def test_a_label_of_the_atlas_is_never_questioned_and_needs_no_network(atlas: Atlas) -> None:
    for word in WORDS:
        assert atlas.model().similar(word, first=1).warnings == []
        assert atlas.model().map(word, by="labels").warnings == []
