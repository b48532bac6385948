"""Reader of the Natural Scenes Dataset: 7T responses of 8 subjects to up to 10,000 images each (Allen et al. 2022)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, NotFoundError
from ...encoding.noise_ceiling import noise_ceiling
from ..fingerprint import combined_sha256, data_sha256
from ..images.hdf5_images import Hdf5Images, n_pictures
from ..interface import Item, Subject, subject_number
from ..trials import Block, Floats, TrialDataset, repeats, scored_together
from .betas import SPACES, cells_shape, copied_bytes, session_files, session_reader
from .design import DESIGN, SESSIONS, SHARED, TABLE, TRIALS, run_slices, shared_images, trial_images
from .food import food_map
from .image_contents import cropped_contents
from .nsd_rois import LOCALISERS, food_region, regions
from .subject_maps import MapFiles, SubjectMaps

STIMULI = Path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
_BRICK = "imgBrick"
_NO_IMAGES = "the images are not there; download nsd_stimuli.hdf5 from NSD."


@dataclass(frozen=True)
class _Layout:
    """Where the files of one subject are, and which of its sessions are used."""

    root: Path
    subject: int
    space: str
    betas: Path
    sessions: dict[int, list[Path]]
    """Session → the files of its betas, also where they are missing."""

    @classmethod
    def of(cls, config: IngestConfig) -> "_Layout":
        subject = subject_number(config.subject, "subj", range(1, len(SESSIONS) + 1), "NSD")
        space = config.space or "func1pt8mm"
        if space not in SPACES:
            raise NotFoundError(f"NSD has no space {space!r}; its betas are in {', '.join(SPACES)}.")
        skipped = {int(s) if s.isdigit() else 0 for s in config.skip_sessions}
        if wrong := skipped - set(range(1, SESSIONS[subject - 1] + 1)):
            raise BadInputError(
                f"--skip-session {', '.join(config.skip_sessions)}: subject {subject} has sessions 1 … "
                f"{SESSIONS[subject - 1]}, and {min(wrong)} is none of them."
            )
        root = Path(config.root)
        betas = root / f"nsddata_betas/ppdata/subj{subject:02d}/{space}/{config.betas}"
        numbers = [n for n in range(1, SESSIONS[subject - 1] + 1) if n not in skipped]
        return cls(root, subject, space, betas, {n: session_files(betas, space, n) for n in numbers})

    @property
    def maps(self) -> MapFiles:
        """Where the subject's maps are."""
        return MapFiles(self.root, self.subject, self.space)

    def found_sessions(self, *, allow_missing: bool) -> dict[int, list[Path]]:
        """The sessions whose files are there.

        Raises:
            NotFoundError: one is missing and may not, or all are.
        """
        missing = {n: [p for p in files if not p.exists()] for n, files in self.sessions.items()}
        lost = [(n, files[0]) for n, files in missing.items() if files]
        if len(lost) == len(self.sessions):
            raise NotFoundError(
                f"{self.betas}: no session of betas is there; pass the folder that has nsddata_betas/ as --root."
            )
        if lost and not allow_missing:
            number, path = lost[0]
            raise NotFoundError(
                f"{path}: not there (missing sessions: {len(lost)}); download it from NSD, or pass --skip-session "
                f"{number} or --allow-missing."
            )
        return {n: files for n, files in self.sessions.items() if not missing[n]}


def brick_images(bricks: Path, nsd_ids: NDArray[np.integer], cache: Path) -> Hdf5Images:
    """Images of nsd_stimuli.hdf5, whoever saw them; hashes are of the pixels, (425, 425, 3).

    Args:
        bricks: the file.
        nsd_ids: which, (n_images,).
        cache: folder for the list of hashes.
    """
    return Hdf5Images(bricks, _BRICK, "nsd", nsd_ids.tolist(), nsd_ids, cache)


