"""Two selections of voxels side by side, and lists that obey what is selected."""

import csv
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
import pytest
from browser_page import Visit
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from scipy import stats
from toy_server import Server

from tests.api.maps.test_page_geometry import unpacked
from voxel_atlas.atlas.search.atlas import Atlas

BOTH = "/?concept=cake&kept=1&a-roi=FOOD&roi=FFA"


def saved_rows(page: Any) -> dict[str, dict[str, str]]:
    with page.expect_download() as download:
        page.click("#selections button.chip")
    assert "FOOD-against-FFA" in download.value.suggested_filename
    return {row["row"]: row for row in csv.DictReader(io.StringIO(Path(download.value.path()).read_text()))}


def test_a_kept_selection_is_held_against_the_next(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    page.check("#rois input[value=FOOD]", force=True)
    page.wait_for_selector("#region .bars li")
    page.click("#region >> text=Keep as A")
    assert "Now select B" in page.inner_text("#selections")
    assert not page.is_checked("#rois input[value=FOOD]")
    page.check("#rois input[value=FFA]", force=True)
    page.wait_for_selector("#selections table")
    text = page.inner_text("#selections")
    assert "A: FOOD, 60 voxels" in text
    assert "B: FFA, 60 voxels" in text
    labels = page.locator("#selections table >> nth=1").locator("tbody tr")
    assert {"cake", "face"} <= {row.split("\t")[0] for row in labels.all_inner_texts()}
    view.shoot("selections")
    address = page.url
    page.click("#selections [aria-label='Forget A']")
    assert page.is_hidden("#selections")
    page.goto(address)
    page.wait_for_selector("#selections table")
    assert "A: FOOD, 60 voxels" in page.inner_text("#selections")


def test_a_selection_that_was_forgotten_meanwhile_stays_away(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    late = list[Any]()
    page.route("**/values?metric=r2&*", lambda route: late.append(route))
    page.check("#rois input[value=FOOD]", force=True)
    page.click("#region >> text=Keep as A")
    page.click("#selections [aria-label='Forget A']")
    assert page.is_hidden("#selections")
    with page.expect_response("**/values?metric=r2&*"):
        late[0].continue_()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.is_hidden("#selections")


def test_rows_have_means_and_a_test_over_blocks_of_cortex(visit: Visit, atlas: Atlas, server: Server) -> None:
    page = visit().open(BOTH)
    page.wait_for_function("() => document.querySelectorAll('#selections tbody tr').length > 4")
    rows = saved_rows(page)
    known = atlas.model().map("cake").frame.join(atlas.model().voxels(range(300)), on="voxel", maintain_order="left")
    top = atlas.sql("SELECT voxel, label FROM top_label ORDER BY voxel")
    known = known.join(top, on="voxel", how="left", maintain_order="left")
    places = server.client.get("/places/simulated/T1.bin").content
    size = int.from_bytes(places[:4], "little")
    blocks = np.floor(np.frombuffer(places[4 + size :], np.float32).reshape(-1, 3) / 10)
    inside = [known["rois"].list.contains(roi).to_numpy() for roi in ("FOOD", "FFA")]
    columns = {
        "cosine similarity (weights, against the vocabulary)": known["similarity"].to_numpy().astype(float),
        "R² on test images": known["r2"].to_numpy().astype(float),
        "noise ceiling": known["noise_ceiling"].to_numpy().astype(float),
        "cake": (known["label"] == "cake").cast(pl.Float64).to_numpy(),
        "face": (known["label"] == "face").cast(pl.Float64).to_numpy(),
    }
    for name, values in columns.items():
        row = rows[name]
        means = [values[members & np.isfinite(values)].mean() for members in inside]
        assert [float(row["mean_a"]), float(row["mean_b"])] == pytest.approx(means, rel=1e-5)
        expected = p_of(*[(values[members], blocks[members]) for members in inside])
        assert float(row["p"]) == pytest.approx(expected, rel=0.08, abs=2e-6)
    p = np.array([float(rows[name]["p"]) for name in list(rows)[3:]])
    q = np.array([float(rows[name]["q"]) for name in list(rows)[3:]])
    np.testing.assert_allclose(q, stats.false_discovery_control(p), rtol=1e-6)


def p_of(*groups: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    """Of two ratio estimates over clusters, with Student's t."""
    means, variances, n_blocks = [], [], 0
    for values, blocks in groups:
        _, of = np.unique(blocks, axis=0, return_inverse=True)
        n = np.bincount(of.ravel())
        total = np.bincount(of.ravel(), values)
        ratio = total.sum() / n.sum()
        count = len(n)
        means.append(ratio)
        variances.append(((total - ratio * n) ** 2).sum() / n.sum() ** 2 * count / (count - 1))
        n_blocks += count
    t = (means[0] - means[1]) / np.sqrt(sum(variances))
    return float(2 * stats.t.sf(abs(t), n_blocks - 2))


def test_the_list_obeys_the_brush(visit: Visit) -> None:
    page = visit().open("/?concept=cake&brush=250_450_60")
    page.wait_for_function("() => document.getElementById('top-note').textContent.includes('that are selected')")
    inside = page.evaluate(
        """async () => {
          const { Brush } = await import("/assets/brush.js");
          const { getPixelMap } = await import("/assets/server.js");
          const brush = new Brush();
          brush.set(await getPixelMap("/pixelmaps/simulated/T1.bin"), [[250, 450, 60]]);
          return [...brush.voxels];
        }"""
    )
    listed = [int(text) for text in page.locator("#top tbody th").all_inner_texts()]
    assert listed
    assert set(listed) <= set(inside)
    total = int(re.findall(r"of (\d+) significant", page.inner_text("#top-note"))[0])
    assert len(listed) <= total <= len(inside)


def test_too_few_blocks_have_no_test(visit: Visit) -> None:
    page = visit().open("/")
    p = page.evaluate(
        """async () => {
          const { difference, falseDiscovery, inBlocks } = await import("/assets/clusters.js");
          const mm = Float32Array.from({ length: 300 }, (_, at) => at % 3 ? 0 : 10 * Math.floor(at / 3 / 20) + 1);
          const all = [...Array(100).keys()];
          const group = (voxels, mm) => inBlocks(voxels, (voxel) => (voxel * 7) % 5, mm);
          const halves = [all.slice(0, 60), all.slice(60)];
          const p = [mm, new Float32Array(0)].map((places) => difference(...halves.map((one) => group(one, places))));
          return [...p, falseDiscovery([NaN, 0.5, 0.01])];
        }"""
    )
    assert p[0] is None or np.isnan(p[0])
    assert 0 < p[1] <= 1
    assert p[2][1:] == [0.5, 0.02]


def encircled(server: Server, address: str) -> set[int]:
    """The voxels that have a pixel whose middle lies in a loop of the address, by matplotlib's own test."""
    (loop,) = parse_qs(urlsplit(address).query)["brush"]
    corners = np.array([float(part) for part in loop.split("_")]).reshape(-1, 2) / 1000
    header, parts = unpacked(server.client.get("/pixelmaps/simulated/T1.bin").content)
    width = header["width"]
    at = np.arange(len(parts["voxel"]))
    middles = np.column_stack([at % width + 0.5, at // width + 0.5])
    return set(parts["voxel"][Polygon(corners * width).contains_points(middles)].tolist()) - {-1, -2}


def test_a_lasso_on_the_cortex_selects_what_lies_in_it(visit: Visit, server: Server) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    page.click("#lasso")
    assert page.get_attribute("#lasso", "aria-pressed") == "true"
    box = page.locator("#map").bounding_box()
    assert box
    corners = [(0.1, 0.3), (0.3, 0.25), (0.4, 0.6), (0.25, 0.45), (0.12, 0.7)]
    for number, (x, y) in enumerate([*corners, corners[0]]):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if not number:
            page.mouse.down()
    page.wait_for_selector("path.loop[d^=M]", state="attached")
    view.shoot("lasso")
    page.mouse.up()
    page.wait_for_selector("path.loop[d='']", state="attached")
    page.wait_for_function("() => location.search.includes('brush=')")
    voxels = encircled(server, page.url)
    assert len(voxels) > 10
    title = page.inner_text("#region header")
    assert "Encircled region" in title
    assert f"{len(voxels)} voxels" in title
    page.wait_for_function("() => document.getElementById('top-note').textContent.includes('that are selected')")
    assert {int(text) for text in page.locator("#top tbody th").all_inner_texts()} <= voxels
    page.click("text=Keep as A")
    page.click("#brush")
    assert page.get_attribute("#lasso", "aria-pressed") == "false"
    page.locator("#rois label", has_text="VWFA").click()
    page.wait_for_function("() => document.getElementById('selections').textContent.includes('VWFA')")
    assert f"Encircled region, {len(voxels)} voxels" in page.inner_text("#selections")
    page.goto(page.url)
    page.wait_for_function("() => document.getElementById('selections').textContent.includes('Encircled region')")


def test_a_lasso_is_drawn_by_the_keyboard(visit: Visit, server: Server) -> None:
    page = visit().open("/?concept=cake")
    page.wait_for_selector("#top tbody tr")
    page.focus("#lasso")
    page.keyboard.press("Enter")
    page.focus("#map")
    for moves in ("Left", "Left Left Left Left Up Up Up", "Left Left Down Down Down Down Down"):
        for move in moves.split():
            page.keyboard.press(f"Shift+Arrow{move}")
        page.keyboard.press("Space")
    page.wait_for_function("() => document.getElementById('say').textContent.startsWith('corner 3')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#region:not([hidden])")
    voxels = encircled(server, page.url)
    assert f"{len(voxels)} voxels" in page.inner_text("#region header")
    assert page.is_hidden("#card")
