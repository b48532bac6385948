"""Standard spaces, and the cortex that each is drawn on without an import or a download (viz/surfaces/standard.py)."""

from collections.abc import Sequence
from typing import NamedTuple

from ...schemas.config import IngestConfig
from ...schemas.errors import NotFoundError, SpaceMismatchError
from ...schemas.spaces import MESHES, MNI152, MNI152_SURFACE

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
    if config.surface:
        return CortexName(config.surface, config.transform or None)
    if named == MNI152 or (not named and space == "volume" and affine_code == _MNI_CODE):
        return CortexName(MNI152_SURFACE, MNI152)
    if not named and space == "surface" and tuple(shape) == (MESHES["fs_LR"],) * 2:
        named = "fs_LR"
    return CortexName(named or None, None)
