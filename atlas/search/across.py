"""The main question asked of several models at once: one ranking over the voxels of all."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from ...schemas.errors import BadInputError
from .atlas import Atlas, VoxelHits

MOST_MODELS = 40
_LAST = 2**31
"""More than any voxel's number."""


class Place(NamedTuple):
    """The last row of a page."""

    similarity: float
    model_id: str
    voxel: int


def similar_voxels(
    atlas: Atlas, models: Sequence[str], *, first: int = 20, after: Place | None = None, **question: Any
) -> VoxelHits:
    """Voxels of several models by their similarity to a concept or an image.

    Args:
        atlas: where.
        models: model ids, as `Atlas.model` takes them; they must be comparable.
        first: how many voxels, over all models.
        after: the last voxel of the page before.
        **question: concept, image, rois, significant, min_r2, by and readout, as `Atlas.similar_voxels` takes them.

    Returns:
        The voxels by descending similarity, equal ones by model and number. `model_id` names the models, between
        commas; `total` counts all of them, and `generation` is the oldest one's.

    Raises:
        BadInputError: no model or more than 40, or their similarities are not comparable: cosines in the spaces of
            different networks, or of weights and of patterns.
        NotFoundError: no such model or region.
    """
    if not 1 <= len(models) <= MOST_MODELS:
        raise BadInputError(f"{len(models)} models were named; name 1 to {MOST_MODELS}.")
    if question.get("voxel") is not None:
        raise BadInputError("A voxel is compared with those of its own model; name that one as `model`.")
    rows = {row["model_id"]: row for row in map(atlas.model, models)}
    space = "label_backbone" if question.get("by") == "labels" else "backbone"
    spaces = sorted({row[space] for row in rows.values()})
    if len(spaces) > 1:
        raise BadInputError(
            f"Similarities in the spaces of {' and '.join(spaces)} are not comparable; ask for models of one."
        )
    found = [
        atlas.similar_voxels(model=model_id, first=first, after=_after(model_id, after), **question)
        for model_id in sorted(rows)
    ]
    order = pl.Enum(sorted(rows))
    frame = pl.concat([hits.frame for hits in found]).with_columns(pl.col("model_id").cast(order))
    best = frame.sort(["similarity", "model_id", "voxel"], descending=[True, False, False]).head(first)
    return VoxelHits(
        frame=best.with_columns(pl.col("model_id").cast(pl.String)),
        model_id=", ".join(sorted(rows)),
        by=found[0].by,
        readout=found[0].readout,
        method=found[0].method,
        generation=min(hits.generation for hits in found),
        total=sum(hits.total for hits in found),
    )


def _after(model_id: str, place: Place | None) -> tuple[float, int] | None:
    """Behind which row of one model the next page goes on: equal scores are ordered by model, then by voxel."""
    if place is None:
        return None
    if model_id == place.model_id:
        return place.similarity, place.voxel
    return place.similarity, _LAST if model_id < place.model_id else -1
