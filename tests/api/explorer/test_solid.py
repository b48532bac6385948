"""The cortex in 3-D is the flat map on another shape: its pixels, outlines, names, selection and voxels."""

import io
from typing import Any

import numpy as np
from browser_page import Visit, needs_vendor
from numpy.typing import NDArray
from PIL import Image

pytestmark = needs_vendor

NAMED = "(before) => performance.getEntriesByName('named-3d').length > before"
UNFOLD = """(percent) => {
  const unfold = document.getElementById("unfold");
  unfold.value = String(percent);
  for (const kind of ["input", "change"]) unfold.dispatchEvent(new Event(kind));
}"""
PLACES = """async () => {
  const { getPixelMap } = await import("/assets/server.js");
  const { width, height, voxelAt } = await getPixelMap("/pixelmaps/simulated/T1.bin");
  const canvas = document.getElementById("map");
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const colours = new Uint32Array(data.buffer);
  const found = [];
  for (let y = 20; y < height - 20; y += 11)
    for (let x = 20; x < width - 20; x += 13) {
      const at = y * width + x;
      const beside = [-3, 3, -3 * width, 3 * width].map((step) => at + step);
      if (voxelAt[at] < 0 || beside.some((other) => voxelAt[other] !== voxelAt[at])) continue;
      found.push([(x + 0.5) / width, (y + 0.5) / height, voxelAt[at], ...data.slice(4 * at, 4 * at + 3)]);
    }
  return found;
}"""
"""Places of the flat map within a patch of one voxel, as shares of width and height, with the voxel and its colour."""
OVERLAPPING = """() => {
  const boxes = [...document.querySelectorAll("#solid-names text")].map((one) => one.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return [boxes.length, boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => meet(one, other))).length];
}"""
FLAT_MM = 60 * 1024 / 1023, 30 * 512 / 511
"""Width and height of the toy's flat map."""


def resting(page: Any, act: Any = None) -> None:
    """Does something, and waits until the cortex has come to rest and its regions are named."""
    before = page.evaluate("performance.getEntriesByName('named-3d').length") if act else 0
    if act:
        act()
    page.wait_for_function(NAMED, arg=before)


def picture(page: Any) -> NDArray[np.int_]:
    """What the 3-D view shows, without the names over it, once it shows the same twice."""
    page.mouse.move(2, 2)
    page.evaluate("document.getElementById('solid-names').style.display = 'none'")
    before, shown = b"", page.locator("#solid").screenshot()
    while before != shown:
        before, shown = shown, page.locator("#solid").screenshot()
    page.evaluate("document.getElementById('solid-names').style.display = ''")
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"), int)


def named(page: Any, x: float, y: float) -> int | None:
    """The voxel that the note beside the pointer names at a place of the screen."""
    page.mouse.move(x, y)
    return int(page.inner_text("#tip strong").split()[1]) if page.is_visible("#tip") else None


def test_a_link_to_the_3_d_view_fetches_each_surface_once(visit: Visit) -> None:
    view = visit()
    fetched: list[str] = []
    view.page.on("request", lambda request: fetched.append(request.url) if "/meshes/" in request.url else None)
    resting(view.open("/?concept=cake&view=3d&voxel=20"))
    assert fetched
    assert len(fetched) == len(set(fetched))


