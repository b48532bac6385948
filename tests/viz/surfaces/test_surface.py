import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.viz.conftest import spheres_meshes
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from voxel_atlas.viz.render.paint import shown_values
from voxel_atlas.viz.surfaces import filestore as stores
from voxel_atlas.viz.surfaces.pixel_map import PixelMap
from voxel_atlas.viz.surfaces.surface import Surface, load_surface, regions
from voxel_atlas.viz.surfaces.surface_import import write_subject, write_transform

LookAt = Callable[[Surface], None]
Quietly = Callable[..., Any]
VoxelAt = Callable[[NDArray[np.float64]], int]
Centres = dict[str, NDArray[np.float64]]


def pictured(shown: NDArray[np.float32], pixels: PixelMap) -> NDArray[np.float32]:
    """Values of `pixels.cells` as a picture; NaN where none is shown."""
    values = np.full(pixels.n_cells + 1, np.nan, np.float32)
    values[pixels.cells] = shown
    return values[pixels.index]


def test_pixels_show_the_voxels_that_pycortex_shows(
    spheres: Surface, cortex: Any, look_at: LookAt, quietly: Quietly
) -> None:
    look_at(spheres)
    volume = np.random.default_rng(0).random(spheres.shape)
    pixels = spheres.pixel_map(300)
    data = cortex.Volume(volume, "spheres", "grid", vmin=0, vmax=1)
    theirs, _ = quietly(cortex.quickflat.make_flatmap_image, data, height=pixels.height, thick=1, depth=0.5)
    ours = pictured(shown_values(volume.ravel(), pixels), pixels)
    assert theirs.shape == ours.shape
    assert np.array_equal(np.isnan(theirs), ~pixels.inside)
    assert (np.abs(theirs - ours)[pixels.inside] <= 2 / 255).mean() >= 0.99


@pytest.mark.parametrize("thick", [2, 32])
def test_a_mean_over_depths_is_pycortexs(
    spheres: Surface, cortex: Any, look_at: LookAt, quietly: Quietly, thick: int
) -> None:
    look_at(spheres)
    random = np.random.default_rng(0)
    volume = random.random(spheres.shape)
    volume[random.random(spheres.shape) < 0.3] = np.nan
    means, pixels = spheres.blend(volume.reshape(-1, 1).astype(np.float32), 300, thick)
    data = cortex.Volume(volume, "spheres", "grid", vmin=0, vmax=1)
    theirs, _ = quietly(cortex.quickflat.make_flatmap_image, data, height=pixels.height, thick=thick)
    ours = np.append(means[:, 0], np.nan)[pixels.index]
    assert np.isnan(ours[pixels.inside]).any()
    assert np.isclose(theirs, ours, atol=2 / 255, equal_nan=True)[pixels.inside].mean() >= 0.99


def test_a_mean_over_depths_that_make_no_sense_is_refused(spheres: Surface, sphere_vertices: Surface) -> None:
    for thick in (0, 129):
        with pytest.raises(BadInputError, match="take 1 to 128"):
            spheres.blend(np.zeros((spheres.n_cells, 1), np.float32), 100, thick)
    with pytest.raises(BadInputError, match="have one depth"):
        sphere_vertices.blend(np.zeros((sphere_vertices.n_cells, 1), np.float32), 100, 2)


def test_pixels_show_the_vertices_that_pycortex_shows(
    fsaverage5: Surface, cortex: Any, look_at: LookAt, quietly: Quietly
) -> None:
    look_at(fsaverage5)
    values = np.random.default_rng(0).random(fsaverage5.n_cells)
    pixels = fsaverage5.pixel_map(300)
    theirs, _ = quietly(cortex.quickflat.make_flatmap_image, cortex.Vertex(values, "fsaverage5"), height=pixels.height)
    ours = np.append(values, np.nan)[pixels.index]
    assert theirs.shape == ours.shape
    assert (np.abs(theirs - ours)[pixels.inside] <= 2 / 255).mean() >= 0.99


@pytest.mark.slow
def test_pixels_of_s1_show_the_voxels_that_pycortex_shows(
    cache: Path, cortex: Any, look_at: LookAt, quietly: Quietly
) -> None:
    surface = load_surface("S1", "fullhead", cache)
    look_at(surface)
    volume = np.random.default_rng(0).random(surface.shape)
    pixels = surface.pixel_map(1024)
    data = cortex.Volume(volume, "S1", "fullhead", vmin=0, vmax=1)
    theirs, _ = quietly(cortex.quickflat.make_flatmap_image, data, height=pixels.height, thick=1, depth=0.5)
    ours = pictured(shown_values(volume.ravel(), pixels), pixels)
    assert (np.abs(theirs - ours)[pixels.inside] <= 2 / 255).mean() >= 0.99


