"""Stages `score` and `embed labels`: how well each candidate label describes its voxel (METHOD §2, step 3)."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atlas.backbones.interface import Backbone
from atlas.labels import label_id
from ingest.dissection.scoring import Method, Pictures, Scores
from ingest.dissection.scoring import score as score_labels
from ingest.stages.context import Context, grouped, ranges
from ingest.stages.fit import list_column
from ingest.stages.fitted import fitted
from ingest.stages.generate import Labels

METHOD: Method = "brainlmm-eq2"
"""The score that an ingest computes (paper, Eq. 2)."""


def score(context: Context, labels: Labels, pictures: Pictures) -> None:
    """Append `label_score` rows of every voxel with candidate labels, a batch of voxels at a time.

    Args:
        context: the ingest.
        labels: candidate labels of each voxel.
        pictures: the generated pictures of the labels, by label_id.
    """
    config = context.config
    voxels = np.array(sorted(labels), np.int32)
    done = context.store.committed("score")
    with context.progress.stage("score", len(voxels)) as advance:
        for start, stop in ranges(len(voxels), config.batch_voxels):
            key = f"{context.model_id}/{METHOD}/{start}"
            if key not in done:
                block = voxels[start:stop]
                rows = [row for row, voxel in enumerate(block) for _ in labels[int(voxel)]]
                ids = [label_id(label) for voxel in block for label in labels[int(voxel)]]
                scores = score_labels(
                    fitted(context, block).weights,
                    np.array(rows, np.int64),
                    np.array(ids, np.int64),
                    pictures,
                    method=METHOD,
                    best_ranked=config.best_ranked,
                    temperature=config.temperature,
                )
                _append(context, block[scores.voxel], scores, key)
            advance(stop - start)


def _append(context: Context, voxels: NDArray[np.int32], scores: Scores, key: str) -> None:
    batch = {
        "model_id": pa.repeat(context.model_id, len(voxels)),
        "voxel": voxels,
        "method": pa.repeat(METHOD, len(voxels)),
        "label_id": scores.label,
        "score": scores.score,
        "rank": scores.rank,
        "probability": scores.probability,
    }
    context.store.append({"label_score": pa.table(batch)}, run_id=context.run_id, stage="score", key=key)


def embed_labels(context: Context, names: list[str], text_tower: Backbone) -> None:
    """Append the text vectors of labels that have none of this tower yet."""
    sql = "SELECT l.lemma FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ?"
    known = set(context.store.arrow(sql, [text_tower.name])["lemma"].to_pylist())
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
