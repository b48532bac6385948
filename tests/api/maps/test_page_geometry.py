import gzip
import json
import struct

import numpy as np
import pytest

from voxel_atlas.api.maps import page_geometry as page
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.surfaces.surface import Surface


def test_the_page_gets_the_pixel_map_in_rows_of_its_own_values(toy: Surface) -> None:
    pixels = toy.pixel_map(200)
    cells = np.random.default_rng(0).permutation(pixels.cells)[:40]
    raw = gzip.decompress(page.pixel_map_bytes(toy, 200, cells))
    assert struct.unpack_from("<II", raw) == (200, pixels.height)
    n = pixels.index.size
    assert len(raw) == 8 + 5 * n
    rows = np.frombuffer(raw, "<i4", n, 8).reshape(pixels.shape)
    assert np.array_equal(cells[rows[rows >= 0]], pixels.index[rows >= 0])
    assert np.array_equal(rows == page.OUTSIDE, ~pixels.inside)
    assert np.array_equal(rows == page.EMPTY, pixels.inside & ~np.isin(pixels.index, cells))
    curvature = np.frombuffer(raw, np.uint8, n, 8 + 4 * n).reshape(pixels.shape)
    assert len(np.unique(curvature)) <= 7
    inside = pixels.inside
    assert (np.abs(curvature[inside].astype(int) - pixels.curvature[inside]) <= 255 / 6).all()


def test_equal_content_has_equal_bytes(toy: Surface) -> None:
    assert page.pixel_map_bytes(toy, 200, np.arange(5)) == page.pixel_map_bytes(toy, 200, np.arange(5))


def test_outlines_are_strict_json(toy: Surface) -> None:
    outlines = toy.roi_outlines()
    found = json.loads(json.dumps(page.outlines_json(outlines, (300, 600)), allow_nan=False))
    assert set(found) == set(outlines)
    for name, drawn in found.items():
        assert np.allclose(np.reshape(drawn["paths"][0], (-1, 2)), outlines[name][0], atol=1e-5)
        ((x, y),) = drawn["names"]
        assert outlines[name][0][:, 0].min() < x < outlines[name][0][:, 0].max()
        assert outlines[name][0][:, 1].min() < y < outlines[name][0][:, 1].max()


@pytest.mark.parametrize("kind", ["inflated", "fiducial"])
def test_meshes_are_read_back_to_a_step(toy: Surface, kind: str) -> None:
    mesh, cells = toy.mesh(kind), toy.pixel_map(200).cells
    raw = gzip.decompress(page.mesh_bytes(toy, kind, cells))
    n_left, n_vertices, n_faces, zero = struct.unpack_from("<IIII", raw)
    assert (n_left, n_vertices, n_faces, zero) == (600, 1200, len(mesh.faces), 0)
    low, step = np.frombuffer(raw, "<f4", 6, 16).reshape(2, 3).astype(float)
    at = 40
    positions = np.frombuffer(raw, "<u2", n_vertices * 3, at).reshape(-1, 3)
    at += -(-n_vertices * 6 // 4) * 4
    curvature = np.frombuffer(raw, np.uint8, n_vertices, at)
    at += -(-n_vertices // 4) * 4
    rows = np.frombuffer(raw, "<i4", n_vertices, at)
    faces = np.frombuffer(raw, "<u4", n_faces * 3, at + 4 * n_vertices).reshape(-1, 3)
    assert at + 4 * n_vertices + 12 * n_faces == len(raw)
    used = np.unique(mesh.faces)
    assert np.abs(low + step * positions[used] - mesh.points[used]).max() <= step.max() * 0.51 + 1e-4
    assert np.array_equal(curvature, toy.vertex_curvature())
    assert np.array_equal(faces, mesh.faces)
    there = rows >= 0
    assert there.any()
    assert np.array_equal(cells[rows[there]], toy.vertex_cells()[there])


def test_cells_that_are_not_there_are_refused(toy: Surface) -> None:
    for cells in ([-1], [toy.n_cells], [[0, 1]]):
        with pytest.raises(BadInputError, match=str(toy.n_cells - 1)):
            page.pixel_map_bytes(toy, 200, np.array(cells))
    with pytest.raises(NotFoundError, match="thin"):
        page.mesh_bytes(toy, "thin", np.arange(3))


def test_no_cells_make_an_empty_map(toy: Surface) -> None:
    raw = gzip.decompress(page.pixel_map_bytes(toy, 200, np.zeros(0, int)))
    assert set(np.frombuffer(raw, "<i4", toy.pixel_map(200).index.size, 8)) == {page.EMPTY, page.OUTSIDE}
