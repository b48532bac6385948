"""The explorer in a real browser: what a person does with it, and what it must never do."""

import json
import re
from typing import Any

import pytest
from browser_page import Pixel, Search, Visit, needs_vendor

from voxel_atlas.api.http.assets import WEB

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
TYPE = """(text) => {
  const box = document.getElementById("concept");
  for (let n = 1; n <= text.length; n++) {
    box.value = text.slice(0, n);
    box.dispatchEvent(new Event("input"));
  }
}"""
"""A letter after the other, with no pause between them however busy this machine is."""


def test_typing_a_concept_paints_the_cortex_and_ranks_voxels(visit: Visit, search: Search) -> None:
    view = visit()
    page = view.open()
    assert page.is_visible("#simulated")
    bare = page.evaluate("document.getElementById('map').toDataURL()")
    search(page, "cake")
    assert page.evaluate("document.getElementById('map').toDataURL()") != bare
    rows = page.locator("#top tbody tr")
    assert rows.count() == 20
    assert rows.nth(0).locator("td").nth(0).inner_text() == "FOOD"
    assert "cosine similarity" in page.inner_text("#quantity")
    assert page.locator("#overlay .line").count() == 5
    assert {"FFA", "FOOD"} <= set(page.locator("#overlay text").all_text_contents())
    view.shoot("search")


def test_an_unknown_word_is_questioned_below_the_search(visit: Visit, search: Search) -> None:
    view = visit()
    page = view.open()
    search(page, "zzqqsa")
    page.wait_for_selector("#doubt:not([hidden])")
    assert "does not seem to know 'zzqqsa'" in page.inner_text("#doubt")
    view.shoot("unknown-word")
    search(page, "cake")
    page.wait_for_selector("#doubt", state="hidden")


def test_the_map_is_painted_again_when_typing_pauses(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.evaluate(TYPE, "house")
    page.wait_for_function("() => document.getElementById('figure-title').textContent.includes('house')")
    asked = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => one.name).filter((name) => name.includes('/values'))"
    )
    assert not [address for address in asked if re.search("concept=h(o|ou|ous)?&", address)]


def test_the_painted_colour_is_that_of_the_value(visit: Visit) -> None:
    page = visit().open("/?concept=cake&band=0")
    page.wait_for_selector("#top tbody tr")
    same = page.evaluate(
        """async () => {
          const { getArrays, getPixelMap } = await import("/assets/server.js");
          const pixels = await getPixelMap("/pixelmaps/simulated/T1.bin");
          const model = document.getElementById("model").value;
          const { header, arrays } = await getArrays("/values?concept=cake&model=" + model);
          const canvas = document.getElementById("map");
          const shown = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let checked = 0, wrong = 0;
          pixels.voxelAt.forEach((voxel, at) => {
            if (voxel < 0) return;
            const place = (arrays.value[voxel] - header.lo) * 256 / (header.hi - header.lo);
            const step = Math.max(0, Math.min(255, Math.floor(place)));
            checked++;
            if ([0, 1, 2].some((part) => shown[at * 4 + part] !== arrays.colour[step * 3 + part])) wrong++;
          });
          return { checked, wrong, clear: shown[3] };
        }"""
    )
    assert same["checked"] > 100_000
    assert same["wrong"] == 0
    assert same["clear"] == 0


def test_hovering_names_voxel_region_and_value(visit: Visit, pixel: Pixel) -> None:
    view = visit()
    page = view.open("/?concept=face")
    x, y = pixel(page, 5)
    page.mouse.move(x, y)
    tip = page.inner_text("#tip")
    assert "voxel 5" in tip
    assert "FFA" in tip
    assert any(character.isdigit() for character in tip.split("FFA")[1])
    view.shoot("hover")
    page.mouse.move(2, 2)
    assert page.is_hidden("#tip")


def test_clicking_a_voxel_opens_its_card(visit: Visit, pixel: Pixel) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.mouse.click(*pixel(page, 200))
    page.wait_for_selector("#card:not([hidden])")
    page.wait_for_function("() => [...document.querySelectorAll('#card img')].every((image) => image.complete)")
    assert "Voxel 200" in page.inner_text("#card h2")
    assert page.locator("#card .bars").nth(0).locator("li").count() == 5
    evidence = page.locator("#card .evidence").all_inner_texts()
    assert evidence == [
        "✓ stability 0.75 · n 50 · AUC 0.80 · q\u00a0<\u00a00.0001",
        "stability 0.25 · n 50 · AUC 0.52 · q\u00a0=\u00a00.4000",
        "stability 0.00",
    ]
    assert page.locator("#overlay .marks circle").count() >= 2
    assert "voxel=200" in page.url
    view.shoot("card")
    page.click("#card [aria-label='Close the card']")
    assert page.is_hidden("#card")


