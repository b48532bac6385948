"""Subjects for tests: two spheres of unequal meshes in a small volume, nilearn's fsaverage5, pycortex's S1."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from voxel_atlas.viz.surfaces import filestore as stores
from voxel_atlas.viz.surfaces import surface_import as importing
from voxel_atlas.viz.surfaces.surface import Surface, load_surface

CENTRES = {"left": np.array([-30.0, 0, 0]), "right": np.array([30.0, 0, 0])}
SHAPE = (12, 14, 26)
"""(z, y, x) voxels of 5 mm."""
MATRIX = np.array([[0.2, 0, 0, 12.6], [0, 0.2, 0, 6.4], [0, 0, 0.2, 5.6], [0, 0, 0, 1]])


def sphere(corners: NDArray[np.float64], rounds: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A unit sphere made by halving the edges of a solid, with faces counter-clockwise from outside."""
    from scipy.spatial import ConvexHull

    points = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    for _ in range(rounds):
        faces = ConvexHull(points).simplices
        edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 0, 2]].reshape(-1, 2), axis=1), axis=0)
        points = np.vstack([points, points[edges].mean(1)])
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices.astype(np.int64)
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    inwards = np.einsum("nd,nd->n", np.cross(second - first, third - first), first) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces


def hemispheres() -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Unit spheres: the left one from an icosahedron (642 vertices), the right one from an octahedron (1,026)."""
    golden = (1 + 5**0.5) / 2
    ico = np.array([[0, a, b * golden] for a in (-1, 1) for b in (-1, 1)], float)
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    return {
        "left": sphere(np.vstack([np.roll(ico, shift, axis=1) for shift in range(3)]), 3),
        "right": sphere(octahedron, 4),
    }


def spheres_meshes() -> dict[str, tuple[importing.Hemisphere, importing.Hemisphere]]:
    """Meshes of the subject: white matter, pia, inflated, and the outer half laid flat."""
    meshes: dict[str, Any] = {kind: [] for kind in ("wm", "pia", "inflated", "flat")}
    for side, (points, faces) in hemispheres().items():
        for kind, radius in (("wm", 18.0), ("pia", 22.0), ("inflated", 25.0)):
            meshes[kind].append((points * radius + CENTRES[side], faces))
        outwards = -1 if side == "left" else 1
        angle = np.arccos(np.clip(points[:, 0] * outwards, -1, 1))
        plane = np.column_stack([points[:, 1] * outwards, points[:, 2]])
        plane *= (angle / np.maximum(np.sin(angle), 1e-9))[:, None] * 20
        outer = (points[faces, 0] * outwards > 0.05).all(1)
        plane[np.setdiff1d(np.arange(len(points)), faces[outer])] = 0
        meshes["flat"].append((np.column_stack([plane, np.zeros(len(plane))]), faces[outer]))
    return {kind: (left, right) for kind, (left, right) in meshes.items()}


def write_overlay(folder: Path) -> None:
    """An overlays.svg with a square on the left, a circle of curves on the right, and an ROI that was never drawn."""
    flat = [points[:, :2] for points, _ in spheres_meshes()["flat"]]
    width = 1024 * sum(np.ptp(points[:, 0]) for points in flat) / max(np.ptp(points[:, 1]) for points in flat)
    x, y = width * 0.2, 400
    at = [
        f"{fx * width},{fy * 1024}"
        for fx, fy in ((0.7, 0.5), (0.7, 0.6), (0.8, 0.6), (0.8, 0.5), (0.8, 0.4), (0.7, 0.4))
    ]
    circle = f"M {at[0]} C {at[1]} {at[2]} {at[3]} C {at[4]} {at[5]} {at[0]} Z"
    (folder / "overlays.svg").write_text(
        f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"
        width="{width}" height="1024"><g inkscape:label="rois"><g inkscape:label="shapes">
        <g inkscape:label="SQUARE"><path d="M {x},{y} L {x + 200},{y} {x + 200},{y + 200} {x},{y + 200} Z"/></g>
        <g inkscape:label="CIRCLE"><path d="{circle}"/></g><g inkscape:label="NEVER"/>
        </g><g inkscape:label="labels"/></g></svg>""",
        encoding="utf-8",
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for all tests of pictures."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def store(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pycortex store with the subject `spheres` and its transform `grid`."""
    store = tmp_path_factory.mktemp("store")
    subject = importing.write_subject("spheres", spheres_meshes(), store, cache)
    reference = store / "reference.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), np.linalg.inv(MATRIX)), reference)
    importing.write_transform(subject, "grid", MATRIX, reference)
    write_overlay(subject)
    return store


@pytest.fixture(scope="session")
def spheres(store: Path, cache: Path) -> Surface:
    """The spheres as their volume sees them."""
    return load_surface("spheres", "grid", cache, store)


@pytest.fixture(scope="session")
def sphere_vertices(store: Path, cache: Path) -> Surface:
    """The spheres' vertices."""
    return load_surface("spheres", None, cache, store)


@pytest.fixture(scope="session")
def fsaverage5(cache: Path) -> Surface:
    """The fsaverage5 of nilearn."""
    return load_surface("fsaverage5", None, cache)


@pytest.fixture(scope="session")
def cortex(cache: Path) -> Any:
    """The real pycortex, to compare with; `look_at` points it at a subject."""
    import matplotlib as mpl

    mpl.use("Agg")
    return stores.pycortex(cache)


@pytest.fixture
def look_at(cortex: Any) -> Iterator[Callable[[Surface], None]]:
    """Let pycortex find the subject of a surface, until the test ends: the module is that of the whole process."""
    before = cortex.db.filestore

    def look_in(store: str) -> None:
        cortex.db.filestore = store
        cortex.db.reload_subjects()

    yield lambda surface: look_in(stores.database(surface.subject, surface.cache).filestore)
    look_in(before)


@pytest.fixture(scope="session")
def quietly() -> Callable[..., Any]:
    """Call a function of pycortex without its warnings, which are not ours to mend."""

    def quietly(make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(*arguments, **options)

    return quietly


@pytest.fixture(scope="session")
def meshes() -> dict[str, tuple[importing.Hemisphere, importing.Hemisphere]]:
    """The meshes of the spheres."""
    return spheres_meshes()


@pytest.fixture(scope="session")
def centres() -> dict[str, NDArray[np.float64]]:
    """Middles of the spheres, mm."""
    return CENTRES


@pytest.fixture(scope="session")
def voxel_at() -> Callable[[NDArray[np.float64]], int]:
    """The position in the spheres' volume of the voxel at a place in mm."""

    def voxel_at(place: NDArray[np.float64]) -> int:
        x, y, z = np.rint((MATRIX @ np.append(place, 1))[:3]).astype(int)
        return int(np.ravel_multi_index((z, y, x), SHAPE))

    return voxel_at
