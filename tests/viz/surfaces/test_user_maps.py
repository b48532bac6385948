import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from voxel_atlas.viz.render import png
from voxel_atlas.viz.render.colormaps import fit_scale
from voxel_atlas.viz.render.picture import Picture
from voxel_atlas.viz.surfaces.surface import Surface
from voxel_atlas.viz.surfaces.user_maps import join, read_map


@pytest.fixture(scope="module")
def reference(spheres: Surface) -> nib.Nifti1Image:
    return nib.load(spheres.subject / "transforms" / "grid" / "reference.nii.gz")


@pytest.fixture(scope="module")
def volume(reference: nib.Nifti1Image) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=reference.shape).astype(np.float32)


def save(data: NDArray[np.float32], affine: NDArray[np.float64], path: Path) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def test_a_volume_of_the_transform_is_read(
    spheres: Surface, reference: nib.Nifti1Image, volume: NDArray[np.float32], tmp_path: Path
) -> None:
    for number, data in enumerate((volume, volume[..., None])):
        values = read_map([save(data, reference.affine, tmp_path / f"{number}.nii.gz")], spheres)
        assert np.array_equal(values.reshape(spheres.shape), volume.T)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_voxel_of_a_users_own_file_lights_its_place_on_the_flat_map(
    spheres: Surface, reference: nib.Nifti1Image, voxel_at: Any, centres: Any, tmp_path: Path, side: str
) -> None:
    outwards = np.array([-20.0 if side == "left" else 20.0, 0, 0])
    lit = np.full(reference.shape, np.nan, np.float32)
    i, j, k = np.rint(np.linalg.inv(reference.affine) @ [*(centres[side] + outwards), 1])[:3].astype(int)
    lit[i, j, k] = 1
    values = read_map([save(lit, reference.affine, tmp_path / "own.nii.gz")], spheres)
    pixels = spheres.pixel_map(300)
    dark, bright = (
        np.asarray(Image.open(io.BytesIO(png.render(Picture(shown, fit_scale(shown)), pixels))).convert("RGB"))
        for shown in (np.full_like(values, np.nan), values)
    )
    changed = (dark != bright).any(2)
    assert np.array_equal(changed, pixels.index == voxel_at(centres[side] + outwards))
    assert changed.any()


def test_a_mirrored_volume_is_refused(
    spheres: Surface, reference: nib.Nifti1Image, volume: NDArray[np.float32], tmp_path: Path
) -> None:
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = volume.shape[0] - 1
    path = save(volume[::-1], reference.affine @ flip, tmp_path / "mirrored.nii.gz")
    with pytest.raises(SpaceMismatchError, match=r"mirrored.nii.gz is mirrored against .*'grid'"):
        read_map([path], spheres)


def test_a_turned_volume_is_refused(
    spheres: Surface, reference: nib.Nifti1Image, volume: NDArray[np.float32], tmp_path: Path
) -> None:
    turned = save(volume.transpose(1, 0, 2), reference.affine, tmp_path / "axes.nii.gz")
    with pytest.raises(SpaceMismatchError, match="axes are in another order"):
        read_map([turned], spheres)
    quarter = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = save(volume, quarter @ reference.affine, tmp_path / "turned.nii.gz")
    with pytest.raises(SpaceMismatchError, match="turned or shifted"):
        read_map([path], spheres)


def test_a_shifted_or_resampled_volume_is_refused(
    spheres: Surface, reference: nib.Nifti1Image, volume: NDArray[np.float32], tmp_path: Path
) -> None:
    shifted = reference.affine.copy()
    shifted[:3, 3] += 3
    with pytest.raises(SpaceMismatchError, match="turned or shifted"):
        read_map([save(volume, shifted, tmp_path / "a.nii.gz")], spheres)
    with pytest.raises(SpaceMismatchError, match=r"shape \(13, 7, 6\)"):
        read_map([save(volume[::2, ::2, ::2], reference.affine, tmp_path / "b.nii.gz")], spheres)


def test_several_maps_in_one_file_are_refused(
    spheres: Surface, reference: nib.Nifti1Image, volume: NDArray[np.float32], tmp_path: Path
) -> None:
    path = save(np.stack([volume] * 3, -1), reference.affine, tmp_path / "a.nii.gz")
    with pytest.raises(BadInputError, match="holds 3 maps"):
        read_map([path], spheres)


def test_a_volume_does_not_fit_vertices_nor_vertices_a_volume(
    spheres: Surface,
    sphere_vertices: Surface,
    reference: nib.Nifti1Image,
    volume: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    path = save(volume, reference.affine, tmp_path / "a.nii.gz")
    with pytest.raises(SpaceMismatchError, match="is a volume"):
        read_map([path], sphere_vertices)
    with pytest.raises(SpaceMismatchError, match="map is one of vertices"):
        join(np.zeros(642, np.float32), np.zeros(1026, np.float32), spheres)


def hemisphere(values: NDArray[np.float32], path: Path, structure: str = "") -> Path:
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure} if structure else {})
    array = nib.gifti.GiftiDataArray(values, intent="NIFTI_INTENT_SHAPE")
    nib.save(nib.GiftiImage(darrays=[array], meta=meta), path)
    return path


@pytest.fixture
def halves(sphere_vertices: Surface) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    left, right = (np.random.default_rng(n).normal(size=n).astype(np.float32) for n in sphere_vertices.n_vertices)
    return left, right


