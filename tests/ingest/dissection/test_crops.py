"""Crops: Otsu against Eq. 1, boxes against the 375-pixel procedure by OpenCV, rules as properties."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from voxel_atlas.ingest.dissection.crops import SIDE, CropRules, area, crop_boxes, cut, overlap
from voxel_atlas.ingest.dissection.map_regions import grey_histogram, otsu_threshold, region_boxes

MAPS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(-100, 100, width=32),
)
RULES = st.builds(
    CropRules,
    crops_per_image=st.integers(0, 6),
    iou=st.floats(0.05, 0.95),
    cover=st.floats(0.05, 0.95),
    grid=st.sampled_from([0, 3, 8]),
)


def by_opencv(activation_map: np.ndarray) -> tuple[int, set[tuple[int, int, int, int]]]:
    """The usual procedure, with OpenCV all through: Otsu's threshold, and the boxes of external contours."""
    scaled = cv2.normalize(activation_map, None, 0, 255, cv2.NORM_MINMAX)
    grey = cv2.resize(scaled, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).round().astype(np.uint8)
    threshold, binary = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(contour) for contour in contours]
    return int(threshold), {(x, y, x + w, y + h) for x, y, w, h in boxes}


def ours(activation_map: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(box) for box in region_boxes(activation_map, SIDE).tolist()}


def smooth_maps(n: int, shape: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(n, *shape)).astype(np.float32)
    return [cv2.GaussianBlur(m, (0, 0), float(rng.uniform(0.5, 1.2))) for m in maps]


@given(counts=hnp.arrays(np.int64, 256, elements=st.integers(0, 50), fill=st.just(0)))
def test_otsu_maximises_eq_1(counts: np.ndarray) -> None:
    assume((counts > 0).sum() > 1)
    levels = np.repeat(np.arange(256), counts).astype(float)

    def q_squared(threshold: int) -> float:
        background, foreground = levels[levels <= threshold], levels[levels > threshold]
        if not len(background) or not len(foreground):
            return 0.0
        shares = len(background) * len(foreground) / len(levels) ** 2
        return shares * (background.mean() - foreground.mean()) ** 2

    best = max(q_squared(threshold) for threshold in range(256))
    assert q_squared(otsu_threshold(counts.astype(float))) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (6, 6), (7, 10)])
def test_the_histogram_and_threshold_are_those_of_the_resized_map(shape: tuple[int, int]) -> None:
    for activation_map in smooth_maps(40, shape):
        grey = cv2.normalize(activation_map, None, 0, 255, cv2.NORM_MINMAX)
        pixels = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).round().astype(np.uint8)
        literal = np.bincount(pixels.ravel(), minlength=256) / pixels.size
        histogram = grey_histogram(grey, SIDE)
        np.testing.assert_allclose(np.cumsum(histogram) / histogram.sum(), np.cumsum(literal), atol=0.01)
        assert abs(otsu_threshold(histogram) - by_opencv(activation_map)[0]) <= 2


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (14, 14), (7, 10)])
def test_boxes_equal_opencvs_at_375_pixels_up_to_one(shape: tuple[int, int]) -> None:
    distances, n_more_or_fewer = [], 0
    for activation_map in smooth_maps(300, shape):
        expected, found = by_opencv(activation_map)[1], ours(activation_map)
        n_more_or_fewer += len(found) != len(expected)
        distances += [min(max(abs(np.subtract(box, other))) for other in found) for box in expected]
    # What is left over: necks thinner than a pixel, and a threshold that falls on the neighbouring grey level.
    assert np.mean(np.array(distances) <= 1) >= 0.97
    assert n_more_or_fewer <= 0.03 * 300


def test_parts_that_touch_over_a_saddle_are_one_and_others_two() -> None:
    joined = np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 0]], np.float32)
    assert ours(joined) == by_opencv(joined)[1] == {(0, 0, 261, 261)}
    apart = np.full((4, 4), 0.4, np.float32)
    apart[1:3, 1:3] = [[1, 0], [0, 1]]
    assert ours(apart) == by_opencv(apart)[1]
    assert len(ours(apart)) == 2


def test_a_part_in_the_hole_of_another_has_no_box() -> None:
    ring = np.zeros((7, 7), np.float32)
    ring[1:6, 1:6] = 1
    ring[2:5, 2:5] = 0
    ring[3, 3] = 1
    expected, found = by_opencv(ring)[1], ours(ring)
    assert len(expected) == len(found) == 1
    assert max(abs(np.subtract(expected.pop(), found.pop()))) <= 1
    ring[1, 1:6] = 0  # an opening: now the part lies in no hole
    assert len(ours(ring)) == len(by_opencv(ring)[1]) == 2


