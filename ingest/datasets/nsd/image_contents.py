"""What NSD's images show: by COCO's annotations of the images that they were cut from, or by a user's table."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....schemas.errors import BadInputError, NotFoundError
from ..image_names import ImageNames, image_table
from .coco import CocoContents, Crop, coco_contents
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
        rows, names = _supercategories(labels, nsd_ids, table)
    elif len(labels) == 1:
        rows = _listed(labels[0], nsd_ids, table)
        names = {name for of_image in rows.values() for name in of_image}
    else:
        raise BadInputError(f"{labels[0]} and {labels[1]}: give either annotations of COCO or one CSV.")
    known = np.array([number for number in nsd_ids if int(number) in rows], np.int32)
    categories = tuple(sorted(names))
    shows = np.array([[name in rows[int(number)] for name in categories] for number in known], bool)
    return ImageContents(known, categories, shows.reshape(len(known), len(categories)))


def cropped_contents(path: Path, nsd_ids: NsdIds, table: Path) -> CocoContents:
    """What COCO's annotations say of the parts of its images that NSD shows: those with the box's centre in cropBox.

    Args:
        path: instances_*.json.
        nsd_ids: the images, (n_images,).
        table: nsd_stim_info_merged.csv, which says what they were cut from.

    Returns:
        The contents of those of the images that the file has, by nsdId.

    Raises:
        BadInputError: a file is not what it should be.
    """
    info = stimulus_table(table, columns=["nsdId", "cocoId", "cropBox"]).filter(pl.col("nsdId").is_in(nsd_ids.tolist()))
    nsd_id = {coco: nsd for nsd, coco, _ in info.iter_rows()}
    found = coco_contents(path, {coco: _crop(text, table) for _, coco, text in info.iter_rows()})
    files = {nsd_id[coco]: file for coco, file in found.files.items()}
    return CocoContents(files, {nsd_id[coco]: shown for coco, shown in found.shows.items()}, found.names)


def _supercategories(paths: Sequence[Path], nsd_ids: NsdIds, table: Path) -> tuple[dict[int, set[str]], set[str]]:
    """NsdId → the supercategories that it shows, and all that there are."""
    shows: dict[int, set[str]] = {}
    every: set[str] = set()
    for path in paths:
        found = cropped_contents(path, nsd_ids, table)
        above = {number: supercategory for number, (_, supercategory) in found.names.items()}
        every |= set(above.values())
        shows |= {nsd: {above[number] for number in numbers} for nsd, numbers in found.shows.items()}
    if missing := len(nsd_ids) - len(shows):
        names = " and ".join(path.name for path in paths)
        raise BadInputError(
            f"{names}: {missing} of the {len(nsd_ids)} images that all subjects saw are not in it; NSD's are from "
            "instances_train2017.json and instances_val2017.json, so give both by --food-labels."
        )
    return shows, every


def _crop(text: str, table: Path) -> Crop:
    try:
        top, bottom, left, right = map(float, str(text).strip("()[] ").split(","))
    except ValueError:
        raise BadInputError(f"{table}: {text!r} is no cropBox of four shares; download it from NSD again.") from None
    return top, bottom, left, right


def _listed(path: Path, nsd_ids: NsdIds, table: Path) -> dict[int, set[str]]:
    """NsdId → categories by a user's table."""
    ids = [f"nsd/{number}" for number in nsd_ids]
    files = coco_images(table, nsd_ids) if table.exists() else ids
    names = ImageNames(zip(ids, files, strict=True), path.name)
    shows: dict[int, set[str]] = {}
    for name, category in image_table(path, "category").select("image", "category").iter_rows():
        if found := names.find(name):
            shows.setdefault(int(found.removeprefix("nsd/")), set()).update({category} if category else ())
    if not shows:
        raise NotFoundError(
            f"{path}: names none of the {len(nsd_ids)} images that all subjects saw; name them as nsd/46002 or by "
            "COCO's file names."
        )
    return shows
