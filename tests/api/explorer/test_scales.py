"""What colours mean: one scale for all concepts of a model, rates by powers of ten, evidence beside a value."""

import re

from browser_page import Pixel, Search, Visit

ENDS = "['lo', 'middle', 'hi'].map((id) => document.getElementById(id).textContent)"


def test_every_concept_is_painted_on_the_same_scale(visit: Visit, search: Search) -> None:
    page = visit().open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    ends = page.evaluate(ENDS)
    assert "same for every concept" in str(page.get_attribute("#ramp", "title"))
    search(page, "house")
    assert page.evaluate(ENDS) == ends
    page.select_option("#show", "z")
    page.wait_for_function("() => document.getElementById('quantity').textContent.startsWith('z of')")
    ends = page.evaluate(ENDS)
    search(page, "cake - house")
    assert page.evaluate(ENDS) == ends


def test_q_is_painted_by_powers_of_ten(visit: Visit, pixel: Pixel) -> None:
    view = visit()
    page = view.open("/?show=q")
    assert page.evaluate(ENDS) == ["1e−6", "1e−3", "1.00"]
    page.mouse.move(*pixel(page, 5))
    assert re.search(r"q [<=] ", page.inner_text("#tip").replace("\xa0", " "))
    view.shoot("q")


def test_card_and_pointer_say_how_sure_the_concept_is(visit: Visit, pixel: Pixel) -> None:
    page = visit().open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    first = page.locator("#top tbody tr").nth(0)
    similarity, z = (first.locator("td").nth(n).inner_text().split("\n") for n in (2, 3))
    page.click("#top tbody button >> nth=0")
    page.wait_for_function("() => document.querySelector('#card-concept .note')?.textContent.includes('z ')")
    wanted = f"similarity {similarity[0]} · z {z[0]} · {z[1]} · specific"
    assert page.inner_text("#card-concept .note") == wanted
    page.mouse.move(*pixel(page, int(page.inner_text("#top tbody button >> nth=0"))))
    assert f"z {z[0]}" in page.inner_text("#tip")
    page.select_option("#show", "r2")
    page.wait_for_function("() => !document.querySelector('#card-concept h3')")
