"""Stage `verify`: scored labels held against the responses to the test images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ....atlas.backbones.interface import Floats
from ....schemas.stage import Stage
from ...dissection.interface import Captioner
from ...dissection.verification import (
    LabelTests,
    compare_labels,
    false_discovery_rates,
    shown_by_captions,
    shown_by_detector,
)
from ...encoding.split import Indices
from ..concept_queries import append_vocabulary
from ..context import BatchContext, Context, hash_of, ranges
from ..encode import encode
from .describe import whole_captions

_LABEL_VECTORS = (
    "SELECT label_id, vector FROM label_embedding WHERE backbone = ? AND label_id IN "
    "(SELECT label_id FROM label_score WHERE model_id = ?) ORDER BY label_id"
)
_P_OF = b"the larger of Welch's and Mann and Whitney's"
"""Goes into the keys of batches, so that those whose p was another are not taken for the same."""
_UNVERIFIED = (
    "SELECT voxel, label_id FROM label_score WHERE model_id = $model AND method = $method AND score IS NOT NULL EXCEPT "
    "SELECT voxel, label_id FROM label_evidence WHERE model_id = $model AND method = $method ORDER BY voxel, label_id"
)


@dataclass(frozen=True, eq=False)
class ShownLabels:
    """Which of the test images show which labels."""

    context: BatchContext
    test: Indices
    labels: NDArray[np.int64]
    """Their numbers, ascending."""
    shows: NDArray[np.bool_]
    """(n_test, n_labels)."""
    by: str
    """What says so, as `label_evidence.shown_by` has it."""

    @classmethod
    def of(cls, context: Context, features: Floats) -> "ShownLabels":
        """As the configuration has it.

        Args:
            context: the ingest.
            features: (n_stimuli, dim).
        """
        if context.config.shown_by == "caption" and context.captioner:
            return cls._by_caption(context, context.captioner, features)
        return cls._by_detector(context, features)

    @classmethod
    def _by_caption(cls, context: Context, captioner: Captioner, features: Floats) -> "ShownLabels":
        """An image shows the nouns of its caption."""
        _, test = context.split
        captions = whole_captions(context, captioner, test, features)
        sql = "FROM label WHERE label_id IN (SELECT label_id FROM label_score WHERE model_id = ?) ORDER BY label_id"
        labels = context.store.frame(sql, [context.model_id])
        shows = shown_by_captions(captions, labels["lemma"].to_list())
        return cls(context.for_workers, test, labels["label_id"].to_numpy(), shows, "caption")

    @classmethod
    def _by_detector(cls, context: Context, features: Floats) -> "ShownLabels":
        """The tenth of the images that a label's contrast to the vocabulary answers to most shows the label."""
        tower = context.label_backbone
        in_space = replace(context, backbone=tower)
        _, test = context.split
        images = features[test] if tower.name == context.backbone.name else encode(in_space, test)
        labels, vectors = context.store.keyed_vectors(_LABEL_VECTORS, [tower.name, context.model_id], tower.dim)
        shows = shown_by_detector(images, vectors, append_vocabulary(in_space))
        return cls(context.for_workers, test, labels, shows, "detector")

    def compare(self, pairs: pl.DataFrame) -> LabelTests:
        """Test pairs (voxel, label_id) on the responses to the test images."""
        voxels, voxel = np.unique(pairs["voxel"].to_numpy(), return_inverse=True)
        responses = self.context.dataset.responses_of(voxels.astype(np.intp))[self.test]
        label = np.searchsorted(self.labels, pairs["label_id"].to_numpy())
        return compare_labels(responses, self.shows, voxel, label)


def verify_labels(context: Context, features: Floats, methods: Sequence[str]) -> None:
    """Append `label_evidence` rows of the scored labels that have none; labels must be embedded.

    False discovery rates are over all pairs of voxel and label of a method that are known. What is stored stays: labels
    that a run had to skip are held against all when they come, and the others keep the rates that they got without.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        methods: whose labels.
    """
    unverified = {
        method: context.store.frame(_UNVERIFIED, {"model": context.model_id, "method": method}) for method in methods
    }
    if all(pairs.is_empty() for pairs in unverified.values()):
        return
    shown = ShownLabels.of(context, features)
    for method, pairs in unverified.items():
        _append_evidence(context, method, pairs, shown)


def _append_evidence(context: Context, method: str, pairs: pl.DataFrame, shown: ShownLabels) -> None:
    voxels = pairs["voxel"].unique().sort()
    batches = [
        pairs.filter(pl.col("voxel").is_between(voxels[start], voxels[stop - 1]))
        for start, stop in ranges(len(voxels), context.config.batch_voxels)
    ]
    with context.progress.stage("verify labels", pairs.height) as advance:
        tests = []
        for batch, compared in zip(batches, context.workers.map(ShownLabels.compare, shown, batches), strict=True):
            tests.append(compared())
            advance(batch.height)
    sql = "SELECT p FROM label_evidence WHERE model_id = ? AND method = ?"
    stored = context.store.frame(sql, [context.model_id, method])["p"].cast(pl.Float32)
    p = np.concatenate([np.empty(0, np.float32), *(batch.p for batch in tests)])
    q = false_discovery_rates(np.concatenate([p, stored.fill_null(np.nan).to_numpy()]))
    for batch, test in zip(batches, tests, strict=True):
        own, q = q[: batch.height], q[batch.height :]
        rows = {
            "model_id": pa.repeat(context.model_id, batch.height),
            "voxel": batch["voxel"].to_arrow(),
            "method": pa.repeat(method, batch.height),
            "label_id": batch["label_id"].to_arrow(),
            "shown_by": pa.repeat(shown.by, batch.height),
            "n_images": test.n_images,
            **{name: pa.array(getattr(test, name), from_pandas=True) for name in ("auc", "t", "p")},
            "q": pa.array(own, from_pandas=True),
        }
        key = f"{context.model_id}/{method}/{hash_of(_P_OF + batch.to_numpy().tobytes())}"
        context.append({"label_evidence": pa.table(rows)}, Stage.VERIFY, key)
