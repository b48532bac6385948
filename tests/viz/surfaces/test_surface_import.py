import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from voxel_atlas.schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from voxel_atlas.viz.surfaces import surface_import as importing
from voxel_atlas.viz.surfaces.nsd_warps import on_fsaverage
from voxel_atlas.viz.surfaces.standard import fsaverage5_spheres
from voxel_atlas.viz.surfaces.surface import load_surface

MIRROR = np.array([-1.0, 1, 1])


def swapped(meshes: Any) -> Any:
    return {kind: (right, left) for kind, (left, right) in meshes.items()}


def changed(meshes: Any, kind: str, side: int, points: Any = None, faces: Any = None) -> Any:
    pair = list(meshes[kind])
    pair[side] = (pair[side][0] if points is None else points, pair[side][1] if faces is None else faces)
    return {**meshes, kind: tuple(pair)}


def freesurfer(folder: Path, meshes: Any, patch: bool = True) -> Path:
    surf = folder / "surf"
    surf.mkdir(parents=True)
    for kind, name in {"wm": "white", "pia": "pial", "inflated": "inflated"}.items():
        for side, (points, faces) in zip(("lh", "rh"), meshes[kind], strict=True):
            nib.freesurfer.write_geometry(surf / f"{side}.{name}", points, faces)
    if patch:
        for side, (points, faces) in zip(("lh", "rh"), meshes["flat"], strict=True):
            vertices = np.unique(faces)
            records = np.zeros(len(vertices), [("number", ">i4"), ("place", ">f4", 3)])
            records["number"] = (vertices + 1) * np.where(np.arange(len(vertices)) % 5, 1, -1)
            # A patch lies as FreeSurfer has it: pycortex turns (x, y) into (y, -x).
            records["place"] = np.column_stack([-points[vertices, 1], points[vertices, 0], points[vertices, 2]])
            content = struct.pack(">ii", -1, len(vertices)) + records.tobytes()
            (surf / f"{side}.autoflatten.flat.patch.3d").write_bytes(content)
    return folder


def test_a_freesurfer_subject_becomes_one_of_pycortex(meshes: Any, cache: Path, tmp_path: Path) -> None:
    source = freesurfer(tmp_path / "sub-01", meshes)
    importing.from_freesurfer("sub-01", source, tmp_path / "store", cache)
    surface = load_surface("sub-01", None, cache, tmp_path / "store")
    assert surface.n_vertices == (642, 1026)
    assert surface.kinds == {"wm", "pia", "inflated", "fiducial", "flat"}
    flat = surface.mesh("flat")
    left, right = meshes["flat"]
    assert np.array_equal(flat.faces, np.vstack([left[1], right[1] + 642]))
    used = np.unique(left[1])
    places = left[0][used, :2]
    assert np.allclose(flat.points[used, :2] - flat.points[used, :2].mean(0), places - places.mean(0), atol=1e-3)
    assert surface.pixel_map(100).inside.any()


def test_a_freesurfer_subject_with_registered_spheres_knows_its_vertices_on_fsaverage(
    meshes: Any, cache: Path, tmp_path: Path
) -> None:
    source = freesurfer(tmp_path / "fs", meshes, patch=False)
    registered = []
    for side, (points, faces) in zip(("lh", "rh"), meshes["inflated"], strict=True):
        sphere = points - points.mean(0)
        registered.append(sphere / np.linalg.norm(sphere, axis=1, keepdims=True))
        nib.freesurfer.write_geometry(source / "surf" / f"{side}.sphere.reg", 100 * registered[-1], faces)
    importing.from_freesurfer("a", source, tmp_path / "store", cache)
    surface = load_surface("a", None, cache, tmp_path / "store")
    carried = on_fsaverage(np.arange(642 + 1026, dtype=np.float32), surface)
    assert carried.shape == (2, 10_242)
    for half, (own, target) in enumerate(zip(registered, fsaverage5_spheres(), strict=True)):
        directions = target[::50] / np.linalg.norm(target[::50], axis=1, keepdims=True)
        distances = np.linalg.norm(own[carried[half, ::50].astype(int) - 642 * half] - directions, axis=1)
        # Files have single precision, so that of vertices as near either may be taken.
        assert np.allclose(distances, [np.linalg.norm(own - each, axis=1).min() for each in directions], atol=1e-4)


