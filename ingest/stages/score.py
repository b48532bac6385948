"""Stages `score` and `embed labels`: how well each candidate label describes its voxel (METHOD §2, step 3)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats
from ...schemas.errors import BadInputError
from ...schemas.tables import label_id
from ..dissection.activation import top_images
from ..dissection.scoring import Method, Pictures, Scores, Similarity
from ..dissection.scoring import score as score_labels
from ..dissection.vocabulary import Labels
from .context import Context, grouped, ranges
from .fit import list_column
from .fitted_voxels import fitted


@dataclass(frozen=True)
class Compared:
    """What brainlmm-released compares images by (METHOD §2, step 3)."""

    features: Floats
    """The model's features of the data set's images, (n_stimuli, dim): they say which images drive a voxel most."""
    images: Floats
    """The same images in the space of the comparison, (n_stimuli, n)."""
    pictures: Floats
    """The generated pictures in that space, (n_pictures, n)."""


def score(
    context: Context,
    voxels: NDArray[np.int32],
    labels: Labels,
    pictures: Pictures,
    method: Method,
    compared: Compared | None = None,
) -> None:
    """Append `label_score` rows by one method, a batch of voxels at a time.

    Args:
        context: the ingest.
        voxels: the voxels that are dissected, ascending.
        labels: candidate labels of those that can be scored; an earlier run may have had fewer of them.
        pictures: the generated pictures of the labels, by label_id.
        method: which score.
        compared: what brainlmm-released needs.
    """
    done = context.store.committed("score")
    ready = np.isin(voxels, list(labels))
    earlier = np.zeros(len(voxels), bool)
    with context.progress.stage("score", len(voxels)) as advance:
        for start, stop in ranges(len(voxels), context.config.batch_voxels):
            key = f"{context.model_id}/{method}/{start}"
            if key in done:
                earlier[start:stop] = True
            elif len(block := voxels[start:stop][ready[start:stop]]):
                _score(context, block, labels, pictures, method, compared, key)
            advance(stop - start)
    # Voxels that the run which scored their batch had to leave out.
    sql = "SELECT DISTINCT voxel FROM label_score WHERE model_id = ? AND method = ?"
    scored = context.store.arrow(sql, [context.model_id, method])["voxel"].to_numpy()
    drawn = set(pictures.label.tolist())
    unscored = voxels[earlier & ready & ~np.isin(voxels, scored)]
    late = np.array([v for v in unscored if any(label_id(label) in drawn for label in labels[int(v)])], np.int32)
    key = f"{context.model_id}/{method}/late/{hashlib.sha256(late.tobytes()).hexdigest()[:16]}"
    if len(late) and key not in done:
        _score(context, late, labels, pictures, method, compared, key)


def _score(
    context: Context,
    voxels: NDArray[np.int32],
    labels: Labels,
    pictures: Pictures,
    method: Method,
    compared: Compared | None,
    key: str,
) -> None:
    config, found = context.config, fitted(context, voxels)
    similarity = None
    if compared is not None:
        top, _ = top_images(compared.features, found.weights, found.bias, found.feature_mean, config.top_images)
        similarity = Similarity.of(compared.images, top, compared.pictures)
    rows = [row for row, voxel in enumerate(voxels) for _ in labels[int(voxel)]]
    ids = [label_id(label) for voxel in voxels for label in labels[int(voxel)]]
    scores = score_labels(
        found.weights,
        np.array(rows, np.int64),
        np.array(ids, np.int64),
        pictures,
        method=method,
        best_ranked=config.best_ranked,
        temperature=config.temperature,
        similarity=similarity,
    )
    append_scores(context, voxels[scores.voxel], method, scores, key)


def append_scores(context: Context, voxels: NDArray[np.int32], method: str, scores: Scores, key: str) -> None:
    """Append rows of `label_score`; `voxels` gives the number of the voxel of each row."""
    batch = {
        "model_id": pa.repeat(context.model_id, len(voxels)),
        "voxel": voxels,
        "method": pa.repeat(method, len(voxels)),
        "label_id": scores.label,
        "score": scores.score,
        "rank": scores.rank,
        "probability": scores.probability,
    }
    context.store.append({"label_score": pa.table(batch)}, run_id=context.run_id, stage="score", key=key)


def embed_labels(context: Context, names: Sequence[str], text_tower: Backbone) -> None:
    """Append the text vectors of labels that have none of this tower yet.

    Raises:
        BadInputError: the labels that have one have vectors of another length.
    """
    sql = (
        "SELECT l.lemma, len(e.vector) AS dim FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ?"
    )
    known: Mapping[str, int] = dict(context.store.frame(sql, [text_tower.name]).iter_rows())
    if other := set(known.values()) - {text_tower.dim}:
        raise BadInputError(
            f"The atlas holds labels in {other.pop()} dimensions by {text_tower.name}, and this one has "
            f"{text_tower.dim}: it is another network of that name; use the one that the atlas was made with."
        )
    new = [name for name in names if name not in known]
    with context.progress.stage("embed labels", len(new)) as advance:
        for group in grouped(new, 256):
            batch = {
                "label_id": [label_id(name) for name in group],
                "backbone": [text_tower.name] * len(group),
                "vector": list_column(text_tower.text(group)),
            }
            key = f"{text_tower.name}/{hashlib.sha256(repr(group).encode()).hexdigest()[:16]}"
            context.store.append({"label_embedding": pa.table(batch)}, run_id=context.run_id, stage="embed", key=key)
            advance(len(group))
