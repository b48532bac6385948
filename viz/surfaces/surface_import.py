"""New subjects in a pycortex store: FreeSurfer or GIFTI surfaces, a flat patch, and a transform to a volume."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ...schemas.files import replacing
from ..flattening import autoflattened
from . import filestore as stores
from .locked_files import locked
from .registration import WARP
from .standard import Hemisphere, Meshes, fsaverage5_spheres

Points = NDArray[np.float64]
Faces = NDArray[np.int64]

FREESURFER = {"wm": "{side}.smoothwm", "pia": "{side}.pial", "inflated": "{side}.inflated"}
"""Kind of surface → file in FreeSurfer's surf folder. `white` is taken where there is no smoothwm."""
FSAVERAGE = "fsaverage_vertices.npy"
"""File of a subject: which of its vertices lies at each one of fsaverage, (2, n) int32, counted as in pycortex."""
FLAT_PATCHES = ("{side}.full.flat.patch.3d", "{side}.autoflatten.flat.patch.3d", "{side}.flat.patch.3d")
"""Names that flat patches go by: NSD's and autoflatten's."""
_SLANT = np.radians(45)
"""Flat maps whose superior side points farther from upwards are turned; S1's and fsaverage's are within 10 degrees."""


def from_freesurfer(name: str, folder: Path, filestore: Path, cache: Path) -> Path:
    """Take a FreeSurfer subject's surfaces, and its flat patches or those that autoflatten makes, as subject `name`.

    Where both hemispheres have a sphere.reg, it also knows which of its vertices lies at each one of fsaverage5.

    Args:
        name: of the new subject.
        folder: the FreeSurfer subject, which has a folder surf.
        filestore: pycortex store that it is written to; made when it is not there.
        cache: folder of the caches.

    Returns:
        The new subject's folder.

    Raises:
        NotFoundError: a surface is missing; the message names the file.
        SpaceMismatchError: hemispheres are swapped or mirrored, or a flat patch or a sphere is of another mesh.
        BadInputError: there is such a subject already, or a file is damaged.
    """
    require_new(name, filestore)
    meshes = flattened(folder, freesurfer_meshes(folder))
    to_fsaverage = _by_spheres(folder / "surf", [len(points) for points, _ in meshes["wm"]])
    made = write_subject(name, meshes, filestore, cache)
    if to_fsaverage is not None:
        np.save(made / FSAVERAGE, to_fsaverage)
    return made


def _by_spheres(surf: Path, n_vertices: Sequence[int]) -> NDArray[np.int32] | None:
    """The vertex nearest to each one of fsaverage5 on the spheres that FreeSurfer registers; None without them."""
    files = [surf / f"{side}.sphere.reg" for side in stores.SIDES]
    if not all(file.exists() for file in files):
        return None
    from scipy.spatial import KDTree

    nearest = []
    for file, n, target in zip(files, n_vertices, fsaverage5_spheres(), strict=True):
        # Of directions, the nearest to a point is the one that it lies in, however far out the point is.
        nearest.append(KDTree(autoflattened.registered(file, n)).query(target)[1])
    return np.stack([nearest[0], nearest[1] + n_vertices[0]]).astype(np.int32)


def freesurfer_meshes(folder: Path) -> dict[str, tuple[Hemisphere, Hemisphere]]:
    """White-matter, pial and inflated surfaces of a FreeSurfer subject, and its flat patches where there are any.

    Raises:
        NotFoundError: a surface is missing; the message names the file.
        SpaceMismatchError: a flat patch is of another mesh.
        BadInputError: a file is damaged.
    """
    surf = folder / "surf"
    meshes: dict[str, tuple[Hemisphere, Hemisphere]] = {}
    for kind, pattern in FREESURFER.items():
        files = [surf / pattern.format(side=side) for side in stores.SIDES]
        if kind == "wm" and not all(file.exists() for file in files):
            files = [surf / f"{side}.white" for side in stores.SIDES]
        for file in files:
            if not file.exists():
                raise NotFoundError(
                    f"There is no {file}; a FreeSurfer subject with white, pial and inflated is needed."
                )
        left, right = (_geometry(file) for file in files)
        meshes[kind] = (left, right)
    if files := flat_patches(folder):
        left, right = (_patch(file, mesh) for file, mesh in zip(files, meshes["wm"], strict=True))
        meshes["flat"] = (left, right)
    return meshes


