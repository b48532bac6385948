"""A report's page on a narrow and on a wide screen: every number of its tables is where one can see it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from voxel_atlas.api.report import figures
from voxel_atlas.api.report.labels import TEST_COLUMNS
from voxel_atlas.api.report.page import render
from voxel_atlas.api.report.section import Section

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CELLS = """() => [...document.querySelectorAll("td")].map(cell => {
    const {left, right, width, height} = cell.getBoundingClientRect(), named = getComputedStyle(cell, "::before");
    return [cell.dataset.column, cell.textContent, left, right, width * height, named.content];
})"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    section = Section("fig2", "Labels and weights (Fig. 2)")
    rows = [["default", "brainlmm-eq2", b, roi] for b in ("clip-msm", "shuffled labels") for roi in ("FFA", "EBA")]
    numbers = pl.DataFrame({name: np.full(len(rows), 0.000123456) for name in TEST_COLUMNS})
    names = pl.DataFrame(rows, schema=["measure", "a", "b", "roi"], orient="row")
    section.show("Fig. 2 tested over voxels.", names.hstack(numbers))
    section.draw("wide", figures.boxes({str(n): {"a": np.arange(9.0)} for n in range(12)}, quantity="cosine"), "Wide.")
    (tmp_path / "index.html").write_text(render("Voxel Atlas report: simulated/S1/lite/bbf56f (simulated)", [section]))
    return tmp_path / "index.html"


@pytest.mark.parametrize("width", [375, 800, 1400])
def test_p_is_seen_without_scrolling_and_nothing_is_wider_than_the_page(
    browser: "Browser", page: Path, width: int
) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    cells = tab.evaluate(CELLS)
    assert sum(column in ("p", "p_holm") for column, *_ in cells) == 8
    for column, text, left, right, area, named in cells:
        assert 0 <= left < right <= width, column
        assert area > 0
        assert text != "≤ 0.0002" or column in ("p", "p_holm")
        assert (f'"{column}"' == named) == (width < 1024)  # where there is no head, each number says what it is
    figure = tab.evaluate("document.querySelector('figure img').getBoundingClientRect().width")
    assert figure >= 600  # the letters of a page-wide figure stay readable; it scrolls by itself
    tab.close()
