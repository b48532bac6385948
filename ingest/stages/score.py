"""Stages `score`, `embed labels` and `verify`: how well labels describe voxels, by one method after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats
from ...schemas.errors import BadInputError
from ...schemas.stage import Stage
from ...schemas.tables import label_id
from ..dissection import scorer_class
from ..dissection.interface import Batch, Captioner, Material, Scores
from ..dissection.nouns import Labels, Unscored
from ..dissection.verification import (
    LabelTests,
    compare_labels,
    false_discovery_rates,
    shown_by_captions,
    shown_by_detector,
)
from ..encoding.split import Indices, split_by
from .concept_queries import append_vocabulary
from .context import BatchContext, Context, grouped, hash_of, ranges
from .describe import whole_captions
from .encode import encode
from .voxel_batches import fitted, list_column


def score(
    context: Context,
    method: str,
    material: Material,
    voxels: NDArray[np.int32],
    labels: Labels | None = None,
    unscored: Unscored | None = None,
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
    prepared = {key: _batch(context, numbers, labels) for key, numbers in batches.items() if len(numbers)}
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


def _batch(context: Context, voxels: NDArray[np.int32], labels: Labels | None) -> Batch:
    return Batch(partial(fitted, context, voxels), None if labels is None else [labels[int(v)] for v in voxels])


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


def append_labels(context: Context, names: Iterable[str]) -> None:
    """Append those names that are no labels yet."""
    known = set(context.store.arrow("SELECT lemma FROM label")["lemma"].to_pylist())
    if new := [name for name in dict.fromkeys(names) if name not in known]:
        batch = pa.table({"label_id": [label_id(name) for name in new], "lemma": new})
        context.append({"label": batch}, Stage.CONCEPTS, hash_of(repr(new).encode()))


def embed_labels(context: Context, names: Sequence[str], text_tower: Backbone) -> None:
    """Append the text vectors of labels that have none of this tower yet.

    Raises:
        BadInputError: the labels that have one have vectors of another length.
    """
    sql = (
        "SELECT l.lemma, len(e.vector) AS dim FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ?"
    )
    known: dict[str, int] = dict(context.store.frame(sql, [text_tower.name]).iter_rows())
    if other := set(known.values()) - {text_tower.dim}:
        raise BadInputError(
            f"The atlas holds labels in {other.pop()} dimensions by {text_tower.name}, and this one has "
            f"{text_tower.dim}: it is another network of that name; use the one that the atlas was made with."
        )
    new = [name for name in names if name not in known]
    with context.progress.stage("embed labels", len(new)) as advance:
        for group in grouped(new, 256):
            batch = {
                "label_id": [label_id(name) for name in group],
                "backbone": [text_tower.name] * len(group),
                "vector": list_column(text_tower.text(group)),
            }
            key = f"{text_tower.name}/{hash_of(repr(group).encode())}"
            context.append({"label_embedding": pa.table(batch)}, Stage.EMBED, key)
            advance(len(group))


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
        _, test = split_by(context.config, len(features))
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
        _, test = split_by(context.config, len(features))
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
