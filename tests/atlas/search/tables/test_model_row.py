"""Which model a short name means."""

import pytest

from voxel_atlas.atlas.search.tables.model_row import full_id
from voxel_atlas.schemas.errors import NotFoundError

IDS = ["folder/sub-10/lite/ae2920", "folder/sub-1/lite/7ed83c", "folder/sub-2/lite/7ed999"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("folder/sub-1", "folder/sub-1/lite/7ed83c"),
        ("folder/sub-1/", "folder/sub-1/lite/7ed83c"),
        ("folder/sub-10/lite", "folder/sub-10/lite/ae2920"),
        ("folder/sub-1/lite/7e", "folder/sub-1/lite/7ed83c"),
        ("ae2920", "folder/sub-10/lite/ae2920"),
        ("sub-1", "folder/sub-1/lite/7ed83c"),
        ("sub-1/lite", "folder/sub-1/lite/7ed83c"),
        (None, "folder/sub-10/lite/ae2920"),
    ],
)
def test_a_part_of_an_id_ends_where_a_word_of_it_ends(name: str | None, meant: str) -> None:
    assert full_id(IDS, name, "a.duckdb") == meant


@pytest.mark.parametrize("name", ["folder/sub", "folder/sub-", "folder", "sub", "lite", "/", "nobody"])
def test_what_names_no_model_or_several_is_refused(name: str) -> None:
    with pytest.raises(NotFoundError, match=r"There is (no|more than one) model"):
        full_id(IDS, name, "a.duckdb")


def test_another_subject_is_not_taken_for_the_one_that_is_asked_for() -> None:
    with pytest.raises(NotFoundError, match="no model 'folder/sub-1'"):
        full_id(IDS[:1], "folder/sub-1", "a.duckdb")
    with pytest.raises(NotFoundError, match="no model 'sub-1'"):
        full_id(IDS[:1], "sub-1", "a.duckdb")
