"""Stages `low_level` and `semantic`: how well voxels are predicted beyond contrast and edges."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ....atlas.search.tables.model_row import FEWEST_CONTROLLED
from ....schemas.stage import Stage
from ...encoding.low_level import ControlledRidge, LowLevel
from ...encoding.metrics import Responses, pearson
from ...encoding.significance import benjamini_hochberg, correlation_p
from ..context import Context
from ..encode import encode
from ..voxel_batches import append_batches, fitted_numbers
from .fitting import Fitting


@dataclass(frozen=True)
class LowLevelControl(Fitting):
    """A ridge regression on what low-level properties of the images leave."""

    low_level: Floats
    """The properties of all images, (n_stimuli, n)."""

    @classmethod
    def of(cls, context: Context, features: Floats) -> "LowLevelControl | None":
        """With the properties of all images; None where too few are to train on to take them out."""
        if len(context.split[0]) < FEWEST_CONTROLLED:
            return None
        low_level = encode(context, encoder=LowLevel(), name="low-level properties")
        return cls(context.for_workers, features, low_level)

    @cached_property
    def ridge(self) -> ControlledRidge:
        """On the training images."""
        return ControlledRidge(self.features, self.low_level, *self.split, device=self.context.device)

    def rows(
        self, voxels: NDArray[np.int32], train: Responses, test: Responses, alpha: NDArray[np.float64]
    ) -> dict[str, pa.Table]:
        """Rows of `beyond_low_level` of some voxels, from their responses and penalties."""
        measured, predicted = self.ridge.residuals(train, test, alpha)
        columns = {"r": pearson(measured, predicted), "p": correlation_p(measured, predicted)}
        model_id = pa.repeat(self.context.model_id, len(voxels))
        return {"beyond_low_level": pa.table({"model_id": model_id, "voxel": voxels, **columns})}


def append_semantic(context: Context, features: Floats) -> None:
    """Append `semantic`, and before it rows of `beyond_low_level` for voxels that an earlier version has fitted.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
    """
    sql = (
        "SELECT voxel, alpha FROM encoding e WHERE model_id = ? AND NOT EXISTS "
        "(FROM beyond_low_level b WHERE b.model_id = e.model_id AND b.voxel = e.voxel)"
    )
    missing = context.store.frame(sql, [context.model_id])
    if not missing.is_empty():
        if (control := LowLevelControl.of(context, features)) is None:
            return
        given = control, dict(missing.iter_rows())
        # All fitted voxels, so that a run which goes on meets the same batches.
        append_batches(context, Stage.LOW_LEVEL, "low-level control", fitted_numbers(context), _controlled, given)
    sql = "SELECT model_id, voxel, r, p FROM beyond_low_level WHERE model_id = ? ORDER BY voxel"
    rows = context.store.arrow(sql, [context.model_id])
    q = benjamini_hochberg(rows["p"].to_numpy())
    context.append({"semantic": rows.append_column("q", pa.array(q))}, Stage.SEMANTIC, context.model_id)


def _controlled(
    given: tuple[LowLevelControl, Mapping[int, float]], voxels: NDArray[np.int32]
) -> Mapping[str, pa.Table]:
    """Rows of `beyond_low_level` of those of some fitted voxels that have a penalty here."""
    control, alpha_of = given
    wanted = voxels[[int(voxel) in alpha_of for voxel in voxels]]
    (train, test), responses = control.split, control.responses(wanted)
    alpha = np.array([alpha_of[int(voxel)] for voxel in wanted])
    return control.rows(wanted, responses[train], responses[test], alpha)
