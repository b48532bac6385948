"""The page and its folder: tables and cells as people read them, and what may be replaced."""

import re

import polars as pl
import pytest

from voxel_atlas.api.report.page import cell, narrowed, write
from voxel_atlas.api.report.section import PageTable, Section
from voxel_atlas.schemas.errors import BadInputError


def test_a_table_says_once_what_is_the_same_in_all_rows_and_joins_ends_of_intervals():
    frame = pl.DataFrame({"model_id": ["m", "m"], "roi": ["FFA", "EBA"], "low": [-0.5, 0.25], "high": [0.5, None]})
    shown = narrowed(PageTable("Tests.", frame))
    assert shown.caption == "Tests. model_id: m."
    assert shown.frame.rows() == [("FFA", "−0.5 to 0.5"), ("EBA", "0.25 to –")]


def test_what_was_corrected_from_a_p_that_is_a_bound_is_a_bound():
    frame = pl.DataFrame({"p": [0.0002, 0.0004, 0.5, None], "p_holm": [0.008, 0.012, 0.5, None]})
    assert narrowed(PageTable("Tests.", frame)).frame["p_holm"].to_list() == ["≤ 0.008", "0.012", "0.5", "–"]
    assert narrowed(PageTable("Tests.", frame[1:3])).frame["p_holm"].to_list() == ["0.012", "0.5"]


def test_a_folder_that_is_no_report_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(BadInputError, match="no report"):
        write(tmp_path / "thesis", "x", [])
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_a_report_is_replaced_by_the_next_one_and_words_are_never_markup(tmp_path):
    hostile = Section("x", "<b>X</b>", ["<script>alert(1)</script>"])
    hostile.show("c", pl.DataFrame({"a<": ["<i>"]}))
    write(tmp_path / "out", "first", [Section("old", "Old", tables={"old": pl.DataFrame({"a": [1]})})])
    write(tmp_path / "out", "<second>", [hostile])
    html = (tmp_path / "out" / "index.html").read_text()
    assert not (tmp_path / "out" / "tables").exists()
    assert not re.search("<script|<b>|<i>|<second>", html)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "", "–"),
        (float("nan"), "", "–"),
        (True, "", "yes"),
        (-1234, "", "−1,234"),
        (0.012341, "", "0.01234"),
        (-3.2e-9, "", "−3.2 × 10⁻⁹"),
        (0.0, "p", "≤ 0.0002"),
        (0.0002, "p_holm", "≤ 0.0002"),
        (0.0004, "t_p", "4.0 × 10⁻⁴"),
        (0.0, "difference", "0"),
        ("FFA", "", "FFA"),
    ],
)
def test_cells_read_as_people_write(value, column, text):
    assert cell(value, column) == text
