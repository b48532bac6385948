"""What colours mean: one scale for all concepts of a model, rates by powers of ten, evidence beside a value."""

import re

import numpy as np
from browser_page import Pixel, Search, Visit

from voxel_atlas.atlas.search.atlas import Atlas

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


def test_voxels_to_which_a_concept_is_as_any_noun_are_grey(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    found = atlas.model().map("cake").frame
    inside = atlas.model().null_band().contains(found["voxel"].to_numpy(), found["similarity"].to_numpy())
    assert 20 < inside.sum() < 280
    vivid = """async () => {
      const { getPixelMap } = await import("/assets/server.js");
      const { voxelAt } = await getPixelMap("/pixelmaps/simulated/T1.bin");
      const canvas = document.getElementById("map");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const most = new Array(300).fill(0);
      voxelAt.forEach((voxel, at) => {
        const rgb = data.subarray(4 * at, 4 * at + 3);
        if (voxel >= 0) most[voxel] = Math.max(most[voxel], Math.max(...rgb) - Math.min(...rgb));
      });
      return most;
    }"""
    grey = np.array(page.evaluate(vivid))
    assert grey[inside].max() <= 40
    assert "grey voxels are as similar to it as nine in ten of " in page.inner_text("#quantity")
    view.shoot("band")
    page.click("#options summary")
    page.uncheck("#band")
    page.wait_for_function("() => !document.getElementById('quantity').textContent.includes('grey voxels')")
    assert "band=0" in page.url
    coloured = np.array(page.evaluate(vivid))
    assert (coloured[inside] >= grey[inside]).all()
    assert coloured[inside].max() > 60
    np.testing.assert_array_equal(coloured[~inside], grey[~inside])
    # The browser says that reading pixels again and again is slow: nothing but this test does.
    view.errors.clear()