def test_a_copied_address_shows_the_same(visit: Visit) -> None:
    page = visit().open("/?concept=kitchen&voxel=130&roi=PPA")
    page.wait_for_selector("#card:not([hidden])")
    assert page.input_value("#concept") == "kitchen"
    assert "Voxel 130" in page.inner_text("#card h2")
    page.wait_for_selector("#top tbody tr")
    assert set(page.locator("#top tbody td:nth-child(2)").all_inner_texts()) == {"PPA"}
    assert page.is_checked("#rois input[value=PPA]")


def test_regions_limit_the_list(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    page.check("#rois input[value=VWFA]", force=True)
    page.wait_for_function("() => document.getElementById('top-note').textContent.includes('VWFA')")
    assert set(page.locator("#top tbody td:nth-child(2)").all_inner_texts()) == {"VWFA"}


def test_labels_are_suggested_and_taken_with_the_keyboard(visit: Visit) -> None:
    view = visit()
    page = view.open()
    page.keyboard.press("/")
    page.evaluate(TYPE, "cake - kit")
    page.wait_for_selector("#suggestions li")
    view.shoot("suggestions")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#concept", "aria-activedescendant") == "suggestion-0"
    page.keyboard.press("Enter")
    assert page.input_value("#concept") == "cake - kitchen"
    page.wait_for_function("() => document.getElementById('figure-title').textContent.includes('cake - kitchen')")


def test_enter_forgets_suggestions_that_are_on_their_way(visit: Visit) -> None:
    page = visit().open()
    held: list[Any] = []

    def hold(route: Any) -> None:
        if "Suggest" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/graphql", hold)
    with page.expect_request(lambda request: "Suggest" in (request.post_data or "")):
        page.locator("#concept").press_sequentially("cak")
    with page.expect_event("requestfailed", lambda request: "Suggest" in (request.post_data or "")):
        page.press("#concept", "Enter")
    assert page.is_hidden("#suggestions")


def test_the_map_is_explored_with_the_keyboard(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.focus("#map")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    assert "voxel" in page.inner_text("#say")
    page.keyboard.press("Enter")
    page.wait_for_selector("#card:not([hidden])")


@pytest.mark.parametrize("concept", ["<img src=x onerror=alert(1)>", "🎂", "كعكة", "x" * 200])
def test_any_text_can_be_searched(visit: Visit, concept: str, search: Search) -> None:
    page = visit().open()
    search(page, concept)
    assert concept in page.inner_text("#figure-title")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_in_light_and_dark(visit: Visit, scheme: str) -> None:
    view = visit(width=375, height=740, scheme=scheme)
    page = view.open("/?concept=cake&voxel=200")
    page.wait_for_selector("#card:not([hidden])")
    page.wait_for_selector("#top tbody tr")
    for width, height in ((375, 740), (768, 1024), (2560, 1300)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(
            "() => [...document.querySelectorAll('#card img')]"
            ".every((image) => image.complete || image.loading === 'lazy')"
        )
        assert page.evaluate("[innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [width, True]
        view.shoot(f"{scheme}-{width}")


def test_what_the_server_refuses_is_said(visit: Visit, search: Search) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.fill("#concept", "cake - ")
    page.press("#concept", "Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert len(page.inner_text("#trouble")) > 10
    view.shoot("trouble")
    search(page, "cake")
    page.wait_for_selector("#trouble", state="hidden")
    assert all("400" in error for error in view.errors)
    view.errors.clear()


def test_a_person_can_switch_to_dark(visit: Visit) -> None:
    page = visit().open()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


@needs_vendor
@pytest.mark.skipif(not AXE.exists(), reason="needs api/web/node_modules: see api/web/README.md")
@pytest.mark.parametrize(
    "path",
    ["/", "/?concept=cake&voxel=200&roi=FFA", "/?concept=cake&view=3d", "/?concept=cake&with=concept:house&prefers=a"],
)
def test_nothing_stands_in_the_way_of_screen_readers(visit: Visit, path: str) -> None:
    page = visit().open(path)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.querySelectorAll('details').forEach((menu) => { menu.open = true; })")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        found = page.evaluate("axe.run().then((result) => result.violations)")
        serious = [one for one in found if one["impact"] in {"serious", "critical"}]
        assert serious == [], json.dumps(serious)[:2000]
    assert len(grounds) == 2
    assert page.get_attribute("#map", "aria-label")


@needs_vendor
def test_graphiql_works_offline(visit: Visit) -> None:
    view = visit(width=1400)
    page = view.page
    page.goto(view.url + "/graphql")
    page.wait_for_selector(".graphiql-execute-button")
    page.click(".graphiql-execute-button")
    page.wait_for_function("() => document.querySelector('.result-window')?.textContent.includes('similarity')")
    view.shoot("graphiql")


def test_the_page_is_small_before_the_3d_view(visit: Visit) -> None:
    page = visit().open("/?concept=cake&voxel=200")
    page.wait_for_load_state("networkidle")
    size = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".reduce((sum, one) => sum + one.encodedBodySize, 0) / 1024"
    )
    assert 50 < size <= 400