def test_hemispheres_are_joined_left_first(sphere_vertices: Surface, halves: tuple, tmp_path: Path) -> None:
    left, right = hemisphere(halves[0], tmp_path / "lh.gii", "CortexLeft"), hemisphere(halves[1], tmp_path / "rh.gii")
    assert np.array_equal(read_map([left, right], sphere_vertices), np.concatenate(halves))
    files = []
    for side, values in zip(("lh", "rh"), halves, strict=True):
        files.append(tmp_path / f"{side}.map.mgz")
        nib.save(nib.MGHImage(values[:, None, None], np.eye(4)), files[-1])
    assert np.array_equal(read_map(files, sphere_vertices), np.concatenate(halves))


def test_swapped_hemispheres_are_refused(
    sphere_vertices: Surface, fsaverage5: Surface, halves: tuple, tmp_path: Path
) -> None:
    unnamed = [hemisphere(values, tmp_path / f"{n}.gii") for n, values in enumerate(halves)]
    with pytest.raises(SpaceMismatchError, match="hemispheres are swapped"):
        read_map(unnamed[::-1], sphere_vertices)
    equal = np.zeros(10242, np.float32)
    said = [hemisphere(equal, tmp_path / f"{s}.gii", f"Cortex{s}") for s in ("Left", "Right")]
    named = [hemisphere(equal, tmp_path / f"sub-01_hemi-{s}_r2.shape.gii") for s in ("L", "R")]
    for files, why in ((said, "CortexRight"), (named, "named so")):
        assert read_map(files, fsaverage5).shape == (20484,)
        with pytest.raises(SpaceMismatchError, match=why):
            read_map(files[::-1], fsaverage5)


def test_another_mesh_is_refused(sphere_vertices: Surface) -> None:
    with pytest.raises(SpaceMismatchError, match="has 10 left and 1026 right vertices, but 'spheres' has 642 and 1026"):
        join(np.zeros(10, np.float32), np.zeros(1026, np.float32), sphere_vertices)


def cifti(counts: tuple[int, int], n_maps: int, path: Path) -> tuple[Path, NDArray[np.float32]]:
    masks = [np.arange(n) % 3 > 0 for n in counts]
    left, right = (
        nib.cifti2.BrainModelAxis.from_mask(mask, name="CortexLeft" if not side else "CortexRight")
        for side, mask in enumerate(masks)
    )
    brain = left + right
    data = np.random.default_rng(0).normal(size=(n_maps, len(brain))).astype(np.float32)
    axis = nib.cifti2.ScalarAxis([f"map {number}" for number in range(n_maps)])
    nib.save(nib.Cifti2Image(data, (axis, brain)), path)
    whole = np.full(sum(counts), np.nan, np.float32)
    whole[np.flatnonzero(np.concatenate(masks))] = data[0]
    return path, whole


def test_cifti_values_go_to_their_vertices(sphere_vertices: Surface, fsaverage5: Surface, tmp_path: Path) -> None:
    path, whole = cifti((642, 1026), 1, tmp_path / "a.dscalar.nii")
    assert np.array_equal(read_map([path], sphere_vertices), whole, equal_nan=True)
    with pytest.raises(SpaceMismatchError, match="642 left"):
        read_map([path], fsaverage5)
    with pytest.raises(BadInputError, match="one map"):
        read_map([cifti((642, 1026), 2, tmp_path / "b.dscalar.nii")[0]], sphere_vertices)


def test_what_is_no_map_is_refused(spheres: Surface, sphere_vertices: Surface, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_map([tmp_path / "a.nii.gz"], spheres)
    (tmp_path / "b.nii.gz").write_bytes(b"nonsense")
    with pytest.raises(BadInputError, match=r"b.nii.gz: a damaged or cut file"):
        read_map([tmp_path / "b.nii.gz"], spheres)
    with pytest.raises(BadInputError, match="no file: give one"):
        read_map([], spheres)
    path = hemisphere(np.zeros(3, np.float32), tmp_path / "lh.gii")
    with pytest.raises(BadInputError, match="left and a right"):
        read_map([path], sphere_vertices)


def test_a_cut_or_empty_map_is_named(spheres: Surface, sphere_vertices: Surface, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(spheres.shape[::-1], np.float32)
    reference = nib.load(spheres.subject / "transforms" / "grid" / "reference.nii.gz")
    nib.save(nib.Nifti1Image(values, reference.affine), tmp_path / "a.nii.gz")
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match=r"cut\.nii\.gz: a damaged or cut file"):
        read_map([tmp_path / "cut.nii.gz"], spheres)
    nib.save(nib.GiftiImage(darrays=[]), tmp_path / "lh.gii")
    with pytest.raises(BadInputError, match=r"lh\.gii holds 0 arrays \(shapes: none\); give one map"):
        read_map([tmp_path / "lh.gii"] * 2, sphere_vertices)
    gifti = hemisphere(np.zeros(642, np.float32), tmp_path / "left.gii").read_bytes()
    (tmp_path / "left.gii").write_bytes(gifti[: len(gifti) // 2])
    with pytest.raises(BadInputError, match=r"left\.gii: a damaged or cut file"):
        read_map([tmp_path / "left.gii"] * 2, sphere_vertices)


def test_a_map_of_one_hemisphere_has_no_values_on_the_other(sphere_vertices: Surface, tmp_path: Path) -> None:
    brain = nib.cifti2.BrainModelAxis.from_surface(np.arange(0, 1026, 3), 1026, name="CortexRight")
    axis = nib.cifti2.ScalarAxis(["map"])
    values = np.arange(len(brain), dtype=np.float32)[None]
    nib.save(nib.Cifti2Image(values, (axis, brain)), tmp_path / "right.dscalar.nii")
    read = read_map([tmp_path / "right.dscalar.nii"], sphere_vertices)
    assert np.isnan(read[:642]).all()
    np.testing.assert_array_equal(read[642::3], values[0])
