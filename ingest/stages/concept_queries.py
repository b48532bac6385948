"""Stages `vocabulary` and `queries`: what concepts are held against, and words ready to be compared in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...atlas.backbones.interface import Backbone, Floats
from ...atlas.backbones.products import unit_rows
from ...atlas.search.baseline import Vocabulary, nouns
from ...atlas.search.evidence import SPECIFIC_QUANTILE, FeatureSpectrum, residual_variance
from ...atlas.search.readouts import EXPONENTS, model_spectrum
from ...atlas.store.store import Store
from ...schemas.errors import BadInputError
from ...schemas.stage import Stage
from ...schemas.tables import label_id
from ..dissection.interface import TextQueries
from ..encoding.metrics import Responses
from ..encoding.ridge import RidgeFit
from .context import Context, grouped, hash_of, ranges
from .voxel_batches import list_column

_WORDS_AT_ONCE = 256
_VECTORS = (
    "SELECT word, vector FROM vocabulary WHERE backbone = ? UNION ALL BY NAME "
    "SELECT lemma AS word, vector FROM label_embedding JOIN label USING (label_id) WHERE backbone = ?"
)


class FittedModel(Protocol):
    """A model whose rows are added to; an ingest's `Context` is one."""

    @property
    def store(self) -> Store:
        """The atlas."""
        ...

    @property
    def model_id(self) -> str:
        """The model."""
        ...

    @property
    def backbone(self) -> Backbone:
        """Its network."""
        ...

    def append(self, batch: Mapping[str, pa.Table], stage: Stage, key: str) -> bool:
        """Append rows; see `Store.append`."""
        ...


@dataclass(frozen=True, eq=False)
class ConceptSpace:
    """What concepts take of a model: the nouns they are held against, and the covariance of its features."""

    vocabulary: Vocabulary
    covariance: Floats
    """Of the training features, (dim, dim)."""
    n_train: int

    @cached_property
    def spectrum(self) -> FeatureSpectrum:
        """Of the training features."""
        return FeatureSpectrum.of(self.covariance, self.n_train)

    def residual_variance(self, fit: RidgeFit, responses: Responses) -> NDArray[np.float64]:
        """Variance of the noise in training responses (n_train, n_voxels), (n_voxels,)."""
        centred = responses - responses.mean(axis=0, dtype=np.float64)
        return residual_variance(fit.weights, fit.alpha, self.spectrum, np.square(centred).sum(axis=0))

    def norms(self, model_id: str, voxels: NDArray[np.int32], weights: Floats) -> pa.Table:
        """Rows of `readout_norm` of some voxels with their ridge weights, (n_voxels, dim)."""
        readouts = [weights @ self.spectrum.power(exponent) for exponent in EXPONENTS.values()]
        norms = [np.linalg.norm(vectors, axis=1) for vectors in readouts]
        quantiles = [
            np.quantile(vectors @ self.vocabulary.contrasts.T, SPECIFIC_QUANTILE, axis=1) / norm.clip(min=1e-300)
            for vectors, norm in zip(readouts, norms, strict=True)
        ]
        return pa.table(
            {
                "model_id": pa.repeat(model_id, len(EXPONENTS) * len(voxels)),
                "voxel": np.tile(voxels, len(EXPONENTS)),
                "readout": pa.array(np.repeat(list(EXPONENTS), len(voxels)), pa.string()),
                "norm": np.concatenate(norms),
                "q95": np.concatenate(quantiles),
            }
        )


def append_vocabulary(context: FittedModel) -> Vocabulary:
    """The nouns that concepts of the model's text tower are held against; an atlas that has none gets them.

    Raises:
        BadInputError: the atlas holds another list, or one that was changed.
    """
    name = context.backbone.name
    stored = Vocabulary.stored(context.store, name)
    if stored is not None:
        if sorted(stored.words) != sorted(nouns()):
            raise BadInputError(
                f"The atlas holds concepts of {name} against another list of nouns than this version does; ingest into "
                "a new atlas, or by the version that it was made with."
            )
        return stored
    vocabulary = Vocabulary.of(context.backbone)
    baseline = {
        "backbone": name,
        "vocabulary_sha256": vocabulary.sha256,
        "n_words": len(vocabulary.words),
        "vector": vocabulary.baseline,
    }
    words = {
        "backbone": pa.repeat(name, len(vocabulary.words)),
        "word": list(vocabulary.words),
        "vector": list_column(vocabulary.vectors),
    }
    batch = {"baseline": pa.Table.from_pylist([baseline]), "vocabulary": pa.table(words)}
    key = f"{name}/{vocabulary.sha256[:16]}"
    context.append(batch, Stage.VOCABULARY, key)
    return vocabulary