def test_registered_spheres_of_another_mesh_are_refused_before_anything_is_written(
    meshes: Any, cache: Path, tmp_path: Path
) -> None:
    source = freesurfer(tmp_path / "fs", meshes)
    for side, (points, faces) in zip(("rh", "lh"), meshes["inflated"], strict=True):
        nib.freesurfer.write_geometry(source / "surf" / f"{side}.sphere.reg", points, faces)
    with pytest.raises(SpaceMismatchError, match=r"lh.sphere.reg has 1026 vertices, but the white surface has 642"):
        importing.from_freesurfer("a", source, tmp_path / "store", cache)
    assert not (tmp_path / "store").exists()


def test_a_freesurfer_subject_without_patches_has_no_flat_map(meshes: Any, cache: Path, tmp_path: Path) -> None:
    importing.from_freesurfer("a", freesurfer(tmp_path / "fs", meshes, patch=False), tmp_path / "store", cache)
    assert not load_surface("a", None, cache, tmp_path / "store").has_flat


def test_gifti_surfaces_become_a_subject(meshes: Any, cache: Path, tmp_path: Path) -> None:
    files: dict[str, tuple[Path, Path]] = {}
    for kind, pair in meshes.items():
        names = [tmp_path / f"{kind}.{side}.surf.gii" for side in "LR"]
        for path, structure, (points, faces) in zip(names, ("CortexLeft", "CortexRight"), pair, strict=True):
            meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
            arrays = [
                nib.gifti.GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET", meta=meta),
                nib.gifti.GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE"),
            ]
            nib.save(nib.GiftiImage(darrays=arrays), path)
        files[kind] = (names[0], names[1])
    importing.from_gifti("fs_LR", files, tmp_path / "store", cache)
    assert load_surface("fs_LR", None, cache, tmp_path / "store").has_flat
    with pytest.raises(SpaceMismatchError, match="says that it is CortexRight"):
        importing.from_gifti("b", {kind: pair[::-1] for kind, pair in files.items()}, tmp_path / "store", cache)
    with pytest.raises(NotFoundError, match="no file"):
        importing.from_gifti("b", {"wm": (tmp_path / "x.gii", tmp_path / "y.gii")}, tmp_path / "store", cache)
    assert not (tmp_path / "store" / "b").exists()


def test_swapped_hemispheres_are_refused(meshes: Any) -> None:
    with pytest.raises(SpaceMismatchError, match="swapped"):
        importing.check_meshes(swapped(meshes))


def test_mirrored_surfaces_are_refused(meshes: Any) -> None:
    mirrored = {
        kind: tuple((points * MIRROR, faces) for points, faces in pair[::-1]) if kind != "flat" else pair
        for kind, pair in meshes.items()
        if kind != "flat"
    }
    with pytest.raises(SpaceMismatchError, match="look inwards"):
        importing.check_meshes(mirrored)


def test_a_mirrored_flat_map_is_refused(meshes: Any) -> None:
    points, _ = meshes["flat"][1]
    with pytest.raises(SpaceMismatchError, match="flat map of the right hemisphere is mirrored"):
        importing.check_meshes(changed(meshes, "flat", 1, points=points * MIRROR))


@pytest.mark.parametrize("degrees", [90, 180, -100])
def test_a_turned_flat_map_is_set_upright(meshes: Any, cache: Path, tmp_path: Path, degrees: float) -> None:
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    turned = {**meshes, "flat": tuple((points @ rotation, faces) for points, faces in meshes["flat"])}
    importing.write_subject("upright", turned, tmp_path / "store", cache)
    surface = load_surface("upright", None, cache, tmp_path / "store")
    flat, solid = surface.mesh("flat"), surface.mesh("wm")
    for used in (np.unique(meshes["flat"][0][1]), 642 + np.unique(meshes["flat"][1][1])):
        up, across = (np.corrcoef(flat.points[used, axis], solid.points[used, 2])[0, 1] for axis in (1, 0))
        assert up > 0.8
        assert abs(across) < 0.2


def test_a_flat_map_of_another_mesh_is_refused(meshes: Any) -> None:
    _, faces = meshes["flat"][0]
    with pytest.raises(SpaceMismatchError, match="faces that its white surface has not"):
        importing.check_meshes(changed(meshes, "flat", 0, faces=(faces + 7) % 642))
    with pytest.raises(SpaceMismatchError, match="no faces"):
        importing.check_meshes(changed(meshes, "flat", 0, faces=faces[:0]))
    with pytest.raises(SpaceMismatchError, match="pia has 5 and 1026"):
        importing.check_meshes(changed(meshes, "pia", 0, points=meshes["pia"][0][0][:5]))