@given(value=st.floats(-(2.0**100), 2.0**100, width=32), shape=st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_a_constant_map_has_no_crops(value: float, shape: tuple[int, int]) -> None:
    assert crop_boxes(np.full(shape, value, np.float32), (0, 0, 50, 40), CropRules(), (50, 40)) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_has_no_crops(value: float) -> None:
    activation_map = np.eye(5, dtype=np.float32)
    activation_map[2, 3] = value
    assert crop_boxes(activation_map, (0, 0, 50, 40), CropRules(), (50, 40)) == []


@given(activation_map=MAPS, rules=RULES, data=st.data())
@settings(max_examples=300)
def test_crops_keep_the_rules(activation_map: np.ndarray, rules: CropRules, data: st.DataObject) -> None:
    width, height = data.draw(st.integers(8, 700)), data.draw(st.integers(8, 700))
    short = min(width, height)
    centre = ((width - short) // 2, (height - short) // 2)
    seen = data.draw(st.sampled_from([(0, 0, width, height), (*centre, centre[0] + short, centre[1] + short)]))
    boxes = crop_boxes(activation_map, seen, rules, (width, height))
    assert len(boxes) <= rules.crops_per_image
    assert len(set(boxes)) == len(boxes)
    areas = [area(box) for box in boxes]
    assert areas == sorted(areas, reverse=True)
    for place, box in enumerate(boxes):
        left, top, right, bottom = box
        assert seen[0] <= left < right <= seen[2]
        assert seen[1] <= top < bottom <= seen[3]
        assert area(box) < rules.cover * area(seen)
        assert all(overlap(box, other) <= rules.iou for other in boxes[:place])
    again = crop_boxes(activation_map, seen, rules, (width, height))
    assert boxes == again


@given(activation_map=MAPS, rules=RULES)
def test_no_box_is_left_out_that_the_rules_allow(activation_map: np.ndarray, rules: CropRules) -> None:
    seen = (0, 0, SIDE, SIDE)
    everything = crop_boxes(activation_map, seen, CropRules(10**6, 1.0, 1.1, rules.grid), (SIDE, SIDE))
    kept: list[tuple[int, int, int, int]] = []
    for box in everything:
        fits = area(box) < rules.cover * area(seen) and all(overlap(box, other) <= rules.iou for other in kept)
        if fits and len(kept) < rules.crops_per_image:
            kept.append(box)
    assert crop_boxes(activation_map, seen, rules, (SIDE, SIDE)) == kept


@given(grid=st.integers(1, 12), activation_map=MAPS)
def test_a_grid_puts_all_edges_on_its_lines(grid: int, activation_map: np.ndarray) -> None:
    side = grid * 20
    for box in crop_boxes(activation_map, (0, 0, side, side), CropRules(9, 0.9, 0.99, grid), (side, side)):
        assert all(edge % 20 == 0 for edge in box)
        assert area(box) >= 400


def test_boxes_are_in_pixels_of_the_original_image() -> None:
    activation_map = np.zeros((8, 8), np.float32)
    activation_map[:4, 4:] = 1  # the upper right quarter
    (box,) = crop_boxes(activation_map, (100, 0, 500, 400), CropRules(), (600, 400))
    assert np.abs(np.subtract(box, (300, 0, 500, 200))).max() <= 2


@pytest.mark.parametrize("scale", [0.001, 7.0, 1e6])
def test_the_unit_of_a_map_does_not_matter(scale: float) -> None:
    for activation_map in smooth_maps(20, (7, 7)):
        seen, size = (0, 0, 400, 400), (400, 400)
        boxes = crop_boxes(activation_map, seen, CropRules(), size)
        scaled = crop_boxes((activation_map * scale + 3 * scale).astype(np.float32), seen, CropRules(), size)
        assert len(boxes) == len(scaled)
        for box, other in zip(boxes, scaled, strict=True):
            assert np.abs(np.subtract(box, other)).max() <= 2


@pytest.mark.parametrize(
    ("box", "size"), [((3, 5, 10, 9), (20, 30)), ((0, 0, 900, 700), (900, 700)), ((4, 4, 5, 5), (9, 9))]
)
def test_a_cut_holds_the_whole_box_at_375_pixels(box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = (10, 200, 30)
    crop = cut(image, box)
    assert crop.shape == (SIDE, SIDE, 3)
    assert (crop == (10, 200, 30)).all()
