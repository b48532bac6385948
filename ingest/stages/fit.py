"""Stages `fit`, `significance`, `semantic`, `learning_curve`: a ridge regression a voxel, and how well it predicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Floats
from ...atlas.search.tables.model_row import FEWEST_IMAGES
from ...schemas.stage import Stage
from ..encoding.learning_curve import LearningCurve
from ..encoding.low_level import ControlledRidge, LowLevel
from ..encoding.metrics import Responses, drop_reasons, pearson, r2
from ..encoding.ridge import Ridge
from ..encoding.significance import benjamini_hochberg, correlation_p, p_values
from ..encoding.split import Indices, split_by
from .concept_queries import ConceptSpace, append_missing_norms, append_queries, append_vocabulary
from .context import BatchContext, Context
from .encode import encode
from .voxel_batches import append_batches, fitted_numbers, list_column


def fit(context: Context, features: Floats, voxels: NDArray[np.int32]) -> None:
    """Fit the given voxels and append `model`, `split`, `encoding`, `beyond_low_level`, `dropped`; then `significance`.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        voxels: numbers of the voxels to fit, ascending.
    """
    config = context.config
    train, test = split_by(config, len(features))
    concepts = None
    if context.backbone.has_text:
        covariance = np.cov(features[train], rowvar=False).astype(np.float32)
        concepts = ConceptSpace(append_vocabulary(context), covariance, len(train))
    _append_model(context, features[train], concepts, train, test, len(voxels))
    low_level = _low_level(context)
    if low_level is None:
        context.progress.note(
            f"{context.model_id}: {len(train)} training images are too few to tell what voxels answer to beyond "
            f"contrast and edges; it takes {FEWEST_IMAGES}."
        )
    fitting = _Fitting(context.for_workers, features, concepts, low_level)
    append_batches(context, Stage.FIT, "fit voxels", voxels, _fitted, fitting)
    _append_significance(context)
    append_semantic(context, features)
    if concepts is not None:
        append_missing_norms(context, concepts, config.batch_voxels)
        append_queries(context, concepts.vocabulary.words)


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
        if (low_level := _low_level(context)) is None:
            return
        fitting = _Fitting(context.for_workers, features, low_level=low_level, alpha=dict(missing.iter_rows()))
        # All fitted voxels, so that a run which goes on meets the same batches.
        append_batches(context, Stage.LOW_LEVEL, "low-level control", fitted_numbers(context), _controlled, fitting)
    sql = "SELECT model_id, voxel, r, p FROM beyond_low_level WHERE model_id = ? ORDER BY voxel"
    rows = context.store.arrow(sql, [context.model_id])
    q = benjamini_hochberg(rows["p"].to_numpy())
    context.append({"semantic": rows.append_column("q", pa.array(q))}, Stage.SEMANTIC, context.model_id)


def append_learning_curve(context: Context, features: Floats) -> None:
    """Append `learning_curve` rows of every fitted voxel of the model; split, penalties and seed are the model's.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).

    Raises:
        BadInputError: the first blocks have too few images to choose a penalty.
    """
    fitting = _Fitting(context.for_workers, features)
    append_batches(context, Stage.LEARNING_CURVE, "learning curve", fitted_numbers(context), _scored, fitting)


def _append_model(
    context: Context,
    train_features: Floats,
    concepts: ConceptSpace | None,
    train: Indices,
    test: Indices,
    n_voxels: int,
) -> None:
    config = context.config
    model = {
        "model_id": context.model_id,
        "subject_id": context.dataset.subject.subject_id,
        "backbone": config.backbone,
        "config": config.canonical_json(),
        "config_sha256": config.sha256,
        "feature_mean": train_features.mean(axis=0, dtype=np.float64).astype(np.float32),
        "feature_covariance": None if concepts is None else concepts.covariance.ravel(),
        "label_backbone": config.label_backbone,
        "n_train": len(train),
        "n_test": len(test),
        "n_voxels": n_voxels,
    }
    stimulus_ids = context.dataset.stimuli["stimulus_id"].to_numpy()
    parts = pa.table(
        {
            "model_id": [context.model_id] * (len(train) + len(test)),
            "stimulus_id": np.concatenate([stimulus_ids[train], stimulus_ids[test]]),
            "part": ["train"] * len(train) + ["test"] * len(test),
        }
    )
    batch = {"model": pa.Table.from_pylist([model]), "split": parts}
    context.append(batch, Stage.MODEL, context.model_id)


@dataclass(frozen=True)
class _Fitting:
    """What fitting a batch of voxels takes. Decompositions take seconds: they are made where the first batch is."""

    context: BatchContext
    features: Floats
    """Of all images, (n_stimuli, dim)."""
    concepts: ConceptSpace | None = None
    """What is kept of voxels for concepts; None for a backbone without a text tower, and for a learning curve."""
    low_level: Floats | None = None
    """Low-level properties of all images; None where there are too few, and for a learning curve."""
    alpha: Mapping[int, float] = field(default_factory=dict)
    """Penalties of voxels that are fitted already."""

    @cached_property
    def split(self) -> tuple[Indices, Indices]:
        """Training and test images."""
        return split_by(self.context.config, len(self.features))

    @cached_property
    def ridge(self) -> Ridge:
        """On all training images."""
        return Ridge.from_config(self.features[self.split[0]], self.context.config, self.context.device)

    @cached_property
    def curve(self) -> LearningCurve:
        """On ever more of them."""
        return LearningCurve(self.features, self.context.config, device=self.context.device)

    @cached_property
    def controlled(self) -> ControlledRidge | None:
        """On what low-level properties leave."""
        if self.low_level is None:
            return None
        return ControlledRidge(self.features, self.low_level, *self.split, device=self.context.device)

    def responses(self, voxels: NDArray[np.int32]) -> Floats:
        """Responses to all images, (n_stimuli, n_voxels)."""
        return self.context.dataset.responses_of(voxels.astype(np.intp))


def _low_level(context: Context) -> Floats | None:
    """Low-level properties of all images; None where there are too few training images to take them out."""
    train, _ = split_by(context.config, context.dataset.stimuli.height)
    return None if len(train) < FEWEST_IMAGES else encode(context, encoder=LowLevel(), name="low-level properties")


def _fitted(fitting: _Fitting, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """Rows of `encoding`, `dropped`, `readout_norm` and `beyond_low_level` of some voxels."""
    context, (train, test), responses = fitting.context, fitting.split, fitting.responses(voxels)
    # A response that is constant over the training or over the test images has no fit or no correlation.
    train_reasons, test_reasons = drop_reasons(responses[train]), drop_reasons(responses[test])
    reasons = np.where(train_reasons != "", train_reasons, test_reasons)
    good = reasons == ""
    fitted = fitting.ridge.fit(responses[train][:, good])
    predicted, measured = fitted.predict(fitting.features[test]), responses[test][:, good]
    beyond = _beyond_low_level(fitting, voxels[good], responses[train][:, good], measured, fitted.alpha)
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
        **beyond,
    }
    if fitting.concepts is not None:
        noise = fitting.concepts.residual_variance(fitted, responses[train][:, good])
        rows["encoding"] = rows["encoding"].append_column("residual_variance", pa.array(noise, from_pandas=True))
        rows["readout_norm"] = fitting.concepts.norms(context.model_id, voxels[good], fitted.weights)
    return rows


def _controlled(fitting: _Fitting, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """Rows of `beyond_low_level` of those of some fitted voxels that have none."""
    wanted = voxels[[int(voxel) in fitting.alpha for voxel in voxels]]
    (train, test), responses = fitting.split, fitting.responses(wanted)
    alpha = np.array([fitting.alpha[int(voxel)] for voxel in wanted])
    return _beyond_low_level(fitting, wanted, responses[train], responses[test], alpha)


def _beyond_low_level(
    fitting: _Fitting, voxels: NDArray[np.int32], train: Responses, test: Responses, alpha: NDArray[np.float64]
) -> Mapping[str, pa.Table]:
    if fitting.controlled is None:
        return {}
    measured, predicted = fitting.controlled.residuals(train, test, alpha)
    columns = {"r": pearson(measured, predicted), "p": correlation_p(measured, predicted)}
    model_id = pa.repeat(fitting.context.model_id, len(voxels))
    return {"beyond_low_level": pa.table({"model_id": model_id, "voxel": voxels, **columns})}


def _scored(fitting: _Fitting, voxels: NDArray[np.int32]) -> Mapping[str, pa.Table]:
    """Rows of `learning_curve`: one for each voxel and each point, the points of a voxel together."""
    curve = fitting.curve
    scores = curve.fit(fitting.responses(voxels))
    columns = {
        "model_id": pa.repeat(fitting.context.model_id, scores.r2.size),
        "voxel": np.repeat(voxels, len(curve.n_blocks)),
        "n_blocks": np.tile(curve.n_blocks, len(voxels)),
        "n_train": np.tile(curve.n_train, len(voxels)),
        "r2": scores.r2.T.ravel(),
        "r": scores.r.T.ravel(),
    }
    return {"learning_curve": pa.table(columns)}


def _append_significance(context: Context) -> None:
    fitted = context.store.arrow("SELECT voxel, p FROM encoding WHERE model_id = ? ORDER BY voxel", [context.model_id])
    if fitted.num_rows == 0:
        context.progress.note(f"{context.model_id}: no voxel could be fitted, all were NaN or constant.")
    batch = pa.table(
        {
            "model_id": pa.repeat(context.model_id, fitted.num_rows),
            "voxel": fitted["voxel"],
            "q": benjamini_hochberg(fitted["p"].to_numpy()),
        }
    )
    context.append({"significance": batch}, Stage.SIGNIFICANCE, context.model_id)
    dropped = context.store.arrow("SELECT count(*) AS n FROM dropped WHERE model_id = ?", [context.model_id])
    if n := dropped["n"][0].as_py():
        context.progress.note(f"{n} voxels were left out: a response was NaN or did not vary.")
