"""The ways to look at a map: brushed regions, 3-D, labels in colours, options, and links that bring all of it back."""

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from browser_page import Visit, downloaded, needs_vendor
from PIL import Image
from plugin_package import installed
from toy_server import Fill, Serve, Server

import voxel_atlas.api.maps.top_labels as colours_module
from voxel_atlas.api.http.app import create_app
from voxel_atlas.api.maps.subject_cortex import LoadSurface
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.registry import SCORERS
from voxel_atlas.viz.render.colormaps import colours
from voxel_atlas.viz.render.label_colours import LabelColours


def quick_colours(images: Any, labels: Sequence[str], vectors: Any) -> LabelColours:
    """In place of UMAP, which takes half a minute to compile and is tested in tests/viz/test_colours.py."""
    assert len(images) == 12
    rgb = np.random.default_rng(0).random((len(labels), 3)).astype(np.float32)
    return LabelColours(tuple(labels), rgb, 0.87)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colours_module, "label_colours", quick_colours)


@pytest.fixture(scope="module")
def all_scorers(
    tmp_path_factory: pytest.TempPathFactory, serve: Serve, surfaces: LoadSurface, fill_atlas: Fill
) -> Iterator[Server]:
    """A server whose model was labelled by every scorer and by one of a package that is not installed here."""
    home = tmp_path_factory.mktemp("methods")
    with Store.open(str(home / "atlas.duckdb")) as store:
        with installed(tmp_path_factory.mktemp("elsewhere"), "elsewhere", {SCORERS.group: {"Dreamt by 2": "a:B"}}):
            fill_atlas(store, home / "stimuli", methods=SCORERS.names)
        assert "Dreamt by 2" not in SCORERS
        with (
            Atlas(store, home=home) as atlas,
            serve(create_app(atlas, Settings(home=home), load=surfaces)) as server,
        ):
            yield server


def stroke(page: Any, *places: tuple[float, float]) -> None:
    """Drags the brush over places of the flat map, given as shares of its width and height."""
    box = page.locator("#map").bounding_box()
    for number, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def bars(page: Any, panel: str) -> dict[str, int]:
    lines = page.locator(f"{panel} .bars li")
    return {
        lines.nth(n).locator(".text").inner_text(): int(lines.nth(n).locator(".number").inner_text())
        for n in range(lines.count())
    }


