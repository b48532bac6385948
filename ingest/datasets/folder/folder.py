"""Reader of one's own data: a folder with images, one file of responses and a table that joins them.

    stimuli.csv       a row a trial: image (path from this table), and where wanted row, session, run, repeat
    responses.*       .npy, .hdf5 or .mat (trials, voxels) or (x, y, z, trials); .nii or .nii.gz (x, y, z, trials);
                      .dscalar.nii or .dtseries.nii (trials, grayordinates); .func.gii for each hemisphere
    mask.*            the voxels to use, where these lie in an image; without it those whose response varies
    rois/NAME.*       regions, not 0 inside: .npy (voxels,), NIfTI, .dscalar.nii, .dlabel.nii, or .label.gii and others
                      of GIFTI for each hemisphere
    noise_ceiling.*   each voxel's noise ceiling, 0 to 1, in the same formats
    voxels.csv        where the voxels of a .npy file are: i, j, k or hemisphere, vertex

A column `responses` of the table names a NIfTI file of each trial instead, and so does a folder or pattern.

`row` is the trial's place in the responses, from 0; without it the table's rows are in the responses' order. An image
that was shown again has its number in `repeat`, and its trials are averaged, as are those of files with the same bytes.
Only stimuli.csv and responses are needed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from ....schemas.config import IngestConfig
from ....schemas.errors import AtlasError, BadInputError, NotFoundError
from ..csv_tables import read_persons_table, whole_numbers
from ..interface import Item, Subject
from ..rois import Region
from ..standard_spaces import areas_of, cortex_of, said_of
from ..trials import LEFT_OUT, Block, Floats, Indices, TrialDataset
from .hemisphere_files import GIFTI, other_side, side_of, without_side
from .response_files import SUFFIXES, open_responses, response_files
from .user_responses import MASKS, Responses

_COLUMNS = ("image", "row", "session", "run", "repeat", "responses")
"""What is read of the table of trials."""
_SCOPES = {"run": ("session", "run"), "session": ("session",)}


class _Trials(NamedTuple):
    """The joined table: what was shown at each row of the responses."""

    paths: list[Path]
    """Distinct images, in the order of their paths."""
    images: Indices
    """Row in `paths` of each row of the responses, or LEFT_OUT, (n_rows,)."""
    groups: dict[str, Indices]
    """Rows that are z-scored together, by name."""


class Folder(TrialDataset):
    """Images and responses in a folder of the user's; see `Dataset` and this module's head.

    Args:
        config: dataset, subject, root, stimuli, responses, zscore, skip_sessions, allow_missing, space, surface,
            transform, axes, parcellation.
        home: folder for a copy of compressed responses.

    Raises:
        NotFoundError: a file is missing.
        BadInputError: the table has duplicates or does not fit the responses; a file is damaged.
        SpaceMismatchError: a region is in another space than the responses.
    """

    def __init__(self, config: IngestConfig, home: Path) -> None:
        root = Path(config.root)
        table = root / config.stimuli
        listed = _read_table(table)
        self._files = response_files(config, _named(listed, table))
        n_listed = listed.height if "row" not in listed.columns else max(listed["row"].to_list(), default=0) + 1
        responses = open_responses(self._files, home / "cache" / "responses", config, n_listed)
        file = self._files.paths[0]
        trials = _joined(config, listed, responses, file)
        cortex = cortex_of(config, responses.space, responses.shape, responses.affine_code)
        voxels = responses.frame(_noise_ceiling(root, responses))
        placed = not voxels["i" if responses.space == "volume" else "vertex"].has_nulls()
        said = said_of(config, responses.space, responses.shape if placed else (), cortex)
        subject = Subject(
            subject_id=f"folder/{config.subject}",
            dataset="folder",
            simulated=False,
            space=responses.space,
            surface=cortex.surface,
            transform=cortex.transform,
            shape=responses.shape,
            description=f"{config.subject}: images and responses of one's own, {file.name}.",
            affine=None if responses.affine is None else tuple(responses.affine.ravel().tolist()),
            affine_code=responses.affine_code or None,
            listed=responses.listed,
            recognised=" ".join(filter(None, (responses.recognised, said))),
        )
        super().__init__(
            subject,
            voxels,
            [*_regions(root, responses), *areas_of(config, cortex.surface, voxels)],
            [Block("responses", trials.images, trials.groups, responses.read, responses.copied_bytes)],
            trials.paths,
            # The path tells two subjects' images apart, which share a data set's name here.
            [f"folder/{config.subject}/{_relative(image, root)}" for image in trials.paths],
        )

    @classmethod
    def open(cls, config: IngestConfig, home: Path) -> "Folder":
        """See `DatasetClass`."""
        return cls(config, home)

    @staticmethod
    def files(config: IngestConfig) -> Iterable[Item]:
        """See `DatasetClass`."""
        root = Path(config.root)
        table = root / config.stimuli
        yield Item("table of trials", table)
        try:
            named = _named(_read_table(table), table) if table.exists() else []
            yield Item("responses", response_files(config, named).paths[0])
        except AtlasError:
            yield Item("responses", root / (config.responses or "responses.npy"))
        for name in MASKS:
            yield Item("mask", root / name, needed=False)
        yield Item("regions", root / "rois", needed=False)

    def _trial_sha256s(self) -> list[str]:
        return [*self._files.sha256s(), self._listed[0].images.tobytes().hex()]


def _joined(config: IngestConfig, table: pl.DataFrame, responses: Responses, file: Path) -> _Trials:
    path, n_rows = Path(config.root) / config.stimuli, responses.n_rows
    table = _with_rows(table, path, n_rows, file, allow_missing=config.allow_missing)
    table = _without_sessions(table, config.skip_sessions, path)
    lost = table.filter(table["row"].is_in(responses.lost().tolist()))
    if lost.height and not config.allow_missing:
        row, image = lost.select("row", "image").row(0)
        raise BadInputError(
            f"{file}: trial {row} ({image}) has no number in any voxel (such trials: {lost.height}); get the responses "
            f"again, or pass --allow-missing{_skipped(table, lost)} to leave these trials out."
        )
    table = table.join(lost, on="row", how="anti")
    files = {name: _file_in(path.parent, name) for name in table["image"].unique()}
    gone = sorted(name for name, file in files.items() if not file.is_file())
    if gone and not config.allow_missing:
        raise NotFoundError(
            f"{path}: {len(gone)} of {len(files)} images are not there, {files[gone[0]]} first; put them there or pass "
            "--allow-missing to leave their trials out."
        )
    table = table.filter(~table["image"].is_in(gone))
    if table.is_empty():
        raise BadInputError(f"{path}: no trial is left; give images that are there, and skip fewer sessions.")
    names = table["image"].unique().sort().to_list()
    row_of = {name: number for number, name in enumerate(names)}
    images = np.full(n_rows, LEFT_OUT, np.intp)
    images[table["row"].to_numpy()] = [row_of[name] for name in table["image"]]
    return _Trials([files[name] for name in names], images, _groups(table, config.zscore, path))


def _skipped(table: pl.DataFrame, lost: pl.DataFrame) -> str:
    """The options that leave out lost trials, where these are all of some sessions."""
    if "session" not in table.columns or lost["session"].null_count():
        return ""
    sessions = lost["session"].unique().sort()
    if lost.height < table.filter(table["session"].is_in(sessions.to_list())).height:
        return ""
    return " or " + " ".join(f"--skip-session {session}" for session in sessions)


def _file_in(folder: Path, name: str) -> Path:
    """The file that a table names; tables that were written on Windows have backslashes in its path."""
    file = folder / name
    return file if "\\" not in name or file.exists() else folder / name.replace("\\", "/")


def _read_table(path: Path) -> pl.DataFrame:
    """The table with `image` as text and `row`, where it has one, as integers."""
    if not path.parent.is_dir():
        raise NotFoundError(f"{path.parent}: there is no such folder; --root names the study's.")
    if not path.exists():
        raise NotFoundError(f"{path}: there is no such table; --stimuli names the CSV file within --root.")
    table = read_persons_table(path, _COLUMNS)
    table = table.with_columns(whole_numbers(table, name, path) for name in ("row", "repeat") if name in table.columns)
    if "image" not in table.columns:
        raise BadInputError(f"{path}: no column is named image; call the one of the images' paths so in its header.")
    if table["image"].null_count():
        raise BadInputError(f"{path}: every row needs the path of an image in the column image.")
    return table


def _named(table: pl.DataFrame, path: Path) -> list[Path]:
    """The files of the table's column `responses`, from its folder; none where it has no such column."""
    if "responses" not in table.columns:
        return []
    if table["responses"].null_count() or table["responses"].is_duplicated().any() or "row" in table.columns:
        raise BadInputError(f"{path}: the column responses names a file of its own in every row, without a column row.")
    return [_file_in(path.parent, name) for name in table["responses"]]


