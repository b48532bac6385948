"""What the page gets of a subject's cortex, read back as the page reads it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxel_atlas.api.maps import page_geometry
from voxel_atlas.api.maps.page_geometry import EMPTY, OUTSIDE
from voxel_atlas.api.maps.subject_cortex import CortexCache, SubjectCortex
from voxel_atlas.atlas.search.atlas import Atlas
from voxel_atlas.atlas.store.store import Store
from voxel_atlas.schemas.config import Settings
from voxel_atlas.schemas.errors import BadInputError, NotFoundError
from voxel_atlas.viz.surfaces.surface import Surface


def unpacked(packed: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    at = 4 + int.from_bytes(packed[:4], "little")
    header, arrays = json.loads(packed[4:at]), {}
    for part in header.pop("arrays"):
        kind = np.dtype(part["dtype"]).newbyteorder("<")
        arrays[part["name"]] = np.frombuffer(packed, kind, part["length"], at)
        at += -(-part["length"] * kind.itemsize // 4) * 4
    assert at == len(packed)
    return header, arrays


def cortex_of(surface: Surface, cells: Any) -> SubjectCortex:
    return SubjectCortex("toy", surface, np.asarray(cells, np.int64), {})


def test_the_page_gets_the_pixel_map_in_numbers_of_voxels(toy: Surface) -> None:
    pixels = toy.pixel_map(1024).at(200)
    cells = np.random.default_rng(0).permutation(pixels.cells)[:40]
    packed = page_geometry.pixel_map(cortex_of(toy, cells), 200)
    header, arrays = unpacked(packed)
    assert header == {"width": 200, "height": pixels.height}
    assert len(packed) <= 5 * pixels.index.size + 180
    voxel, curvature = (arrays[name].reshape(pixels.shape) for name in ("voxel", "curvature"))
    assert np.array_equal(cells[voxel[voxel >= 0]], pixels.index[voxel >= 0])
    assert np.array_equal(voxel == OUTSIDE, ~pixels.inside)
    assert np.array_equal(voxel == EMPTY, pixels.inside & ~np.isin(pixels.index, cells))
    assert len(np.unique(curvature)) <= 7
    inside = pixels.inside
    assert (np.abs(curvature[inside].astype(int) - pixels.curvature[inside]) <= 255 / 6).all()


def test_equal_content_has_equal_bytes(toy: Surface) -> None:
    one, other = (page_geometry.pixel_map(cortex_of(toy, np.arange(5)), 200) for _ in range(2))
    assert one == other


def test_regions_have_paths_names_and_voxels(atlas: Atlas, settings: Settings, toy: Surface) -> None:
    cortex = CortexCache(atlas, settings, lambda *_: toy).of("simulated/T1")
    answer = json.loads(page_geometry.regions(atlas, cortex))
    outlines = toy.roi_outlines()
    assert [roi["name"] for roi in answer["rois"]] == sorted(outlines)
    for roi in answer["rois"]:
        outline = outlines[roi["name"]][0]
        assert np.allclose(np.reshape(roi["paths"][0], (-1, 2)), outline, atol=1e-5)
        ((x, y, rank),) = roi["names"]
        assert 0 <= rank < len(outlines)
        assert outline[:, 0].min() < x < outline[:, 0].max()
        assert outline[:, 1].min() < y < outline[:, 1].max()
        assert len(roi["voxels"]) == 60


@pytest.mark.parametrize("kind", ["inflated", "fiducial"])
def test_meshes_are_read_back_to_a_step(toy: Surface, kind: str) -> None:
    mesh, cells = toy.mesh(kind), toy.pixel_map(200).cells
    packed = page_geometry.mesh(cortex_of(toy, cells), kind)
    header, arrays = unpacked(packed)
    assert header["n_left"] == 600
    assert len(packed) <= 15 * len(mesh.points) + 12 * len(mesh.faces) + 500
    low, step = np.array(header["low"]), np.array(header["step"])
    used = np.unique(mesh.faces)
    position = low + step * arrays["position"].reshape(-1, 3)
    assert np.abs(position[used] - mesh.points[used]).max() <= step.max() * 0.51 + 1e-4
    assert np.array_equal(arrays["curvature"], toy.vertex_curvature())
    faces = arrays["corner"].reshape(-1, 3)
    assert np.array_equal(np.unique(faces, axis=0), np.unique(mesh.faces, axis=0))
    there = arrays["voxel"] >= 0
    assert there.any()
    assert np.array_equal(cells[arrays["voxel"][there]], toy.vertex_cells()[there])


def test_vertices_of_a_mesh_lie_where_the_flat_map_shows_their_voxels(toy: Surface) -> None:
    pixels = toy.pixel_map(1024)
    _, of_flat = unpacked(page_geometry.pixel_map(cortex_of(toy, pixels.cells)))
    header, arrays = unpacked(page_geometry.mesh(cortex_of(toy, pixels.cells), "inflated"))
    x, y = (arrays["flat"].reshape(-1, 2) / 65535 * (pixels.width, pixels.height)).astype(int).T
    n_left, counts = header["n_left"], header["n_faces"]
    parts = np.split(arrays["corner"].reshape(-1, 3), np.cumsum(counts)[:-1])
    assert [len(part) for part in parts] == counts
    for part, left in zip(parts, (True, True, False, False), strict=True):
        assert ((part < n_left) == left).all()
    # A face inside of the flat map: there each corner's pixel shows that vertex's voxel.
    seen = np.unique(np.concatenate([parts[0], parts[2]]))
    shown = of_flat["voxel"].reshape(pixels.shape)[y[seen], x[seen]]
    cells = toy.vertex_cells()[seen]
    known = (shown >= 0) & np.isin(cells, pixels.cells)
    assert known.sum() > 200
    assert np.mean(pixels.cells[shown[known]] == cells[known]) > 0.9
    width, height = header["flat_mm"]
    assert width / height == pytest.approx(pixels.width / pixels.height, rel=0.01)


def test_a_kind_of_surface_that_is_not_there_is_refused(toy: Surface) -> None:
    with pytest.raises(NotFoundError, match="thin"):
        page_geometry.mesh(cortex_of(toy, np.arange(3)), "thin")


def test_voxels_outside_of_the_surface_are_refused(
    tmp_path: Path, fill_atlas: Callable[..., str], toy: Surface
) -> None:
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        fill_atlas(store, tmp_path / "stimuli")
        store.change([("UPDATE voxel SET k = 60 WHERE voxel = 299", [])])
        with (
            Atlas(store, home=tmp_path) as opened,
            pytest.raises(BadInputError, match=r"outside of surface 'toy'.*599"),
        ):
            CortexCache(opened, Settings(home=tmp_path), lambda *_: toy).of("simulated/T1")


def test_no_voxels_make_an_empty_map(toy: Surface) -> None:
    _, arrays = unpacked(page_geometry.pixel_map(cortex_of(toy, []), 200))
    assert set(arrays["voxel"].tolist()) == {EMPTY, OUTSIDE}