def test_a_brushed_region_shows_its_most_frequent_labels(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_function("() => performance.getEntriesByName('painted').length")
    page.click("#brush")
    stroke(page, (0.25, 0.4), (0.25, 0.5), (0.26, 0.6))
    page.wait_for_selector("#region .bars li")
    shown = bars(page, "#region")
    voxels = page.evaluate(
        """async () => {
          const { Brush } = await import("/assets/brush.js");
          const { getPixelMap } = await import("/assets/server.js");
          const brush = new Brush();
          const discs = new URLSearchParams(location.search).get("brush").split(" ");
          brush.set(await getPixelMap("/pixelmaps/simulated/T1.bin"), discs.map((disc) => disc.split("_").map(Number)));
          return [...brush.voxels];
        }"""
    )
    assert len(voxels) > 3
    mean = rf"{len(voxels)} voxels, mean cosine similarity \(weights, against the vocabulary\) −?[\d.]+$"
    assert re.search(mean, page.inner_text("#region header"), re.MULTILINE)
    counted = atlas.sql(
        "SELECT label, count(*)::INTEGER AS n FROM top_label WHERE voxel IN (SELECT unnest(?)) GROUP BY 1", [voxels]
    )
    expected = dict(counted.iter_rows())
    assert shown == {text: expected[text] for text in shown}
    assert sum(shown.values()) >= sum(sorted(expected.values())[-len(shown) :])
    view.shoot("brush")
    address = page.url
    page.click("#region [aria-label='Clear the region']")
    assert page.is_hidden("#region")
    page.goto(address)
    page.wait_for_selector("#region .bars li")
    assert bars(page, "#region") == shown


def test_the_brush_can_be_held_by_the_keyboard(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.focus("#brush")
    page.keyboard.press("Enter")
    page.focus("#map")
    for _ in range(7):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Space")
    page.wait_for_selector("#region .bars li")
    assert "Brushed region" in page.inner_text("#say")


def test_chosen_regions_show_their_labels_and_dim_the_rest(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    before = page.evaluate("document.getElementById('map').toDataURL()")
    page.check("#rois input[value=FOOD]", force=True)
    page.wait_for_selector("#region .bars li")
    assert set(bars(page, "#region")) <= {"cake", "pizza", "banana"}
    assert page.evaluate("document.getElementById('map').toDataURL()") != before


@needs_vendor
@pytest.mark.parametrize(("lo", "hi", "end"), [(5, 6, 0), (-6, -5, 255)])
def test_3d_shows_the_colours_of_the_map(visit: Visit, lo: int, hi: int, end: int) -> None:
    page = visit().open(f"/?concept=cake&lo={lo}&hi={hi}&band=0&view=3d&side=left")
    page.wait_for_function("() => performance.getEntriesByName('painted-3d').length > 1")
    page.mouse.move(2, 2)
    picture = np.asarray(Image.open(io.BytesIO(page.locator("#solid").screenshot())).convert("RGB"), int)
    # Every voxel has the colour of one end of the scale; the light makes it darker, but not another colour.
    most = picture[np.unravel_index(np.ptp(picture, axis=2).argmax(), picture.shape[:2])]
    wanted = colours("RdBu_r")[end].astype(int)
    assert np.abs(most / most.max() - wanted / wanted.max()).max() < 0.1


@needs_vendor
def test_the_cortex_turns_in_3d_and_answers_the_pointer(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    assert "three.js" not in str(page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)"))
    page.click("#view-3d")
    page.wait_for_function("() => performance.getEntriesByName('painted-3d').length")
    painted = page.evaluate("performance.getEntriesByName('painted-3d').length")
    page.select_option("#side", "left")
    page.wait_for_function("(n) => performance.getEntriesByName('painted-3d').length > n", arg=painted)
    box = page.locator("#solid").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.wait_for_selector("#tip:not([hidden])")
    voxel = int(page.inner_text("#tip strong").split()[1])
    view.shoot("3d")
    page.mouse.click(*middle)
    page.wait_for_selector("#card:not([hidden])")
    assert f"Voxel {voxel}" in page.inner_text("#card h2")
    page.focus("#solid")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.wait_for_function("() => new URLSearchParams(location.search).get('camera') === '-100,0,90'")
    assert "degrees" in page.inner_text("#say")


@needs_vendor
def test_a_link_brings_everything_back(visit: Visit, quick: None) -> None:
    address = (
        "/?concept=cake+-+face&compare=labels&lo=-0.5&hi=0.5&significant=1&opacity=1&voxel=130&roi=PPA"
        "&brush=250_250_20&view=3d&surface=fiducial&side=left&camera=-40%2C20%2C150"
    )
    view = visit()
    page = view.open(address)
    page.wait_for_selector("#card:not([hidden])")
    page.wait_for_function("() => performance.getEntriesByName('painted-3d').length")
    assert page.input_value("#concept") == "cake - face"
    assert page.input_value("#compare") == "labels"
    assert [page.input_value(f"#range-{end}") for end in ("lo", "hi")] == ["-0.5", "0.5"]
    assert page.is_checked("#significant")
    assert page.is_checked("#opacity")
    assert page.input_value("#surface") == "fiducial"
    assert page.input_value("#side") == "left"
    assert page.get_attribute("#view-3d", "aria-pressed") == "true"
    assert page.inner_text("#region h2") == "PPA, Brushed region"
    given = page.evaluate("(text) => [...new URLSearchParams(text)].sort().join()", address[1:])
    now = page.evaluate("[...new URLSearchParams(location.search)].filter(([key]) => key !== 'model').sort().join()")
    assert now == given
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#share")
    page.wait_for_function("() => document.getElementById('share').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    view.shoot("link")


def test_labels_are_shown_in_colours(visit_at: Visit, all_scorers: Server, quick: None) -> None:
    view = visit_at(all_scorers.url)
    page = view.open("/?show=labels")
    page.wait_for_selector("#names li")
    names = page.locator("#names li").all_inner_texts()
    assert 3 <= len(names) <= 50
    assert "trustworthiness 0.87" in page.inner_text("#quantity")
    painted = page.evaluate(
        """() => {
          const canvas = document.getElementById("map");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert painted > len(names) / 2
    view.shoot("label-colours")
    again = view.open("/?show=labels")
    again.wait_for_selector("#names li")
    assert again.locator("#names li").all_inner_texts() == names
    whole = view.open("/?show=labels&all=1")
    whole.wait_for_selector("#names li")
    assert "; voxels that contrast may explain are shown · " in whole.inner_text("#quantity")
    assert names[0].strip() in downloaded(page, "svg")[1].decode()
    page.click("#names li button >> nth=0")
    page.wait_for_selector("#top tbody tr")
    assert page.input_value("#concept") == names[0].strip()


def test_labels_by_every_scorer_stand_side_by_side_on_the_card(visit_at: Visit, all_scorers: Server) -> None:
    view = visit_at(all_scorers.url)
    page = view.open("/?concept=cake&voxel=20")
    page.wait_for_selector("#card:not([hidden])")
    assert page.locator("#card .methods h3").all_inner_texts() == [
        "Labels by BrainLMM, equation 2",
        "Labels by BrainLMM with text",
        "Labels by BrainLMM, labels together",
        "Labels by BrainLMM, released code",
        "Labels by CLIP-MSM",
        "Labels by Dreamt by 2",
    ]
    assert page.locator("#card .methods .bars").count() == 6
    assert page.locator("#card .near li").count() == 6
    assert "?box=40,30,200,180" in page.locator("#card img").nth(1).get_attribute("src")
    view.shoot("all-scorers")


def test_options_change_what_is_painted(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.click("#options summary")
    shown = {page.evaluate("document.getElementById('map').toDataURL()")}
    for control in ("#significant", "#opacity"):
        painted = page.evaluate("performance.getEntriesByName('painted').length")
        page.check(control)
        page.wait_for_function("(n) => performance.getEntriesByName('painted').length > n", arg=painted)
        shown.add(page.evaluate("document.getElementById('map').toDataURL()"))
    page.select_option("#show", "r2")
    page.wait_for_function("() => document.getElementById('quantity').textContent.includes('R²')")
    shown.add(page.evaluate("document.getElementById('map').toDataURL()"))
    assert len(shown) == 4


def test_a_map_and_its_list_leave_out_what_is_no_evidence(visit: Visit, atlas: Atlas) -> None:
    view = visit()
    page = view.open("/?concept=cake&minz=2&specific=1&show=z&band=0")
    page.wait_for_selector("#top tbody tr")
    assert page.inner_text("#figure-title") == "z of the similarity to “cake”"
    assert page.inner_text("#quantity").startswith("z of the similarity")
    page.click("#options summary")
    assert page.input_value("#min-z") == "2"
    assert page.is_checked("#specific")
    assert page.inner_text("#compare-note").startswith("As this network's voxels")
    view.shoot("evidence")
    assert "(weights, against the vocabulary); only z ≥ 2, specific · " in page.inner_text("#quantity")
    assert ", only z ≥ 2, specific." in page.inner_text("#top-note")
    first = page.locator("#top tbody tr").nth(0)
    z, q = first.locator("td").nth(3).inner_text().split("\n")
    assert (float(z) >= 2, q) == (True, "q\u00a0<\u00a00.0001")
    similarity = first.locator("td").nth(2)
    assert re.fullmatch(r"0\.\d{3}\nspecific", similarity.inner_text())
    assert re.fullmatch(r"More .* (9[5-9]|100) % of many nouns are\.", str(similarity.get_attribute("title")))
    listed = [int(text) for text in page.locator("#top tbody th").all_inner_texts()]
    name, question = downloaded(page, "sql")
    assert name.endswith("-z-cake-only-z-2-specific.sql")
    found = atlas.sql(question.decode())
    assert found["voxel"].to_list()[:20] == listed
    assert (found["z"] >= 2).all()
    assert found["specific"].all()
    passing = atlas.model().map("cake").frame.filter((pl.col("z") >= 2) & pl.col("specific"))
    values = pl.read_csv(downloaded(page, "csv")[1]).sort("voxel")
    assert values["voxel"].to_list() == passing["voxel"].to_list()
    np.testing.assert_allclose(values["value"], passing["z"], rtol=1e-6)
    listed = {int(text) for text in page.locator("#top tbody th").all_inner_texts()}
    assert listed <= set(passing["voxel"])
    assert page.input_value("#max-q") == ""
    page.click("#options summary")
    page.fill("#max-q", "1e-60")
    page.dispatch_event("#max-q", "change")
    page.wait_for_function("() => location.search.includes('maxq=1e-60')")
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    least = passing.filter(pl.col("concept_q") <= 1e-60)
    assert 0 < least.height < passing.height
    values = pl.read_csv(downloaded(page, "csv")[1]).sort("voxel")
    assert values["voxel"].to_list() == least["voxel"].to_list()
    page.click("#options summary")
    page.fill("#min-z", "1000000")
    page.dispatch_event("#min-z", "change")
    page.wait_for_selector("#doubt:not([hidden])")
    assert "is shown: none passes the limits" in page.inner_text("#doubt")
    page.select_option("#compare", "labels")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "has no z by labels" in page.inner_text("#trouble")
    assert page.is_disabled("#min-z")
    assert all("400" in error for error in view.errors)
    view.errors.clear()


def test_a_range_that_runs_backwards_is_said(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.click("#options summary")
    page.fill("#range-lo", "0.9")
    page.press("#range-lo", "Enter")
    page.fill("#range-hi", "0.1")
    page.press("#range-hi", "Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "must be below" in page.inner_text("#trouble")
    page.fill("#range-hi", "1.5")
    page.press("#range-hi", "Enter")
    page.wait_for_selector("#trouble", state="hidden")
    assert page.inner_text("#hi") == "1.50"
    assert all("400" in error for error in view.errors)
    view.errors.clear()
