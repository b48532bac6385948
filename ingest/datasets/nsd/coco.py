"""COCO's annotations (instances_*.json): which images show what, in the part of each that is used."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ijson
import polars as pl

from ....schemas.errors import BadInputError

Crop = tuple[float, float, float, float]
"""Shares of an image that were cut off: top, bottom, left, right."""


class CocoContents(NamedTuple):
    """What a file's images show."""

    files: dict[int, str]
    """COCO's number of each image → the name of its file."""
    shows: dict[int, set[int]]
    """COCO's number of each image → numbers of its categories, none where it shows nothing."""
    names: dict[int, tuple[str, str]]
    """Number of each category → its name and its supercategory."""

    @property
    def rows(self) -> pl.DataFrame:
        """A row (image by number, category) for each name and each supercategory of what an image shows."""
        rows = [
            (image, name)
            for image, shown in self.shows.items()
            for name in sorted({name for category in shown for name in self.names[category]})
        ]
        return pl.DataFrame(rows, {"image": pl.Int64, "category": pl.String}, orient="row")


def coco_contents(path: Path, crops: Mapping[int, Crop] | None = None) -> CocoContents:
    """Which images show what: what has an annotation, in a crop one whose box has its centre there.

    Args:
        path: instances_*.json.
        crops: COCO's numbers of the images that are wanted, and what was cut off; None for whole images, all of them.

    Raises:
        BadInputError: the file is not what it should be.
    """
    try:
        return _read(path, crops)
    except (ijson.JSONError, OSError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadInputError(
            f"{path}: not annotations of COCO that can be read ({' '.join(str(error).split())[:100]}); get "
            "instances_*.json again."
        ) from None


def _read(path: Path, crops: Mapping[int, Crop] | None) -> CocoContents:
    files: dict[int, str] = {}
    sizes: dict[int, tuple[float, float]] = {}
    for image in _items(path, "images"):
        if crops is None or image["id"] in crops:
            files[image["id"]] = str(image["file_name"])
            if crops is not None:
                sizes[image["id"]] = image["width"], image["height"]
    names = {c["id"]: (str(c["name"]), str(c.get("supercategory", c["name"]))) for c in _items(path, "categories")}
    if not names:
        raise ValueError("it lists no categories")
    shows: dict[int, set[int]] = {number: set() for number in files}
    for mark in _items(path, "annotations"):
        number, category = mark["image_id"], mark["category_id"]
        if category not in names:
            raise ValueError(f"it lists no category {category}")
        if number in files and (crops is None or _is_inside(mark["bbox"], sizes[number], crops[number])):
            shows[number].add(category)
    return CocoContents(files, shows, names)


def _items(path: Path, key: str) -> Iterator[Mapping[str, Any]]:
    """The elements of one of a file's lists, one at a time: the file has 450 MB, and its polygons are not wanted."""
    with path.open("rb") as file:
        yield from ijson.items(file, f"{key}.item", use_float=True)


def _is_inside(box: tuple[float, float, float, float], size: tuple[float, float], crop: Crop) -> bool:
    (x, y, wide, high), (width, height), (top, bottom, left, right) = box, size, crop
    across, down = (x + wide / 2) / width, (y + high / 2) / height
    return left <= across <= 1 - right and top <= down <= 1 - bottom
