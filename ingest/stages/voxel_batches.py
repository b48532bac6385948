"""Stages that work on a batch of voxels at a time: wherever the work is done, each batch is appended once."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .context import Context, ranges

_Given = TypeVar("_Given")


def append_batches(
    context: Context,
    stage: str,
    name: str,
    voxels: NDArray[np.int32],
    work: Callable[[_Given, NDArray[np.int32]], Mapping[str, pa.Table]],
    given: _Given,
) -> None:
    """Append the rows of some voxels, `batch_voxels` at a time and in their order; what the ledger knows is not made.

    Args:
        context: the ingest.
        stage: the stage's name in the ledger.
        name: its name for people.
        voxels: numbers of the voxels, ascending.
        work: gives the rows of a batch; see `Workers.map`.
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
            context.store.append(rows(), run_id=context.run_id, stage=stage, key=key)
            advance(len(batch))
