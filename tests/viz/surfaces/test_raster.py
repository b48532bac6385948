import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxel_atlas.viz.surfaces import raster
from voxel_atlas.viz.surfaces.raster import rasterise


def brute_force(points: np.ndarray, faces: np.ndarray, depth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The nearest triangle's distance at each pixel, by testing every pixel against every triangle."""
    height, width = shape
    nearest = np.full(shape, np.inf)
    for corners in faces:
        matrix = np.vstack([points[corners].T, np.ones(3)])
        if abs(np.linalg.det(matrix)) < 1e-9:
            continue
        for y in range(height):
            for x in range(width):
                weights = np.linalg.solve(matrix, [x, y, 1])
                if (weights >= -1e-9).all():
                    nearest[y, x] = min(nearest[y, x], weights @ depth[corners])
    return nearest


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_nearest_triangle_is_found_at_each_pixel(seed: int, n_faces: int) -> None:
    rng = np.random.default_rng(seed)
    points, depth = rng.uniform(-3, 12, (8, 2)), rng.uniform(0, 1, 8)
    faces = rng.permuted(np.tile(np.arange(8), (n_faces, 1)), axis=1)[:, :3]
    pixels, found, weights = rasterise(points, faces, (7, 9), depth)
    distance = np.full(63, np.inf)
    distance[pixels] = (weights * depth[faces[found]]).sum(1)
    expected = brute_force(points, faces, depth, (7, 9)).ravel()
    assert np.array_equal(np.isfinite(distance), np.isfinite(expected))
    assert np.allclose(distance[pixels], expected[pixels])


def test_weights_give_back_the_pixels_place() -> None:
    points = np.array([[-1.0, -1], [20, 0], [3, 17]])
    pixels, _, weights = rasterise(points, np.array([[0, 1, 2]]), (12, 15))
    assert np.allclose(weights @ points, np.column_stack([pixels % 15, pixels // 15]))


def test_chunks_do_not_change_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points, depth, faces = rng.uniform(0, 40, (60, 2)), rng.uniform(0, 1, 60), rng.integers(0, 60, (80, 3))
    whole = rasterise(points, faces, (40, 40), depth)
    monkeypatch.setattr(raster, "MOST_CANDIDATES", 50)
    parts = rasterise(points, faces, (40, 40), depth)
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_nothing_in_view_gives_no_pixels() -> None:
    pixels, found, weights = rasterise(np.array([[50.0, 50], [60, 50], [50, 60]]), np.array([[0, 1, 2]]), (8, 8))
    assert len(pixels) == len(found) == len(weights) == 0
