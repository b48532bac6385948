"""Stage `clip-msm`: the best of a fixed list of concepts for every voxel, beside the labels that need no list."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats
from ...schemas.tables import label_id
from ..dissection.activation import top_images
from ..dissection.clip_msm import TOP_K, ClipMsm, soft
from ..dissection.scoring import Scores
from .context import Context, ranges
from .fitted_voxels import fitted
from .score import append_scores

METHOD = "clip-msm"


def clip_msm(
    context: Context, features: Floats, voxels: NDArray[np.int32], images: Floats, text_tower: Backbone
) -> None:
    """Append CLIP-MSM's labels of the given voxels to `label_score`: soft WPMI over the 100 top images (METHOD §3).

    Of each voxel the best `labels_per_voxel` concepts are kept: rank 1 is the hard label, `score` the soft WPMI and
    `probability` the soft label, a softmax over the whole list.

    Args:
        context: the ingest; `concepts` of its settings is the list.
        features: (n_stimuli, dim), the model's.
        voxels: numbers of the voxels to label, ascending; each has a row in `encoding`.
        images: the same images in the space of `text_tower`, (n_stimuli, n).
        text_tower: embeds the concepts. Images and concepts are compared by their cosine.
    """
    concepts = context.config.concepts
    _append_concepts(context, concepts)
    batches = {f"{context.model_id}/{METHOD}/{start}": voxels[start:stop] for start, stop in _batches(context, voxels)}
    if batches.keys() <= context.store.committed("score"):
        return
    unit = images / np.linalg.norm(images, axis=1, keepdims=True).clip(1e-12)
    method = ClipMsm(unit @ text_tower.text(concepts).T)
    top = np.empty((len(voxels), min(TOP_K, len(images))), np.int32)
    ids = np.array([label_id(concept) for concept in concepts], np.int64)
    with context.progress.stage(METHOD, 2 * len(voxels)) as advance:
        # The prior is a mean over all voxels, so that every batch is looked at before the first is scored.
        for start, stop in _batches(context, voxels):
            found = fitted(context, voxels[start:stop])
            top[start:stop], _ = top_images(features, found.weights, found.bias, found.feature_mean, TOP_K)
            method.count(top[start:stop])
            advance(stop - start)
        for (start, stop), (key, block) in zip(_batches(context, voxels), batches.items(), strict=True):
            scores = _best(method.values(top[start:stop]), ids, context.config.labels_per_voxel)
            append_scores(context, block[scores.voxel], METHOD, scores, key)
            advance(stop - start)


def _batches(context: Context, voxels: NDArray[np.int32]) -> list[tuple[int, int]]:
    return ranges(len(voxels), context.config.batch_voxels)


def _best(values: Floats, ids: NDArray[np.int64], n: int) -> Scores:
    """The n best concepts of each row of values (n_voxels, n_concepts), equal ones as on the list."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :n]
    voxel, rank = np.indices(order.shape)
    score, probability = (np.take_along_axis(array, order, axis=1).ravel() for array in (values, soft(values)))
    return Scores(
        voxel.ravel(), ids[order].ravel(), score.astype(np.float64), (rank.ravel() + 1).astype(np.int32), probability
    )


def _append_concepts(context: Context, concepts: tuple[str, ...]) -> None:
    """Append the concepts that are no labels yet."""
    known = set(context.store.arrow("SELECT lemma FROM label")["lemma"].to_pylist())
    new = [concept for concept in concepts if concept not in known]
    if new:
        batch = pa.table({"label_id": [label_id(concept) for concept in new], "lemma": new})
        key = hashlib.sha256(repr(new).encode()).hexdigest()[:16]
        context.store.append({"label": batch}, run_id=context.run_id, stage="concepts", key=key)
