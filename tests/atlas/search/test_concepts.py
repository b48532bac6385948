"""How a concept is read: words, and sums and differences of words."""

import pytest

from voxel_atlas.atlas.search.concepts import parse_concept
from voxel_atlas.schemas.errors import BadInputError


@pytest.mark.parametrize("minus", ["-", "\N{MINUS SIGN}", "\N{EN DASH}", "\N{EM DASH}"])
@pytest.mark.parametrize("space", ["", " "])
def test_a_dash_is_a_minus_where_a_hyphen_would_be(minus: str, space: str) -> None:
    terms = parse_concept(f"birthday cake {minus}{space}kitchen + dog")
    assert terms == [(1, "birthday cake"), (-1, "kitchen"), (1, "dog")]
    with pytest.raises(BadInputError, match="needs a word on both"):
        parse_concept(f"cake{minus} kitchen")


@pytest.mark.parametrize("word", ["t-shirt", "x-ray", "rock-and-roll", "o'clock", "24/7"])
def test_a_hyphenated_word_stays_one(word: str) -> None:
    assert parse_concept(f"a {word} - {word}") == [(1, f"a {word}"), (-1, word)]


@pytest.mark.parametrize(
    "concept",
    [
        "cake--kitchen",
        "cake --kitchen",
        "cake +-kitchen",
        "cake+kitchen",
        "cake - dog+cat",
        "2*cake",
        "2 * cake",
        "cake\N{EN DASH}kitchen",
        "cake\N{EM DASH}kitchen",
        "cake\N{MINUS SIGN}kitchen",
    ],
)
def test_a_sum_without_its_spaces_is_no_phrase(concept: str) -> None:
    with pytest.raises(BadInputError, match="is no word; give signs a space on both sides") as caught:
        parse_concept(concept)
    assert "\n" not in str(caught.value)
