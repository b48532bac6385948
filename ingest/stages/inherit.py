"""Stage before a second dissection: what the first one's model has and the settings do not change is taken over."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...schemas.config import IngestConfig
from ...schemas.stage import Stage
from .concept_queries import append_queries, append_vocabulary
from .context import Context, ranges

_DESCRIBED_BY = (
    "dissect",
    "fdr",
    "block_voxels",
    "probe",
    "probe_sha256",
    "top_images",
    "candidate_images",
    "crops_per_image",
    "crop_iou",
    "crop_cover",
    "crop_grid",
    "n_captions",
)
"""Settings that top images and crops depend on; captions are kept by image and box, whatever the model."""


_OF_FIT = ("encoding", "dropped", "readout_norm", "beyond_low_level")


def inherit_fit(context: Context, source: str, voxels: NDArray[np.int32]) -> None:
    """Give the context's model the fit of another one, in the batches in which `fit` would append it.

    Args:
        context: the new model's.
        source: id of a fitted model of the same subject, network and settings of the fit.
        voxels: numbers of the voxels that the fit was asked for, ascending.
    """
    model = context.store.arrow("SELECT * FROM model WHERE model_id = ?", [source]).to_pylist()[0]
    model |= {
        "model_id": context.model_id,
        "config": context.config.canonical_json(),
        "config_sha256": context.config.sha256,
        "label_backbone": context.config.label_backbone,
    }
    split = _copied(context, "split", source)
    context.append({"model": pa.Table.from_pylist([model]), "split": split}, Stage.MODEL, context.model_id)
    done = context.store.committed(Stage.FIT)
    with context.progress.stage("copy the fit", len(voxels)) as advance:
        for start, stop in ranges(len(voxels), context.config.batch_voxels):
            if (key := f"{context.model_id}/{start}") not in done:
                batch = {table: _copied(context, table, source, voxels[start:stop]) for table in _OF_FIT}
                context.append(batch, Stage.FIT, key)
            advance(stop - start)
    context.append({"significance": _copied(context, "significance", source)}, Stage.SIGNIFICANCE, context.model_id)
    if context.backbone.has_text:
        append_queries(context, append_vocabulary(context).words)


def inherit_top_images(context: Context, source: str, old: IngestConfig, voxels: NDArray[np.int32]) -> None:
    """Give the context's model the top images and crops of another one, where no setting that matters differs.

    Args:
        context: the new model's.
        source: id of the other model, whose fit it has.
        old: the other model's settings.
        voxels: numbers of the voxels that are dissected, ascending.
    """
    if any(getattr(old, name) != getattr(context.config, name) for name in _DESCRIBED_BY):
        return
    done = context.store.committed(Stage.DESCRIBE)
    for start, stop in ranges(len(voxels), context.config.block_voxels):
        if f"{source}/{start}" in done and (key := f"{context.model_id}/{start}") not in done:
            context.append(
                {"top_image": _copied(context, "top_image", source, voxels[start:stop])}, Stage.DESCRIBE, key
            )


def _copied(context: Context, table: str, source: str, voxels: NDArray[np.int32] | None = None) -> pa.Table:
    """A model's rows of a table, of all voxels or of a range of them, under the context's model id."""
    sql = f"SELECT * REPLACE (?::VARCHAR AS model_id) FROM {table} WHERE model_id = ?"  # noqa: S608 - constants
    parameters: list[object] = [context.model_id, source]
    if voxels is not None:
        sql += " AND voxel BETWEEN ? AND ?"
        parameters += [int(voxels[0]), int(voxels[-1])]
    return context.store.arrow(sql + " ORDER BY ALL", parameters)
