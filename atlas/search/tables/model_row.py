"""What is told of each encoding model that an atlas holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ....schemas.config import FDR
from ....schemas.errors import NotFoundError, meant
from .answer_html import answer_html

MODELS = f"""
    WITH fitted AS (SELECT model_id, count(*) AS n FROM encoding GROUP BY model_id),
      left_out AS (SELECT model_id, count(*) AS n FROM dropped GROUP BY model_id),
      tested AS (SELECT model_id, count(*) FILTER (q <= {FDR}) AS n FROM significance GROUP BY model_id),
      ran AS (SELECT model_id, arg_max(state, (recorded_at, state != 'started')) AS state,
        bool_or(state = 'finished') AS finished, max(recorded_at) AS recorded_at FROM run GROUP BY model_id)
    SELECT m.model_id, m.subject_id, s.dataset, s.simulated, s.space, s.surface, s.transform, s.shape, m.backbone,
      m.config, m.config_sha256, m.label_backbone, len(m.feature_mean) AS dim,
      m.feature_covariance IS NOT NULL AS has_text, m.n_train, m.n_test,
      coalesce(fitted.n, 0) AS n_voxels, coalesce(left_out.n, 0) AS n_dropped, coalesce(tested.n, 0) AS n_significant,
      tested.n IS NOT NULL AS tested,
      coalesce(ran.state, 'unknown') AS state, coalesce(ran.finished, FALSE) AS finished, ran.recorded_at
    FROM model m JOIN subject s USING (subject_id) LEFT JOIN fitted USING (model_id) LEFT JOIN left_out USING (model_id)
      LEFT JOIN tested USING (model_id) LEFT JOIN ran USING (model_id)
    ORDER BY finished DESC, ran.recorded_at DESC NULLS LAST, m.model_id
"""  # noqa: S608 - constant

FEWEST_CONTROLLED = 2 * 64
"""Training images below which nothing is said of low-level properties, twice as many as there are of these: they would
explain most of any response."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelRow:
    """An encoding model in figures: a subject, a backbone and a configuration. Counts are those of when it was read."""

    model_id: str
    """subject/backbone/first six digits of the configuration's hash."""
    subject_id: str
    dataset: str
    simulated: bool
    """Whether the subject's responses were computed, not measured."""
    space: str
    """volume or surface."""
    surface: str | None
    """pycortex subject that shows it."""
    transform: str | None
    shape: Sequence[int] | None
    """Volume as (z, y, x) in voxels, or (left, right) in vertices."""
    backbone: str
    config: str = field(repr=False)
    """Every setting that the results depend on, as JSON."""
    config_sha256: str = field(repr=False)
    label_backbone: str
    """Backbone in whose space the labels' vectors are."""
    dim: int
    """Number of features."""
    has_text: bool
    """Whether words can be compared with weights: the backbone has a text tower."""
    n_train: int
    """Images that it was fitted on."""
    n_test: int
    n_voxels: int
    """Fitted voxels."""
    n_dropped: int
    n_significant: int
    """Voxels with q at most 0.05."""
    tested: bool
    """Whether significance is known."""
    state: str
    """Of the last run."""
    finished: bool
    """Whether an ingest has ended well."""
    recorded_at: datetime | None
    """When the last run was heard of."""

    @property
    def semantic_unknown(self) -> str:
        """What is said where no voxel can be left out as not semantic, and why."""
        what = f"Which voxels of {self.model_id} contrast and edges may explain is not known"
        if self.n_train < FEWEST_CONTROLLED:
            return f"{what}: {self.n_train} training images are too few to tell; it takes {FEWEST_CONTROLLED}."
        return f"{what}; `voxel-atlas dissect` of the model tells it."

    def _repr_html_(self) -> str:
        space = f"{self.space} {' × '.join(map(str, self.shape or ()))}".strip()
        tested = f"{self.n_significant:,} significant" if self.tested else "not tested"
        facts = (
            self.dataset,
            f"{self.backbone}, {self.dim} features{'' if self.has_text else ', no text tower'}",
            f"{self.n_voxels:,} voxels, {tested}",
            f"{self.n_train:,} images to fit, {self.n_test:,} to test",
            f"{space}, {self.surface or 'no surface'}",
            self.state,
        )
        return answer_html(self.model_id, facts, simulated=self.simulated, picture=self._repr_png_() or b"")

    def _repr_png_(self) -> bytes | None:
        return None

    @property
    def settings(self) -> Mapping[str, Any]:
        """`config`, parsed."""
        parsed: Mapping[str, Any] = json.loads(self.config)
        return parsed


def full_id(ids: Sequence[str], model_id: str | None, address: str) -> str:
    """The id of the model that is meant.

    Args:
        ids: those of all models, as `Atlas.models` orders them.
        model_id: the id, or a part of it where only one model has that: its beginning, its end, or whole words between
            slashes, such as the network's; None for the newest finished model.
        address: of the atlas, for the message.

    Raises:
        NotFoundError: no such model; the message lists those that there are.
    """
    if not ids:
        raise NotFoundError(f"{address} holds no model yet; `voxel-atlas ingest` makes one.")
    if model_id is None or model_id in ids:
        return model_id or ids[0]
    matching = [known for known in ids if model_id and _is_part(model_id, known)]
    if len(matching) != 1:
        problem = "no model" if not matching else "more than one model"
        like = "" if matching else meant(model_id, ids)
        raise NotFoundError(f"There is {problem} {model_id!r}; there are {', '.join(matching or ids)}.{like}")
    return matching[0]


def _is_part(part: str, model_id: str) -> bool:
    """Whether an id has such a part: folder/sub-1 is none of folder/sub-10/…, but the digits at its end may be cut."""
    whole = f"/{part.strip('/')}/" in f"/{model_id}/"
    return whole or model_id.endswith(part) or (part.count("/") == model_id.count("/") and model_id.startswith(part))
