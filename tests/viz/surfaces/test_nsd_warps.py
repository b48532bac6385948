"""NSD's subjects from its own surfaces and warps, against a literal loop over the warps."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.viz.conftest import MATRIX, SHAPE, spheres_meshes
from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from voxel_atlas.viz.surfaces import unfold
from voxel_atlas.viz.surfaces.nsd_warps import from_nsd, on_fsaverage
from voxel_atlas.viz.surfaces.registration import WARP
from voxel_atlas.viz.surfaces.surface import Surface, load_surface

N_FSAVERAGE = 700
"""Vertices of a hemisphere of what stands for fsaverage here."""


def write_nsd(root: Path, *, patches: bool = False) -> NDArray[np.float64]:
    """Subject 5 in NSD's layout with a warp that no matrix gives; returns its coordinates, from 1, 9999 for nowhere.

    Those of layerB1 and layerB3 are 0.3 voxels less and more.
    """
    meshes = spheres_meshes()
    surf = root / "nsddata" / "freesurfer" / "subj05" / "surf"
    surf.mkdir(parents=True)
    for name, kind in (("white", "wm"), ("pial", "pia"), ("inflated", "inflated")):
        for side, (points, faces) in zip(("lh", "rh"), meshes[kind], strict=True):
            nib.freesurfer.write_geometry(surf / f"{side}.{name}", points, faces)
    for side, (points, faces) in zip(("lh", "rh"), meshes["flat"] if patches else (), strict=patches):
        used = np.unique(faces)
        records = np.zeros(len(used), [("number", ">i4"), ("place", ">f4", 3)])
        records["number"] = used + 1
        records["place"] = np.column_stack([-points[used, 1], points[used, 0], 0 * used])
        head = np.array([-1, len(used)], ">i4")
        (surf / f"{side}.full.flat.patch.3d").write_bytes(head.tobytes() + records.tobytes())
    own = root / "nsddata" / "ppdata" / "subj05"
    (own / "transforms").mkdir(parents=True)
    (own / "func1pt8mm").mkdir()
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), np.eye(4)), own / "func1pt8mm" / "mean.nii.gz")
    warps = []
    for side, (wm, _), (pia, _) in zip(("lh", "rh"), meshes["wm"], meshes["pia"], strict=True):
        middle = (wm + pia) / 2
        coordinates = middle @ MATRIX[:3, :3].T + MATRIX[:3, 3] + 0.8 * np.sin(middle[:, ::-1] / 7) + 1
        coordinates[::50] = 9999
        coordinates[1::50] = SHAPE[::-1] + np.array([3, 0, 0])  # beyond the volume
        warps.append(coordinates.astype(np.float32))
        nearest = np.random.default_rng(len(middle)).integers(1, len(middle) + 1, N_FSAVERAGE)
        image = nib.MGHImage(nearest.astype(np.float32)[:, None, None], np.eye(4))
        nib.save(image, own / "transforms" / f"{side}.white-to-fsaverage.mgz")
        for layer in (1, 2, 3):
            shifted = np.where(coordinates == 9999, 9999, coordinates + (layer - 2) * 0.3).astype(np.float32)
            image = nib.MGHImage(shifted[:, None, None, :], np.eye(4))
            nib.save(image, own / "transforms" / f"{side}.func1pt8-to-layerB{layer}.mgz")
    return np.concatenate(warps).astype(np.float64)


def test_each_vertex_shows_the_voxel_that_the_warp_says(tmp_path: Path, cache: Path) -> None:
    coordinates = write_nsd(tmp_path / "nsd")
    made = from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    assert made == tmp_path / "store" / "nsd-subj05"
    surface = load_surface("nsd-subj05", "func1pt8mm", cache, tmp_path / "store")
    assert surface.shape == SHAPE
    expected = []
    for x, y, z in coordinates:
        if x == 9999 or not (0 <= x - 1 < SHAPE[2] and 0 <= y - 1 < SHAPE[1] and 0 <= z - 1 < SHAPE[0]):
            expected.append(-1)
            continue
        i, j, k = (min(round(float(c) - 1), n - 1) for c, n in zip((x, y, z), SHAPE[::-1], strict=True))
        expected.append((k * SHAPE[1] + j) * SHAPE[2] + i)
    assert surface.vertex_cells().tolist() == expected
    assert expected.count(-1) >= len(expected) // 50


def test_pictures_follow_the_warp_and_not_the_matrix_nearest_to_it(tmp_path: Path, cache: Path) -> None:
    write_nsd(tmp_path / "nsd")
    made = from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    surface = load_surface("nsd-subj05", "func1pt8mm", cache, tmp_path / "store")
    view = surface.view(200)
    shown = view.index[view.inside]
    by_warp = surface.vertex_cells()[view.vertex[view.inside]]
    (made / "transforms" / "func1pt8mm").rename(made / "transforms" / "by-matrix")
    (made / "transforms" / "by-matrix" / WARP).unlink()
    linear = load_surface("nsd-subj05", "by-matrix", tmp_path / "cache", tmp_path / "store")
    by_matrix = linear.vertex_cells()[view.vertex[view.inside]]
    assert (shown == by_warp).mean() > 1.2 * (shown == by_matrix).mean()
    assert (made / "transforms" / "by-matrix" / "matrices.xfm").exists()  # for pycortex itself


def test_a_mean_over_depths_is_that_of_the_three_layers_nearest_voxels(tmp_path: Path, cache: Path) -> None:
    coordinates = write_nsd(tmp_path / "nsd", patches=True)
    from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    surface = load_surface("nsd-subj05", "func1pt8mm", cache, tmp_path / "store")
    random = np.random.default_rng(0)
    values = random.random(surface.n_cells).astype(np.float32)
    values[random.random(len(values)) < 0.3] = np.nan
    means, pixels = surface.blend(values[:, None], 64, 3)
    volume = values.reshape(SHAPE)
    inside = surface.pixel_map(64).inside
    expected = np.full(inside.size, np.nan, np.float32)
    for pixel, corners, weights in zip(*unfold.under_pixels(surface.flat_layout(), inside), strict=True):
        found = []
        for shift in (-0.3, 0, 0.3):
            places = np.float32(coordinates[corners] + np.where(coordinates[corners] == 9999, 0, shift))
            if (places == 9999).any():
                continue
            x, y, z = (sum(weights[k] * (float(places[k, axis]) - 1) for k in range(3)) for axis in range(3))
            if 0 <= x < SHAPE[2] and 0 <= y < SHAPE[1] and 0 <= z < SHAPE[0]:
                cell = (min(round(place), n - 1) for place, n in zip((z, y, x), SHAPE, strict=True))
                found.append(float(volume[tuple(cell)]))
        if valued := [value for value in found if not np.isnan(value)]:
            expected[pixel] = sum(valued) / len(valued)
    np.testing.assert_allclose(means[:, 0], expected, rtol=1e-6)
    assert (pixels.index[inside] == np.flatnonzero(inside)).all()
    one = np.append(values, np.nan)[surface.pixel_map(64).index].ravel()
    assert np.nanmax(np.abs(one - means[:, 0])) > 0.1  # another picture than that of one depth
    with pytest.raises(BadInputError, match="have 1 or 3 depths"):
        surface.blend(values[:, None], 64, 32)


def test_a_subject_without_the_outer_layers_shows_one_depth(tmp_path: Path, cache: Path) -> None:
    write_nsd(tmp_path / "nsd", patches=True)
    (tmp_path / "nsd/nsddata/ppdata/subj05/transforms/lh.func1pt8-to-layerB3.mgz").unlink()
    from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    surface = load_surface("nsd-subj05", "func1pt8mm", cache, tmp_path / "store")
    assert (surface.vertex_cells() >= 0).any()
    with pytest.raises(BadInputError, match="have one depth"):
        surface.blend(np.zeros((surface.n_cells, 1), np.float32), 64, 3)


def test_missing_warps_are_named_and_nothing_is_written(tmp_path: Path, cache: Path) -> None:
    write_nsd(tmp_path / "nsd")
    (tmp_path / "nsd/nsddata/ppdata/subj05/transforms/rh.func1pt8-to-layerB2.mgz").unlink()
    with pytest.raises(NotFoundError, match=r"transforms: no lh.func1pt8-to-layerB2.mgz"):
        from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    assert not (tmp_path / "store").exists()


def test_a_warp_of_another_mesh_is_refused_before_anything_is_written(tmp_path: Path, cache: Path) -> None:
    write_nsd(tmp_path / "nsd")
    short = nib.MGHImage(np.ones((7, 1, 1, 3), np.float32), np.eye(4))
    nib.save(short, tmp_path / "nsd/nsddata/ppdata/subj05/transforms/rh.func1pt8-to-layerB2.mgz")
    with pytest.raises(SpaceMismatchError, match=r"rh.func1pt8-to-layerB2.mgz: 7 vertices"):
        from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    assert not (tmp_path / "store").exists()


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, Surface]:
    """NSD's folder, and subject 5 as its warps see the volume."""
    folder = tmp_path_factory.mktemp("nsd")
    write_nsd(folder)
    from_nsd(folder, 5, folder / "store", cache)
    surface = load_surface("nsd-subj05", "func1pt8mm", cache, folder / "store")
    return folder / "nsddata/ppdata/subj05/transforms", surface


