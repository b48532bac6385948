"""Which nouns the lite captioner knows, from files in WordNet's format."""

import pytest

from voxel_atlas.ingest.simulated import noun_vocabulary as vocabulary
from voxel_atlas.ingest.simulated.wordnet import WordNet
from voxel_atlas.schemas.errors import NotFoundError

DATA = """  1 This is a licence.
00000001 03 n 01 entity 0 000 | what is
00000002 05 n 02 dog 0 hound 0 001 @ 00000001 n 0000 | a pet
00000003 15 n 01 London 0 001 @i 00000001 n 0000 | a city
00000004 09 n 01 truth 0 001 @ 00000001 n 0000 | what is true
00000005 06 n 01 chair 0 001 @ 00000001 n 0000 | a seat
00000006 38 n 01 run 0 001 @ 00000001 n 0000 | a race
00000007 06 n 01 walk 0 001 @ 00000005 n 0000 | a path
00000008 18 n 01 Mark 0 001 @i 00000001 n 0000 | an evangelist
00000009 06 n 01 chairs 0 001 @ 00000005 n 0000 | a game
"""
INDEX = """  1 This is a licence.
entity n 1 0 1 0 00000001
dog n 1 1 @ 1 1 00000002
hound n 1 1 @ 1 0 00000002
london n 1 1 @i 1 0 00000003
truth n 1 1 @ 1 1 00000004
chair n 1 1 @ 1 1 00000005
walk n 1 1 @ 1 1 00000007
mark n 1 1 @i 1 0 00000008
chairs n 1 1 @ 1 0 00000009
"""
COUNTS = """dog%1:05:00:: 1 9
chair%1:06:00:: 1 8
chair%2:41:00:: 1 2
walk%1:06:00:: 1 1
walk%2:38:00:: 1 40
"""


@pytest.fixture
def wordnet(tmp_path):
    for name, content in (("data.noun", DATA), ("index.noun", INDEX), ("cntlist.rev", COUNTS)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return WordNet(tmp_path)


def test_senses_and_what_they_are_kinds_of(wordnet):
    assert wordnet.senses_of["hound"] == ("00000002",)
    assert wordnet.ancestors("00000007") == {"00000007", "00000005", "00000001"}
    assert wordnet.senses["00000003"].is_name


def test_only_things_that_can_be_seen_are_chosen_in_the_order_of_use(wordnet):
    words = ["truth", "london", "mark", "walk", "chairs", "hound", "chair", "ox", "dog", "##chair"]
    assert vocabulary._choose(wordnet, words) == ["hound", "chair", "dog"]


def test_the_vocabulary_is_kept(tmp_path, monkeypatch):
    (tmp_path / "vocabulary.txt").write_text("cake\ndog", encoding="utf-8")
    monkeypatch.setattr(WordNet, "find", None)
    assert vocabulary.concrete_nouns(tmp_path) == ["cake", "dog"]


def test_without_wordnet_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("voxel_atlas.ingest.simulated.wordnet.package_root", lambda *_: None)
    with pytest.raises(NotFoundError, match="wordnet-base"):
        vocabulary.concrete_nouns(tmp_path)
