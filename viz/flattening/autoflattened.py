"""Flat patches by autoflatten, for FreeSurfer subjects that have none.

autoflatten (Visconti di Oleggio Castello & Gallant 2025) holds the medial wall and five cuts of fsaverage. It carries
them to a subject by FreeSurfer's mri_label2label; here they are carried by the same rule without FreeSurfer, and what
follows is autoflatten's own: cuts are made whole and straight, and what is left is flattened in JAX.
"""

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import SpaceMismatchError

Points = NDArray[np.float64]
SIDES = ("lh", "rh")
_SUBJECT = "subject"


class Folded(NamedTuple):
    """One hemisphere that is to be flattened."""

    middle: Points
    """(n, 3) half-way between white matter and pia, in mm."""
    inflated: Points
    """(n, 3)"""
    faces: NDArray[np.int64]
    """(m, 3)"""


def reason_against(folder: Path) -> str:
    """Why a FreeSurfer subject cannot be flattened, in words that say what to do; empty where it can."""
    if find_spec("autoflatten") is None:
        return "`pip install 'voxel-atlas[flatten]'` adds what makes one"
    missing = [file for pair in _spheres(folder) for file in pair if not file.exists()]
    return f"to make one, {missing[0]} is needed" if missing else ""


def flat_patches(folder: Path, hemispheres: Sequence[Folded], target: Path) -> list[Path]:
    """Cut and flatten both hemispheres of a subject; that takes many minutes.

    Args:
        folder: FreeSurfer's folder of the subject; beside it, fsaverage. Of both, sphere.reg is read.
        hemispheres: the left and the right one.
        target: a folder to write to.

    Returns:
        Files of the left and right flat patch.

    Raises:
        SpaceMismatchError: a sphere is of another mesh.
        BadInputError: a file is damaged.
    """
    from autoflatten.config import fsaverage_cut_template
    from autoflatten.core import ensure_continuous_cuts, fill_holes_in_patch, refine_cuts_with_geodesic
    from autoflatten.flatten import FlattenConfig, SurfaceFlattener
    from autoflatten.freesurfer import create_patch_file

    template: dict[str, list[int]] = json.loads(Path(fsaverage_cut_template).read_text(encoding="utf-8"))
    surf = target / _SUBJECT / "surf"
    surf.mkdir(parents=True)
    patches = []
    for side, hemisphere, (own, average) in zip(SIDES, hemispheres, _spheres(folder), strict=True):
        sphere, faces = registered(own, len(hemisphere.middle)), hemisphere.faces
        of_side = {name.removeprefix(f"{side}_"): np.array(cut) for name, cut in template.items() if side in name}
        cuts = carried(of_side, registered(average), sphere)
        # Its functions read FreeSurfer's files, and print.
        folded, flat = surf / f"{side}.fiducial", surf / f"{side}.flat.patch.3d"
        nib.freesurfer.write_geometry(folded, hemisphere.middle, faces)
        nib.freesurfer.write_geometry(surf / f"{side}.inflated", hemisphere.inflated, faces)
        with _subjects(target), redirect_stdout(io.StringIO()):
            cuts = ensure_continuous_cuts(cuts, _SUBJECT, side)
            cuts = refine_cuts_with_geodesic(cuts, _SUBJECT, side, medial_wall_vertices=cuts["mwall"])
            outside = {int(vertex) for cut in cuts.values() for vertex in cut}
            cuts["holes"] = np.array(sorted(fill_holes_in_patch(faces, outside)), np.int64)
            patch, _ = create_patch_file(str(surf / f"{side}.patch.3d"), hemisphere.inflated, faces, cuts)
            # Not by its backend: that sets flags of XLA, at which newer ones end the process.
            flattener = SurfaceFlattener(FlattenConfig(verbose=False))
            flattener.load_data(patch, str(folded))
            flattener.compute_kring_distances()
            flattener.prepare_optimization()
            flattener.save_result(flattener.run(), str(flat))
        patches.append(flat)
    return patches


def carried(cuts: dict[str, NDArray[np.int64]], source: Points, target: Points) -> dict[str, NDArray[np.int64]]:
    """Vertices on another mesh, by spheres that are registered to each other, as mri_label2label carries labels.

    A cut has the vertex nearest to each one of its own, and every vertex whose nearest one is its own.

    Args:
        cuts: name → vertices of the source.
        source: (n, 3) its vertices on the unit sphere.
        target: (m, 3) the other mesh's.
    """
    from scipy.spatial import KDTree

    forth, back = KDTree(target).query(source)[1], KDTree(source).query(target)[1]
    return {name: np.union1d(forth[cut], np.flatnonzero(np.isin(back, cut))) for name, cut in cuts.items()}


def registered(file: Path, n_vertices: int | None = None) -> Points:
    """Where a mesh's vertices lie on the unit sphere, (n, 3), by FreeSurfer's sphere.reg.

    Args:
        file: the sphere of one hemisphere.
        n_vertices: of the hemisphere's other surfaces.

    Raises:
        SpaceMismatchError: it has another number of vertices.
        BadInputError: the file is damaged.
    """
    with readable(file):
        points = np.asarray(nib.freesurfer.read_geometry(file)[0], np.float64)
    if n_vertices not in (None, len(points)):
        raise SpaceMismatchError(f"{file} has {len(points)} vertices, but the white surface has {n_vertices}.")
    directions: Points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return directions


def _spheres(folder: Path) -> list[tuple[Path, Path]]:
    """The subject's and fsaverage's sphere of each hemisphere."""
    return [
        (folder / "surf" / f"{side}.sphere.reg", folder.parent / "fsaverage" / "surf" / f"{side}.sphere.reg")
        for side in SIDES
    ]


@contextmanager
def _subjects(folder: Path) -> Iterator[None]:
    """FreeSurfer's folder of subjects, within the block."""
    before = os.environ.get("SUBJECTS_DIR")
    os.environ["SUBJECTS_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SUBJECTS_DIR"]
        else:
            os.environ["SUBJECTS_DIR"] = before
