"""Whether a release is whole and sound: its checksums, its tables and their columns, and the numbers in them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypedDict

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...schemas.errors import BadInputError, NotFoundError, first_line
from ...schemas.files import file_sha256
from ...schemas.tables import FORMAT_VERSION, TABLES, table_schemas
from .parquet_files import parquet_name

SUMS = "SHA256SUMS"
DESCRIPTION = "dataset_description.json"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<path>.+)")


class ReleasedSubject(TypedDict):
    """What a release's description says of a subject."""

    Id: str
    Dataset: str
    Simulated: bool


class ReleaseContents(TypedDict):
    """The part `VoxelAtlas` of a release's description."""

    Format: int
    Models: list[str]
    Subjects: list[ReleasedSubject]
    Rows: dict[str, int]


def write_sums(folder: Path) -> None:
    """Write the checksums of all files of a release, in the form that `sha256sum -c` reads."""
    lines = [f"{file_sha256(folder / path)}  {path}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """Path within the release → SHA-256, as its list has them.

    Raises:
        NotFoundError: there is no list of checksums, so the folder is no release.
        BadInputError: the list is damaged.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{folder} is not a release: it has no file {SUMS}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{folder / SUMS} cannot be read: {error}.") from error
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or PurePosixPath(match["path"]).is_absolute() or ".." in PurePosixPath(match["path"]).parts:
            raise BadInputError(f"{folder / SUMS}, line {number} is not a checksum and a file of the release.")
        sums[match["path"]] = match["sum"]
    return sums


def problems(folder: Path) -> list[str]:
    """What is wrong with a release, one sentence each; none when it is whole.

    Raises:
        NotFoundError: the folder is no release.
        BadInputError: its list of checksums is damaged.
    """
    sums = read_sums(folder)
    present = set(_files(folder))
    wrong = [f"{path} is missing; copy the release again." for path in sorted(sums.keys() - present)]
    wrong += [f"{path} is not in {SUMS}; it does not belong to the release." for path in sorted(present - sums.keys())]
    changed = {path for path in sorted(sums.keys() & present) if file_sha256(folder / path) != sums[path]}
    wrong += [f"{path} has changed since it was written; copy the release again." for path in sorted(changed)]
    # What a damaged file says of itself means nothing.
    sound = (present & sums.keys()) - changed
    if DESCRIPTION in sound:
        wrong += _format_problems(folder)
    elif DESCRIPTION not in sums:
        wrong.append(f"{DESCRIPTION} is not there, so this is not a release of an atlas.")
    for name in TABLES:
        path = parquet_name(name)
        if path in sound:
            wrong += _table_problems(folder / path, name)
        elif path not in sums:
            wrong.append(f"{path} is not there, so the release lacks the table {name}.")
    return wrong or list(_number_problems(folder))


def description(folder: Path) -> ReleaseContents:
    """What the release says of itself for programs."""
    content: ReleaseContents = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["VoxelAtlas"]
    return content


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / SUMS:
            yield path.relative_to(folder).as_posix()


def _format_problems(folder: Path) -> Iterator[str]:
    try:
        about = description(folder)
        version, models = about["Format"], about["Models"]
        subjects = [subject["Id"] for subject in about["Subjects"]]
        if not all(isinstance(name, str) for name in [*models, *subjects]) or not isinstance(version, int):
            raise TypeError  # noqa: TRY301 - as what JSON of another shape raises
    except (ValueError, KeyError, TypeError, RecursionError):
        yield f"{DESCRIPTION} does not describe a release of an atlas."
        return
    if version != FORMAT_VERSION:
        yield (
            f"{DESCRIPTION}: the release has format {version}, and this version of voxel-atlas reads format "
            f"{FORMAT_VERSION}; {'install a newer one' if version > FORMAT_VERSION else 'export it again'}."
        )


def _table_problems(path: Path, name: str) -> Iterator[str]:
    place = parquet_name(name)
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        yield f"{place} is not a Parquet file: {first_line(error)}."
        return
    expected = table_schemas()[name]
    if schema.names != expected.names:
        yield f"{place} has the columns {', '.join(schema.names)}; expected are {', '.join(expected.names)}."
        return
    for field in expected:
        if schema.field(field.name).type != field.type:
            yield f"{place}: column {field.name} is {schema.field(field.name).type}; expected is {field.type}."


def _number_problems(folder: Path) -> Iterator[str]:
    about = description(folder)
    for subject in about["Subjects"]:
        yield from _voxel_problems(folder, subject["Id"])
    for model in about["Models"]:
        yield from _weight_problems(folder, model)


def _voxel_problems(folder: Path, subject: str) -> Iterator[str]:
    """Voxels that are not there would be taken for others: NumPy counts negative numbers from the end."""
    of_subject = pc.field("subject_id") == subject
    n = len(numbers := np.sort(_column(folder, "voxel", "voxel", of_subject).to_numpy()))
    if not np.array_equal(numbers, np.arange(n)):
        yield f"the voxels of {subject} are not numbered 0, 1, 2 …; ask for a sound release."
        return
    of_models = pc.field("model_id").isin(_column(folder, "model", "model_id", of_subject))
    for name, schema in table_schemas().items():
        if "voxel" not in schema.names or name == "dropped":
            continue
        wanted = of_models if "model_id" in schema.names else of_subject
        least, most = pc.min_max(_column(folder, name, "voxel", wanted)).values()
        if least.is_valid and not 0 <= least.as_py() <= most.as_py() < n:
            yield (
                f"{name} names voxels {least} to {most} of {subject}, which has 0 to {n - 1}; ask for a sound release."
            )


def _weight_problems(folder: Path, model: str) -> Iterator[str]:
    """Weights that are no numbers would rank as voxels do, anywhere."""
    path, columns = folder / parquet_name("encoding"), ["voxel", "weights", "bias"]
    rows = pl.DataFrame(pq.read_table(path, columns=columns, filters=pc.field("model_id") == model))
    sound = pl.col("bias").is_finite() & pl.col("weights").list.eval(pl.element().is_finite().all()).list.first()
    wrong = rows.filter(~sound.fill_null(value=False))["voxel"]
    if len(wrong):
        more = f", and {len(wrong) - 1} more have" if len(wrong) > 1 else ""
        yield (
            f"voxel {wrong[0]} of {model} has weights that are not finite numbers{more}; "
            "ask for a release of a sound fit."
        )


def _column(folder: Path, table: str, column: str, wanted: pc.Expression) -> pa.ChunkedArray:
    return pq.read_table(folder / parquet_name(table), columns=[column], filters=wanted)[column]