def flat_patches(folder: Path) -> list[Path]:
    """Files of a FreeSurfer subject's left and right flat patch; none where it has not both."""
    pairs = ([folder / "surf" / pattern.format(side=side) for side in stores.SIDES] for pattern in FLAT_PATCHES)
    return next((files for files in pairs if all(file.exists() for file in files)), [])


def flattened(
    folder: Path, meshes: dict[str, tuple[Hemisphere, Hemisphere]]
) -> dict[str, tuple[Hemisphere, Hemisphere]]:
    """The meshes of a FreeSurfer subject with flat maps by autoflatten, where they have none and it can make some.

    Raises:
        SpaceMismatchError: hemispheres are swapped or mirrored, or a sphere is of another mesh.
    """
    if "flat" in meshes or autoflattened.reason_against(folder):
        return meshes
    check_meshes(meshes)
    kinds = zip(meshes["wm"], meshes["pia"], meshes["inflated"], strict=True)
    folded = [autoflattened.Folded((wm + pia) / 2, inflated, faces) for (wm, faces), (pia, _), (inflated, _) in kinds]
    with TemporaryDirectory() as target:
        files = autoflattened.flat_patches(folder, folded, Path(target))
        left, right = (_patch(file, mesh) for file, mesh in zip(files, meshes["wm"], strict=True))
    return {**meshes, "flat": (left, right)}


def from_gifti(name: str, files: Mapping[str, tuple[Path, Path]], filestore: Path, cache: Path) -> Path:
    """Take surfaces from GIFTI files, fs_LR's for one, as subject `name`.

    Args:
        name: of the new subject.
        files: kind (wm, pia, inflated, flat) → its left and right file. wm and pia are needed.
        filestore: pycortex store that it is written to.
        cache: folder of the caches.

    Raises:
        NotFoundError: a file is missing.
        SpaceMismatchError: hemispheres are swapped or mirrored, or meshes do not match.
        BadInputError: there is such a subject already, or a file holds no surface.
    """
    meshes: dict[str, tuple[Hemisphere, Hemisphere]] = {}
    for kind, (left, right) in files.items():
        meshes[kind] = (_gifti(left, "left"), _gifti(right, "right"))
    return write_subject(name, meshes, filestore, cache)


def write_subject(name: str, meshes: Meshes, filestore: Path, cache: Path) -> Path:
    """Check meshes and write them as a pycortex subject, whole or not at all.

    Args:
        name: of the new subject.
        meshes: kind → left and right (points, faces).
        filestore: pycortex store that it is written to.
        cache: folder of the caches.

    Raises:
        SpaceMismatchError: hemispheres are swapped or mirrored, or meshes do not match.
        BadInputError: there is such a subject already, its name is no file name, wm or pia is missing, or vertices have
            no places.
    """
    require_new(name, filestore)
    missing = [kind for kind in ("wm", "pia") if kind not in meshes]
    if missing:
        raise BadInputError(
            f"Subject {name!r} lacks {' and '.join(missing)}: white-matter and pial surfaces are needed."
        )
    _require_numbers(meshes)
    if "flat" in meshes:
        left, right = (_upright(*pair) for pair in zip(meshes["flat"], meshes["wm"], strict=True))
        meshes = {**meshes, "flat": (left, right)}
    check_meshes(meshes)
    target = filestore / name
    with locked(target):
        require_new(name, filestore)
        stores.write_surfaces(target, meshes, cache)
    return target


def require_new(name: str, filestore: Path) -> None:
    """Refuse a name that a new subject cannot have.

    Raises:
        BadInputError: it is no file name, or there is such a subject already.
    """
    if not name or name != Path(name).name or name.startswith("."):
        raise BadInputError(f"{name!r} cannot name a subject; take letters, digits, - and _.")
    if (filestore / name).exists():
        raise BadInputError(f"There is a subject {name!r} in {filestore} already; take another name or remove it.")


