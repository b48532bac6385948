"""Stages `model`, `fit` and `significance`: a ridge regression a voxel, and how well it predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ....atlas.search.tables.model_row import FEWEST_CONTROLLED
from ....schemas.config import FDR
from ....schemas.errors import BadInputError
from ....schemas.stage import Stage
from ...encoding.metrics import drop_reasons, pearson, r2
from ...encoding.ridge import Ridge
from ...encoding.significance import benjamini_hochberg, p_of_correlation, p_values
from ...encoding.split import Indices
from ..concept_queries import ConceptSpace, append_missing_norms, append_queries, append_vocabulary
from ..context import Context
from ..model_split import say_where, split_rows
from ..voxel_batches import append_batches, list_column
from .fitting import Fitting
from .low_level_control import LowLevelControl, append_semantic

_FEW = 0.05
"""Share of significant voxels below which it is said what the calibrated test would find."""
_REASONS = {"nan": "with responses that are no numbers", "constant": "whose responses do not vary"}


def fit(context: Context, features: Floats, voxels: NDArray[np.int32]) -> None:
    """Fit the given voxels and append `model`, `split`, `encoding`, `beyond_low_level`, `dropped`; then `significance`.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        voxels: numbers of the voxels to fit, ascending.
    """
    config = context.config
    train, test = context.split
    concepts = None
    if context.backbone.has_text:
        covariance = np.cov(features[train], rowvar=False).astype(np.float32)
        concepts = ConceptSpace(append_vocabulary(context), covariance, len(train))
    _append_model(context, features[train], concepts, train, test, len(voxels))
    control = LowLevelControl.of(context, features)
    if control is None:
        context.progress.note(
            f"{context.model_id}: {len(train)} training images are too few to tell what voxels answer to beyond "
            f"contrast and edges; it takes {FEWEST_CONTROLLED}."
        )
    fitting = _RidgeFitting(context.for_workers, features, concepts, control)
    append_batches(context, Stage.FIT, "fit voxels", voxels, _fitted, fitting)
    _append_significance(context)
    append_semantic(context, features)
    if concepts is not None:
        append_missing_norms(context, concepts, config.batch_voxels)
        append_queries(context, concepts.vocabulary.words)


def _append_model(
    context: Context,
    train_features: Floats,
    concepts: ConceptSpace | None,
    train: Indices,
    test: Indices,
    n_voxels: int,
) -> None:
    config, noise = context.config, 1 / context.dataset.n_repeats
    sql = "SELECT config, config_sha256 FROM model WHERE model_id = ?"
    known = context.store.arrow(sql, [context.model_id]).to_pylist()
    present = {"config": config.canonical_json(), "config_sha256": config.sha256}
    model = {
        "model_id": context.model_id,
        "subject_id": context.dataset.subject.subject_id,
        "backbone": config.backbone,
        **(known[0] if known else present),
        "feature_mean": train_features.mean(axis=0, dtype=np.float64).astype(np.float32),
        "feature_covariance": None if concepts is None else concepts.covariance.ravel(),
        "label_backbone": config.label_backbone,
        "n_train": len(train),
        "n_test": len(test),
        "n_voxels": n_voxels,
        "test_noise": float(np.mean(noise[test]) / np.mean(noise)),
    }
    rows = split_rows(context.model_id, context.dataset, context.split)
    batch = {"model": pa.Table.from_pylist([model]), "split": rows}
    context.append(batch, Stage.MODEL, context.model_id)
    say_where(context, config, batch)


@dataclass(frozen=True)
class _RidgeFitting(Fitting):
    concepts: ConceptSpace | None
    """What is kept of voxels for concepts; None for a backbone without a text tower."""
    control: LowLevelControl | None
    """None where there are too few images for it."""

    @cached_property
    def ridge(self) -> Ridge:
        """On all training images."""
        return Ridge.from_config(self.features[self.split[0]], self.context.config, self.context.device)


def _fitted(fitting: _RidgeFitting, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """Rows of `encoding`, `dropped`, `readout_norm` and `beyond_low_level` of some voxels."""
    context, (train, test), responses = fitting.context, fitting.split, fitting.responses(voxels)
    # A response that is constant over the training or over the test images has no fit or no correlation.
    train_reasons, test_reasons = drop_reasons(responses[train]), drop_reasons(responses[test])
    reasons = np.where(train_reasons != "", train_reasons, test_reasons)
    good = reasons == ""
    fitted = fitting.ridge.fit(responses[train][:, good])
    predicted, measured = fitted.predict(fitting.features[test]), responses[test][:, good]
    rows = {
        "encoding": pa.table(
            {
                "model_id": pa.repeat(context.model_id, int(good.sum())),
                "voxel": voxels[good],
                "weights": list_column(fitted.weights),
                "bias": fitted.bias,
                "alpha": fitted.alpha,
                "r2": r2(measured, predicted),
                "r": pearson(measured, predicted),
                "p": p_values(context.config, measured, predicted),
            }
        ),
        "dropped": pa.table(
            {
                "model_id": pa.repeat(context.model_id, int((~good).sum())),
                "voxel": voxels[~good],
                "reason": reasons[~good].tolist(),
            }
        ),
    }
    if fitting.control is not None:
        rows |= fitting.control.rows(voxels[good], responses[train][:, good], measured, fitted.alpha)
    if fitting.concepts is not None:
        noise = fitting.concepts.residual_variance(fitted, responses[train][:, good])
        rows["encoding"] = rows["encoding"].append_column("residual_variance", pa.array(noise, from_pandas=True))
        rows["readout_norm"] = fitting.concepts.norms(context.model_id, voxels[good], fitted.weights)
    return rows


def _append_significance(context: Context) -> None:
    fitted = context.store.arrow("SELECT voxel, p FROM encoding WHERE model_id = ? ORDER BY voxel", [context.model_id])
    if fitted.num_rows == 0:
        raise BadInputError(
            f"{context.model_id}: none of its voxels can be fitted, as {_dropped(context)}; look at the responses."
        )
    batch = pa.table(
        {
            "model_id": pa.repeat(context.model_id, fitted.num_rows),
            "voxel": fitted["voxel"],
            "q": benjamini_hochberg(fitted["p"].to_numpy()),
        }
    )
    context.append({"significance": batch}, Stage.SIGNIFICANCE, context.model_id)
    sql = "SELECT count(*) AS n FROM voxel_quality WHERE model_id = ? AND r2_of_ceiling > 1"
    if n := context.store.arrow(sql, [context.model_id])["n"][0].as_py():
        context.progress.note(
            f"{n} voxels have an R² above their noise ceiling, which is an estimate and too low there."
        )


def say_result(context: Context) -> None:
    """Say how many voxels passed which test, and what else the test of R² would have to leave."""
    counted = context.store.arrow(
        "SELECT count(*) AS fitted, count(*) FILTER (s.q <= $fdr) AS significant, "
        "count(*) FILTER (s.q <= $fdr AND b.q <= $fdr) AS semantic, count(b.q) AS controlled FROM encoding e "
        "JOIN significance s USING (model_id, voxel) LEFT JOIN semantic b USING (model_id, voxel) "
        "WHERE model_id = $model",
        {"model": context.model_id, "fdr": FDR},
    ).to_pylist()[0]
    n, passed = counted["fitted"], counted["significant"]
    beyond = f", {counted['semantic']:,} of them beyond contrast and edges" if counted["controlled"] else ""
    left_out = f"; left out: {said}" if (said := _dropped(context)) else ""
    test = context.config.significance
    context.progress.note(f"{passed:,} of {n:,} fitted voxels are significant ({test}, q ≤ {FDR}){beyond}{left_out}.")
    if test == "bootstrap" and passed < _FEW * n:
        rows = context.store.arrow(
            "SELECT e.r, m.n_test FROM encoding e JOIN model m USING (model_id) WHERE model_id = ?", [context.model_id]
        )
        q = benjamini_hochberg(p_of_correlation(rows["r"].to_numpy(), rows["n_test"][0].as_py()))
        if (others := int((q <= FDR).sum())) > passed:
            context.progress.note(
                f"The paper's bootstrap is strict; {others:,} voxels pass the calibrated --significance correlation."
            )


def _dropped(context: Context) -> str:
    """How many voxels were dropped for which reason."""
    sql = "SELECT reason, count(*) AS n FROM dropped WHERE model_id = ? GROUP BY reason ORDER BY reason"
    rows = context.store.arrow(sql, [context.model_id]).to_pylist()
    return ", ".join(f"{row['n']:,} {_REASONS.get(row['reason'], row['reason'])}" for row in rows)
