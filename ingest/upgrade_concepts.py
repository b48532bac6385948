"""What an upgrade works out for models of before there were contrasts: all that their stored weights give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..atlas.backbones import load
from ..atlas.backbones.interface import Backbone
from ..atlas.store.store import Store
from ..schemas.errors import BadInputError, MissingWeightsError, NotFoundError
from ..schemas.stage import Stage
from .stages.concept_queries import ConceptSpace, append_missing_norms, append_queries, append_vocabulary

_MODELS = """
    SELECT model_id, backbone, n_train, len(feature_mean) AS dim,
      EXISTS (FROM readout_norm n WHERE n.model_id = m.model_id) AS has_norms,
      EXISTS (FROM encoding e WHERE e.model_id = m.model_id AND e.residual_variance IS NOT NULL) AS has_noise
    FROM model m WHERE feature_covariance IS NOT NULL ORDER BY model_id
"""
"""Those with a text tower: for the others, concepts are compared by labels."""


@dataclass(frozen=True)
class _StoredModel:
    store: Store
    model_id: str
    backbone: Backbone
    run_id: str

    def append(self, batch: Mapping[str, pa.Table], stage: Stage, key: str) -> bool:
        return self.store.append(batch, run_id=self.run_id, stage=stage, key=key)


def upgrade_concepts(store: Store, home: Path, run_id: str, loader: Callable[..., Backbone] = load) -> list[str]:
    """Append what concepts take of models that lack it, as far as it follows from their weights.

    Args:
        store: the atlas, open for writing.
        home: folder of networks' weights.
        run_id: names this in the ledger.
        loader: gives the network of a name, as `backbones.load` does.

    Returns:
        A sentence for each thing that was worked out, or that cannot be.
    """
    said = []
    for row in store.frame(_MODELS).iter_rows(named=True):
        model_id = row["model_id"]
        if not row["has_norms"]:
            try:
                model = _StoredModel(store, model_id, loader(row["backbone"], home=home), run_id)
                _append_concepts(model, row["dim"], row["n_train"])
                said.append(f"{model_id}: what SQL and `specific` compare was worked out from its weights.")
            # Weights, or a package's backbone, that this machine has not, or not in order: other models go on.
            except (MissingWeightsError, NotFoundError, BadInputError) as error:
                said.append(f"{model_id}: what SQL and `specific` compare is not worked out. {error}")
        if not row["has_noise"]:
            said.append(
                f"{model_id}: z and q of concepts need the responses that it was fitted to; "
                "`voxel-atlas rm` it and ingest it again to have them."
            )
    return said


def _append_concepts(model: _StoredModel, dim: int, n_train: int) -> None:
    sql = "SELECT feature_covariance FROM model WHERE model_id = ?"
    covariance = model.store.vectors(sql, [model.model_id], dim**2)[0].reshape(dim, dim)
    vocabulary = append_vocabulary(model)
    append_missing_norms(model, ConceptSpace(vocabulary, covariance, n_train))
    labels = model.store.frame("SELECT DISTINCT label FROM voxel_label WHERE model_id = ?", [model.model_id])["label"]
    append_queries(model, [*vocabulary.words, *labels.sort()])