def test_a_flat_map_of_the_other_hemisphere_is_refused(meshes: Any) -> None:
    with pytest.raises(SpaceMismatchError, match="vertices"):
        importing.check_meshes({**meshes, "flat": meshes["flat"][::-1]})


def test_a_subject_is_never_overwritten(meshes: Any, cache: Path, store: Path) -> None:
    with pytest.raises(BadInputError, match="already"):
        importing.write_subject("spheres", meshes, store, cache)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "/etc"])
def test_a_subject_needs_a_name_that_is_one(meshes: Any, cache: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot name a subject"):
        importing.write_subject(name, meshes, tmp_path, cache)


def test_missing_parts_are_named(meshes: Any, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="lacks pia"):
        importing.write_subject("a", {"wm": meshes["wm"]}, tmp_path, cache)
    source = freesurfer(tmp_path / "fs", meshes)
    (source / "surf" / "rh.pial").unlink()
    with pytest.raises(NotFoundError, match=r"rh\.pial"):
        importing.from_freesurfer("a", source, tmp_path, cache)


def test_a_broken_patch_is_refused(meshes: Any, cache: Path, tmp_path: Path) -> None:
    source = freesurfer(tmp_path / "fs", meshes)
    patch = source / "surf" / "lh.autoflatten.flat.patch.3d"
    content = patch.read_bytes()
    for broken in (content[:-3], b"", b"nonsense" * 9):
        patch.write_bytes(broken)
        with pytest.raises(BadInputError, match="not a FreeSurfer patch"):
            importing.from_freesurfer("a", source, tmp_path / "store", cache)
    assert not (tmp_path / "store" / "a").exists()


def test_a_transform_must_be_one(store: Path, tmp_path: Path) -> None:
    subject = store / "spheres"
    reference = subject / "transforms" / "grid" / "reference.nii.gz"
    for matrix in (np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)):
        with pytest.raises(BadInputError, match="can be inverted"):
            importing.write_transform(subject, "new", matrix, reference)
    with pytest.raises(BadInputError, match="already"):
        importing.write_transform(subject, "grid", np.eye(4), reference)


@pytest.mark.parametrize("kind", ["wm", "inflated", "flat"])
def test_vertices_without_a_place_are_counted_and_refused(kind: str, meshes: Any, cache: Path, tmp_path: Path) -> None:
    points = meshes[kind][1][0].copy()
    points[5:7, 0] = np.nan
    with pytest.raises(BadInputError, match=f"{kind} of the right hemisphere: the places of 2 of 1026 vertices"):
        importing.write_subject("a", changed(meshes, kind, 1, points=points), tmp_path / "store", cache)
    assert not (tmp_path / "store" / "a").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "a damaged or cut file"),
        (b"", "a damaged or cut file"),
        (b"/annex/objects/SHA256E-s123--abc\n", "datalad get"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "git lfs pull"),
    ],
)
def test_a_surface_that_is_cut_or_a_pointer_is_named(
    content: bytes | None, said: str, meshes: Any, cache: Path, tmp_path: Path
) -> None:
    pial = freesurfer(tmp_path / "fs", meshes) / "surf" / "lh.pial"
    whole = pial.read_bytes()
    pial.write_bytes(whole[:-20] if content is None else content)
    with pytest.raises((BadInputError, NotFoundError), match=rf"lh\.pial: .*{said}"):
        importing.from_freesurfer("a", tmp_path / "fs", tmp_path / "store", cache)
    bad = tmp_path / "bad.gii"
    bad.write_bytes(b"not here" if content is None else content)
    with pytest.raises((BadInputError, NotFoundError), match=rf"bad\.gii: .*{said}"):
        importing.from_gifti("b", {"wm": (bad, bad), "pia": (bad, bad)}, tmp_path / "store", cache)


def test_a_reference_that_is_no_image_or_cut_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hi")
    nib.save(
        nib.Nifti1Image(np.random.default_rng(0).random((30, 30, 30), np.float32), np.eye(4)), tmp_path / "a.nii.gz"
    )
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    for name in ("notes.txt", "cut.nii.gz"):
        with pytest.raises(BadInputError, match=f"{name}: a damaged or cut file"):
            importing.write_transform(store / "spheres", "new", np.eye(4), tmp_path / name)
    assert not (store / "spheres" / "transforms" / "new").exists()
