"""Crops: boxes against a slow and obvious version of METHOD §2, rules as properties."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from voxel_atlas.ingest.dissection.crops import SIDE, CropRules, area, crop_boxes, cut, overlap

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


WHOLE = (0, 0, SIDE, SIDE)
EVERYTHING = CropRules(10**6, 1.0, 1.1)


def enlarged(activation_map: np.ndarray) -> np.ndarray:
    """A map from 0 to 255, interpolated bilinearly between its points' centres to 375 × 375."""
    grey = activation_map.astype(np.float64)
    grey = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    for axis, n in enumerate(grey.shape):
        place = (np.arange(SIDE) + 0.5) * n / SIDE - 0.5
        grey = np.apply_along_axis(lambda line, at=place: np.interp(at, np.arange(len(line)), line), axis, grey)
    return grey.round().astype(int)


def by_eq_1(pixels: np.ndarray) -> int:
    """The grey level that maximises q² = P_b · P_f · (r_b - r_f)², the largest of the background."""
    counts, levels = np.bincount(pixels.ravel(), minlength=256), np.arange(256)

    def q_squared(level: int) -> float:
        background, foreground = counts[: level + 1], counts[level + 1 :]
        if not background.any() or not foreground.any():
            return 0.0
        r_b, r_f = (
            np.average(levels[: level + 1], weights=background),
            np.average(levels[level + 1 :], weights=foreground),
        )
        return float(background.sum() * foreground.sum() * (r_b - r_f) ** 2)

    return max(range(256), key=q_squared)


def obvious(activation_map: np.ndarray) -> set[tuple[int, ...]]:
    """Boxes of what is above the threshold, by filling holes and naming the parts."""
    pixels = enlarged(activation_map)
    filled = ndimage.binary_fill_holes(pixels > by_eq_1(pixels))
    parts, _ = ndimage.label(filled, np.ones((3, 3)))
    return {(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(parts)}


def ours(activation_map: np.ndarray) -> set[tuple[int, ...]]:
    return set(crop_boxes(activation_map, WHOLE, EVERYTHING, (SIDE, SIDE)))


def smooth_maps(n: int, shape: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(n, *shape)).astype(np.float32)
    return [cv2.GaussianBlur(m, (0, 0), float(rng.uniform(0.5, 1.2))) for m in maps]


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (14, 14), (7, 10), (1, 5)])
def test_boxes_are_those_of_contours_above_otsus_threshold(shape: tuple[int, int]) -> None:
    same = [ours(activation_map) == obvious(activation_map) for activation_map in smooth_maps(40, shape)]
    # A level between two grey ones is rounded to one or the other: then an edge lies a pixel further.
    assert np.mean(same) >= 0.9


def test_parts_that_touch_over_a_saddle_are_one_and_others_two() -> None:
    joined = np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 0]], np.float32)
    assert ours(joined) == obvious(joined)
    assert len(ours(joined)) == 1
    apart = np.full((4, 4), 0.4, np.float32)
    apart[1:3, 1:3] = [[1, 0], [0, 1]]
    assert ours(apart) == obvious(apart)
    assert len(ours(apart)) == 2


def test_a_part_in_the_hole_of_another_has_no_box() -> None:
    ring = np.zeros((7, 7), np.float32)
    ring[1:6, 1:6] = 1
    ring[2:5, 2:5] = 0
    ring[3, 3] = 1
    assert ours(ring) == obvious(ring)
    assert len(ours(ring)) == 1
    ring[1, 1:6] = 0  # an opening: now the part lies in no hole
    assert len(ours(ring)) == len(obvious(ring)) == 2


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