def _require_numbers(meshes: Meshes) -> None:
    for kind, pair in meshes.items():
        for side, (points, _) in zip(("left", "right"), pair, strict=True):
            if n_bad := int((~np.isfinite(points).all(1)).sum()):
                raise BadInputError(
                    f"{kind} of the {side} hemisphere: the places of {n_bad} of {len(points)} vertices are no numbers; "
                    "make the surface again."
                )


def check_meshes(meshes: Meshes) -> None:
    """See that hemispheres are on their sides and nothing is mirrored.

    Raises:
        SpaceMismatchError: they are not; the message names the surface.
    """
    counts = tuple(len(points) for points, _ in meshes["wm"])
    left, right = (float(points[:, 0].mean()) for points, _ in meshes["wm"])
    if left > right:
        raise SpaceMismatchError(
            f"The left hemisphere lies right of the right one (mean x {left:.0f} and {right:.0f} mm): they are "
            "swapped, or the surfaces are mirrored."
        )
    for kind, pair in meshes.items():
        if tuple(len(points) for points, _ in pair) != counts:
            given = " and ".join(str(len(points)) for points, _ in pair)
            raise SpaceMismatchError(f"{kind} has {given} vertices, but wm has {counts[0]} and {counts[1]}.")
        for side, (points, faces), (_, solid) in zip(("left", "right"), pair, meshes["wm"], strict=True):
            if len(faces) and faces.max() >= len(points):
                raise SpaceMismatchError(f"{kind} of the {side} hemisphere has faces of vertices that it has not.")
            if kind == "flat":
                _check_flat(side, points, faces, solid)
            elif _volume(points, faces) < 0:
                raise SpaceMismatchError(f"{kind} of the {side} hemisphere is mirrored: its faces look inwards.")


def write_transform(
    subject: Path, name: str, matrix: NDArray[np.float64], reference: Path, warp: NDArray[np.float64] | None = None
) -> None:
    """Add a transform from surface mm to the voxels (x, y, z) of a functional image.

    Args:
        subject: the subject's folder in a pycortex store.
        name: of the transform.
        matrix: (4, 4), from mm to voxel indices.
        reference: the functional image, NIfTI.
        warp: where no matrix is exact: voxel coordinates (x, y, z) of each vertex, from 0, at one or more depths,
            (n_depths, n_vertices, 3).

    Raises:
        BadInputError: the matrix cannot be inverted, or the transform is there already.
    """
    matrix = np.asarray(matrix, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise BadInputError(f"Transform {name!r} needs a 4 × 4 matrix that can be inverted.")
    target = subject / "transforms" / name
    with locked(target):
        if target.exists():
            raise BadInputError(f"There is a transform {name!r} of {subject.name!r} already; take another name.")
        with readable(reference):
            image = nib.load(reference)
            values = np.asarray(image.dataobj)
        with replacing(target) as temporary:
            temporary.mkdir()
            nib.save(nib.Nifti1Image(values, image.affine), temporary / "reference.nii.gz")
            if warp is not None:
                np.save(temporary / WARP, warp)
            text = json.dumps({"coord": matrix.tolist()}, indent=2)
            (temporary / "matrices.xfm").write_text(text, encoding="utf-8")


def _check_flat(side: str, points: Points, faces: Faces, solid: Faces) -> None:
    first, second, third = (points[faces[:, corner], :2] for corner in range(3))
    one, two = second - first, third - first
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    if not len(faces):
        raise SpaceMismatchError(f"The flat map of the {side} hemisphere has no faces.")
    same = _face_set(faces) <= _face_set(solid)
    if not same:
        raise SpaceMismatchError(f"The flat map of the {side} hemisphere has faces that its white surface has not.")
    if (area < 0).mean() > 0.5:
        raise SpaceMismatchError(
            f"The flat map of the {side} hemisphere is mirrored: its faces turn the other way than the folded ones."
        )


def _upright(flat: Hemisphere, solid: Hemisphere) -> Hemisphere:
    """The flat map with superior cortex up, as in pycortex's S1 and in fsaverage; unchanged where it is so already.

    How a flattened patch lies in its plane is an accident of the program that flattened it.
    """
    points, faces = flat
    used = np.unique(faces)
    if len(points) != len(solid[0]) or not len(used) or used[-1] >= len(points):
        return flat  # not of this mesh, which the checks say better
    places = points[used, :2] - points[used, :2].mean(0)
    height = solid[0][used, 2] - solid[0][used, 2].mean()
    (x, y), *_ = np.linalg.lstsq(places, height, rcond=None)
    off = float(np.pi / 2 - np.arctan2(y, x))
    if np.abs(np.angle(np.exp(1j * off))) < _SLANT:
        return flat
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[np.cos(off), np.sin(off)], [-np.sin(off), np.cos(off)]])
    return turned, faces


