"""Whatever text reaches the page, by its address, by hand or from the atlas, it stays text."""

import re
from urllib.parse import urlencode

import pytest
from browser_page import Page, Visit
from hostile import texts
from hypothesis import given, settings
from hypothesis import strategies as st

SETTLED = """() => !document.body.classList.contains("busy")
  && (!document.getElementById("legend").hidden || !document.getElementById("trouble").hidden)"""
MADE = "document.querySelectorAll('body script, iframe, object, embed, base, [onerror], [onload], [src^=x]').length"


@pytest.fixture
def view(visit: Visit) -> Page:
    """One page, which every example loads again."""
    return visit()


@settings(max_examples=6)
@given(text=texts, name=st.sampled_from(["concept", "model", "roi", "brush", "side"]))
def test_no_text_is_ever_more_than_text_on_the_page(view: Page, text: str, name: str) -> None:
    page = view.page
    page.goto(f"{view.url}/?{urlencode({'concept': 'cake', name: text})}")
    page.wait_for_function(SETTLED)
    if name == "concept":
        page.fill("#concept", f"{text}x")
        page.press("#concept", "Enter")
        page.wait_for_function(SETTLED)
    assert page.title() == "Voxel Atlas"
    assert page.evaluate(MADE) == 0
    assert page.url.startswith(f"{view.url}/")
    # What the server refuses, it refuses as a mistake of the client's.
    assert all(re.search(r"status of 40[04]", error) for error in view.errors), view.errors
    view.errors.clear()


def test_labels_with_html_stay_text(visit: Visit) -> None:
    page = visit().open("/?voxel=7")
    page.wait_for_selector("#card:not([hidden])")
    assert "<img src=x" in page.inner_text("#card .bars")
    assert page.title() == "Voxel Atlas"
