"""Reader of the Algonauts Project 2023: NSD's responses on fsaverage, averaged over repeats (Gifford et al. 2023)."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, NotFoundError
from ..fingerprint import data_sha256
from ..interface import Item, Subject, subject_number
from ..nsd.nsd_rois import regions
from ..standard_spaces import cortex_of
from ..trials import LEFT_OUT, Block, Indices, TrialDataset, Trials
from ..vertices import npy_array
from ..volumes import wide
from .challenge_maps import LABELS, SIDES, ChallengeMaps, label_paths, places

_PICTURE = re.compile(r"train-(?P<row>\d+)_nsd-(?P<nsd>\d+)\.png")
_SPACE = "fsaverage"


class Algonauts(TrialDataset):
    """Images and responses of one subject of the challenge, its training part; see `Dataset`.

    Row i of the responses is picture train-(i + 1). They are z-scored within sessions and averaged over repeats
    already, so that neither can be chosen, and no noise ceiling can be told from them.

    Args:
        config: dataset, subject, root, localizer_t, allow_missing, surface.

    Raises:
        NotFoundError: a file is missing.
        BadInputError: a file is damaged, or files disagree.
        SpaceMismatchError: files have different vertices.
    """

    def __init__(self, config: IngestConfig) -> None:
        _require_settings(config)
        number, folder = _subject(config)
        self._responses = _responses_files(folder)
        halves = [_responses(path) for path in self._responses]
        left, right = halves
        if len(left) != len(right):
            raise BadInputError(
                f"{self._responses[1]}: {len(right)} images, but {len(left)} in {self._responses[0].name}; get both "
                "again."
            )
        maps = ChallengeMaps.of(folder / "roi_masks", (left.shape[1], right.shape[1]))
        pictures, self._rows = _pictures(folder, len(left), allow_missing=config.allow_missing)
        cortex = cortex_of(config.model_copy(update={"space": _SPACE}), "surface", maps.cells.shape, None)
        subject = Subject(
            subject_id=f"algonauts/subj{number:02d}",
            dataset="algonauts",
            simulated=False,
            space="surface",
            surface=cortex.surface,
            transform=None,
            shape=maps.cells.shape,
            description=f"Algonauts Project 2023, subject {number} of the Natural Scenes Dataset, fsaverage, "
            f"{len(pictures)} training images.",
        )
        self.zscore = "none"
        super().__init__(
            subject,
            maps.cells.frame(),
            regions(maps, config.localizer_t, None),
            [Block("training", self._rows, {}, lambda voxels: _read_columns(halves, voxels))],
            pictures,
            [f"algonauts/{picture.stem.partition('_')[2]}" for picture in pictures],
        )

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "Algonauts":  # noqa: ARG003 - nothing is copied
        """See `DatasetClass`."""
        return cls(config)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:
        """See `DatasetClass`."""
        _, folder = _subject(config)
        for path in _responses_files(folder):
            yield Item("responses", path)
        yield Item("images", _images_folder(folder))
        for path in places(folder / "roi_masks"):
            yield Item("places of the vertices", path)
        for name in LABELS:
            for side in SIDES:
                short, whole = label_paths(folder / "roi_masks", name, side)
                yield Item("labels", whole if whole.exists() and not short.exists() else short, needed=False)

    def _trial_sha256s(self) -> list[str]:
        return [*map(data_sha256, self._responses), self._rows.tobytes().hex()]


def _subject(config: IngestConfig) -> tuple[int, Path]:
    """Number and folder of the subject."""
    number = subject_number(config.subject, "subj", range(1, 9), "Algonauts 2023")
    return number, Path(config.root) / f"subj{number:02d}"


def _responses_files(folder: Path) -> list[Path]:
    return [folder / f"training_split/training_fmri/{side}_training_fmri.npy" for side in SIDES]


def _images_folder(folder: Path) -> Path:
    return folder / "training_split/training_images"


def _require_settings(config: IngestConfig) -> None:
    if config.space not in ("", _SPACE):
        raise NotFoundError(f"Algonauts 2023 has no space {config.space!r}; its responses are on {_SPACE}.")
    if config.skip_sessions or config.zscore not in ("auto", "none"):
        option = "--skip-session" if config.skip_sessions else f"--zscore {config.zscore}"
        raise BadInputError(
            f"{option}: Algonauts 2023 has responses that are z-scored within sessions and averaged already, and no "
            "single trials; leave it out, or take NSD itself."
        )


def _responses(path: Path) -> NDArray[np.generic]:
    """Responses of a hemisphere, (n_images, n_vertices), which stay on disk."""
    if not path.exists():
        raise NotFoundError(
            f"{path}: not there; pass the folder that has subj01/ … as --root, or get the challenge's data."
        )
    responses = npy_array(path)
    if responses.ndim != 2 or responses.dtype.kind != "f":
        raise BadInputError(
            f"{path}: {responses.dtype} of shape {responses.shape}, responses (images, vertices) expected; get it "
            "again."
        )
    return responses


def _pictures(folder: Path, n_rows: int, *, allow_missing: bool) -> tuple[list[Path], Indices]:
    """The pictures that are there, in the order of rows, and the picture of each row of the responses or LEFT_OUT."""
    images, found = _images_folder(folder), dict[int, Path]()
    for path in sorted(images.glob("*.png")):
        if match := _PICTURE.fullmatch(path.name):
            row = int(match["row"]) - 1
            if not 0 <= row < n_rows or row in found:
                reason = f"beside {found[row].name}" if row in found else f"the responses have {n_rows} images"
                raise BadInputError(f"{path}: {reason}; get images and responses of the same subject.")
            found[row] = path
    lost = [row for row in range(n_rows) if row not in found]
    if lost and not (allow_missing and found):
        raise NotFoundError(
            f"{images}: no train-{lost[0] + 1:04d}_nsd-….png (missing images: {len(lost)} of {n_rows}); get them, or "
            "pass --allow-missing to leave them out."
        )
    rows = np.full(n_rows, LEFT_OUT, np.intp)
    rows[sorted(found)] = np.arange(len(found))
    return [found[row] for row in sorted(found)], rows


def _read_columns(halves: list[NDArray[np.generic]], voxels: Indices) -> Trials:
    """Responses of vertices: those of the left hemisphere first, then those of the right one."""
    n_left = halves[0].shape[1]
    values = np.empty((len(halves[0]), len(voxels)), np.float32)
    of_left = voxels < n_left
    values[:, of_left] = wide(halves[0][:, voxels[of_left]])
    values[:, ~of_left] = wide(halves[1][:, voxels[~of_left] - n_left])
    return values
