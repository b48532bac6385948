"""Reader of LAION-fMRI: 7T responses of five subjects to 6,204 images each (ViCCo-Group/LAION-fMRI, 2026)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.affines import Affine
from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ...encoding.noise_ceiling import ceiling_at
from ..csv_tables import read_table
from ..fingerprint import data_sha256
from ..images.hdf5_images import Hdf5Images, n_pictures
from ..interface import Item, Subject
from ..trials import LEFT_OUT, Block, Floats, Indices, TrialDataset, repeats, scored_together
from ..volumes import (
    VolumeVoxels,
    copied_bytes,
    not_all_nan,
    read_volume,
    require_affine,
    require_place,
    series_shape,
    voxel_major,
)
from .laion_files import METADATA, STIMULI, SessionFiles, SubjectFiles
from .laion_rois import regions

_PICTURES = "images"
_SPACE = "T1w"
_NO_IMAGES = "the images are not there; get them by `laion-fmri download-stimuli`, once its terms are agreed to."
_MASK_ADVICE = (
    "nothing says which voxels are modelled, neither this mask nor the mean R² (desc-R2mean); get one of them."
)


class _Shown(NamedTuple):
    """What one session showed."""

    labels: list[str]
    """Name of each trial's image, in the order of the betas."""
    runs: pl.Series | None
    """Run of each trial; None where the table does not say it."""


class LaionFmri(TrialDataset):
    """Images and responses of one subject of LAION-fMRI; see `Dataset`.

    Betas are z-scored within sessions, as the data set's manual asks for, or within runs.

    Args:
        config: dataset, subject, root, zscore, localizer_t, skip_sessions, allow_missing, surface, transform.
        home: folder for copies of the betas that can be read by voxel, and for the list of the images' hashes.

    Raises:
        NotFoundError: a file is missing.
        BadInputError: a file is damaged, or files disagree.
        SpaceMismatchError: files lie in different places.
    """

    def __init__(self, config: IngestConfig, home: Path) -> None:
        _require_settings(config)
        root = Path(config.root)
        files = SubjectFiles.of(root, config.subject)
        self._sessions = _found(files.sessions(config.skip_sessions), allow_missing=config.allow_missing)
        if not files.mask.exists():
            raise NotFoundError(f"{files.mask}: {_MASK_ADVICE}")
        affine, code = require_affine(files.mask, "get it again")
        cells = _cells(files.mask, affine)
        shown = [_shown(session, cells.shape, affine) for session in self._sessions]
        place = _places(root)
        names = sorted({label for session in shown for label in session.labels if label in place})
        lost = sorted({label for session in shown for label in session.labels} - set(names))
        if lost and not (config.allow_missing and names):
            raise BadInputError(
                f"{root / METADATA}: no image {lost[0]} (such images: {len(lost)}), which {files.name} saw; get it of "
                "the betas' release, or pass --allow-missing to leave such trials out."
            )
        self._labels, rows = names, np.array([place[name] for name in names], np.intp)
        self._shown = Hdf5Images(root / STIMULI, _PICTURES, "laion-fmri", names, rows, home / "cache")
        row_of = dict(zip(names, range(len(names)), strict=True))
        self.zscore = "session" if config.zscore == "auto" else config.zscore
        blocks = [
            Block(
                session.name,
                np.array([row_of.get(label, LEFT_OUT) for label in seen.labels], np.intp),
                scored_together(self.zscore, _runs(seen, session.trials) if self.zscore == "run" else {}),
                voxel_major(session.betas, cells.linear, home / "cache" / "betas", _advice(session)),
                copied_bytes(session.betas, len(cells)),
            )
            for session, seen in zip(self._sessions, shown, strict=True)
        ]
        self._localisers = {
            category: not_all_nan(cells.values(path), path)
            for category, path in files.localisers().items()
            if path.exists()
        }
        subject = Subject(
            subject_id=f"laion-fmri/{files.name}",
            dataset="laion-fmri",
            simulated=False,
            space="volume",
            surface=config.surface or None,
            transform=config.transform or None,
            shape=cells.shape,
            description=f"LAION-fMRI, {files.name}, space T1w, {len(self._sessions)} sessions.",
            affine=tuple(affine.ravel().tolist()),
            affine_code=code,
        )
        super().__init__(
            subject,
            cells.frame(_ceiling(files, cells, blocks, len(names))),
            regions(files.regions(), cells, self._localisers, config.localizer_t),
            blocks,
            self._shown.paths,
            self._shown.stimulus_ids,
        )

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "LaionFmri":
        """See `DatasetClass`."""
        return cls(config, home)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:
        """See `DatasetClass`."""
        root = Path(config.root)
        files = SubjectFiles.of(root, config.subject)
        yield Item("images", root / STIMULI, advice=_NO_IMAGES)
        yield Item("names of images", root / METADATA)
        yield Item("modelled voxels", files.mask)
        for session in files.sessions(config.skip_sessions):
            yield Item(f"betas of {session.name}", session.betas, needed=not config.allow_missing)
            yield Item(f"trials of {session.name}", session.trials, needed=not config.allow_missing)
        if ceiling := files.ceiling():
            yield Item("noise ceiling", ceiling[0], needed=False)
        for name, path in files.regions().items():
            yield Item(f"region {name}", path, needed=False)
        for category, path in files.localisers().items():
            yield Item(f"localiser of {category}", path, needed=False)

    def localisers(self) -> dict[str, Floats]:
        """Localiser contrast → z of every voxel, (n_voxels,), for those whose maps are there."""
        return self._localisers

    @property
    def n_images(self) -> int:
        """See `SlowlyHashed`."""
        return self._shown.n_images

    def sha256s(self, advance: Callable[[int], None] = lambda _: None) -> list[str]:
        """See `SlowlyHashed`."""
        return self._shown.sha256s(advance)

    def files_of(self) -> pl.DataFrame:
        """See `ManyFiles`: images are known by their names, as the data set's splits have them."""
        _, rows = self._firsts
        return self.stimuli.select("stimulus_id")[rows].with_columns(pl.Series("uri", self._labels, pl.String))

    def _read(self, row: int) -> NDArray[np.uint8]:
        return self._shown.image(row)

    def _image_sha256s(self) -> list[str]:
        return self._shown.sha256s()

    def _trial_sha256s(self) -> Sequence[str]:
        return [data_sha256(path) for session in self._sessions for path in (session.betas, session.trials)]


