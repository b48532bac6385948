from itertools import combinations

import numpy as np
from shapely import LineString, Point, Polygon, box

from voxel_atlas.viz.render.lettering import fitted, font, one_line
from voxel_atlas.viz.render.overlay import overlay, region_names

SHAPE = (400, 800)


def cell(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], np.float32)


def shape(x: float, y: float, width: float, size: float) -> Polygon:
    """What a name covers."""
    return box(x - width / 2, y - size / 2, x + width / 2, y + size / 2)


def crowd() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 0.97, (60, 2))
    return {f"ROI{number}": [cell(x, y, x + 0.03, y + 0.03)] for number, (x, y) in enumerate(places)}


def test_names_stand_in_their_rois() -> None:
    ring = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9], [0.1, 0.8], [0.8, 0.8], [0.8, 0.2], [0.1, 0.2]])
    (name,) = region_names({"BEND": [ring.astype(np.float32)]}, SHAPE, 12)
    assert (name.text, name.leader) == ("BEND", None)
    assert Polygon(ring * (800, 400)).contains(Point(name.x, name.y))


def test_names_cover_neither_each_other_nor_lines_nor_other_places() -> None:
    names = region_names(crowd(), SHAPE, 12)
    assert len(names) > 30
    boxes = [shape(name.x, name.y, font(12).getlength(name.text), 12) for name in names]
    for one, two in combinations(boxes, 2):
        assert not one.intersects(two)
    led = [(LineString([name.leader[:2], name.leader[2:]]), at) for at, name in enumerate(names) if name.leader]
    assert len(led) > 5
    for line, at in led:
        assert line.distance(boxes[at]) < 6
        assert not any(line.crosses(box) for other, box in enumerate(boxes) if other != at)


def test_a_name_without_room_on_its_region_stands_beside_it_with_a_line() -> None:
    """Both regions are as wide as a letter, and nearer to each other than their names are wide."""
    small = {"PARAHIPPO": [cell(0.5, 0.5, 0.52, 0.6)], "FUSIFORM": [cell(0.53, 0.5, 0.545, 0.6)]}
    names = {name.text: name for name in region_names(small, SHAPE, 12)}
    assert set(names) == set(small)
    assert all(name.leader for name in names.values())


def test_names_stay_in_the_picture() -> None:
    (name,) = region_names({"A LONG NAME": [cell(0, 0.4, 0.01, 0.5)]}, SHAPE, 12)
    assert name.x - font(12).getlength(name.text) / 2 >= 0


def test_lines_break_off_around_letters() -> None:
    """A line through the middle of a name touches none of its letters: what surrounds each is dark."""
    crossing = {"IIII": [cell(0.4, 0.3, 0.6, 0.7)], "": [cell(0.0, 0.498, 1.0, 0.502)]}
    white = np.zeros(SHAPE)
    drawn = overlay(crossing, SHAPE)
    white[drawn.rows, drawn.columns] = drawn.white
    name = next(name for name in region_names(crossing, SHAPE, 12) if name.text)
    x, y = round(name.x), round(name.y)
    line = white[y, x - 30 : x + 30]
    assert line[:10].min() > 0.5
    assert line[24:36].min() < 0.1


def test_names_may_be_left_out() -> None:
    outlines = crowd()
    assert len(overlay(outlines, SHAPE).rows) > len(overlay(outlines, SHAPE, names=False).rows) > 0


def test_nothing_to_draw_touches_no_pixel() -> None:
    assert len(overlay({}, SHAPE).rows) == 0


def test_text_is_cut_to_its_room() -> None:
    text = fitted("kitchen " * 40, 12, 100)
    assert text.endswith("…")
    assert font(12, bold=False).getlength(text) <= 100
    assert fitted("kitchen", 12, 100) == "kitchen"


def test_text_is_one_line_without_control_characters() -> None:
    assert one_line("a\nb\x00c‮d\u2028e") == "a b cd e"
