"""`concept('any text')` in SQL: what the macros `concept_map` and `voxels_like` take instead of a label."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached

from ...schemas.errors import BadInputError, MissingWeightsError
from ..backbones.products import unit_rows
from .model import Model
from .readouts import EXPONENTS

_KEPT = 32
_log = logging.getLogger(__name__)
Rows = list[dict[str, object]]


def concept_function(models: Callable[[], Sequence[Model]]) -> Callable[[str], Rows]:
    """The function `concept`: a text → rows as `concept_query` has them, for each model with a text tower.

    Args:
        models: gives those of the atlas.
    """

    # By the model's id: each batch that is committed makes new objects, and a model's vectors stay what they are.
    @cached(LRUCache[tuple[str, str], Rows](_KEPT), key=lambda text, model: (text, model.model_id), lock=Lock())
    def queries(text: str, model: Model) -> Rows:
        contrast = model.text_towers.contrast(model.backbone, text)
        for warning in model.text_towers.warnings(model.backbone, text):
            _log.warning("%s", warning)
        length = float(np.linalg.norm(contrast))
        unit = unit_rows(contrast)
        spectrum = model.tables.spectrum()
        return [
            {"model_id": model.model_id, "readout": name, "vector": spectrum.turned(unit, k).tolist(), "length": length}
            for name, k in EXPONENTS.items()
        ]

    def concept(text: str) -> Rows:
        rows, missing = Rows(), list[MissingWeightsError]()
        for model in models():
            if model.has_text:
                try:
                    rows += queries(text, model)
                except MissingWeightsError as error:
                    _log.warning("concept(%r): %s", text, error)
                    missing.append(error)
        if rows:
            return rows
        raise missing[0] if missing else BadInputError("No model of this atlas has a text tower to compare text by.")

    return concept