def warped(folder: Path, layer: int) -> list[list[list[float]]]:
    """Coordinates from 0 of a layer at each vertex of fsaverage of either hemisphere, as the files have them."""
    halves = []
    for side in ("lh", "rh"):
        nearest = nib.load(folder / f"{side}.white-to-fsaverage.mgz").get_fdata().ravel()
        places = nib.load(folder / f"{side}.func1pt8-to-layerB{layer}.mgz").get_fdata().reshape(-1, 3)
        halves.append([[place - 1 for place in places[int(vertex) - 1].tolist()] for vertex in nearest])
    return halves


def within(place: list[float]) -> bool:
    return all(0 <= at < n for at, n in zip(place, SHAPE[::-1], strict=True))


def test_values_come_to_fsaverage_between_voxels_and_over_layers(nsd: tuple[Path, Surface]) -> None:
    folder, surface = nsd
    random = np.random.default_rng(0)
    volume = random.random(SHAPE).astype(np.float32)
    volume[random.random(SHAPE) < 0.3] = np.nan
    expected = np.full((2, N_FSAVERAGE), np.nan)
    layers = [warped(folder, layer) for layer in (1, 2, 3)]
    for half, vertex in np.ndindex(2, N_FSAVERAGE):
        found = []
        for layer in layers:
            place = layer[half][vertex]
            if not within(place):
                continue
            total = weight = 0.0
            for corner in np.ndindex(2, 2, 2):
                at = [math.floor(a) + up for a, up in zip(place, corner, strict=True)]
                share = math.prod(1 - abs(a - voxel) for a, voxel in zip(place, at, strict=True))
                value = float(volume[tuple(at[::-1])]) if within(at) else math.nan
                if not math.isnan(value):
                    total, weight = total + share * value, weight + share
            if weight >= 0.5:
                found.append(total / weight)
        if found:
            expected[half, vertex] = sum(found) / len(found)
    carried = on_fsaverage(volume.ravel(), surface)
    assert carried.dtype == np.float32
    np.testing.assert_allclose(carried, expected, rtol=1e-5)
    assert 20 < np.isnan(expected).sum() < expected.size / 2


