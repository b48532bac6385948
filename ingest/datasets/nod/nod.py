"""Reader of the Natural Object Dataset: 3T responses to 4,120 photographs (Gong et al. 2023, ds004496)."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.config import IngestConfig
from ....schemas.errors import AtlasError, BadInputError, NotFoundError
from ..fingerprint import combined_sha256, data_sha256, file_sha256
from ..image_files import read_picture
from ..interface import Subject
from ..inventory import Inventory, Item, Size, inventory
from ..rois import SELECTIVE, Region, region_frames, selected, union
from ..trials import LEFT_OUT, Block, Floats, Indices, mean_responses, repeats
from ..vertices import Grayordinates, Surface
from .nod_runs import Run, results_folder, runs, subject_name

LOCALISERS = {"floc-faces": "Face", "floc-bodies": "Body", "floc-places": "Place", "floc-words": "Character"}
"""Label file of the localiser → the map of its contrast."""
T = 2.3
"""Localiser t that a voxel must exceed (BrainLMM)."""


class _Contents:
    """Voxels, regions and trials of a subject; responses and images stay on disk."""

    def __init__(self, config: IngestConfig) -> None:
        self.root, self.subject = Path(config.root), subject_name(config.subject)
        self.runs = self._with_responses(config)
        images = self._shown(config)
        self.images = sorted({path for shown in images for path in shown if path})
        files = [Grayordinates.open(run.betas) for run in self.runs]
        self.cells = files[0].surface
        for run, file, shown in zip(self.runs, files, images, strict=True):
            if file.n_rows != len(shown):
                raise BadInputError(
                    f"{run.betas}: {file.n_rows} trials, but {run.labels.name} names {len(shown)} images; get both "
                    "again."
                )
        row = {path: number for number, path in enumerate(self.images)} | {"": LEFT_OUT}
        trials = [np.array([row[path] for path in shown], np.intp) for shown in images]
        self.blocks = [
            self._block(session, [files[n] for n in numbers], [trials[n] for n in numbers], config.zscore)
            for session, numbers in _by_session(self.runs)
        ]
        threshold = T if config.localizer_t is None else config.localizer_t
        self.regions = list(_regions(localiser_folder(self.root, self.subject), self.cells, threshold))

    def _with_responses(self, config: IngestConfig) -> list[Run]:
        expected = runs(self.root, self.subject, config.tasks, config.skip_sessions)
        lost = [path for run in expected for path in (run.betas, run.labels) if not path.exists()]
        there = [run for run in expected if run.betas.exists() and run.labels.exists()]
        if lost and not (config.allow_missing and there):
            raise NotFoundError(
                f"{lost[0]}: not there (missing files: {len(lost)}, of {len(expected)} runs); get it from ds004496, "
                "or pass --allow-missing to go on with the other runs."
            )
        return there

    def _shown(self, config: IngestConfig) -> list[list[str]]:
        """The image of each trial of each run, "" where it may be missing and is."""
        images = [run.images() for run in self.runs]
        lost = sorted({path for shown in images for path in shown if not (self.root / "stimuli" / path).exists()})
        if lost and not config.allow_missing:
            raise NotFoundError(
                f"{self.root / 'stimuli' / lost[0]}: not there (missing images: {len(lost)}); get the stimuli from "
                "ds004496, or pass --allow-missing to leave their trials out."
            )
        gone = set(lost)
        return [["" if path in gone else path for path in shown] for shown in images]

    def _block(self, session: str, files: list[Grayordinates], images: list[Indices], zscore: str) -> Block:
        stops = np.cumsum([len(shown) for shown in images])
        by_run = tuple(slice(stop - len(shown), stop) for shown, stop in zip(images, stops, strict=True))
        groups = {"auto": by_run, "run": by_run, "session": (slice(None),), "none": ()}[zscore]
        # Each file's own axis says which of its columns a vertex is.
        readers = [file.reader(self.cells) for file in files]
        return Block(
            session, np.concatenate(images), groups, lambda voxels: np.concatenate([read(voxels) for read in readers])
        )

    def size(self, rois: tuple[str, ...]) -> Size:
        return Size(
            n_images=len(self.images),
            n_trials=sum(int(np.sum(block.images != LEFT_OUT)) for block in self.blocks),
            n_voxels=int(selected(self.regions, rois, len(self.cells)).sum()),
        )


class Nod:
    """Images and responses of one NOD subject; see `Dataset`.

    Args:
        config: dataset, subject, root, tasks, zscore, localizer_t, skip_sessions, allow_missing.

    Raises:
        NotFoundError: A file is missing.
        BadInputError: A file is damaged, or files disagree.
        SpaceMismatchError: A file is in another space than the betas.
    """

    def __init__(self, config: IngestConfig) -> None:
        self._contents = contents = _Contents(config)
        self.n_repeats = repeats(contents.blocks, len(contents.images))
        """Trials of each image, (n_stimuli,)."""
        self.subject = Subject(
            subject_id=f"nod/{contents.subject}",
            dataset="nod",
            simulated=False,
            space="surface",
            surface=config.surface or None,
            transform=None,
            shape=contents.cells.shape,
            description=f"Natural Object Dataset, {contents.subject}, fs_LR 32k, {' and '.join(config.tasks)}, "
            f"{len(contents.runs)} runs.",
        )
        self.voxels = contents.cells.frame()
        self.rois, self.voxel_rois = region_frames(contents.regions)
        self._paths = [contents.root / "stimuli" / path for path in contents.images]
        digests = [file_sha256(path) for path in self._paths]
        self.stimuli = pl.DataFrame(
            {
                "stimulus_id": [f"nod/{PurePosixPath(path).with_suffix('')}" for path in contents.images],
                "dataset": ["nod"] * len(digests),
                "uri": [str(path.absolute()) for path in self._paths],
                "sha256": digests,
            }
        )
        responses = [data_sha256(path) for run in contents.runs for path in (run.betas, run.labels)]
        self.fingerprint = combined_sha256([*digests, *responses])

    def image(self, index: int) -> NDArray[np.uint8]:
        """The image of row `index` of `stimuli`, RGB, (height, width, 3)."""
        return read_picture(self._paths[index])

    def responses_of(self, voxels: Indices) -> Floats:
        """Responses of voxels, (n_stimuli, n_voxels); see `Dataset`."""
        return mean_responses(self._contents.blocks, len(self._contents.images), voxels)

    def localisers(self) -> dict[str, Floats]:
        """Localiser contrast → t of every vertex, (n_voxels,), for those whose maps are there."""
        folder = localiser_folder(self._contents.root, self._contents.subject)
        return _contrasts(folder / f"{folder.name}_beta.dscalar.nii", self._contents.cells)


def localiser_folder(root: Path, subject: str) -> Path:
    """Folder of the localiser's labels and maps."""
    return results_folder(root, subject) / "ses-floc_task-floc"


