"""Which images a model is fitted and which it is tested on: by a seed, by the data set's own names, or by a file."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError, NotFoundError
from ..datasets.csv_tables import LINE
from ..datasets.fingerprint import file_sha256
from ..datasets.image_names import ImageNames, files_of, image_table
from ..datasets.interface import Dataset, MadeRegions, NamedSplits
from ..encoding.split import Indices, split_by

_FEWEST_OF_PART = 20
"""Images of each part of a split that is not drawn."""


def split_of(config: IngestConfig, dataset: Dataset) -> tuple[Indices, Indices]:
    """Training and test images as the configuration says, as rows of the data set's `stimuli`, each ascending.

    Images that a file of a split does not name are in neither part. Nor are those of a test set that is drawn by the
    seed which a region was made of, as FOOD: its voxels were chosen by responses to them.

    Raises:
        NotFoundError: there is no such file, and no split of that name.
        BadInputError: the file is not what it should be, has changed since, or leaves fewer than 20 images in a part.
    """
    if not config.split:
        train, test = split_by(config, dataset.stimuli.height)
        if isinstance(dataset, MadeRegions):
            made_of = dataset.stimuli["stimulus_id"].is_in(dataset.region_images["stimulus_id"].to_list()).to_numpy()
            test = test[~made_of[test]]
            _require_enough(dataset, f"what {dataset.region_images['roi'][0]} was not made of", train, test)
        return train, test
    names = dataset.split_names if isinstance(dataset, NamedSplits) else ()
    if isinstance(dataset, NamedSplits) and config.split in names:
        part_of = dict.fromkeys(dataset.stimuli["stimulus_id"], "train")
        part_of |= dict.fromkeys(dataset.test_images(config.split), "test")
    else:
        part_of = _read(config, dataset, names)
    parts = dataset.stimuli["stimulus_id"].replace_strict(part_of, default="", return_dtype=pl.String).to_numpy()
    train, test = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")
    _require_enough(dataset, f"the split {config.split}", train, test)
    return train, test


def _require_enough(dataset: Dataset, what: str, train: Indices, test: Indices) -> None:
    if min(len(train), len(test)) < _FEWEST_OF_PART:
        raise BadInputError(
            f"{dataset.subject.subject_id}: {what} leaves {len(train)} images to train and {len(test)} to test; each "
            f"part needs {_FEWEST_OF_PART}."
        )


def split_sha256(config: IngestConfig) -> str:
    """What changes when the file of a configuration's split does; empty where it has none."""
    return file_sha256(Path(config.split)) if config.split and Path(config.split).is_file() else ""


def _read(config: IngestConfig, dataset: Dataset, names: tuple[str, ...]) -> dict[str, str]:
    """Stimulus → part, of a file."""
    path = Path(config.split)
    if not path.is_file():
        known = f"; {dataset.subject.dataset} has {', '.join(names)}" if names else ""
        raise NotFoundError(f"{path}: there is no such split; --split takes a CSV of image, part, or a JSON{known}.")
    if config.split_sha256 not in ("", split_sha256(config)):
        raise BadInputError(f"{path}: the split has changed since the model was fitted; ingest it as a new model.")
    images, parts = _from_json(path) if path.suffix == ".json" else _from_csv(path)
    found, part_of = ImageNames(files_of(dataset).iter_rows(), path.name), dict[str, str]()
    for image, part in zip(images, parts, strict=True):
        if (stimulus_id := found.find(image)) is None:
            if config.allow_missing:
                continue
            raise BadInputError(
                f"{path}: {image} is no image of {dataset.subject.subject_id}; take it out, or pass --allow-missing."
            )
        if part_of.setdefault(stimulus_id, part) != part:
            raise BadInputError(f"{path}: {image} is in train and in test, by this or by another name of its bytes.")
    return part_of


def _from_csv(path: Path) -> tuple[list[str], list[str]]:
    table = image_table(path, "part")
    if (others := table.filter(~pl.col("part").is_in(["train", "test"]).fill_null(value=False))).height:
        part, line = others.select("part", LINE).row(0)
        raise BadInputError(f"{path}, line {line}: part is {part or 'empty'!r}, and parts are train or test.")
    return table["image"].to_list(), table["part"].to_list()


def _from_json(path: Path) -> tuple[list[str], list[str]]:
    """A split of LAION-fMRI's package: {"variants": [{"train_ids": […], "test_ids": […]}]}."""
    try:
        (variant,) = json.loads(path.read_text(encoding="utf-8"))["variants"]
        train, test = ([str(name) for name in variant[key]] for key in ("train_ids", "test_ids"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path}: not a split of LAION-fMRI, one variant of train_ids and test_ids ({error!r}); give that or a CSV "
            "of image, part."
        ) from None
    return train + test, ["train"] * len(train) + ["test"] * len(test)