def test_labels_come_to_fsaverage_from_the_nearest_voxel(nsd: tuple[Path, Surface]) -> None:
    folder, surface = nsd
    labels = np.random.default_rng(1).integers(0, 9, SHAPE).astype(np.int32)
    expected = np.zeros((2, N_FSAVERAGE), np.int32)
    for half, places in enumerate(warped(folder, 2)):
        for vertex, place in enumerate(places):
            if within(place):
                x, y, z = (min(round(at), n - 1) for at, n in zip(place, SHAPE[::-1], strict=True))
                expected[half, vertex] = labels[z, y, x]
    assert np.array_equal(on_fsaverage(labels.ravel(), surface), expected)


@pytest.mark.filterwarnings("ignore")  # the package's own
def test_nsdcode_leads_to_the_same_values(nsd: tuple[Path, Surface], monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip(
        "nsdcode", reason="nsdcode, NSD's own package, is an oracle of this test only: pip install --no-deps nsdcode"
    )
    monkeypatch.setattr(np, "int", int, raising=False)  # NumPy had it when the package was written
    folder, surface = nsd
    theirs, random = package.NSDmapdata(str(folder.parents[3])), np.random.default_rng(2)
    volume, labels = random.random(SHAPE), random.integers(1, 9, SHAPE).astype(float)

    def halves(source: NDArray[np.float64], layer: int, kind: str) -> list[NDArray[np.float64]]:
        """Values at the native vertices of each hemisphere."""
        return [
            theirs.fit(5, "func1pt8", f"{side}.layerB{layer}", source.T, interptype=kind, badval=np.nan)
            for side in ("lh", "rh")
        ]

    nearest = halves(labels, 2, "nearest")
    ours = np.append(labels.ravel(), np.nan)[surface.vertex_cells()]
    known = np.isfinite(np.concatenate(nearest))  # it takes voxels at the lower faces for outside
    assert known.mean() > 0.5
    assert np.array_equal(ours[known], np.concatenate(nearest)[known])
    linear = [np.mean(layers, axis=0) for layers in zip(*(halves(volume, n, "linear") for n in (1, 2, 3)), strict=True)]
    numbers, codes = on_fsaverage(volume.ravel(), surface), on_fsaverage(labels.ravel().astype(np.int32), surface)
    layers = [warped(folder, layer) for layer in (1, 2, 3)]
    for half, side in enumerate(("lh", "rh")):
        inside = [
            all(1 <= at <= n - 1 for layer in layers for at, n in zip(layer[half][vertex], SHAPE[::-1], strict=True))
            for vertex in range(N_FSAVERAGE)
        ]
        assert np.mean(inside) > 0.3
        mean = theirs.fit(5, f"{side}.white", "fsaverage", linear[half])
        np.testing.assert_allclose(numbers[half][inside], mean[inside], atol=1e-9)
        code = theirs.fit(5, f"{side}.white", "fsaverage", nearest[half])
        assert np.array_equal(codes[half][inside], code[inside])


def test_a_subject_without_a_way_to_fsaverage_says_which_files_are_one(spheres: Surface) -> None:
    with pytest.raises(SpaceMismatchError, match=r"surface nsd.*white-to-fsaverage.mgz.*lh.sphere.reg"):
        on_fsaverage(np.zeros(spheres.n_cells, np.float32), spheres)


@pytest.mark.parametrize("vertex", [0, 643, 1.5, np.nan])
def test_a_vertex_that_the_subject_has_not_is_refused_before_anything_is_written(
    tmp_path: Path, cache: Path, vertex: float
) -> None:
    write_nsd(tmp_path / "nsd")
    wrong = nib.MGHImage(np.full((N_FSAVERAGE, 1, 1), vertex, np.float32), np.eye(4))
    nib.save(wrong, tmp_path / "nsd/nsddata/ppdata/subj05/transforms/lh.white-to-fsaverage.mgz")
    with pytest.raises(SpaceMismatchError, match=r"lh.white-to-fsaverage.mgz: vertices from 1 to 642"):
        from_nsd(tmp_path / "nsd", 5, tmp_path / "store", cache)
    assert not (tmp_path / "store").exists()
