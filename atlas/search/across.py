"""The main question asked of several models at once: one ranking over the voxels of all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from ...schemas.errors import BadInputError
from .filters import Filters
from .model import Model
from .similarity import Compared, VoxelHits

MOST_MODELS = 40
_LAST = 2**31
"""More than any voxel's number."""


class LastRow(NamedTuple):
    """The last row of a page."""

    similarity: float
    model_id: str
    voxel: int


def similar_voxels(
    models: Sequence[Model], compared: Compared, filters: Filters, *, first: int, after: LastRow | None = None
) -> VoxelHits:
    """Voxels of several models by their similarity to a concept or an image.

    Args:
        models: they must be comparable; one that is given twice counts once.
        compared: with a concept or an image, and how.
        filters: of the voxels.
        first: how many voxels, over all models.
        after: the last voxel of the page before.

    Returns:
        The voxels by descending similarity, equal ones by model and number. `model_id` names the models, between
        commas; `total` counts all of them, and `generation` is the oldest one's.

    Raises:
        BadInputError: no model or more than 40, or their similarities are not comparable: cosines in the spaces of
            different networks, or of weights and of patterns.
        NotFoundError: no such region.
    """
    if not 1 <= len(models) <= MOST_MODELS:
        raise BadInputError(f"{len(models)} models were named; name 1 to {MOST_MODELS}.")
    if compared.voxel is not None:
        raise BadInputError("A voxel is compared with those of its own model; name that one as `model`.")
    by_id = {model.model_id: model for model in models}
    check_comparable(models, compared.by)
    names = sorted(by_id)
    pages = [by_id[name].search(compared, filters, first=first, after=_after(name, after)) for name in names]
    known = [page.hidden for page in pages if page.hidden is not None]
    frame = pl.concat([page.frame for page in pages]).with_columns(pl.col("model_id").cast(pl.Enum(names)))
    best = frame.sort(["similarity", "model_id", "voxel"], descending=[True, False, False]).head(first)
    return replace(
        pages[0],
        frame=best.with_columns(pl.col("model_id").cast(pl.String)),
        model_id=", ".join(names),
        simulated=any(model.simulated for model in models),
        warnings=list(dict.fromkeys(warning for page in pages for warning in page.warnings)),
        generation=min(page.generation for page in pages),
        total=sum(page.total for page in pages),
        hidden=sum(known) if len(known) == len(pages) else None,
    )


def check_comparable(models: Sequence[Model], by: str) -> None:
    """See that similarities of several models are in one space.

    Raises:
        BadInputError: they are cosines in the spaces of different networks.
    """
    spaces = sorted({model.label_backbone if by == "labels" else model.backbone for model in models})
    if len(spaces) > 1:
        raise BadInputError(
            f"Similarities in the spaces of {' and '.join(spaces)} are not comparable; ask for models of one."
        )


def _after(model_id: str, last: LastRow | None) -> tuple[float, int] | None:
    """Behind which row of one model the next page goes on: equal scores are ordered by model, then by voxel."""
    if last is None:
        return None
    if model_id == last.model_id:
        return last.similarity, last.voxel
    return last.similarity, _LAST if model_id < last.model_id else -1
