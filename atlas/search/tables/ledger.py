"""What tells whether something that is kept in memory is still what the database holds, and what it lacks."""

import numpy as np
from numpy.typing import NDArray

from ....schemas.stage import Stage
from ...store.store import Store

Batches = frozenset[tuple[str, str]]
"""Stages and content hashes of batches. Batches are only ever added, and a removed model's ledger rows are renamed:
what the same batches gave is the same, and more batches than before have only added rows."""


def batches_of(store: Store, model_id: str, subject_id: str, *stages: Stage) -> Batches:
    """The batches that hold rows of a model or of its subject.

    Args:
        store: the atlas.
        model_id: the model.
        subject_id: its subject.
        stages: only of these; of all where none is named.
    """
    # An import's key is what it brings and then a checksum, as `voxel/nsd/subj05/0123…`.
    entries = store.arrow(
        "SELECT stage, content_sha256 FROM ledger WHERE (batch_key IN ($model, $subject) "
        "OR starts_with(batch_key, $model || '/') OR stage = $import AND contains(batch_key, '/' || $subject || '/')) "
        "AND (len($stages::VARCHAR[]) = 0 OR list_contains($stages::VARCHAR[], stage))",
        {"model": model_id, "subject": subject_id, "stages": list(stages), "import": Stage.IMPORT},
    )
    return frozenset(zip(entries["stage"].to_pylist(), entries["content_sha256"].to_pylist(), strict=True))


def fitted_since(store: Store, model_id: str, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fitted voxels of a model that are not among the known ones (n,), ascending."""
    fitted = store.frame("SELECT voxel FROM encoding WHERE model_id = ?", [model_id])["voxel"].to_numpy()
    new: NDArray[np.int64] = np.sort(fitted[~np.isin(fitted, known)]).astype(np.int64)
    return new
