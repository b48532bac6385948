"""Maps side by side: concepts, models, subjects, readouts; their difference, the dots, and what is selected there."""

import re
from typing import Any

import numpy as np
import pytest
from browser_page import Visit
from toy_server import Server

from voxel_atlas.atlas.search.atlas import Atlas

PAIR = "/?concept=cake&with=concept:house"
PAINTED = "() => document.querySelector('.scatter') && performance.getEntriesByName('painted').length"
PIXELS = "(at) => document.querySelectorAll('#panels .lens canvas')[at].toDataURL()"
MOVED = """async () => {
  const draw = window.requestAnimationFrame;
  await new Promise((drawn) => draw(drawn));
  let maps = 0;
  window.requestAnimationFrame = (drawn) => {
    maps++;
    return draw(drawn);
  };
  document.getElementById("zoom-in").click();
  window.requestAnimationFrame = draw;
  return maps;
}"""
"""How many maps follow one step of the zoom, each in a frame that it asks for once."""


def opened(visit: Visit, path: str = PAIR, **kwargs: Any) -> Any:
    page = visit(**kwargs).open(path)
    page.wait_for_function(PAINTED)
    return page


def test_two_concepts_stand_side_by_side_on_one_scale(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.click("#versus summary")
    page.fill("#versus-concept", "house")
    page.press("#versus-concept", "Enter")
    page.wait_for_function(PAINTED)
    assert page.locator("#panels h3").all_inner_texts() == [
        "A · “cake”",
        "B · “house”",
        "A − B · z of the preference",
        "One against the other",
    ]
    alone = visit().open("/?concept=house")
    alone.wait_for_selector("#top tbody tr")
    assert page.evaluate(PIXELS, 1) == alone.evaluate(PIXELS, 0)
    assert "with=concept%3Ahouse" in page.url
    view.shoot("compare")
    page.click("[aria-label='Take B away']")
    page.wait_for_function("() => !document.querySelector('.scatter')")
    assert page.is_hidden("#panel-a")
    assert "with=" not in page.url


def test_the_difference_is_the_contrast_s_z_and_the_share_that_of_its_signs(visit: Visit, atlas: Atlas) -> None:
    page = opened(visit)
    page.wait_for_function("() => document.querySelector('.said').textContent.includes('prefer A')")
    contrast = {sign: atlas.model().map(text).frame for sign, text in ((1, "cake - house"), (-1, "house - cake"))}
    semantic = atlas.model().voxels(range(300))
    z = contrast[1]["z"].to_numpy()
    shown = np.isin(contrast[1]["voxel"].to_numpy(), semantic["voxel"].to_numpy())
    said = page.inner_text(".said")
    share = (z[shown] > 0).mean()
    assert f"{round(100 * share)} % of {shown.sum()} voxels prefer A, “cake”" in said
    low, high = map(int, re.findall(r"interval (\d+)–(\d+) %", said)[0])
    assert low <= 100 * share <= high
    sure = [int((contrast[sign]["concept_q"].to_numpy()[shown & (sign * z > 0)] <= 0.05).sum()) for sign in (1, -1)]
    assert [int(number) for number in re.findall(r"Select the (\d+) that prefer", said)] == sure
    page.click(".said .chip >> nth=0")
    page.wait_for_selector("#region:not([hidden])")
    assert page.inner_text("#region h2") == "Voxels that prefer A"
    assert f"{sure[0]} voxels" in page.inner_text("#region header")


def test_pointer_and_zoom_are_the_same_in_all_maps(visit: Visit) -> None:
    page = opened(visit)
    box = page.locator("#panels .lens >> nth=1").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.55 * box["height"])
    tip = page.locator(".tip:visible").inner_text()
    assert re.search(r"voxel \d+ .*A −?[\d.]+ · B −?[\d.]+ · A − B z −?[\d.]+, q", tip)
    rings = page.locator("#panels .pointer")
    assert rings.count() == 3
    assert all(rings.nth(n).get_attribute("visibility") == "visible" for n in range(3))
    page.mouse.wheel(0, -600)
    widths = "[...document.querySelectorAll('#panels .lens canvas')].map((one) => one.getBoundingClientRect().width)"
    page.wait_for_function(f"(least) => {widths}.every((width) => width > least)", arg=2 * box["width"])
    assert np.ptp(page.evaluate(widths)) < 1


def test_a_map_that_was_taken_away_follows_the_others_no_more(visit: Visit) -> None:
    page = opened(visit, PAIR + "&with=concept:face")
    n_moved = [page.evaluate(MOVED)]
    page.click("[aria-label='Take C away']")
    page.wait_for_selector("[aria-label='Take C away']", state="detached")
    n_moved.append(page.evaluate(MOVED))
    page.click("[aria-label='Take B away']")
    page.wait_for_selector(".scatter", state="detached")
    n_moved.append(page.evaluate(MOVED))
    # The first map is left, and the difference, which is kept for the next pair.
    assert n_moved == [4, 3, 2]


def test_maps_beside_an_enlarged_one_show_the_same_part(visit: Visit) -> None:
    page = opened(visit, PAIR + "&at=300_500_300")
    seen = page.evaluate(
        """[...document.querySelectorAll("#panels .lens")].map((lens) => [
          lens.querySelector("canvas").style.transform, lens.querySelector("svg").getAttribute("viewBox")])"""
    )
    assert len(seen) == 3
    assert "scale(3)" in seen[0][0]
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]