def test_laid_flat_it_shows_the_flat_map_s_pixels_and_names_its_voxels(visit: Visit) -> None:
    view = visit()
    places = view.open("/?concept=cake&band=0").evaluate(PLACES)
    page = view.open("/?concept=cake&band=0&view=3d&unfold=200")
    resting(page)
    shown = picture(page)
    box = page.locator("#solid").bounding_box()
    # The camera sees 1.05 times as much as the map needs, in a view of 1.7 to 1.
    per_mm = box["height"] / (2 * 1.05 * max(FLAT_MM[1] / 2, FLAT_MM[0] / 2 / 1.7))
    equal, told = [], []
    for number, (u, v, voxel, *colour) in enumerate(places):
        x = box["width"] / 2 + (u - 0.5) * FLAT_MM[0] * per_mm
        y = box["height"] / 2 + (v - 0.5) * FLAT_MM[1] * per_mm
        equal.append(np.abs(shown[int(y), int(x)] - colour).max() <= 2)
        if number % (len(places) // 25) == 0:
            told.append(named(page, box["x"] + x, box["y"] + y) == voxel)
    # Some places lie under an outline.
    assert np.mean(equal) > 0.9, f"{len(equal)} places"
    assert len(told) > 10
    assert all(told)


def test_the_pointer_names_the_voxel_whose_colour_is_under_it(visit: Visit) -> None:
    view = visit()
    flat = view.open("/?concept=cake&band=0").evaluate(PLACES)
    colours = {voxel: np.array(colour) for _, _, voxel, *colour in flat}
    page = view.open("/?concept=cake&band=0&view=3d&side=left")
    resting(page)
    shown = picture(page)
    box = page.locator("#solid").bounding_box()
    seen = []
    for x in np.linspace(0.4, 0.6, 12) * box["width"] + 0.4:
        for y in np.linspace(0.3, 0.7, 10) * box["height"] + 0.4:
            voxel = named(page, box["x"] + x, box["y"] + y)
            if voxel is None or voxel not in colours:
                continue
            # The light makes it darker, but not another colour; places near an outline say little.
            around = shown[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5] / 1.0
            around /= around.max(axis=2, keepdims=True)
            if np.ptp(around, axis=(0, 1)).max() < 0.05:
                seen.append(np.abs(around[4, 4] - colours[voxel] / colours[voxel].max()).max() < 0.05)
    assert len(seen) > 10
    assert all(seen)


def test_selected_voxels_stand_out_and_the_open_one_has_a_ring(visit: Visit) -> None:
    page = visit().open("/?concept=cake&band=0&view=3d&side=left&lo=-9&hi=-8")
    resting(page)
    plain = picture(page)
    page = visit().open("/?concept=cake&band=0&view=3d&side=left&lo=-9&hi=-8&brush=250_250_60")
    resting(page)
    brushed = picture(page)
    box = page.locator("#solid").bounding_box()
    resting(page, lambda: page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    page.wait_for_selector("#card:not([hidden])")
    ringed = picture(page)
    strong = [int((np.ptp(one, axis=2) > 60).sum()) for one in (plain, brushed)]
    assert 0.02 * strong[0] < strong[1] < 0.6 * strong[0]
    yellow = [int(((one[..., 2] < 0.5 * one[..., 1]) & (one[..., 1] > 90)).sum()) for one in (brushed, ringed)]
    assert yellow[0] == 0
    assert yellow[1] > 20


def test_names_in_3d_are_of_what_is_seen_and_never_cover_each_other(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake&view=3d")
    resting(page)
    for side in ("left", "behind"):
        resting(page, lambda side=side: page.select_option("#side", side))
        for percent in (0, 130, 200):
            resting(page, lambda percent=percent: page.evaluate(UNFOLD, percent))
            n, overlapping = page.evaluate(OVERLAPPING)
            assert overlapping == 0
            if percent == 200:
                assert n == page.locator("#overlay .names text").count()
    view.shoot("3d-names")
    resting(page, lambda: page.evaluate(UNFOLD, 100))
    resting(page, lambda: page.select_option("#side", "left-medial"))
    resting(page, lambda: page.select_option("#side", "right"))
    assert 0 < page.locator("#solid-names text").count() < n


def test_it_folds_and_unfolds_by_slider_and_keys_and_a_link_says_how_far(visit: Visit) -> None:
    page = visit().open("/?concept=cake&view=3d")
    resting(page)
    inflated = picture(page)
    page.focus("#solid")
    resting(page, lambda: page.keyboard.press("]"))
    assert page.inner_text("#say") == "10 percent from inflated to flat"
    resting(page, lambda: page.evaluate(UNFOLD, 200))
    page.wait_for_function("() => new URLSearchParams(location.search).get('unfold') === '200'")
    assert page.get_attribute("#unfold", "aria-valuetext") == "flat"
    flat = picture(page)
    assert (np.ptp(flat, axis=2) > 20).sum() > 1.2 * (np.ptp(inflated, axis=2) > 20).sum()
    page.goto(page.url)
    page.wait_for_selector("#legend:not([hidden])")
    resting(page)
    for _ in range(100):  # it has come to rest once, and may be on its way again
        if (other := np.mean(np.abs(picture(page) - flat).max(axis=2) > 8)) < 0.01:
            break
    assert other < 0.01
    resting(page, lambda: page.select_option("#surface", "fiducial"))
    assert page.input_value("#unfold") == "0"


def test_it_unfolds_after_a_surface_could_not_be_had_at_first(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake&view=3d")
    resting(page)
    page.route("**/meshes/**", lambda route: route.abort())
    page.evaluate(UNFOLD, 50)
    page.wait_for_selector("#trouble:not([hidden])")
    view.errors.clear()  # the browser counts the refused request among them
    page.unroute("**/meshes/**")
    resting(page, lambda: page.click("#view-3d"))
    resting(page, lambda: page.evaluate(UNFOLD, 40))


def test_fewer_vertices_are_shown_while_it_moves_and_borders_stay(visit: Visit) -> None:
    page = visit().open("/")
    n, within, borders, faces = page.evaluate(
        """async () => {
          const { Fold } = await import("/assets/fold.js");
          const { MeshoptSimplifier } = await import("/assets/vendor/three.js");
          const side = 250;
          const points = Float32Array.from({ length: 3 * side * side }, (_, at) => {
            const [x, y] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side)];
            return [x, y, 4 * Math.sin(x / 9) * Math.cos(y / 7)][at % 3];
          });
          const corners = [];
          for (let y = 0; y + 1 < side; y++)
            for (let x = 0; x + 1 < side; x++) {
              const at = y * side + x;
              corners.push(at, at + 1, at + side, at + 1, at + side + 1, at + side);
            }
          const fold = new Fold({ surfaces: ["fiducial"] });
          const none = new Uint32Array(0);
          fold.mesh = async () => ({ points, faces: [Uint32Array.from(corners), none, none, none] });
          const { vertices, faces } = await fold.fewer(MeshoptSimplifier);
          const kept = new Set(vertices);
          const border = Array.from({ length: side }, (_, at) => [at, at * side]).flat();
          const within = faces.every((part) => part.every((vertex) => vertex < vertices.length));
          return [vertices.length, within, border.every((vertex) => kept.has(vertex)), faces[0].length / 3];
        }"""
    )
    assert 3000 < n <= 40_000
    assert (within, borders) == (True, True)
    assert n < faces < 2 * n
