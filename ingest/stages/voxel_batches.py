"""Which voxels a stage works on, the models of those that are fitted, and work on a batch of them at a time."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Floats
from ...schemas.config import IngestConfig
from ...schemas.errors import BadInputError
from ...schemas.stage import Stage
from ..datasets.interface import Dataset
from ..datasets.rois import require_rois, voxels_in
from ..dissection.activation import FittedVoxels
from .context import Context, ranges

_FEWEST = 20
_Given = TypeVar("_Given")


def voxels_to_fit(dataset: Dataset, config: IngestConfig) -> NDArray[np.int32]:
    """Numbers of the voxels that the configuration asks to fit, ascending.

    Raises:
        BadInputError: there are too few images, or no voxels.
        NotFoundError: an ROI that the subject has not, to be fitted or to be labelled.
    """
    subject_id, n_images = dataset.subject.subject_id, dataset.stimuli.height
    if n_images < _FEWEST:
        raise BadInputError(
            f"{subject_id} has responses to {n_images} images; at least {_FEWEST} are needed to fit and test a model."
        )
    kind, _, rois = config.dissect.partition("=")
    require_rois(dataset, rois.split(",") if kind == "roi" else ())
    return voxels_in(dataset, config.rois)


def voxels_to_label(context: Context) -> NDArray[np.int32]:
    """Numbers of the fitted voxels that the configuration asks to label, ascending."""
    kind, _, rois = context.config.dissect.partition("=")
    if kind == "significant":
        return _numbers(context, "FROM significance WHERE model_id = ? AND q <= ?", context.config.fdr)
    if kind == "all":
        return fitted_numbers(context)
    members = "SELECT voxel FROM voxel_roi WHERE subject_id = ? AND roi IN (SELECT unnest(?::VARCHAR[]))"
    subject_id = context.dataset.subject.subject_id
    return _numbers(context, f"FROM encoding WHERE model_id = ? AND voxel IN ({members})", subject_id, rois.split(","))


def fitted_numbers(context: Context) -> NDArray[np.int32]:
    """Numbers of all fitted voxels, ascending."""
    return _numbers(context, "FROM encoding WHERE model_id = ?")


def _numbers(context: Context, sql: str, *parameters: object) -> NDArray[np.int32]:
    rows = context.store.arrow(f"SELECT voxel {sql} ORDER BY voxel", [context.model_id, *parameters])
    return np.asarray(rows["voxel"].to_numpy(), np.int32)


def fitted(context: Context, voxels: NDArray[np.int32]) -> FittedVoxels:
    """The given voxels of the context's model, in the order of `voxels`, which ascends; each has been fitted."""
    sql = " FROM encoding WHERE model_id = ? AND voxel IN (SELECT unnest(?::INTEGER[])) ORDER BY voxel"
    parameters = [context.model_id, voxels.tolist()]
    dim = context.backbone.dim
    mean = context.store.vectors("SELECT feature_mean FROM model WHERE model_id = ?", [context.model_id], dim)
    return FittedVoxels(
        weights=context.store.vectors("SELECT weights" + sql, parameters, dim),
        bias=np.asarray(context.store.arrow("SELECT bias" + sql, parameters)["bias"].to_numpy(), np.float32),
        feature_mean=mean[0],
    )


def append_batches(
    context: Context,
    stage: Stage,
    name: str,
    voxels: NDArray[np.int32],
    work: Callable[[_Given, NDArray[np.int32]], Mapping[str, pa.Table]],
    given: _Given,
) -> None:
    """Append the rows of some voxels, `batch_voxels` at a time and in their order; what the ledger knows is not made.

    Args:
        context: the ingest.
        stage: as the ledger has it.
        name: its name for people.
        voxels: numbers of the voxels, ascending.
        work: gives the rows of a batch; see `WorkerPool.map`.
        given: what it needs for every batch.
    """
    done = context.store.committed(stage)
    batches = {
        f"{context.model_id}/{start}": voxels[start:stop]
        for start, stop in ranges(len(voxels), context.config.batch_voxels)
    }
    missing = {key: batch for key, batch in batches.items() if key not in done}
    with context.progress.stage(name, len(voxels)) as advance:
        advance(len(voxels) - sum(map(len, missing.values())))
        made = context.workers.map(work, given, missing.values())
        for (key, batch), rows in zip(missing.items(), made, strict=True):
            context.append(rows(), stage, key)
            advance(len(batch))


def list_column(rows: Floats) -> pa.ListArray:
    """A matrix (n, d) as an Arrow column of n lists, without copying a value."""
    n, width = rows.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32) if width else np.zeros(n + 1, np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(rows, np.float32).ravel())
