import numpy as np
from numpy.typing import NDArray

from voxel_atlas.viz.render.contours import contours, rings


def squares(*places: tuple[int, int, int], width: int = 400) -> NDArray[np.int32]:
    """A picture whose pixels show cell 1, 2 … within squares (left, top, side), and none elsewhere."""
    shown = np.full((200, width), -1, np.int32)
    for cell, (left, top, side) in enumerate(places, start=1):
        shown[top : top + side, left : left + side] = cell
    return shown


def test_a_region_is_outlined_where_its_cells_are_shown() -> None:
    shown = squares((40, 60, 50), (300, 20, 60))
    found = contours(shown, {"ONE": np.array([False, True, False]), "TWO": np.array([False, False, True])})
    (one,), (two,) = found["ONE"], found["TWO"]
    for path, (left, top, side) in ((one, (40, 60, 50)), (two, (300, 20, 60))):
        low, high = path.min(0) * (400, 200), path.max(0) * (400, 200)
        assert np.abs(low - (left, top)).max() <= 1.5
        assert np.abs(high - (left + side, top + side)).max() <= 1.5


def test_both_hemispheres_are_outlined_and_single_pixels_are_not() -> None:
    shown = squares((40, 60, 50), (300, 60, 50), (200, 10, 2))
    found = contours(shown, {"BOTH": np.array([False, True, True, True])})
    assert len(found["BOTH"]) == 2


def test_cells_outside_of_every_region_and_empty_regions_have_no_outline() -> None:
    shown = squares((40, 60, 50))
    assert contours(shown, {"EMPTY": np.zeros(2, bool), "HIDDEN": np.array([True, False])}) == {}


def test_every_patch_of_a_cell_gets_a_ring_around_its_middle() -> None:
    shown = np.full((100, 200), -1)
    shown[20:30, 40:50], shown[60:70, 150:160], shown[0:5, 0:5] = 7, 7, 8
    first, second = (path * (200, 100) for path in rings(shown, 7))
    assert np.allclose(first.mean(0), (45, 25), atol=1e-3)
    assert np.allclose(second.mean(0), (155, 65), atol=1e-3)
    assert np.allclose(np.linalg.norm(first - first.mean(0), axis=1), 200 * 9 / 1024, atol=1e-3)
    assert rings(shown, 9) == []
