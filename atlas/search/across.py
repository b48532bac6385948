"""Questions to several models at once: one ranking over the voxels of all, and the means of all their regions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from ...schemas.errors import BadInputError, NotFoundError, meant
from .contrasts.region_means import named_once
from .contrasts.region_vectors import region_vectors
from .filters import Filters
from .labelled import baseline_of
from .model import Model
from .similarity import Compared, VoxelHits

MOST_MODELS = 40
_LAST = 2**31
"""More than any voxel's number."""
_COLUMNS = {"roi": pl.String, "concept": pl.String, "n_voxels": pl.Int64, "mean": pl.Float64}


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
    _check_number(models)
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


class RegionMeans(NamedTuple):
    """Mean similarities of regions."""

    frame: pl.DataFrame
    """model_id, subject_id, simulated, roi, concept, n_voxels, mean; by model and region, then as asked."""
    warnings: list[str]


def roi_means(
    models: Sequence[Model],
    concepts: Sequence[str],
    *,
    rois: Sequence[str] = (),
    significant: bool = True,
    semantic: bool = True,
    readout: str | None = None,
    baseline: str = "vocabulary",
) -> RegionMeans:
    """How similar the voxels of each region are to some concepts on average, in several models.

    The means are those of `Model.roi_table`, by weights. The first question to a model reads all its vectors, once for
    each readout and choice of voxels, a block at a time; later ones read a small file.

    Args:
        models: of any subjects and backbones; one that is given twice counts once.
        concepts: 1 to 100, each as `Model.similar` takes it.
        rois: only these regions; a model whose subject lacks one has no row for it.
        significant: only voxels count whose encoding model is significant.
        semantic: voxels do not count whose predicted responses luminance, contrast and edges may explain.
        readout: weights, half or pattern; None for each backbone's own.
        baseline: vocabulary or none.

    Raises:
        BadInputError: no model or more than 40, or a concept that makes no sense for one of them.
        NotFoundError: a region that none of the subjects has.
    """
    _check_number(models)
    asked = named_once(concepts)
    against = baseline_of(baseline)
    found, known, warnings = list[pl.DataFrame](), set[str](), list[str]()
    for model in {each.model_id: each for each in models}.values():
        if not model.has_text:
            raise BadInputError(f"{model.model_id} uses {model.backbone}, which has no text tower; leave it out.")
        vectors = region_vectors(model.tables, model.readout(readout), significant=significant, semantic=semantic)
        known |= set(vectors.rois)
        chosen = [place for place, roi in enumerate(vectors.rois) if not rois or roi in rois]
        towers = model.text_towers
        queries = np.stack([towers.concept(model.backbone, concept, against) for concept in asked])
        warnings += [said for concept in asked for said in towers.warnings(model.backbone, concept)]
        means = vectors.means[chosen] @ queries.astype(np.float64).T
        columns = {
            "roi": np.repeat([vectors.rois[place] for place in chosen], len(asked)).tolist(),
            "concept": asked * len(chosen),
            "n_voxels": np.repeat(vectors.counts[chosen], len(asked)).tolist(),
            "mean": means.ravel().tolist(),
        }
        own = pl.DataFrame(columns, _COLUMNS).with_columns(mean=pl.when(pl.col("n_voxels") > 0).then("mean"))
        about = {name: getattr(model, name) for name in ("model_id", "subject_id", "simulated")}
        found.append(own.select(*(pl.lit(value).alias(name) for name, value in about.items()), pl.all()))
    for roi in rois:
        if roi not in known:
            raise NotFoundError(f"None of these models' subjects has a region {roi!r}.{meant(roi, known)}")
    return RegionMeans(pl.concat(found).sort("model_id", maintain_order=True), list(dict.fromkeys(warnings)))


def _check_number(models: Sequence[Model]) -> None:
    if not 1 <= len(models) <= MOST_MODELS:
        raise BadInputError(f"{len(models)} models are asked for; name 1 to {MOST_MODELS}.")


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
