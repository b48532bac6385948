"""The world of `voxel_atlas.demo()`: a network that reads the cards which are drawn here."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxel_atlas.atlas.backbones import default_readout, load
from voxel_atlas.atlas.backbones.lite.word_cards import CARD_WORDS, WordCards, colour
from voxel_atlas.ingest.simulated.card_world import CONCEPT_OF, CardGenerator, CardReader, card_scenes, draw_cards
from voxel_atlas.ingest.simulated.planting import CONCEPTS


@pytest.fixture(scope="module")
def network() -> WordCards:
    return WordCards()


def test_every_word_has_a_colour_of_its_own() -> None:
    assert len({colour(word) for word in range(len(CARD_WORDS))}) == len(CARD_WORDS)
    assert set(CONCEPT_OF) <= set(CARD_WORDS)
    assert set(CONCEPT_OF.values()) == set(CONCEPTS)


@given(st.integers(0, len(CARD_WORDS) - 1), st.integers(0, 150), st.integers(0, 150), st.sampled_from([1, 2, 3]))
def test_a_card_is_read_wherever_it_lies_and_however_large_the_picture_is(
    word: int, left: int, top: int, scale: int
) -> None:
    image = draw_cards({(left, top, left + 104, top + 104): word})
    assert WordCards.words_on(image.repeat(scale, axis=0).repeat(scale, axis=1)) == [CARD_WORDS[word]]


def test_a_position_s_features_are_its_word_s_vector(network: WordCards) -> None:
    word = CARD_WORDS.index("cake")
    image = draw_cards({(0, 0, 128, 128): word})
    (local,) = network.local_features([image])
    (vector,) = network.text(["cake"])
    np.testing.assert_allclose(local[:, :4, :4], np.broadcast_to(vector[:, None, None], (384, 4, 4)), atol=1e-6)
    assert not local[:, 4:].any()
    np.testing.assert_allclose(network.features([image])[0], local.mean(axis=(1, 2)), atol=1e-6)


def test_the_network_is_found_by_its_name(tmp_path: Path, network: WordCards) -> None:
    loaded = load("word-cards", home=tmp_path)
    np.testing.assert_array_equal(loaded.text(["wizard"]), network.text(["wizard"]))
    assert default_readout("word-cards") == "half"


def test_scenes_are_the_same_in_every_folder_and_show_what_they_say(tmp_path: Path) -> None:
    scenes, again = card_scenes(tmp_path / "a", 6), card_scenes(tmp_path / "b", 6)
    assert [scene.sha256 for scene in scenes] == [scene.sha256 for scene in again]
    assert len({scene.sha256 for scene in scenes}) == 6
    for scene in scenes:
        assert sorted(thing.name for thing in scene.things) == sorted(WordCards.words_on(scene.image()))


def test_labels_are_drawn_where_a_card_bears_them(network: WordCards) -> None:
    cakes, none = CardGenerator().generate([("cake", [1, 2]), ("zebra", [1])])
    assert none is None
    assert cakes is not None
    reader = CardReader(network)
    assert reader.caption(cakes) == ["a picture of a cake"] * 2
    assert not np.array_equal(*cakes)
    assert reader.caption([np.zeros((64, 64, 3), np.uint8)]) == [""]
