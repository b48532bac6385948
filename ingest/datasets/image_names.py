"""A subject's images by the names that a table has for them: ids, paths or the ends of paths, bare file names."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Protocol, runtime_checkable

import polars as pl

from ...schemas.errors import BadInputError
from .csv_tables import LINE, read_persons_table
from .interface import Dataset

_IMAGE = ("image", "stimulus_id")
"""Columns that name images, the first of them that there is."""


@runtime_checkable
class ManyFiles(Protocol):
    """A data set in which several files may hold one and the same image."""

    def files_of(self) -> pl.DataFrame:
        """stimulus_id, uri: a row for each file that trials name."""
        ...


def files_of(dataset: Dataset) -> pl.DataFrame:
    """Every file of a data set's images: stimulus_id, uri."""
    return dataset.files_of() if isinstance(dataset, ManyFiles) else dataset.stimuli.select("stimulus_id", "uri")


def image_table(path: Path, column: str) -> pl.DataFrame:
    """A person's table of images (image, else stimulus_id) and one thing about each.

    Args:
        path: the file, see `read_persons_table`.
        column: the name of that thing's column.

    Returns:
        image, `column` (null where a cell is empty) and `LINE`.

    Raises:
        BadInputError: it is no table, lacks one of the columns, or a row has no image.
    """
    table = read_persons_table(path, (*_IMAGE, column))
    image = next((name for name in _IMAGE if name in table.columns), None)
    if image is None or column not in table.columns:
        raise BadInputError(f"{path}: the table needs the columns image and {column}; write both in its first line.")
    if (nameless := table.filter(pl.col(image).is_null())).height:
        raise BadInputError(f"{path}, line {nameless[LINE][0]}: every row needs the name of an image.")
    return table.select(pl.col(image).alias("image"), column, LINE)


class ImageNames:
    """Finds images by name.

    A name is an image's id, else the path of its file or the end of it, as a table beside the images has it, else the
    file's name without folders, where only one image has that. Endings (.png, .jpg) may differ or be left out.

    Args:
        files: (id, path) of each file; an image may have several.
        table: what the names come from, for messages.
    """

    def __init__(self, files: Iterable[tuple[str, str]], table: str) -> None:
        self._table, self._ids = table, set[str]()
        self._by_stem = defaultdict[str, list[tuple[str, PurePosixPath]]](list)
        for image, path in files:
            self._ids.add(image)
            self._by_stem[PurePosixPath(path).stem].append((image, PurePosixPath(path)))

    def find(self, name: str) -> str | None:
        """The id of the image of that name; None where there is none.

        Raises:
            BadInputError: the name fits several images.
        """
        if name in self._ids:
            return name
        wanted = PurePosixPath(normpath(name))
        files = [file for stem in {wanted.stem, wanted.name} for file in self._by_stem.get(stem, ())]
        folders = [part for part in wanted.parts[:-1] if part != ".."]
        same_folders = [file for file in files if list(file[1].parts[-1 - len(folders) : -1]) == folders]
        same_ending = [file for file in same_folders if file[1].name == wanted.name]
        fits = dict(same_ending or same_folders or files)
        if len(fits) > 1:
            first, second = list(fits.values())[:2]
            raise BadInputError(
                f"{self._table}: {name} may be {first} or {second}; name images by their paths, or by stimulus_id."
            )
        return next(iter(fits), None)