def _with_rows(table: pl.DataFrame, path: Path, n_rows: int, responses: Path, *, allow_missing: bool) -> pl.DataFrame:
    """The table with `row`, each row of the responses at most once."""
    if "row" not in table.columns:
        if table.height != n_rows:
            raise BadInputError(
                f"{path}: {table.height} rows, but {responses.name} has {n_rows} trials; add a column row that says "
                "which trial, from 0, each row is."
            )
        table = table.with_row_index("row").cast({"row": pl.Int64})
    if not table["row"].is_between(0, n_rows - 1).all():
        raise BadInputError(f"{path}: the column row must hold 0 … {n_rows - 1}, the trials of {responses.name}.")
    if (twice := table["row"].is_duplicated()).any():
        raise BadInputError(f"{path}: row {table['row'].filter(twice)[0]} of {responses.name} is named more than once.")
    _check_repeats(table, path)
    if table.height < n_rows and not allow_missing:
        raise BadInputError(
            f"{path}: {n_rows - table.height} of the {n_rows} trials of {responses.name} have no image; add them or "
            "pass --allow-missing to leave them out."
        )
    return table


def _check_repeats(table: pl.DataFrame, path: Path) -> None:
    keys = ["image", "repeat"] if "repeat" in table.columns else ["image"]
    if (twice := table.select(keys).is_duplicated()).any():
        advice = "with the same repeat" if len(keys) == 2 else "without a column repeat that numbers its showings"
        raise BadInputError(f"{path}: {table['image'].filter(twice)[0]} is listed more than once {advice}.")


