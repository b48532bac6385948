"""Reader of the Natural Scenes Dataset: 7T responses of 8 subjects to up to 10,000 images each (Allen et al. 2022)."""

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.errors import AtlasError, BadInputError, NotFoundError
from ....schemas.files import write_atomically
from ...encoding.noise_ceiling import noise_ceiling
from ..fingerprint import combined_sha256, data_sha256
from ..interface import Subject
from ..inventory import Inventory, Item, Size, inventory
from ..rois import region_frames, selected
from ..trials import LEFT_OUT, Block, Floats, Indices, mean_responses, repeats
from ..volumes import readable
from .betas import SPACES, cells_shape, session_files, session_reader
from .design import DESIGN, SESSIONS, TABLE, TRIALS, coco_images, run_slices, trial_images
from .nsd_rois import LOCALISERS, regions
from .subject_maps import Maps, SurfaceMaps, VolumeMaps

STIMULI = Path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
_SKIP = "download it from NSD, or pass --skip-session {0} or --allow-missing"


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
        match = re.fullmatch(r"(?:subj)?0*([1-8])", config.subject)
        if match is None:
            raise NotFoundError(f"NSD has no subject {config.subject!r}; it has 1 … {len(SESSIONS)}.")
        subject, space = int(match[1]), config.space or "func1pt8mm"
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
    def ncsnr(self) -> list[Path]:
        names = ["ncsnr.nii.gz"] if self.space.startswith("func") else ["lh.ncsnr.mgh", "rh.ncsnr.mgh"]
        return [self.betas / name for name in names]

    def found_sessions(self, *, allow_missing: bool) -> dict[int, list[Path]]:
        """The sessions whose files are there.

        Raises:
            NotFoundError: One is missing and may not, or all are.
        """
        missing = {n: [p for p in files if not p.exists()] for n, files in self.sessions.items()}
        lost = [(n, files[0]) for n, files in missing.items() if files]
        if len(lost) == len(self.sessions):
            raise NotFoundError(
                f"{self.betas}: no session of betas is there; pass the folder that has nsddata_betas/ as --root."
            )
        if lost and not allow_missing:
            number, path = lost[0]
            raise NotFoundError(f"{path}: not there (missing sessions: {len(lost)}); {_SKIP.format(number)}.")
        return {n: files for n, files in self.sessions.items() if not missing[n]}

    def items(self, config: IngestConfig) -> Iterable[Item]:
        """Everything that the reader looks for."""
        one_of_two = [path for path in (DESIGN, TABLE) if (self.root / path).exists()]
        for path in (DESIGN, TABLE):
            yield Item("image of each trial", self.root / path, needed=not one_of_two and path == DESIGN)
        yield Item("images", self.root / STIMULI)
        for number, files in self.sessions.items():
            for path in files:
                yield Item(f"betas of session {number}", path, needed=not config.allow_missing)
        for path in self.ncsnr:
            yield Item("noise ceiling", path, needed=False)
        if config.food:
            yield Item("food region", Path(config.food))


class _Contents:
    """Voxels, regions and trials of a subject; responses and images stay on disk."""

    def __init__(self, layout: _Layout, config: IngestConfig, cache: Path) -> None:
        self.layout = layout
        self.sessions = layout.found_sessions(allow_missing=config.allow_missing)
        first = next(iter(self.sessions))
        kind = VolumeMaps if layout.space.startswith("func") else SurfaceMaps
        shape = cells_shape(self.sessions[first], first)
        self.maps: Maps = kind(layout.root, layout.subject, layout.space, layout.betas, shape)
        self.cells = self.maps.cells
        self.regions = regions(self.maps, config.localizer_t, Path(config.food) if config.food else None)
        shown = trial_images(layout.root, layout.subject).reshape(-1, TRIALS)
        numbers = list(self.sessions)
        self.nsd_ids, images = np.unique(shown[np.array(numbers) - 1], return_inverse=True)
        groups = {"auto": (slice(None),), "session": (slice(None),), "run": run_slices(), "none": ()}[config.zscore]
        self.blocks = [
            Block(f"session {n}", row, groups, session_reader(self.sessions[n], self.cells, n, cache))
            for n, row in zip(numbers, images.reshape(-1, TRIALS).astype(np.intp), strict=True)
        ]

    def ceiling(self) -> Floats | None:
        """Noise ceiling of every voxel, or None where the data set's ncsnr is not there."""
        ncsnr = self.maps.ncsnr()
        return None if ncsnr is None else noise_ceiling(ncsnr, repeats(self.blocks, len(self.nsd_ids)))

    def size(self, rois: tuple[str, ...]) -> Size:
        compressed = sum(files[0].suffix == ".gz" for files in self.sessions.values())
        return Size(
            n_images=len(self.nsd_ids),
            n_trials=sum(int(np.sum(block.images != LEFT_OUT)) for block in self.blocks),
            n_voxels=int(selected(self.regions, rois, len(self.cells)).sum()),
            copied_bytes=compressed * len(self.cells) * TRIALS * 2,
        )


