"""Reader of the Natural Object Dataset: 3T responses to 4,120 photographs (Gong et al. 2023, ds004496)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, NotFoundError
from ..fingerprint import data_sha256
from ..interface import Item, Subject
from ..rois import FLOC, Region, selective, union, unions
from ..standard_spaces import areas_of, cortex_of
from ..trials import LEFT_OUT, Block, Floats, Indices, TrialDataset, scored_together
from ..vertices import Grayordinates, SurfaceVertices
from ..volumes import not_all_nan
from .nod_runs import NodRun, results_folder, runs, subject_name

LOCALISERS = {"floc-faces": "Face", "floc-bodies": "Body", "floc-places": "Place", "floc-words": "Character"}
"""Label file of the localiser → the map of its contrast."""
T = 2.3
"""Localiser t that a voxel must exceed (BrainLMM)."""


class Nod(TrialDataset):
    """Images and responses of one NOD subject; see `Dataset`.

    Args:
        config: dataset, subject, root, tasks, zscore, localizer_t, skip_sessions, allow_missing,
            space, surface, parcellation.

    Raises:
        NotFoundError: a file is missing.
        BadInputError: a file is damaged, or files disagree.
        SpaceMismatchError: a file is in another space than the betas.
    """

    def __init__(self, config: IngestConfig) -> None:
        root, name = Path(config.root), subject_name(config.subject)
        self._runs = _runs_with_responses(root, name, config)
        names = _images_of_trials(root / "stimuli", self._runs, allow_missing=config.allow_missing)
        images = sorted({path for of_run in names for path in of_run if path})
        files = [Grayordinates.open(run.betas) for run in self._runs]
        self._cells = cells = files[0].surface
        for run, file, of_run in zip(self._runs, files, names, strict=True):
            if file.n_rows != len(of_run):
                raise BadInputError(
                    f"{run.betas}: {file.n_rows} trials, but {run.labels.name} names {len(of_run)} images; get both "
                    "again."
                )
        row = {path: number for number, path in enumerate(images)} | {"": LEFT_OUT}
        trials = [np.array([row[path] for path in of_run], np.intp) for of_run in names]
        self.zscore = "run" if config.zscore == "auto" else config.zscore
        blocks = [
            _block(session, cells, {self._runs[n].number: (files[n], trials[n]) for n in numbers}, self.zscore)
            for session, numbers in _by_session(self._runs)
        ]
        self._localiser = localiser_folder(root, name)
        subject = Subject(
            subject_id=f"nod/{name}",
            dataset="nod",
            simulated=False,
            space="surface",
            surface=cortex_of(config, "surface", cells.shape, None).surface,
            transform=None,
            shape=cells.shape,
            description=f"Natural Object Dataset, {name}, fs_LR 32k, {' and '.join(config.tasks)}, "
            f"{len(self._runs)} runs.",
        )
        super().__init__(
            subject,
            cells.frame(),
            [
                *_regions(self._localiser, cells, config.localizer_t),
                *areas_of(config, subject.surface, cells.frame()),
            ],
            blocks,
            [root / "stimuli" / path for path in images],
            [f"nod/{PurePosixPath(path).with_suffix('')}" for path in images],
        )

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "Nod":  # noqa: ARG003 - nothing is copied
        """See `DatasetClass`."""
        return cls(config)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:
        """See `DatasetClass`."""
        root, subject = Path(config.root), subject_name(config.subject)
        for run in runs(root, subject, config.tasks, config.skip_sessions):
            for what, path in (("events", run.events), ("betas", run.betas), ("names of images", run.labels)):
                yield Item(f"{what} of {run.session} run {run.number}", path, needed=not config.allow_missing)
        for path in localiser_files(root, subject):
            yield Item("localiser", path, needed=False)
        yield Item("images", root / "stimuli")

    def localisers(self) -> dict[str, Floats]:
        """Localiser contrast → t of every vertex, (n_voxels,), for those whose maps are there."""
        return _contrasts(self._localiser / f"{self._localiser.name}_beta.dscalar.nii", self._cells)

    def _trial_sha256s(self) -> list[str]:
        return [data_sha256(path) for run in self._runs for path in (run.betas, run.labels)]


def _runs_with_responses(root: Path, subject: str, config: IngestConfig) -> list[NodRun]:
    expected = runs(root, subject, config.tasks, config.skip_sessions)
    lost = [path for run in expected for path in (run.betas, run.labels) if not path.exists()]
    there = [run for run in expected if run.betas.exists() and run.labels.exists()]
    if lost and not (config.allow_missing and there):
        raise NotFoundError(
            f"{lost[0]}: not there (missing files: {len(lost)}, of {len(expected)} runs); get it from ds004496, "
            "or pass --allow-missing to go on with the other runs."
        )
    return there


def _images_of_trials(folder: Path, runs_: Sequence[NodRun], *, allow_missing: bool) -> list[list[str]]:
    """The image of each trial of each run, "" where it may be missing and is."""
    images = [run.images() for run in runs_]
    lost = {path for of_run in images for path in of_run if not (folder / path).exists()}
    if lost and not allow_missing:
        raise NotFoundError(
            f"{folder / min(lost)}: not there (missing images: {len(lost)}); get the stimuli from ds004496, or pass "
            "--allow-missing to leave their trials out."
        )
    return [["" if path in lost else path for path in of_run] for of_run in images]


def _block(
    session: str, cells: SurfaceVertices, runs_: Mapping[int, tuple[Grayordinates, Indices]], zscore: str
) -> Block:
    """The trials of a session's runs: number → betas and images."""
    images = [of_run for _, of_run in runs_.values()]
    stops = np.cumsum([len(of_run) for of_run in images])
    by_run = {f"run {n}": slice(stop - len(runs_[n][1]), stop) for n, stop in zip(runs_, stops, strict=True)}
    # Each file's own axis says which of its columns a vertex is.
    readers = [file.reader(cells) for file, _ in runs_.values()]
    return Block(
        session,
        np.concatenate(images),
        scored_together(zscore, by_run),
        lambda voxels: np.concatenate([read(voxels) for read in readers]),
    )