def text_queries(context: Context, labels: Iterable[str]) -> TextQueries:
    """Labels as contrasts to the vocabulary, for scorers that read text."""
    half = model_spectrum(context.store, context.model_id).power(EXPONENTS["half"])
    words = sorted(labels, key=label_id)
    contrasts = append_vocabulary(context).centred(unit_rows(context.backbone.text(words)))
    return TextQueries(np.array([label_id(word) for word in words], int), contrasts, np.asarray(half, np.float32))


def append_missing_norms(context: FittedModel, concepts: ConceptSpace, batch_voxels: int = 2000) -> None:
    """Append rows of `readout_norm` for voxels that were fitted before there was such a table."""
    sql = (
        "SELECT voxel FROM encoding WHERE model_id = $1 EXCEPT SELECT voxel FROM readout_norm WHERE model_id = $1 "
        "ORDER BY voxel"
    )
    voxels = context.store.arrow(sql, [context.model_id])["voxel"].to_numpy()
    sql = "SELECT weights FROM encoding WHERE model_id = ? AND list_contains(?::INTEGER[], voxel) ORDER BY voxel"
    for start, stop in ranges(len(voxels), batch_voxels):
        batch = voxels[start:stop].astype(np.int32)
        weights = context.store.vectors(sql, [context.model_id, batch.tolist()], context.backbone.dim)
        norms = concepts.norms(context.model_id, batch, weights)
        context.append({"readout_norm": norms}, Stage.READOUTS, f"{context.model_id}/{batch[0]}")


def append_queries(context: FittedModel, words: Sequence[str]) -> None:
    """Append rows of `concept_query` for words that the model has none of yet; its backbone has a text tower.

    Args:
        context: the ingest.
        words: labels, or nouns of the vocabulary. A label that no voxel was given is passed over, as the atlas does
            not name it.
    """
    model_id = context.model_id
    vocabulary = Vocabulary.stored(context.store, context.backbone.name)
    sql = "SELECT DISTINCT word FROM concept_query WHERE model_id = ?"
    known = set(context.store.arrow(sql, [model_id])["word"].to_pylist())
    new = [word for word in words if word not in known]
    if vocabulary is None or not new:
        return
    vectors = dict(context.store.frame(_VECTORS, [context.backbone.name] * 2).iter_rows())
    new = [word for word in new if word in vectors]
    spectrum = model_spectrum(context.store, model_id)
    turns = [spectrum.power(exponent) for exponent in EXPONENTS.values()]
    sql = "SELECT DISTINCT alpha FROM encoding WHERE model_id = ? ORDER BY alpha"
    alphas = context.store.arrow(sql, [model_id])["alpha"].to_numpy()
    for group in grouped(new, _WORDS_AT_ONCE):
        contrasts = unit_rows(np.array([vectors[word] for word in group], np.float32)) - vocabulary.baseline
        queries = unit_rows(contrasts)
        batch = pa.table(
            {
                "model_id": pa.repeat(model_id, len(EXPONENTS) * len(group)),
                "readout": pa.array(np.repeat(list(EXPONENTS), len(group)), pa.string()),
                "word": group * len(EXPONENTS),
                "vector": list_column(np.concatenate([queries @ turn for turn in turns])),
                "length": np.tile(np.linalg.norm(contrasts, axis=1), len(EXPONENTS)),
                "alphas": [alphas] * (len(EXPONENTS) * len(group)),
                "errors": [spectrum.standard_errors(q, alphas, k) for k in EXPONENTS.values() for q in queries],
            }
        )
        context.append({"concept_query": batch}, Stage.QUERIES, f"{model_id}/{hash_of(repr(group).encode())}")