class Nsd(TrialDataset):
    """Images and responses of one NSD subject; see `Dataset`.

    Args:
        config: dataset, subject, root, space, betas, zscore, localizer_t, food, food_labels,
            skip_sessions, allow_missing.
        home: folder for the copies of compressed betas and the list of the images' hashes.

    Raises:
        NotFoundError: a file is missing.
        BadInputError: a file is damaged, or files disagree.
        SpaceMismatchError: maps and betas have different shapes.
    """

    split_names = tuple(SHARED)
    region_tests: pl.DataFrame
    region_images: pl.DataFrame
    """See `MadeRegions`; there only where FOOD was made."""

    def __init__(self, config: IngestConfig, home: Path) -> None:
        layout = _Layout.of(config)
        self._root = layout.root
        self._sessions = layout.found_sessions(allow_missing=config.allow_missing)
        numbers = list(self._sessions)
        shape = cells_shape(self._sessions[numbers[0]], numbers[0])
        self._maps = maps = SubjectMaps(layout.maps, layout.betas, shape)
        of_trials = trial_images(layout.root, layout.subject).reshape(-1, TRIALS)[np.array(numbers) - 1]
        self._nsd_ids, images = np.unique(of_trials, return_inverse=True)
        self._cache, self._bricks, self._table = home / "cache", layout.root / STIMULI, layout.root / TABLE
        self.zscore = "run" if config.zscore == "auto" else config.zscore
        groups = scored_together(self.zscore, run_slices())
        blocks = [
            Block(
                f"session {n}",
                row,
                groups,
                session_reader(self._sessions[n], maps.cells, n, self._cache / "betas"),
                copied_bytes(self._sessions[n], maps.cells),
            )
            for n, row in zip(numbers, images.reshape(-1, TRIALS).astype(np.intp), strict=True)
        ]
        if not self._bricks.exists():
            raise NotFoundError(f"{self._bricks}: {_NO_IMAGES}")
        self._shown = brick_images(self._bricks, self._nsd_ids, self._cache)
        ncsnr = maps.ncsnr()
        ceiling = None if ncsnr is None else noise_ceiling(ncsnr, repeats(blocks, len(self._nsd_ids)))
        suffix = "" if layout.space == "func1pt8mm" else f"-{layout.space}"
        subject = Subject(
            subject_id=f"nsd/subj{layout.subject:02d}{suffix}",
            dataset="nsd",
            simulated=False,
            space="volume" if layout.space.startswith("func") else "surface",
            # Of fsaverage there is a surface without an import; a subject's own one is made by `surface nsd`.
            surface=config.surface or ("fsaverage" if layout.space == "fsaverage" else None),
            own_surface="" if layout.space == "fsaverage" else f"nsd-subj{layout.subject:02}",
            transform=config.transform or None,
            shape=maps.cells.shape,
            description=f"Natural Scenes Dataset, subject {layout.subject}, {layout.space}, {config.betas}, "
            f"{len(numbers)} sessions.",
        )
        food = food_region(maps.cells, Path(config.food)) if config.food else None
        if config.food_labels and food is None:
            responses = combined_sha256([self.zscore, *self._betas_sha256s()])
            labels = [Path(path) for path in config.food_labels]
            made = food_map(maps, blocks, self._nsd_ids, labels, self._cache, responses)
            self.region_tests, self.region_images = made.tests, made.images
            food = made.region(len(maps.cells))
        regions_ = regions(maps, config.localizer_t, food)
        shown = self._shown
        super().__init__(subject, maps.cells.frame(ceiling), regions_, blocks, shown.paths, shown.stimulus_ids)

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "Nsd":
        """See `DatasetClass`."""
        return cls(config, home)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:
        """See `DatasetClass`."""
        layout = _Layout.of(config)
        one_of_two = [path for path in (DESIGN, TABLE) if (layout.root / path).exists()]
        for path in (DESIGN, TABLE):
            yield Item("image of each trial", layout.root / path, needed=not one_of_two and path == DESIGN)
        yield Item("images", layout.root / STIMULI, advice=_NO_IMAGES)
        for number, files in layout.sessions.items():
            for path in files:
                yield Item(f"betas of session {number}", path, needed=not config.allow_missing)
        for name in ("ncsnr.nii.gz",) if layout.space.startswith("func") else ("lh.ncsnr.mgh", "rh.ncsnr.mgh"):
            yield Item("noise ceiling", layout.betas / name, needed=False)
        names = layout.maps.label_files()
        for name in dict.fromkeys((*LOCALISERS, *names)):
            yield Item("labels", layout.maps.label(name), needed=False)
        for name in names:
            yield Item("names of labels", layout.maps.ctab(name), needed=False)
        for category in LOCALISERS.values():
            yield Item("localiser", layout.maps.localiser(category), needed=config.localizer_t is not None)
        if config.food:
            yield Item("food region", Path(config.food))
        for labels in config.food_labels:
            yield Item("what images show, for FOOD", Path(labels))

    def _read(self, row: int) -> NDArray[np.uint8]:
        return self._shown.image(row)

    @property
    def n_all_images(self) -> int:
        """See `AllImages`."""
        return n_pictures(self._bricks, _BRICK)

    def all_images(self) -> Hdf5Images:
        """See `AllImages`: NSD's 73,000."""
        return brick_images(self._bricks, np.arange(self.n_all_images), self._cache)

    def test_images(self, name: str) -> list[str]:
        """See `NamedSplits`: those of the shared images that the subject saw."""
        kept, _ = self._firsts
        return (
            self.stimuli["stimulus_id"].filter(np.isin(self._nsd_ids[kept], shared_images(self._root, name))).to_list()
        )

    def localisers(self) -> dict[str, Floats]:
        """Localiser contrast → t of every voxel, (n_voxels,), for those whose maps are there."""
        maps = {name: self._maps.localiser(name) for name in LOCALISERS.values()}
        return {name: t for name, t in maps.items() if t is not None}

    def coco_contents(self, path: Path) -> pl.DataFrame:
        """What COCO's annotations say of the part of COCO's image that each image is; see `FromCoco`.

        Raises:
            BadInputError: the file, or the table of stimuli, is not what it should be.
        """
        kept, _ = self._firsts
        shown = cropped_contents(path, self._nsd_ids[kept], self._table).rows
        return shown.select(pl.format("nsd/{}", "image").alias("stimulus_id"), "category")

    def _image_sha256s(self) -> list[str]:
        return self._shown.sha256s()

    def _betas_sha256s(self) -> list[str]:
        return [data_sha256(path) for files in self._sessions.values() for path in files]

    def _trial_sha256s(self) -> list[str]:
        images = np.concatenate([block.images for block in self._listed])
        return [*self._betas_sha256s(), hashlib.sha256(images.tobytes()).hexdigest()]
