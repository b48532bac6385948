"""Where a functional volume lies on surfaces: matrices from mm on the surface to voxel indices, and warps.

FreeSurfer's surfaces have coordinates of their own ("tkregister RAS"), in which the middle of a volume is the origin
and the axes follow its voxels (FreeSurfer wiki, "CoordinateSystems").
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ...schemas.damaged_files import readable
from ...schemas.errors import BadInputError, NotFoundError

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]

WARP = "vertex_coordinates.npy"
"""File of a transform that is no matrix: voxel coordinates (x, y, z) of each vertex, from 0, at one depth or at an odd
number of depths between white matter and pia, (n_vertices, 3) or (n_depths, n_vertices, 3); NaN for nowhere.
"""
MOST_DEPTHS = 128


def layers(transform: Path, thick: int | None = None) -> list[Points] | None:
    """Where each vertex lies in the volume by a transform's warp, (n_vertices, 3), at each of so many depths.

    Args:
        transform: the transform's folder in a pycortex store.
        thick: 1 for half-way, or as many depths as the warp has; None for these.

    Returns:
        None where the transform is a matrix, which knows all depths.

    Raises:
        BadInputError: nobody shows so many depths, or the warp has others.
    """
    if thick is not None and not 1 <= thick <= MOST_DEPTHS:
        raise BadInputError(f"The mean over {thick} depths was asked for; take 1 to {MOST_DEPTHS}.")
    if not (transform / WARP).exists():
        return None
    coordinates: Points = np.load(transform / WARP, mmap_mode="r", allow_pickle=False)
    depths = coordinates.reshape(-1, *coordinates.shape[-2:])
    if thick not in (None, 1, len(depths)):
        has = "one depth; take 1" if len(depths) == 1 else f"1 or {len(depths)} depths; take one of these"
        raise BadInputError(f"The mean over {thick} depths was asked for, but the warps in {transform} have {has}.")
    return [depths[len(depths) // 2]] if thick == 1 else list(depths)


def nearest(coordinates: Points, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The voxel at coordinates (n, 3) x, y, z in voxels, as a position in the volume; -1 outside, and for NaN."""
    within = ((coordinates >= 0) & (coordinates < shape[::-1])).all(1)
    voxels = np.full(len(coordinates), -1, np.int64)
    x, y, z = np.rint(coordinates[within]).astype(np.int64).T
    voxels[within] = np.ravel_multi_index((z, y, x), shape, mode="clip")
    return voxels


def from_register(register: Path, reference: Path) -> Matrix:
    """From a register.dat, as bbregister and tkregister2 write it: anatomical to functional tkregister RAS.

    Args:
        register: the file; four of its lines are the matrix.
        reference: the functional image that was registered, NIfTI.

    Returns:
        (4, 4), from mm on the surface to voxel indices (x, y, z) of the functional image.

    Raises:
        NotFoundError: a file is not there.
        BadInputError: the file is not a register.dat.
    """
    rows = [line for line in _words(register) if len(line) == 4]
    to_functional = _matrix(rows, f"{register.name} is no register.dat: it has not four lines of four numbers.")
    image = _image(reference)
    matrix: Matrix = np.linalg.inv(tkregister(image.shape, _sizes(image))) @ to_functional
    return matrix


def from_headers(anatomy: Path, reference: Path) -> Matrix:
    """From the affines of two images that lie right on each other in the scanner's space.

    Args:
        anatomy: FreeSurfer's mri/orig.mgz, on which the surfaces lie.
        reference: the functional image, NIfTI.

    Returns:
        (4, 4), from mm on the surface to voxel indices (x, y, z) of the functional image.

    Raises:
        NotFoundError: a file is not there.
        BadInputError: a file is not an image.
    """
    original, image = _image(anatomy), _image(reference)
    to_scanner = original.affine @ np.linalg.inv(tkregister(original.shape, _sizes(original)))
    matrix: Matrix = np.linalg.inv(image.affine) @ to_scanner
    return matrix


def read_matrix(file: Path) -> Matrix:
    """Four lines of four numbers.

    Raises:
        NotFoundError: the file is not there.
        BadInputError: it holds something else.
    """
    return _matrix(_words(file), f"{file.name} does not hold four lines of four numbers.")


def tkregister(shape: tuple[int, ...], sizes: NDArray[np.float64]) -> Matrix:
    """FreeSurfer's tkregister RAS of a volume: (4, 4), from voxel indices (x, y, z) to mm.

    Args:
        shape: voxels along x, y and z.
        sizes: (3,) mm.
    """
    dx, dy, dz = sizes
    nx, ny, nz = (float(n) / 2 for n in shape[:3])
    return np.array([[-dx, 0, 0, dx * nx], [0, 0, dz, -dz * nz], [0, -dy, 0, dy * ny], [0, 0, 0, 1]], float)


def _sizes(image: nib.spatialimages.SpatialImage) -> NDArray[np.float64]:
    return np.asarray(image.header.get_zooms()[:3], float)


def _image(file: Path) -> nib.spatialimages.SpatialImage:
    if not file.exists():
        raise NotFoundError(f"There is no file {file}.")
    with readable(file):
        return nib.load(file)


def _words(file: Path) -> list[list[str]]:
    """The words of each line that has some."""
    if not file.exists():
        raise NotFoundError(f"There is no file {file}.")
    try:
        return [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise BadInputError(f"{file.name} is not a text file.") from None


def _matrix(rows: list[list[str]], otherwise: str) -> Matrix:
    try:
        matrix = np.array(rows, float)
    except ValueError:
        matrix = np.zeros(0)
    if matrix.shape != (4, 4):
        raise BadInputError(otherwise)
    return matrix
