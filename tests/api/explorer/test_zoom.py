"""Coming nearer to the flat map: wheel, pinch, keys and buttons; what is under the pointer; names that stay apart."""

from typing import Any

import numpy as np
import pytest
from browser_page import Visit

from voxel_atlas.viz.render.lettering import place_names

UNDER = """([x, y]) => {
  const canvas = document.getElementById("map");
  const box = canvas.getBoundingClientRect();
  return [(x - box.left) / box.width, (y - box.top) / box.height];
}"""
"""The share of the map that lies at a place of the screen."""
OVERLAPPING = """() => {
  const names = [...document.querySelectorAll("#overlay text:not([visibility])")];
  const boxes = names.map((one) => one.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return [boxes.length, boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => meet(one, other))).length];
}"""


def middle(page: Any, x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
    box = page.locator("#lens").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def enlarged(page: Any) -> float:
    frame = page.evaluate(
        "() => ['map', 'lens'].map((id) => document.getElementById(id).getBoundingClientRect().width)"
    )
    return float(frame[0] / frame[1])


def wait_larger(page: Any, than: float) -> None:
    page.wait_for_function(
        "(k) => document.getElementById('map').getBoundingClientRect().width"
        " > k * document.getElementById('lens').getBoundingClientRect().width",
        arg=than,
    )


def test_the_wheel_comes_nearer_to_what_is_under_the_pointer(visit: Visit) -> None:
    view = visit()
    page = view.open("/?concept=cake")
    place = middle(page, 0.3, 0.6)
    page.mouse.move(*place)
    before = page.evaluate(UNDER, place)
    page.mouse.wheel(0, -600)
    wait_larger(page, 2)
    np.testing.assert_allclose(page.evaluate(UNDER, place), before, atol=2e-3)
    view.shoot("zoom")
    page.wait_for_function("() => new URLSearchParams(location.search).has('at')")
    share = page.evaluate(UNDER, place)
    page.goto(page.url)
    wait_larger(page, 2)
    np.testing.assert_allclose(page.evaluate(UNDER, place), share, atol=5e-3)
    page.click("#zoom-reset")
    page.wait_for_function("() => !new URLSearchParams(location.search).has('at')")
    assert enlarged(page) == pytest.approx(1)


def test_dragging_moves_the_map_and_opens_no_voxel(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.click("#zoom-in")
    page.click("#zoom-in")
    wait_larger(page, 2)
    start = middle(page)
    share = page.evaluate(UNDER, start)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 60, start[1] + 40, steps=4)
    page.mouse.up()
    page.wait_for_function("() => new URLSearchParams(location.search).get('at')?.split('_')[0] !== '500'")
    np.testing.assert_allclose(page.evaluate(UNDER, (start[0] + 60, start[1] + 40)), share, atol=2e-3)
    assert page.is_hidden("#card")


def test_two_fingers_come_nearer(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const box = document.getElementById("lens").getBoundingClientRect();
          map.setPointerCapture = () => {};
          const finger = (type, pointerId, x) => {
            const at = { clientX: box.left + x, clientY: box.top + 100, button: 0 };
            map.dispatchEvent(new PointerEvent(type, { pointerId, pointerType: "touch", bubbles: true, ...at }));
          };
          document.getElementById("lens").setPointerCapture = () => {};
          finger("pointerdown", 1, 200); finger("pointerdown", 2, 300);
          finger("pointermove", 1, 150); finger("pointermove", 2, 350);
          finger("pointerup", 1, 150); finger("pointerup", 2, 350);
        }"""
    )
    wait_larger(page, 1.9)
    assert enlarged(page) == pytest.approx(2, rel=0.05)
    assert page.is_hidden("#card")


def test_the_keyboard_enlarges_and_goes_back(visit: Visit) -> None:
    page = visit().open("/?concept=cake")
    page.focus("#map")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    for _ in range(4):
        page.keyboard.press("+")
    wait_larger(page, 3)
    assert "enlarged" in page.inner_text("#say")
    for _ in range(40):
        page.keyboard.press("Shift+ArrowRight")
    tip = page.locator("#tip").bounding_box()
    lens = page.locator("#lens").bounding_box()
    if tip:
        assert lens["x"] - 200 < tip["x"] < lens["x"] + lens["width"]
    page.keyboard.press("0")
    page.wait_for_function("() => document.getElementById('map').style.transform === ''")


def test_a_click_between_pixels_opens_the_voxel_that_the_pointer_names(visit: Visit) -> None:
    """Clicks come rounded to whole pixels of the screen, and a voxel may be smaller than one."""
    page = visit(width=375, height=740).open("/?concept=cake")
    x, y = middle(page, 0.3, 0.55)
    for part in (0.1, 0.35, 0.6, 0.85):
        page.mouse.move(x + part, y + part)
        named = page.inner_text("#tip strong")
        page.mouse.down()
        page.mouse.up()
        page.wait_for_function(
            "(named) => document.querySelector('#card:not([hidden]) h2')?.textContent === named",
            arg=named.replace("voxel", "Voxel"),
        )


@pytest.mark.parametrize("width", [375, 1440, 2560])
def test_names_never_cover_each_other(visit: Visit, width: int) -> None:
    page = visit(width=width).open("/?concept=cake")
    for _ in range(3):
        named, overlapping = page.evaluate(OVERLAPPING)
        assert (named > 0, overlapping) == (True, 0)
        seen = page.get_attribute("#overlay", "viewBox")
        page.click("#zoom-in")
        # Names are placed anew when the map rests.
        page.wait_for_function(
            "(seen) => document.getElementById('overlay').getAttribute('viewBox') !== seen", arg=seen
        )
        assert page.evaluate("document.getElementById('overlay').style.transform") == ""


def test_the_page_places_names_as_pictures_do(visit: Visit) -> None:
    rng = np.random.default_rng(0)
    places = (rng.random((50, 2)) * (900, 450)).tolist()
    widths = (20 + 60 * rng.random(50)).tolist()
    page = visit().open("/")
    placed = page.evaluate(
        """async ([places, widths]) => {
          const { placeNames } = await import("/assets/names.js");
          const placed = placeNames(places, widths, 12, [900, 450]);
          return placed.map(({ at, x, y, leader }) => [at, x, y, ...(leader ?? [])]);
        }""",
        [places, widths],
    )
    ours = [[one.at, one.x, one.y, *(one.leader or ())] for one in place_names(places, widths, 12, (900, 450))]
    assert [len(one) for one in placed] == [len(one) for one in ours]
    for one, other in zip(placed, ours, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert any(len(one) == 5 for one in ours)


def test_the_first_view_is_of_what_is_filled(visit: Visit) -> None:
    page = visit().open("/")
    homes = page.evaluate(
        """async () => {
          const { Viewport } = await import("/assets/viewport.js");
          return [[0, 1000, 0, 500], [400, 600, 200, 300]].map(([left, right, top, bottom]) => {
            const voxelAt = Int32Array.from({ length: 500_000 }, (_, at) => {
              const [x, y] = [at % 1000, Math.floor(at / 1000)];
              return x >= left && x < right && y >= top && y < bottom ? 1 : -1;
            });
            const viewport = new Viewport();
            viewport.settle({ width: 1000, height: 500, voxelAt, curvature: new Uint8Array(0) });
            return { ...viewport.home, address: viewport.address };
          });
        }"""
    )
    assert homes[0] == {"k": 1, "x": 0, "y": 0, "address": None}
    assert 4 < homes[1]["k"] < 5
    assert homes[1]["x"] + 0.5 / homes[1]["k"] == pytest.approx(0.5, abs=0.01)