def localiser_files(root: Path, subject: str) -> list[Path]:
    """The files that define category-selective regions; not every subject has all of them."""
    folder = localiser_folder(root, subject)
    names = [f"{name}.dlabel.nii" for name in LOCALISERS] + [f"{folder.name}_beta.dscalar.nii"]
    return [folder / name for name in names]


def _regions(folder: Path, cells: Surface, threshold: float) -> Iterator[Region]:
    """Every label of the localiser, each category's union, and the union of all, where t exceeds the threshold."""
    contrasts = _contrasts(folder / f"{folder.name}_beta.dscalar.nii", cells)
    categories: list[Region] = []
    taken: set[str] = set()
    for name, category in LOCALISERS.items():
        path = folder / f"{name}.dlabel.nii"
        if not path.exists():
            continue
        if category not in contrasts:
            raise NotFoundError(
                f"{folder}: no localiser map of {category}, which the threshold t > {threshold:g} needs; get "
                f"{folder.name}_beta.dscalar.nii from ds004496."
            )
        t, file = contrasts[category], Grayordinates.open(path)
        if not file.labels:
            raise BadInputError(f"{path}: the file has no table of labels; get it again.")
        keys = file.reader(cells)(np.arange(len(cells)))[0]
        parts = []
        for key in np.unique(keys[keys > 0]).astype(int).tolist():
            roi = file.labels[0].get(key, "").strip()
            # A label without a name of its own is known by its file and its number.
            roi = roi if roi.strip("?") and roi not in taken | set(LOCALISERS) else f"{name}-{key}"
            taken.add(roi)
            described = f"label {key} of {name}, localiser t > {threshold:g}"
            parts.append(Region(roi, "localiser", described, (keys == key) & (t > threshold), t))
        if parts:
            yield from parts
            categories.append(union(name, parts, f"every label of {name}, localiser t > {threshold:g}"))
    yield from categories
    if categories:
        yield union(SELECTIVE, categories, "union of " + ", ".join(region.roi for region in categories))


def _contrasts(path: Path, cells: Surface) -> dict[str, Floats]:
    """Category → localiser t of every vertex; the maps are named "Face - others" and so on."""
    if not path.exists():
        return {}
    file = Grayordinates.open(path)
    maps = file.reader(cells)(np.arange(len(cells)))
    labels = path.with_name(path.name.replace("_beta.dscalar.nii", "_label.txt"))
    names = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else list(file.names)
    return {name.split()[0].capitalize(): t for name, t in zip(names, maps, strict=False) if name.strip()}


def _by_session(runs_: list[Run]) -> Iterator[tuple[str, list[int]]]:
    for session, numbers in groupby(range(len(runs_)), key=lambda number: runs_[number].session):
        yield session, list(numbers)


def _items(config: IngestConfig) -> Iterable[Item]:
    root, subject = Path(config.root), subject_name(config.subject)
    for run in runs(root, subject, config.tasks, config.skip_sessions):
        for what, path in (("events", run.events), ("betas", run.betas), ("names of images", run.labels)):
            yield Item(f"{what} of {run.session} run {run.number}", path, needed=not config.allow_missing)
    for path in localiser_files(root, subject):
        yield Item("localiser", path, needed=False)
    yield Item("images", root / "stimuli")


def check(config: IngestConfig, n_features: int) -> Inventory:
    """What is found of a subject, what is missing, and how big the job is; nothing is written."""
    items = list(_items(config))
    size, problems = None, []
    try:
        size = _Contents(config).size(config.rois)
    except AtlasError as error:
        problems.append(str(error))
    return inventory(items, size, problems, config, n_features)
