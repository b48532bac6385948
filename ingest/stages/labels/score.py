"""Stage `score`: how well labels describe voxels, by one method after the other."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....schemas.stage import Stage
from ....schemas.tables import label_id
from ...dissection import scorer_class
from ...dissection.interface import Batch, Material, Scores
from ...dissection.nouns import Labels, Unscored
from ..context import Context, hash_of, ranges
from ..voxel_batches import fitted


def score(
    context: Context,
    method: str,
    material: Material,
    voxels: NDArray[np.int32],
    labels: Labels | None = None,
    unscored: Unscored | None = None,
    described_by: Mapping[int, NDArray[np.intp]] | None = None,
) -> None:
    """Append `label_score` rows by one method, a batch of voxels at a time.

    Args:
        context: the ingest.
        method: its name.
        material: what the method asks for.
        voxels: the voxels that are dissected, ascending.
        labels: candidate labels of those that can be scored; an earlier run may have had fewer of them. None for a
            method that chooses from the configured concepts.
        unscored: candidates that are not scored and why, which is kept beside the scores.
        described_by: for a method that compares it, see `Batch`.
    """
    done = context.store.committed(Stage.SCORE)
    ready = np.ones(len(voxels), bool) if labels is None else np.isin(voxels, list(labels))
    batches: dict[str, NDArray[np.int32]] = {}
    earlier = np.zeros(len(voxels), bool)
    for start, stop in ranges(len(voxels), context.config.batch_voxels):
        key = f"{context.model_id}/{method}/{start}"
        batches[key] = voxels[start:stop][ready[start:stop]]
        earlier[start:stop] = key in done
    late = _left_out(context, method, material, voxels[earlier & ready], labels)
    batches[f"{context.model_id}/{method}/late/{hash_of(late.tobytes())}"] = late
    if all(key in done or not len(batch) for key, batch in batches.items()):
        return
    prepared = {key: _batch(context, numbers, labels, described_by) for key, numbers in batches.items() if len(numbers)}
    with context.progress.stage("score", len(voxels)) as advance:
        scorer = scorer_class(method)(material, list(prepared.values()))
        left_out = scorer.left_out or f"{method} gives it no score"
        for key, batch in prepared.items():
            if key not in done:
                reasons = {
                    int(voxel): dict.fromkeys((labels or {}).get(int(voxel), ()), left_out)
                    | (unscored or {}).get(int(voxel), {})
                    for voxel in batches[key]
                }
                _append_scores(context, method, key, batches[key], scorer.score(batch), reasons)
            advance(len(batches[key]))


def _left_out(
    context: Context, method: str, material: Material, voxels: NDArray[np.int32], labels: Labels | None
) -> NDArray[np.int32]:
    """Voxels that the run which scored their batch had to leave out, and that can be scored now."""
    if labels is None or material.pictures is None:
        return voxels[:0]
    sql = "SELECT DISTINCT voxel FROM label_score WHERE model_id = ? AND method = ?"
    scored = context.store.arrow(sql, [context.model_id, method])["voxel"].to_numpy()
    drawn = set(material.pictures.label.tolist())
    unscored = voxels[~np.isin(voxels, scored)]
    return np.array([v for v in unscored if any(label_id(label) in drawn for label in labels[int(v)])], np.int32)


def _batch(
    context: Context,
    voxels: NDArray[np.int32],
    labels: Labels | None,
    described_by: Mapping[int, NDArray[np.intp]] | None,
) -> Batch:
    numbers = voxels.tolist()
    return Batch(
        partial(fitted, context, voxels),
        None if labels is None else [labels[voxel] for voxel in numbers],
        () if described_by is None else [described_by[voxel] for voxel in numbers],
    )


def _append_scores(
    context: Context, method: str, key: str, voxels: NDArray[np.int32], scores: Scores, unscored: Unscored
) -> None:
    stability = np.full(len(scores.voxel), np.nan) if scores.stability is None else scores.stability
    scored = {
        "voxel": voxels[scores.voxel],
        "label_id": scores.label,
        "score": scores.score,
        "rank": scores.rank,
        "probability": scores.probability,
        "stability": pa.array(stability, pa.float32(), from_pandas=True),  # NaN as NULL
    }
    known = set(zip(voxels[scores.voxel].tolist(), scores.label.tolist(), strict=True))
    left = [
        (voxel, label_id(noun), why)
        for voxel, of_voxel in unscored.items()
        for noun, why in of_voxel.items()
        if (voxel, label_id(noun)) not in known
    ]
    columns = zip(*sorted(left), strict=True) if left else ([], [], [])
    types = (pa.int32(), pa.int64(), pa.string())
    names = ("voxel", "label_id", "reason")
    others = pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, types, strict=True)})
    rows = pa.concat_tables([pa.table(scored), others], promote_options="default")
    for name, value in (("model_id", context.model_id), ("method", method)):
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    context.append({"label_score": rows}, Stage.SCORE, key)
