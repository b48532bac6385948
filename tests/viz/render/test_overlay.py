from itertools import combinations

import numpy as np
from shapely import Point, Polygon

from voxel_atlas.viz.render.lettering import fitted, font, one_line
from voxel_atlas.viz.render.overlay import label_places, overlay

SHAPE = (400, 800)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], np.float32)


def crowd() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 0.97, (60, 2))
    return {f"ROI{number}": [box(x, y, x + 0.03, y + 0.03)] for number, (x, y) in enumerate(places)}


def test_names_stand_in_their_rois() -> None:
    ring = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9], [0.1, 0.8], [0.8, 0.8], [0.8, 0.2], [0.1, 0.2]])
    ((name, x, y),) = label_places({"BEND": [ring.astype(np.float32)]}, SHAPE, 12)
    assert name == "BEND"
    assert Polygon(ring * (800, 400)).contains(Point(x, y))


def test_names_do_not_overlap() -> None:
    places = label_places(crowd(), SHAPE, 12)
    assert len(places) > 10
    for (one, x1, y1), (two, x2, y2) in combinations(places, 2):
        widths = (font(12).getlength(one) + font(12).getlength(two)) / 2
        assert abs(x1 - x2) >= widths or abs(y1 - y2) >= 11.9


def test_names_stay_in_the_picture() -> None:
    for name, x, _ in label_places({"A LONG NAME": [box(0, 0.4, 0.01, 0.5)]}, SHAPE, 12):
        assert x - font(12).getlength(name) / 2 >= 0


def test_lines_break_off_around_letters() -> None:
    """A line through the middle of a name touches none of its letters: what surrounds each is dark."""
    crossing = {"IIII": [box(0.4, 0.3, 0.6, 0.7)], "": [box(0.0, 0.498, 1.0, 0.502)]}
    white = np.zeros(SHAPE)
    drawn = overlay(crossing, SHAPE)
    white[drawn.rows, drawn.columns] = drawn.white
    ((_, x, y),) = label_places({"IIII": crossing["IIII"]}, SHAPE, 12)
    line = white[round(y), round(x) - 30 : round(x) + 30]
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