def localiser_folder(root: Path, subject: str) -> Path:
    """Folder of the localiser's labels and maps."""
    return results_folder(root, subject) / "ses-floc_task-floc"


def localiser_files(root: Path, subject: str) -> list[Path]:
    """The files that define category-selective regions; not every subject has all of them."""
    folder = localiser_folder(root, subject)
    names = [f"{name}.dlabel.nii" for name in LOCALISERS] + [f"{folder.name}_beta.dscalar.nii"]
    return [folder / name for name in names]


def _regions(folder: Path, cells: SurfaceVertices, least: float | None) -> list[Region]:
    """Every label of the localiser, unions of parts, each category's union, and the unions of regions.

    They are where t exceeds `least`, 2.3 unless it is given; `floc`, the released code's, is every voxel with a label.
    """
    threshold = T if least is None else least
    contrasts = _contrasts(folder / f"{folder.name}_beta.dscalar.nii", cells)
    labelled: list[Region] = []
    categories: list[Region] = []
    drawn = np.zeros(len(cells), np.bool_)
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
        drawn |= (keys > 0) if least is None else (keys > 0) & (t > least)
        parts = []
        for key in np.unique(keys[keys > 0]).astype(int).tolist():
            roi = file.labels[0].get(key, "").strip()
            # A label without a name of its own is known by its file and its number.
            roi = roi if roi.strip("?") and roi not in taken | set(LOCALISERS) else f"{name}-{key}"
            taken.add(roi)
            described = f"label {key} of {name}, localiser t > {threshold:g}"
            parts.append(Region(roi, "localiser", described, (keys == key) & (t > threshold), t))
        if parts:
            labelled += [*parts, *unions(parts, taken | set(LOCALISERS))]
            categories.append(union(name, parts, f"every label of {name}, localiser t > {threshold:g}"))
    cut = "" if least is None else f", localiser t > {least:g}"
    floc = Region(FLOC, "localiser", f"every label of the localiser{cut}", drawn)
    return [*labelled, *categories, floc, *selective(labelled)]


def _contrasts(path: Path, cells: SurfaceVertices) -> dict[str, Floats]:
    """Category → localiser t of every vertex; the maps are named "Face - others" and so on."""
    if not path.exists():
        return {}
    file = Grayordinates.open(path)
    maps = file.reader(cells)(np.arange(len(cells)))
    labels = path.with_name(path.name.replace("_beta.dscalar.nii", "_label.txt"))
    names = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else list(file.names)
    return {
        name.split()[0].capitalize(): not_all_nan(t, path) for name, t in zip(names, maps, strict=False) if name.strip()
    }


def _by_session(runs_: Sequence[NodRun]) -> Iterator[tuple[str, list[int]]]:
    for session, numbers in groupby(range(len(runs_)), key=lambda number: runs_[number].session):
        yield session, list(numbers)