def test_a_lasso_around_dots_selects_their_voxels_and_comes_back_with_the_link(visit: Visit) -> None:
    view = visit()
    page = view.open(PAIR)
    page.wait_for_function(PAINTED)
    page.locator(".dots").scroll_into_view_if_needed()
    box = page.locator(".dots").bounding_box()
    corners = [(0.5, 0.05), (0.95, 0.05), (0.95, 0.85), (0.5, 0.85)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    page.wait_for_selector("#region:not([hidden])")
    header = page.inner_text("#region header")
    assert header.startswith("Lassoed voxels")
    count = int(re.findall(r"(\d+) voxels", header)[0])
    assert 0 < count < 300
    assert "lasso=" in page.url
    # What the dots were chosen by is not found in them again.
    assert "selected voxels" not in page.inner_text(".said .share")
    view.shoot("lasso")
    page.goto(page.url)
    page.wait_for_selector("#region:not([hidden])")
    assert f"{count} voxels" in page.inner_text("#region header")
    page.click("#region [aria-label='Clear the region']")
    assert "lasso=" not in page.url


def test_two_subjects_are_held_against_each_other_by_region(visit_at: Visit, two_subjects: Server) -> None:
    view = visit_at(two_subjects.url)
    models = {
        one["subjectId"]: one["modelId"] for one in two_subjects.data("{ models { modelId subjectId } }")["models"]
    }
    page = view.open(f"/?concept=cake&model={models['simulated/T1']}")
    page.click("#versus summary")
    page.select_option("#versus-model", models["simulated/T2"])
    page.wait_for_selector("#panels table")
    titles = page.locator("#panels h3").all_inner_texts()
    assert [re.sub(r"\d{4}-\d\d-\d\d", "DATE", title) for title in titles] == [
        "A · simulated/T1 · toy · DATE",
        "B · simulated/T2 · toy · DATE",
        "Regions that both have",
    ]
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in page.inner_text("#panels tbody").split("\n")}
    assert float(rows["FOOD"][0]) > 0.2
    assert float(rows["FOOD"][1]) > 0.2
    view.shoot("two-subjects")


def test_a_readout_is_compared_by_z_without_a_test(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.click("#versus summary")
    page.select_option("#versus-readout", "pattern")
    page.wait_for_function(PAINTED)
    assert page.input_value("#show") == "z"
    assert "this difference has no test" in page.inner_text(".said")
    assert "are higher in A" in page.inner_text(".said")
    both = [f"z of the similarity ({readout}, against the vocabulary)" for readout in ("weights", "pattern")]
    assert f"difference of {' and '.join(both)}" in page.inner_text(".said")


def test_without_a_concept_there_is_none_beside_it(visit: Visit) -> None:
    view = visit()
    for path in ("/?with=concept:house", "/?concept=cake&with=concept:house&show=r2"):
        page = view.open(path)
        page.wait_for_function("() => performance.getEntriesByName('painted').length")
        assert not page.query_selector(".scatter")
        assert page.is_hidden("#panel-a")
    page = view.open("/")
    page.click("#versus summary")
    assert page.is_disabled("#versus-concept")
    assert page.is_disabled("#versus-readout")
    assert page.inner_text("#versus-note").startswith("Search a concept first")


def test_a_word_that_is_not_known_is_questioned_beside_another_too(visit: Visit) -> None:
    page = opened(visit, "/?concept=cake&with=concept:zzqqsa")
    page.wait_for_selector("#doubt:not([hidden])")
    assert "does not seem to know 'zzqqsa'" in page.inner_text("#doubt")
    page.click("[aria-label='Take B away']")
    page.wait_for_selector("#doubt", state="hidden")


def test_a_model_that_is_gone_and_too_many_maps_are_said(visit: Visit) -> None:
    view = visit(height=1600)
    page = view.open("/?concept=cake&with=model:simulated/T1/gone/000000" + "&with=concept:house" * 39)
    page.wait_for_function("() => document.querySelectorAll('#panels .panel').length > 5")
    assert "is not in this atlas any more" in page.inner_text("#panels")
    assert page.locator("#panels [aria-label^='Take']").count() == 5
    page.click("#versus summary")
    assert page.inner_text("#versus-note").startswith("41 maps are asked for; the first 6 are shown")
    assert page.is_disabled("#versus-concept")
    view.shoot("too-many")
    page.click("#versus-none")
    page.wait_for_function("() => document.querySelectorAll('#panels .panel').length === 1")


def test_maps_side_by_side_fit_a_telephone(visit: Visit) -> None:
    view = visit(width=375, height=740)
    page = view.open(PAIR)
    page.wait_for_function(PAINTED)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view.shoot("compare-375")


def test_an_interval_over_blocks_is_wider_than_one_over_voxels(visit: Visit) -> None:
    page = visit().open("/")
    spread, single, none = page.evaluate(
        """async () => {
          const { preference } = await import("/assets/preference.js");
          const n = 1000;
          const sign = (voxel) => ((voxel % 50 < 30) === (voxel % 100 < 50) ? 1 : -1);
          const signs = Float32Array.from({ length: n }, (_, voxel) => sign(voxel));
          const mm = Float32Array.from({ length: 3 * n }, (_, at) => at % 3 ? 0 : 10 * Math.floor(at / 3 / 50) + 1);
          const far = Float32Array.from({ length: 3 * n }, (_, at) => 10 * Math.floor(at / 3) + 1);
          return [mm, far, new Float32Array(0)].map((places) => preference(signs, null, places));
        }"""
    )
    assert spread["share"] == single["share"] == none["share"]
    assert (spread["blocks"], single["blocks"], none["blocks"]) == (20, 1000, 0)
    assert single["hi"] - single["lo"] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 1000), rel=0.25)
    assert spread["hi"] - spread["lo"] > 1.2 * (single["hi"] - single["lo"])
