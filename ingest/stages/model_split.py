"""Which images a model is fitted and which it is tested on: by a seed, by the data set's own names, or by a file."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError, NotFoundError
from ...schemas.files import file_sha256
from ...schemas.stage import Stage
from ..datasets.csv_tables import LINE
from ..datasets.image_names import ImageNames, files_of, image_table
from ..datasets.interface import Dataset, MadeRegions, NamedSplits
from ..encoding.split import Indices, split_by
from .context import DataContext

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


def split_rows(model_id: str, dataset: Dataset, split: tuple[Indices, Indices]) -> pa.Table:
    """The model's rows of `split`, its training images first."""
    train, test = split
    return pa.table(
        {
            "model_id": [model_id] * (len(train) + len(test)),
            "stimulus_id": dataset.stimuli["stimulus_id"].to_numpy()[np.concatenate([train, test])],
            "part": ["train"] * len(train) + ["test"] * len(test),
        }
    )


def say_where(context: DataContext, config: IngestConfig, batch: Mapping[str, pa.Table]) -> None:
    """Amend what a stored model says of where its data lie, which no result depends on.

    Args:
        context: the ingest.
        config: the model's settings now.
        batch: its rows of `model` and `split` as they are stored.
    """
    (model,) = batch["model"].to_pylist()
    present = {"config": config.canonical_json(), "config_sha256": config.sha256}
    if present.items() <= model.items() or context.store.appends_only:
        return
    statement = (
        "UPDATE model SET config = ?, config_sha256 = ? WHERE model_id = ?",
        [*present.values(), model["model_id"]],
    )
    moved = {**batch, "model": pa.Table.from_pylist([{**model, **present}])}
    context.store.amend([statement], moved, run_id=context.run_id, stage=Stage.MODEL, key=model["model_id"])


def located_split(config: IngestConfig) -> dict[str, str]:
    """Settings that name the file of a split, wherever one works, and what changes when the file does."""
    path = Path(config.split)
    named = bool(config.split) and path.is_file()
    return {"split": str(path.absolute()), "split_sha256": file_sha256(path)} if named else {"split_sha256": ""}


def _read(config: IngestConfig, dataset: Dataset, names: tuple[str, ...]) -> dict[str, str]:
    """Stimulus → part, of a file."""
    path = Path(config.split)
    if not path.is_file():
        known = f"; {dataset.subject.dataset} has {', '.join(names)}" if names else ""
        raise NotFoundError(f"{path}: there is no such split; --split takes a CSV of image, part, or a JSON{known}.")
    if config.split_sha256 not in ("", file_sha256(path)):
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