class Nsd:
    """Images and responses of one NSD subject; see `Dataset`.

    Args:
        config: dataset, subject, root, space, betas, zscore, localizer_t, food, skip_sessions, allow_missing.
        home: folder for the copies of compressed betas and the list of the images' hashes.

    Raises:
        NotFoundError: A file is missing.
        BadInputError: A file is damaged, or files disagree.
        SpaceMismatchError: Maps and betas have different shapes.
    """

    def __init__(self, config: IngestConfig, home: Path) -> None:
        layout = _Layout.of(config)
        self._contents = contents = _Contents(layout, config, home / "cache" / "betas")
        self._images, self._table = layout.root / STIMULI, layout.root / TABLE
        if not self._images.exists():
            raise NotFoundError(f"{self._images}: the images are not there; download nsd_stimuli.hdf5 from NSD.")
        self.n_repeats = repeats(contents.blocks, len(contents.nsd_ids))
        """Trials of each image, (n_stimuli,)."""
        suffix = "" if layout.space == "func1pt8mm" else f"-{layout.space}"
        self.subject = Subject(
            subject_id=f"nsd/subj{layout.subject:02d}{suffix}",
            dataset="nsd",
            simulated=False,
            space="volume" if layout.space.startswith("func") else "surface",
            surface=config.surface or None,
            transform=config.transform or None,
            shape=contents.cells.shape,
            description=f"Natural Scenes Dataset, subject {layout.subject}, {layout.space}, {config.betas}, "
            f"{len(contents.sessions)} sessions.",
        )
        self.voxels = contents.cells.frame(contents.ceiling())
        self.rois, self.voxel_rois = region_frames(contents.regions)
        images_sha256 = data_sha256(self._images)
        digests = self._digests(home / "cache" / f"nsd-stimuli-{images_sha256[:16]}.parquet")
        self.stimuli = pl.DataFrame(
            {
                "stimulus_id": [f"nsd/{number}" for number in contents.nsd_ids],
                "dataset": ["nsd"] * len(contents.nsd_ids),
                "uri": [f"{self._images.absolute()}#{number}" for number in contents.nsd_ids],
                "sha256": digests,
            }
        )
        betas = [data_sha256(path) for files in contents.sessions.values() for path in files]
        shown = hashlib.sha256(np.concatenate([block.images for block in contents.blocks]).tobytes()).hexdigest()
        self.fingerprint = combined_sha256([*digests, *betas, shown])

    def image(self, index: int) -> NDArray[np.uint8]:
        """The image of row `index` of `stimuli`, RGB, (425, 425, 3)."""
        with _bricks(self._images) as bricks:
            return np.asarray(bricks["imgBrick"][int(self._contents.nsd_ids[index])])

    def responses_of(self, voxels: Indices) -> Floats:
        """Responses of voxels, (n_stimuli, n_voxels), of which only theirs are read; see `Dataset`."""
        return mean_responses(self._contents.blocks, len(self._contents.nsd_ids), voxels)

    def localisers(self) -> dict[str, Floats]:
        """Localiser contrast → t of every voxel, (n_voxels,), for those whose maps are there."""
        maps = {name: self._contents.maps.localiser(name) for name in LOCALISERS.values()}
        return {name: t for name, t in maps.items() if t is not None}

    def coco_names(self) -> pl.DataFrame:
        """The COCO image that each image was cut from: stimulus_id, image (COCO's file name without its ending)."""
        images = coco_images(self._table, self._contents.nsd_ids)
        return self.stimuli.select("stimulus_id", images)

    def _digests(self, path: Path) -> list[str]:
        """SHA-256 of the pixels of each image; kept in a file, since it takes gigabytes of reading to know them."""
        ids = self._contents.nsd_ids
        known = dict(pl.read_parquet(path).iter_rows()) if path.exists() else {}
        if new := [int(number) for number in ids if number not in known]:
            with _bricks(self._images) as bricks:
                pixels = bricks["imgBrick"]
                known |= {number: hashlib.sha256(pixels[number].tobytes()).hexdigest() for number in new}
            encoded = io.BytesIO()
            pl.DataFrame({"nsd_id": list(known), "sha256": list(known.values())}).write_parquet(encoded)
            write_atomically(path, lambda file: file.write(encoded.getvalue()))
        return [known[int(number)] for number in ids]


def _bricks(path: Path) -> h5py.File:
    with readable(path):
        return h5py.File(path)


def check(config: IngestConfig, n_features: int) -> Inventory:
    """What is found of a subject, what is missing, and how big the job is; nothing is written."""
    layout = _Layout.of(config)
    size, problems = None, []
    try:
        size = _Contents(layout, config, Path()).size(config.rois)
    except AtlasError as error:
        problems.append(str(error))
    if not (layout.root / STIMULI).exists():
        problems.append(f"{layout.root / STIMULI}: the images are not there; download nsd_stimuli.hdf5 from NSD.")
    return inventory(layout.items(config), size, problems, config, n_features)