def _require_settings(config: IngestConfig) -> None:
    if config.space not in ("", _SPACE):
        raise NotFoundError(f"LAION-fMRI has no space {config.space!r}; its betas are in {_SPACE}.")


def _found(sessions: list[SessionFiles], *, allow_missing: bool) -> list[SessionFiles]:
    """The sessions whose files are there.

    Raises:
        NotFoundError: one is missing and may not, or all are.
    """
    lost = [(session, path) for session in sessions for path in session.missing()]
    there = [session for session in sessions if not session.missing()]
    if lost and not (allow_missing and there):
        session, path = lost[0]
        raise NotFoundError(
            f"{path}: not there (missing files: {len(lost)}, of {len(sessions)} sessions); get it from LAION-fMRI, or "
            f"pass --skip-session {session.name} or --allow-missing."
        )
    return there


def _cells(path: Path, affine: Affine) -> VolumeVoxels:
    """The voxels that are modelled, by their mask."""
    mask = read_volume(path)
    linear = np.flatnonzero(mask > 0)
    if len(linear) == 0:
        raise BadInputError(f"{path}: no voxel is above 0; get it again.")
    return VolumeVoxels((mask.shape[0], mask.shape[1], mask.shape[2]), linear, affine=affine)


def _shown(session: SessionFiles, grid: tuple[int, int, int], affine: Affine) -> _Shown:
    """What a session showed, once its betas are known to lie on the grid of the voxels, (z, y, x)."""
    advice = "get it again" + _advice(session)
    table = read_table(session.trials, "table of trials", advice, separator="\t", infer_schema=False)
    if lacking := {"label", "beta_index"} - set(table.columns):
        raise BadInputError(f"{session.trials}: the table of trials has no column {min(lacking)}; {advice}.")
    shape = series_shape(session.betas, _advice(session))
    if len(shape) != 4 or shape[2::-1] != grid:
        raise SpaceMismatchError(
            f"{session.betas}: an image of shape {shape}, ({', '.join(map(str, grid[::-1]))}, trials) expected; "
            f"{advice}."
        )
    require_place(session.betas, shape[:3], affine)
    table = table.with_columns(pl.col("beta_index").cast(pl.Int64, strict=False)).sort("beta_index")
    if table["label"].null_count() or table["beta_index"].to_list() != list(range(shape[3])):
        raise BadInputError(
            f"{session.trials}: {table.height} rows, and {session.betas.name} has {shape[3]} volumes; a row with "
            f"beta_index, from 0, and label is expected for each; {advice}."
        )
    return _Shown(table["label"].to_list(), table["run"] if "run" in table.columns else None)


def _places(root: Path) -> dict[str, int]:
    """Name of an image → its place among the pictures."""
    if not (root / STIMULI).exists():
        raise NotFoundError(f"{root / STIMULI}: {_NO_IMAGES}")
    how = {"columns": ["image_name"], "infer_schema": False}
    names = read_table(root / METADATA, "table of images with the column image_name", "get it again", **how)
    n = n_pictures(root / STIMULI, _PICTURES)
    if names.height != n or names["image_name"].n_unique() != n or names["image_name"].null_count():
        raise BadInputError(
            f"{root / METADATA}: {names['image_name'].n_unique()} names of {names.height} rows, and {STIMULI.name} has "
            f"{n} images; get both from the same release."
        )
    return {name: place for place, name in enumerate(names["image_name"])}


def _runs(shown: _Shown, trials: Path) -> dict[str, Indices]:
    """The trials of each run of a session, by its name."""
    if shown.runs is None or shown.runs.null_count():
        raise BadInputError(f"{trials}: no column run that says every trial's; pass --zscore session.")
    return {f"run {run}": np.flatnonzero((shown.runs == run).to_numpy()) for run in shown.runs.unique().sort()}


def _ceiling(files: SubjectFiles, cells: VolumeVoxels, blocks: Sequence[Block], n_images: int) -> Floats | None:
    """The data set's noise ceiling, for as many repeats as the sessions have; None where there is no map of it."""
    if (found := files.ceiling()) is None:
        return None
    path, mean_inverse = found
    percent = cells.values(path)
    if not (np.nanmin(percent, initial=0) >= 0 and np.nanmax(percent, initial=0) <= 100):
        raise BadInputError(f"{path}: a noise ceiling is 0 to 100 per cent; get it again.")
    return ceiling_at(percent / 100, mean_inverse, repeats(blocks, n_images))


def _advice(session: SessionFiles) -> str:
    return f" or pass --skip-session {session.name}"
