"""`concept('any text')` in SQL: what the macros `concept_map` and `voxels_like` take instead of a label."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached

from ...schemas.errors import AtlasError, BadInputError, MissingWeightsError
from ..backbones.products import unit_rows
from .across import MOST_MODELS
from .concepts import parse_concept
from .evidence import Doubles
from .model import Model
from .readouts import EXPONENTS

_KEPT = 4 * MOST_MODELS
"""Of a few texts, each for as many models as are asked together."""
_log = logging.getLogger(__name__)
Rows = list[dict[str, object]]
_OF_QUERY = ("model_id", "readout", "vector", "length", "alphas", "errors")
_OF_TEXT = ("one_term", "warning", "refusal")


def concept_function(models: Callable[[], Sequence[Model]]) -> Callable[[str], Rows]:
    """The function `concept`: a text → rows as `concept_query` has them, for each model with a text tower.

    Where the text makes no concept, there is one row with the sentence that says why: `refusal`.

    Args:
        models: gives those of the atlas.
    """

    # By the model's id: each batch that is committed makes new objects, and a model's vectors stay what they are.
    @cached(LRUCache[tuple[object, ...], Rows](_KEPT), key=lambda *given: (*given[:2], len(given[2])), lock=Lock())
    def queries(text: str, model_id: str, alphas: Doubles, model: Model) -> Rows:
        contrast = model.text_towers.contrast(model.backbone, text)
        warnings = model.text_towers.warnings(model.backbone, text)
        for warning in warnings:
            _log.warning("%s", warning)
        length = float(np.linalg.norm(contrast))
        unit = unit_rows(contrast)
        spectrum, one_term = model.tables.spectrum(), len(parse_concept(text)) == 1
        rows = Rows()
        for readout, k in EXPONENTS.items():
            vector, errors = spectrum.turned(unit, k).tolist(), spectrum.standard_errors(unit, alphas, k).tolist()
            of_query = (model_id, readout, vector, length, alphas.tolist(), errors)
            of_text = (one_term, " ".join(warnings) or None, None)
            rows.append(dict(zip(_OF_QUERY + _OF_TEXT, of_query + of_text, strict=True)))
        return rows

    def of_all_models(text: str) -> Rows:
        rows, missing = Rows(), list[MissingWeightsError]()
        for model in models():
            if model.has_text:
                try:
                    rows += queries(text, model.model_id, model.tables.penalties(), model)
                except MissingWeightsError as error:
                    missing.append(error)
        for said in dict.fromkeys(map(str, missing)):  # models share their networks
            _log.warning("concept(%r): %s", text, said)
        if rows:
            return rows
        raise missing[0] if missing else BadInputError("No model of this atlas has a text tower to compare text by.")

    def concept(text: str) -> Rows:
        # An error that a function raises reaches a shell with its traceback; one that the macros raise does not.
        try:
            return of_all_models(text)
        except AtlasError as error:
            return [dict.fromkeys(_OF_QUERY + _OF_TEXT) | {"refusal": str(error)}]

    return concept