def _without_sessions(table: pl.DataFrame, skipped: tuple[str, ...], path: Path) -> pl.DataFrame:
    if not skipped:
        return table
    if "session" not in table.columns:
        raise BadInputError(f"{path}: --skip-session needs a column session.")
    sessions = table["session"]
    if unknown := sorted(set(skipped) - set(sessions)):
        raise NotFoundError(
            f"{path}: there is no session {unknown[0]!r}; it has {', '.join(sessions.unique().drop_nulls().sort())}."
        )
    return table.filter(~sessions.is_in(skipped))


def _groups(table: pl.DataFrame, zscore: str, path: Path) -> dict[str, Indices]:
    """Rows of the responses that are z-scored together, by name."""
    if zscore == "none":
        return {}
    scopes = ["run", "session"] if zscore == "auto" else [zscore]
    scope = next((scope for scope in scopes if scope in table.columns), None)
    if scope is None:
        if zscore != "auto":
            raise BadInputError(f"{path}: --zscore {zscore} needs a column {zscore}; pass --zscore none or add it.")
        return {"all": table["row"].to_numpy().astype(np.intp)}
    # Runs are counted within their session.
    keys = [key for key in _SCOPES[scope] if key in table.columns]
    return {
        ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True)): rows["row"]
        .to_numpy()
        .astype(np.intp)
        for values, rows in table.partition_by(keys, maintain_order=True, as_dict=True).items()
    }


def _regions(root: Path, responses: Responses) -> list[Region]:
    regions = []
    for name, file in _maps(root / "rois"):
        values = responses.values(file)
        described = f"the user's region {file.name}"
        regions.append(Region(name, "user", described, np.isfinite(values) & (values != 0)))
    return regions


def _noise_ceiling(root: Path, responses: Responses) -> Floats | None:
    path = next((file for name, file in _maps(root) if name == "noise_ceiling"), None)
    if path is None:
        return None
    ceiling = responses.values(path)
    if np.nanmin(ceiling) < 0 or np.nanmax(ceiling) > 1:
        raise BadInputError(f"{path}: a noise ceiling is a share, 0 to 1; divide percentages by 100.")
    return ceiling


def _maps(folder: Path) -> list[tuple[str, Path]]:
    """Names and files of the maps in a folder; of two hemispheres the left one's file, and what their names share."""
    maps = []
    for file in sorted(file for file in folder.glob("*") if file.name.endswith(SUFFIXES)):
        suffix = max((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), key=len)
        name = file.name.removesuffix(suffix)
        if suffix not in GIFTI:
            maps.append((name, file))
        elif not (side_of(file) == 1 and other_side(file).exists()):
            maps.append((without_side(name), file))
    return maps


def _relative(image: Path, root: Path) -> str:
    return image.relative_to(root).as_posix() if image.is_relative_to(root) else image.as_posix()