def _face_set(faces: Faces) -> set[bytes]:
    """Faces by their corners, turned so that the smallest comes first: mirrored ones differ."""
    turned = faces.astype(np.int64)
    smallest = turned.argmin(1)
    turned = np.take_along_axis(turned, (smallest[:, None] + np.arange(3)) % 3, axis=1)
    return set(map(bytes, turned))


def _volume(points: Points, faces: Faces) -> float:
    """Signed volume (divergence theorem); positive where faces are counter-clockwise from outside."""
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    return float(np.einsum("nd,nd->", first, np.cross(second, third)) / 6)


def _geometry(file: Path) -> Hemisphere:
    with readable(file):
        points, faces = nib.freesurfer.read_geometry(file)
    return np.asarray(points, np.float64), np.asarray(faces, np.int64)


def _gifti(file: Path, side: str) -> Hemisphere:
    if not file.exists():
        raise NotFoundError(f"There is no file {file}.")
    with readable(file):
        image: Any = nib.load(file)
        points = image.agg_data("NIFTI_INTENT_POINTSET")
        faces = image.agg_data("NIFTI_INTENT_TRIANGLE")
    if np.size(points) == 0 or np.size(faces) == 0:
        raise BadInputError(f"{file.name} holds no surface (points and triangles).")
    structure = str(image.get_arrays_from_intent("NIFTI_INTENT_POINTSET")[0].meta.get("AnatomicalStructurePrimary", ""))
    if structure.removeprefix("Cortex").lower() not in ("", side):
        raise SpaceMismatchError(f"{file.name} was given as the {side} hemisphere, but it says that it is {structure}.")
    return np.asarray(points, np.float64), np.asarray(faces, np.int64)


def _patch(file: Path, mesh: Hemisphere) -> Hemisphere:
    """A FreeSurfer patch: places of the vertices that it has, and the faces between them.

    The format (big-endian): int32 -1, int32 n, then n of int32 number and float32 x, y, z. A number is the vertex
    plus 1, negative on the border (FreeSurfer's MRISreadPatch).
    """
    raw = file.read_bytes()
    records = np.dtype([("number", ">i4"), ("place", ">f4", 3)])
    head = np.frombuffer(raw, ">i4", 2) if len(raw) >= 8 else np.zeros(2, ">i4")
    if head[0] != -1 or len(raw) != 8 + head[1] * records.itemsize:
        raise BadInputError(f"{file.name} is not a FreeSurfer patch.")
    patch = np.frombuffer(raw, records, offset=8)
    vertices = np.abs(patch["number"].astype(np.int64)) - 1
    points, faces = mesh
    if len(vertices) and vertices.max() >= len(points):
        raise SpaceMismatchError(f"{file.name} is of a mesh with more than {len(points)} vertices.")
    # Turned as pycortex turns FreeSurfer's patches, so that anterior lies where it does in other subjects' flat maps.
    # Vertices that the patch leaves out go to its middle: pycortex takes the picture's extent over all vertices.
    x, y, _ = patch["place"].T.astype(np.float64)
    places = np.zeros_like(points)
    places[:, :2] = y.mean(), -x.mean()
    places[vertices, :2] = np.column_stack([y, -x])
    there = np.zeros(len(points), np.bool_)
    there[vertices] = True
    return places, faces[there[faces].all(1)]
