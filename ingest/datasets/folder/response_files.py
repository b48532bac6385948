"""A user's responses: which files they are in, and what reads each format."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, NotFoundError
from ..fingerprint import combined_sha256, data_sha256
from ..vertices import Grayordinates
from .array_responses import array_responses
from .hemisphere_files import GIFTI, hemisphere_responses, map_on, other_side, side_of
from .stored_arrays import HDF5
from .user_responses import MASKS, NIFTI, Responses, lost_trials
from .volume_series import series_responses

_CIFTI = (".dscalar.nii", ".dlabel.nii", ".dtseries.nii")
SUFFIXES = (".npy", *NIFTI, *_CIFTI, *GIFTI)
"""Of maps over voxels, and of responses."""


class ResponseFiles(NamedTuple):
    """Where a user's responses are."""

    paths: Sequence[Path]
    """One file; or one of each trial, in the trials' order."""
    array: str = ""
    """Name of the array in it."""

    def sha256s(self) -> list[str]:
        """What says that they are others."""
        paths = [*self.paths]
        if len(paths) == 1 and paths[0].name.endswith(GIFTI) and other_side(paths[0]).exists():
            paths.append(other_side(paths[0]))
        name = [self.array] if self.array else []
        return [data_sha256(paths[0]) if len(paths) == 1 else combined_sha256(map(data_sha256, paths)), *name]


def response_files(config: IngestConfig, named: Iterable[Path] = ()) -> ResponseFiles:
    """The files of responses: those that the setting names, or the table of trials, or responses.* of the folder.

    Args:
        config: root and responses: a file, FILE:ARRAY, a folder or a pattern of files.
        named: files, one a trial, that the table of trials names.

    Raises:
        NotFoundError: there is none.
        BadInputError: there are several.
    """
    root = Path(config.root)
    if not config.responses:
        files = list(named)
        if gone := [file for file in files if not file.exists()]:
            raise NotFoundError(
                f"{gone[0]}: there is no such file of responses ({len(gone)} of {len(files)} are gone)."
            )
        return ResponseFiles(files or [_of_folder(root)])
    path = root / config.responses
    if path.is_dir():
        return ResponseFiles(_in_order_of_names(path.iterdir(), path))
    if path.exists():
        return ResponseFiles([path])
    file, _, array = config.responses.rpartition(":")
    if file and (root / file).is_file():
        return ResponseFiles([root / file], array)
    if re.search(r"[*?\[]", config.responses):
        return ResponseFiles(_in_order_of_names(_matching(root, config.responses), path))
    raise NotFoundError(f"{path}: there is no such file of responses; --responses names it within --root.")


def _matching(root: Path, pattern: str) -> Iterable[Path]:
    parts = Path(pattern)
    if parts.is_absolute():
        return Path(parts.anchor).glob(str(parts.relative_to(parts.anchor)))
    return root.glob(pattern)


def _in_order_of_names(found: Iterable[Path], where: Path) -> list[Path]:
    """The NIfTI images among files, but for masks; beta_2 comes before beta_10."""
    images = [file for file in found if file.name.endswith(NIFTI) and not file.name.endswith(_CIFTI)]
    images = [file for file in images if file.name not in MASKS]
    if not images:
        raise NotFoundError(f"{where}: no NIfTI image is there; --responses names a file, a folder or a pattern.")

    def key(file: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(file))]

    return sorted(images, key=key)


def _of_folder(root: Path) -> Path:
    files = [root / f"responses{suffix}" for suffix in (*SUFFIXES, *HDF5) if (root / f"responses{suffix}").exists()]
    pairs = [file for file in root.glob("*.func.gii") if "responses" in file.name and side_of(file) == 0]
    files = files + pairs or sorted(file for suffix in HDF5 for file in root.glob(f"TYPED_*{suffix}"))
    if not files:
        raise NotFoundError(
            f"{root}: no responses.npy, .nii, .nii.gz, .dscalar.nii, .func.gii, .hdf5 or .mat is there; --responses "
            "names another."
        )
    if len(files) > 1:
        raise BadInputError(f"{root}: both {files[0].name} and {files[1].name} are there; say which by --responses.")
    return files[0]


def open_responses(files: ResponseFiles, cache: Path, config: IngestConfig, n_trials: int) -> Responses:
    """Open files of responses.

    Args:
        files: .npy, .nii, .nii.gz, .dscalar.nii, .dtseries.nii, .func.gii, .hdf5 or .mat.
        cache: folder for the copy of a NIfTI series that can be read by voxel; made when responses are first read.
        config: root; axes; allow_missing; space, the mesh that the vertices of an array belong to.
        n_trials: trials by the table that joins them to images.

    Raises:
        NotFoundError: there is no such array, or no other hemisphere.
        BadInputError: another format or shape, or a damaged file.
        SpaceMismatchError: files that belong together lie in other places.
    """
    path = files.paths[0]
    if files.array and not path.name.endswith((".npy", *HDF5)):
        raise BadInputError(f"{path}: only .hdf5, .h5 and .mat files have named arrays; leave out :{files.array}.")
    if path.name.endswith(_CIFTI):
        return _cifti(path)
    if path.name.endswith(GIFTI):
        return hemisphere_responses(path, allow_missing=config.allow_missing)
    if path.name.endswith(NIFTI):
        return series_responses(files.paths, Path(config.root), cache)
    if path.suffix not in (".npy", *HDF5):
        raise BadInputError(
            f"{path}: responses come as .npy, .nii, .nii.gz, .dscalar.nii, .func.gii, .hdf5 or .mat; convert it."
        )
    return array_responses(path, files.array, config, n_trials)


def _cifti(path: Path) -> Responses:
    file = Grayordinates.open(path)
    cells = file.surface
    read = file.reader(cells)
    return Responses(
        file.n_rows,
        "surface",
        cells.shape,
        read,
        lambda map_file: map_on(cells, map_file),
        cells.frame,
        lambda: lost_trials(read, len(cells)),
    )
