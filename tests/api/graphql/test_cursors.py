"""A cursor keeps its place exactly, and is of use for its own question only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxel_atlas.api.graphql.cursors import Cursor, page_size, question
from voxel_atlas.schemas.errors import BadInputError

floats = st.floats(allow_nan=False, allow_infinity=True)


@given(score=floats, key=st.integers(0, 2**40), model=st.text(max_size=40), generation=st.integers(0, 2**40))
def test_a_cursor_comes_back_with_every_bit(score: float, key: int, model: str, generation: int) -> None:
    cursor = Cursor(score, key, model, generation, "q")
    assert Cursor.decode(cursor.encode(), "q") == cursor


@given(text=st.text(max_size=200))
def test_what_is_no_cursor_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadInputError, match="is not a cursor"):
        Cursor.decode(text, "q")


def test_a_cursor_of_another_question_is_refused() -> None:
    text = Cursor(0.5, 3, "m", 1, question("cake")).encode()
    with pytest.raises(BadInputError, match="another query"):
        Cursor.decode(text, question("face"))


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
def test_a_page_has_1_to_100_items(first: int) -> None:
    with pytest.raises(BadInputError, match="1 to 100"):
        page_size(first)