@pytest.mark.parametrize(("side", "outwards"), [("left", -1), ("right", 1)])
def test_a_voxel_is_shown_on_its_own_hemisphere_and_place(
    spheres: Surface, centres: Centres, voxel_at: VoxelAt, side: str, outwards: int
) -> None:
    pixels = spheres.pixel_map(400)
    for up in (-10, 0, 10):
        place = centres[side] + np.array([outwards * np.sqrt(400 - up**2), 0, up])
        rows, columns = np.nonzero(pixels.index == voxel_at(place))
        assert len(rows)
        assert ((columns < pixels.width / 2) == (side == "left")).all()
        expected = pixels.height * (0.5 - np.arcsin(up / 20) / np.pi)
        assert abs(rows.mean() - expected) < pixels.height * 0.12


def test_every_vertex_of_the_flat_map_lights_a_pixel_of_its_own(sphere_vertices: Surface) -> None:
    used = np.unique(sphere_vertices.mesh("flat").faces)
    assert np.array_equal(sphere_vertices.pixel_map(600).cells, used)


def test_the_second_time_neither_pycortex_nor_scipy_is_imported(store: Path, cache: Path, spheres: Surface) -> None:
    regions("spheres", "grid", cache, store)
    spheres.pixel_map(200), spheres.view(200)
    script = f"""
        import sys
        from pathlib import Path
        from voxel_atlas.viz.surfaces.surface import load_surface, regions
        surface = load_surface("spheres", "grid", Path({str(cache)!r}), Path({str(store)!r}))
        surface.pixel_map(200), surface.view(200), surface.roi_outlines()
        regions("spheres", "grid", Path({str(cache)!r}), Path({str(store)!r}))
        assert not {{"cortex", "scipy.spatial"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_neither_the_users_configuration_nor_site_packages_are_written(tmp_path: Path, store: Path) -> None:
    shipped = stores.shipped_store()
    before = sorted(path for path in shipped.rglob("*"))
    script = f"""
        import os
        from pathlib import Path
        from voxel_atlas.viz.surfaces.surface import load_surface
        load_surface("spheres", "grid", Path({str(tmp_path / "cache")!r}), Path({str(store)!r})).roi_outlines()
        import cortex
        assert cortex.options.config.get("basic", "filestore").startswith({str(tmp_path)!r})
        assert Path(cortex.options.config.get("webgl", "colormaps")).is_dir()
        assert "XDG_CONFIG_HOME" not in os.environ
    """
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG")}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        check=True,
        env={**environment, "HOME": str(home)},
    )
    assert not list(home.rglob("*cortex*"))
    assert sorted(path for path in shipped.rglob("*")) == before


def test_many_at_once_build_one_map(store: Path, tmp_path: Path) -> None:
    surface = load_surface("spheres", "grid", tmp_path, store)
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(lambda _: load_surface("spheres", "grid", tmp_path, store).pixel_map(64), range(4)))
    assert all(np.array_equal(one.index, maps[0].index) for one in maps)
    assert not [path for path in surface.folder.iterdir() if path.is_dir()]


def test_a_changed_overlay_is_read_again(store: Path, cache: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(store / "spheres", tmp_path / "spheres")
    assert set(load_surface("spheres", "grid", cache, tmp_path).roi_outlines()) == {"SQUARE", "CIRCLE"}
    text = (copy / "overlays.svg").read_text(encoding="utf-8")
    (copy / "overlays.svg").write_text(text.replace("SQUARE", "BOX"), encoding="utf-8")
    assert set(load_surface("spheres", "grid", cache, tmp_path).roi_outlines()) == {"BOX", "CIRCLE"}


def test_a_transform_that_was_refused_makes_nothing_be_worked_out_again(
    store: Path, cache: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(store / "spheres", tmp_path / "spheres")
    before = load_surface("spheres", "grid", cache, tmp_path)
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    for name in ("grid", "new"):
        with pytest.raises(BadInputError):
            write_transform(copy, name, np.eye(4), tmp_path / "notes.txt")
    assert load_surface("spheres", "grid", cache, tmp_path) == before


def test_outlines_are_closed_paths_on_the_cortex(spheres: Surface) -> None:
    pixels = spheres.pixel_map(400)
    for name, paths in spheres.roi_outlines().items():
        for path in paths:
            assert path.dtype == np.float32
            assert np.array_equal(path[0], path[-1])
            x, y = (path * (pixels.width - 1, pixels.height - 1)).mean(0).astype(int)
            assert pixels.inside[y, x]
            assert (x < pixels.width / 2) == (name == "SQUARE")


def test_outlines_are_clipped_to_the_cortex(store: Path, cache: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(store / "spheres", tmp_path / "spheres")
    text = (copy / "overlays.svg").read_text(encoding="utf-8")
    text = text.replace(
        text[text.index('d="M') : text.index('Z"/>') + 2], 'd="M -500,-500 L 900,-500 900,9000 -500,9000 Z"'
    )
    (copy / "overlays.svg").write_text(text, encoding="utf-8")
    (path,) = load_surface("spheres", "grid", cache, tmp_path).roi_outlines()["SQUARE"]
    assert path.min() > -0.01
    assert path.max() < 1.01


def test_regions_are_the_voxels_under_the_outline(spheres: Surface, centres: Centres, cache: Path, store: Path) -> None:
    mask, rois = regions("spheres", "grid", cache, store)
    assert mask.shape == spheres.shape
    assert set(rois) == {"SQUARE", "CIRCLE"}
    for name, region in rois.items():
        assert region.any()
        assert not (region & ~mask).any()
        x = np.nonzero(region)[2]
        assert ((x < spheres.shape[2] / 2) == (name == "SQUARE")).all()
    radius = np.array(
        [
            np.linalg.norm(np.array(np.nonzero(mask)).T[:, ::-1] * 5 - (63, 32, 28) - centres[side], axis=1)
            for side in centres
        ]
    )
    assert np.abs(radius.min(0) - 20).max() < 5 * np.sqrt(3) / 2 + 0.1


def test_regions_of_vertices_are_drawn_on_the_flat_map(sphere_vertices: Surface, cache: Path, store: Path) -> None:
    mask, rois = regions("spheres", None, cache, store)
    assert mask.all()
    assert rois["SQUARE"][: sphere_vertices.n_vertices[0]].sum() == rois["SQUARE"].sum() > 0
    assert rois["CIRCLE"][sphere_vertices.n_vertices[0] :].sum() == rois["CIRCLE"].sum() > 0


def test_an_unknown_subject_is_answered_with_the_known_ones(cache: Path, store: Path) -> None:
    for name in ("S9", "", "../S1", "spheres/../spheres"):
        with pytest.raises(NotFoundError, match=r"no surface named .*S1.*fsaverage5.*spheres"):
            load_surface(name, None, cache, store)


def test_an_unknown_transform_is_answered_with_the_known_ones(cache: Path, store: Path) -> None:
    with pytest.raises(NotFoundError, match="known are grid"):
        load_surface("spheres", "fullhead", cache, store)
    with pytest.raises(NotFoundError, match="vertex data only"):
        load_surface("fsaverage5", "fullhead", cache)


def test_a_subject_without_a_flat_map_offers_the_inflated_view(cache: Path, store: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(store / "spheres", tmp_path / "spheres")
    for side in ("lh", "rh"):
        (copy / "surfaces" / f"flat_{side}.gii").unlink()
    surface = load_surface("spheres", "grid", cache, tmp_path)
    assert not surface.has_flat
    for ask in (lambda: surface.pixel_map(100), surface.roi_outlines):
        with pytest.raises(NotFoundError, match="inflated view"):
            ask()
    mask, rois = regions("spheres", "grid", cache, tmp_path)
    assert mask.any()
    assert rois == {}


@pytest.mark.parametrize("width", [0, 15, 8193, -5])
def test_sizes_that_make_no_sense_are_refused(spheres: Surface, width: int) -> None:
    with pytest.raises(BadInputError, match="take"):
        spheres.pixel_map(width)


def test_a_surface_of_vertices_has_no_transform(sphere_vertices: Surface) -> None:
    with pytest.raises(SpaceMismatchError, match="name a transform"):
        sphere_vertices.transform_matrix()


def test_the_shipped_store_is_found_wherever_pip_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = stores.shipped_store().resolve()
    monkeypatch.setattr(stores.sysconfig, "get_path", lambda _: "/nowhere")
    assert stores.shipped_store() == usual
    assert (usual / "S1" / "surfaces" / "flat_lh.gii").exists()


def test_of_two_subjects_of_one_name_pycortex_is_shown_the_one_that_is_meant(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cortex = stores.pycortex(cache)
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(cortex, "db", cortex.database.Database(str(tmp_path / "own")))
    monkeypatch.setattr(stores, "_own_stores", {str(tmp_path / "own")})
    sizes = {
        scale: {
            kind: tuple((points * scale, faces) for points, faces in pair) for kind, pair in spheres_meshes().items()
        }
        for scale in (1, 2)
    }
    made = {scale: write_subject("me", meshes, tmp_path / f"store{scale}", cache) for scale, meshes in sizes.items()}
    for scale in (1, 2, 1):
        points, _ = stores.make_known(made[scale], cache).db.get_surf("me", "wm", merge=True)
        np.testing.assert_allclose(points, np.concatenate([half for half, _ in sizes[scale]["wm"]]), atol=1e-4)
