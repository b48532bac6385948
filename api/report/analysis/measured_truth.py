"""Ground truth for concept maps (Fig. 5): which voxels answer to a category, by a localiser or by responses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....ingest.datasets.image_names import ImageNames, files_of, image_table
from ....ingest.datasets.interface import Dataset
from ....ingest.datasets.nsd.coco import coco_contents
from ....schemas.errors import NotFoundError
from .study_data import StudyData

FEWEST_SHOWING = 10
"""Test images that must show a category, or its mean response says little."""

CONCEPT_OF = {
    "faces": "face",
    "bodies": "body",
    "places": "place",
    "words": "word",
    "character": "word",
    "characters": "word",
    "objects": "object",
}
"""Localiser contrasts by other names → the concept whose map is compared with them."""


@runtime_checkable
class Localised(Protocol):
    """A data set with functional localisers."""

    def localisers(self) -> Mapping[str, NDArray[np.floating]]:
        """Category → t of every voxel, (n_voxels,), by voxel number; empty where the maps are not there."""
        ...


@runtime_checkable
class Contents(Protocol):
    """A data set that knows what its images show."""

    def contents(self) -> pl.DataFrame:
        """stimulus_id, category: a row for each category that an image shows."""
        ...


@runtime_checkable
class FromCoco(Protocol):
    """A data set whose images were cut from COCO's."""

    def coco_contents(self, path: Path) -> pl.DataFrame:
        """stimulus_id, category: what instances_*.json says of the part of COCO's image that each image is."""
        ...


class Truth(NamedTuple):
    """Which voxels answer to a category."""

    category: str
    kind: str
    """What it is, for people."""
    values: NDArray[np.float32]
    """(n_voxels,)."""


def truth_by_category(
    data: StudyData, labels: Path | None, categories: Sequence[str], voxels: NDArray[np.int32]
) -> list[Truth]:
    """The truth of each category that has one: its localiser map, else the responses to what is known to show it.

    Args:
        data: the data.
        labels: what images show, see `shown_by`.
        categories: only these; none for all.
        voxels: numbers, ascending.

    Raises:
        NotFoundError: nothing has a truth, or no image of the file is one of the subject's.
        BadInputError: the file is not what it should be.
    """
    truths: dict[str, Truth] = {}
    try:
        for (category,), rows in localiser_truth(data.dataset, voxels).group_by("category", maintain_order=True):
            truths[str(category)] = Truth(str(category), "localiser map", rows["truth"].to_numpy())
    except NotFoundError:
        pass  # the data set has none
    # A map without a number says nothing, and must not hide what responses say.
    localised = [true.category for true in truths.values() if np.isfinite(true.values).any()]
    if labels is not None or isinstance(data.dataset, Contents) or not truths:
        shows = shown_by(data.dataset, labels)
        shows = shows.filter(~pl.col("category").is_in(localised))
        if categories:
            shows = shows.filter(pl.col("category").is_in(categories))
        try:
            measured = response_truth(data, shows, voxels)
        except NotFoundError:
            if not truths:
                raise
            measured = pl.DataFrame()
        for (category, n), rows in (
            measured.group_by("category", "n_images", maintain_order=True) if len(measured) else ()
        ):
            kind = f"mean response (z-scored beta) to {n} test images that show it"
            truths[str(category)] = Truth(str(category), kind, rows["truth"].to_numpy())
    return [true for true in truths.values() if not categories or true.category in categories]


def localiser_truth(dataset: object, voxels: NDArray[np.int32]) -> pl.DataFrame:
    """Localiser t of voxels: category, voxel, truth.

    Raises:
        NotFoundError: the data set has no localiser maps.
    """
    maps = dataset.localisers() if isinstance(dataset, Localised) else {}
    if not maps:
        raise NotFoundError("The data set has no localiser maps; give --labels, a table of what the images show.")
    frames = [
        pl.DataFrame({"category": CONCEPT_OF.get(name.lower(), name.lower()), "voxel": voxels, "truth": t[voxels]})
        for name, t in maps.items()
    ]
    return pl.concat(frames).with_columns(pl.col("truth").cast(pl.Float32))


def response_truth(data: StudyData, shows: pl.DataFrame, voxels: NDArray[np.int32]) -> pl.DataFrame:
    """Mean measured response of voxels to the test images that show a category.

    Only test images count: the models were fitted to the responses to the others.

    Args:
        data: the data.
        shows: stimulus_id, category.
        voxels: numbers, ascending.

    Returns:
        category, voxel, truth (z-scored beta), n_images; categories that fewer than 10 test images show are left out.

    Raises:
        NotFoundError: no category is shown by enough test images.
    """
    tested = data.dataset.stimuli[data.test.tolist()].select("stimulus_id").with_row_index("row")
    shown = shows.select("stimulus_id", "category").unique().join(tested, on="stimulus_id")
    counted = shown.group_by("category").len().filter(pl.col("len") >= FEWEST_SHOWING).sort("category")
    if counted.is_empty():
        raise NotFoundError(
            f"No category is shown by {FEWEST_SHOWING} of the {tested.height} test images; give labels of more images."
        )
    names = counted["category"].to_list()
    weights = np.zeros((len(names), tested.height))
    for row, name in zip(weights, names, strict=True):
        row[shown.filter(pl.col("category") == name)["row"].to_numpy()] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    truth = np.empty((len(names), len(voxels)), np.float32)
    for part, responses in data.batches(voxels):
        truth[:, part] = weights @ responses[data.test]
    return pl.DataFrame(
        {
            "category": np.repeat(names, len(voxels)),
            "voxel": np.tile(voxels, len(names)),
            "truth": truth.ravel(),
            "n_images": np.repeat(counted["len"].to_numpy(), len(voxels)),
        }
    )


def require_labels(labels: Path) -> None:
    """Raises NotFoundError where a file of what images show is not there."""
    if not labels.is_file():
        raise NotFoundError(f"{labels} is not there; --labels takes a CSV or COCO annotations.")


def shown_by(dataset: Dataset, labels: Path | None) -> pl.DataFrame:
    """What images show: from the user's file, else from the data set where it knows.

    Args:
        dataset: the data set.
        labels: a CSV with columns image (or stimulus_id) and category, or COCO annotations (.json).

    Returns:
        stimulus_id, category.

    Raises:
        NotFoundError: neither says it, or no image of the file is one of the subject's.
        BadInputError: the file is not what it should be, or a name in it fits several images.
    """
    if labels is None:
        if isinstance(dataset, Contents):
            return dataset.contents()
        raise NotFoundError("Nothing says what the images show; give --labels, a CSV or COCO annotations.")
    require_labels(labels)
    if labels.suffix == ".json" and isinstance(dataset, FromCoco):
        matched = dataset.coco_contents(labels)
    else:
        rows = _from_coco(labels) if labels.suffix == ".json" else image_table(labels, "category")
        names = ImageNames(files_of(dataset).iter_rows(), labels.name)
        found = {name: names.find(name) for name in rows["image"].unique(maintain_order=True)}
        ids = pl.Series("stimulus_id", [found[name] for name in rows["image"]], pl.String)
        matched = rows.with_columns(ids).drop_nulls()
    if matched.is_empty():
        raise NotFoundError(f"{labels.name} names no image of this subject; name them by stimulus_id or by file name.")
    return matched.select("stimulus_id", "category").unique().sort("stimulus_id", "category")


def _from_coco(path: Path) -> pl.DataFrame:
    """The columns image, the name of its file, and category."""
    contents = coco_contents(path)
    return contents.rows.with_columns(pl.col("image").replace_strict(contents.files, return_dtype=pl.String))
