"""Where images lie: whether two affines, from voxel indices to mm, put a grid in the same place."""

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
"""(4, 4), from voxel indices (x, y, z) to mm."""


def misfit(shape: tuple[int, ...], affine: Affine, reference: Affine, tolerance: float) -> str:
    """How an image lies against another of the same shape; "" where it is the same place.

    Args:
        shape: voxels along x, y and z.
        affine: of the image.
        reference: of the other one.
        tolerance: voxels by which corners may miss each other.

    Returns:
        As "mirrored against OTHER (by up to 3.0 voxels, by the affines of the two)" without OTHER: a format with one
        place for its name.
    """
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], float)
    off = float(np.abs(corners @ (np.linalg.inv(reference) @ affine).T - corners).max())
    if off <= tolerance:
        return ""
    mirrored = np.linalg.det(affine[:3, :3]) * np.linalg.det(reference[:3, :3]) < 0
    how = "mirrored against" if mirrored else "turned or shifted against"
    return f"{how} {{}} (by up to {off:.2g} voxels, by the affines of the two)"
