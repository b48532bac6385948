"""What NSD's images show: by COCO's annotations of the images that they were cut from, or by a user's table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ijson
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..csv_tables import read_table
from ..image_names import ImageNames, image_column
from .design import NsdIds, coco_images, stimulus_table


class ImageContents(NamedTuple):
    """Which images show what."""

    nsd_ids: NsdIds
    """Those of the images that are known, (n_images,)."""
    categories: tuple[str, ...]
    shows: NDArray[np.bool_]
    """(n_images, n_categories)"""


def image_contents(labels: Sequence[Path], nsd_ids: NsdIds, table: Path) -> ImageContents:
    """What some images show.

    Args:
        labels: COCO's instances_*.json, all that the images are in; or one CSV of image (or stimulus_id) and category,
            in which an image that shows nothing has a row without a category, and images without a row are not known.
        nsd_ids: the images, (n_images,).
        table: nsd_stim_info_merged.csv, which says what they were cut from.

    Raises:
        NotFoundError: a file is not there, or a CSV names none of the images.
        BadInputError: a file is not what it should be, or annotations lack images.
    """
    for path in labels:
        if not path.is_file():
            raise NotFoundError(f"{path}: not there; --food-labels takes COCO's instances_*.json or a CSV.")
    if all(path.suffix == ".json" for path in labels):
        rows, names = _annotated(labels, nsd_ids, table)
    elif len(labels) == 1:
        rows = _listed(labels[0], nsd_ids, table)
        names = {name for of_image in rows.values() for name in of_image}
    else:
        raise BadInputError(f"{labels[0]} and {labels[1]}: give either annotations of COCO or one CSV.")
    known = np.array([number for number in nsd_ids if int(number) in rows], np.int32)
    categories = tuple(sorted(names))
    shows = np.array([[name in rows[int(number)] for name in categories] for number in known], bool)
    return ImageContents(known, categories, shows.reshape(len(known), len(categories)))


def _annotated(paths: Sequence[Path], nsd_ids: NsdIds, table: Path) -> tuple[dict[int, set[str]], set[str]]:
    """COCO's supercategories: nsdId → those of annotations whose box has its centre in the cropBox; and all of them."""
    info = stimulus_table(table, columns=["nsdId", "cocoId", "cropBox"]).filter(pl.col("nsdId").is_in(nsd_ids.tolist()))
    crops = {coco: (nsd, _crop(text, table)) for nsd, coco, text in info.iter_rows()}
    shows: dict[int, set[str]] = {}
    every: set[str] = set()
    for path in paths:
        with _as_coco(path):
            wanted = ((i["id"], (i["width"], i["height"])) for i in coco_items(path, "images") if i["id"] in crops)
            sizes = dict(wanted)
            supercategories = {item["id"]: str(item["supercategory"]) for item in coco_items(path, "categories")}
            every |= set(supercategories.values())
            shows |= {crops[image][0]: set() for image in sizes}
            for mark in coco_items(path, "annotations"):
                if (image := mark["image_id"]) in sizes:
                    nsd_id, (top, bottom, left, right) = crops[image]
                    (width, height), (x, y, wide, high) = sizes[image], mark["bbox"]
                    across, down = (x + wide / 2) / width, (y + high / 2) / height
                    if left <= across <= 1 - right and top <= down <= 1 - bottom:
                        shows[nsd_id].add(supercategories[mark["category_id"]])
    if missing := len(nsd_ids) - len(shows):
        names = " and ".join(path.name for path in paths)
        raise BadInputError(
            f"{names}: {missing} of the {len(nsd_ids)} images that all subjects saw are not in it; NSD's are from "
            "instances_train2017.json and instances_val2017.json, so give both by --food-labels."
        )
    return shows, every


def coco_items(path: Path, key: str) -> Iterator[Mapping[str, Any]]:
    """The elements of one of a file's lists, one at a time: the file has 450 MB, and its polygons are not wanted."""
    with path.open("rb") as file:
        yield from ijson.items(file, f"{key}.item", use_float=True)


@contextmanager
def _as_coco(path: Path) -> Iterator[None]:
    """Turns every way in which a file can be none of COCO's into one sentence."""
    try:
        yield
    except (ijson.JSONError, OSError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadInputError(
            f"{path}: not annotations of COCO that can be read ({' '.join(str(error).split())[:100]}); get "
            "instances_*.json again."
        ) from None


def _crop(text: str, table: Path) -> tuple[float, float, float, float]:
    """Shares of the COCO image that were cut off: top, bottom, left, right."""
    try:
        top, bottom, left, right = map(float, str(text).strip("()[] ").split(","))
    except ValueError:
        raise BadInputError(f"{table}: {text!r} is no cropBox of four shares; download it from NSD again.") from None
    return top, bottom, left, right


def _listed(path: Path, nsd_ids: NsdIds, table: Path) -> dict[int, set[str]]:
    """NsdId → categories by a user's table."""
    rows = read_table(path, "CSV table", "write image, category", infer_schema=False)
    image = image_column(rows)
    if image is None or "category" not in rows.columns:
        raise BadInputError(f"{path}: labels have the columns image and category; it has {', '.join(rows.columns)}.")
    ids = [f"nsd/{number}" for number in nsd_ids]
    files = coco_images(table, nsd_ids) if table.exists() else ids
    names = ImageNames(zip(ids, files, strict=True), path.name)
    shows: dict[int, set[str]] = {}
    for name, category in rows.select(image, "category").drop_nulls(image).iter_rows():
        if found := names.find(name):
            shows.setdefault(int(found.removeprefix("nsd/")), set()).update({category} if category else ())
    if not shows:
        raise NotFoundError(
            f"{path}: names none of the {len(nsd_ids)} images that all subjects saw; name them as nsd/46002 or by "
            "COCO's file names."
        )
    return shows
