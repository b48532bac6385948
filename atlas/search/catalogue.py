"""What an atlas holds: subjects, regions, models, runs and stages."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.config import Settings
from ...schemas.errors import BadInputError, NotFoundError
from ..store.links import Parameters
from ..store.store import Store
from .concepts import Towers
from .fresh import Fresh

_T = TypeVar("_T")

_LOOKS = 20
"""How often the generation is looked up within the time that answers may lag behind."""

_MODELS = """
    WITH fitted AS (SELECT model_id, count(*) AS n FROM encoding GROUP BY model_id),
      left_out AS (SELECT model_id, count(*) AS n FROM dropped GROUP BY model_id),
      tested AS (SELECT model_id, count(*) FILTER (q <= 0.05) AS n FROM significance GROUP BY model_id),
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
"""


@dataclass(frozen=True, eq=False)
class Volume:
    """Where a subject's voxels are."""

    subject: Mapping[str, Any]
    """The subject's row."""
    voxels: NDArray[np.int32]
    """(n,) numbers, ascending."""
    cells: NDArray[np.int64]
    """(n,) place of each in the flattened (z, y, x) volume; on a surface, the vertex, the right ones after the left."""
    n_cells: int
    """Voxels of the volume, or vertices of both hemispheres."""


class Catalogue:
    """An open atlas and the list of what is in it."""

    def __init__(self, store: Store, *, home: Path | None = None, patience: float = 0.0) -> None:
        """Look at a store.

        Args:
            store: the atlas; closed with this object.
            home: folder of weights and indexes; None for the one of the settings.
            patience: seconds for which an answer may lag behind the newest batch, so that no question waits for what
                is derived from it; 0 always answers from the newest.
        """
        self.store = store
        self.home = home if home is not None else Settings().home
        self.patience = patience
        self.towers = Towers(store, self.home)
        self._models = Fresh[pl.DataFrame](lambda _: store.frame(_MODELS))
        self._derived: dict[tuple[str, ...], Fresh[Any]] = {}
        self._looked: tuple[float, int] | None = None
        self._looking = threading.Lock()

    @classmethod
    def open(cls, address: str, *, home: Path | None = None, token: str = "", patience: float = 0.0) -> Self:
        """Open an atlas for reading; other processes may read a file at the same time.

        Args:
            address: a file path, quack:HOST:PORT, or ducklake:CATALOG data=FOLDER.
            home: folder of weights and indexes; None for the one of the settings.
            token: what a served atlas asks for.
            patience: as in the constructor.

        Raises:
            NotFoundError: there is no atlas.
            StoreError: it cannot be opened.
        """
        return cls(Store.open(address, read_only=True, create=False, token=token), home=home, patience=patience)

    def close(self) -> None:
        """Let go of the atlas."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def sql(self, statement: str, parameters: Parameters = None) -> pl.DataFrame:
        """Rows of one SQL statement that reads.

        Raises:
            BadInputError: the statement is wrong, is more than one, or would change something.
        """
        return self.store.frame(statement, parameters)

    def generation(self) -> int:
        """Number of the atlas's state, which grows with every batch; with `patience`, of a moment ago.

        Every question asks for it several times, and each time is a statement.
        """
        with self._looking:
            if self._looked is None or time.monotonic() - self._looked[0] >= self.patience / _LOOKS:
                self._looked = (time.monotonic(), self.store.generation())
            return self._looked[1]

    def caught_up(self, generation: int) -> int:
        """The generation that all that is derived from the database belongs to, at least; what is older is begun anew.

        Args:
            generation: the newest one.
        """
        made = [fresh for fresh in list(self._derived.values()) if fresh.made]
        return min((fresh.get(generation, soon=True)[1] for fresh in made), default=generation)

    def subjects(self) -> pl.DataFrame:
        """The `subject` table and n_voxels."""
        return self.store.frame(
            "SELECT s.*, (SELECT count(*) FROM voxel v WHERE v.subject_id = s.subject_id) AS n_voxels "
            "FROM subject s ORDER BY subject_id"
        )

    def rois(self, subject_id: str | None = None) -> pl.DataFrame:
        """The `roi` table, n_voxels and simulated, of one subject or of all.

        Raises:
            NotFoundError: no such subject.
        """
        if subject_id is not None:
            self._subject(subject_id)
        return self.store.frame(
            "SELECT r.*, (SELECT count(*) FROM voxel_roi v WHERE v.subject_id = r.subject_id AND v.roi = r.roi) "
            "AS n_voxels, s.simulated FROM roi r JOIN subject s USING (subject_id) "
            "WHERE ?::VARCHAR IS NULL OR subject_id = ? ORDER BY subject_id, roi",
            [subject_id, subject_id],
        )

    def models(self) -> pl.DataFrame:
        """The models, finished ones first and newest first among them.

        Columns: model_id, subject_id, dataset, simulated, space, surface, transform, shape, backbone, config,
        config_sha256, label_backbone, dim, has_text, n_train, n_test, n_voxels (fitted), n_dropped, n_significant,
        tested (whether significance is known), state (of the last run), finished, recorded_at.
        """
        return self._models.get(self.generation())[0]

    def model(self, model_id: str | None = None) -> dict[str, Any]:
        """A row of `models`.

        Args:
            model_id: the id, or its beginning or end where only one model has it; None for the newest finished model.

        Raises:
            NotFoundError: no such model; the message lists those that there are.
        """
        models = self.models()
        ids: list[str] = models["model_id"].to_list()
        if not ids:
            raise NotFoundError(f"{self.store.address} holds no model yet; `voxel-atlas ingest` makes one.")
        if model_id is None:
            return models.row(0, named=True)
        matching = [known for known in ids if known == model_id] or [
            known for known in ids if model_id and (known.startswith(model_id) or known.endswith(model_id))
        ]
        if len(matching) != 1:
            problem = "no model" if not matching else "more than one model"
            raise NotFoundError(f"There is {problem} {model_id!r}; there are {', '.join(matching or ids)}.")
        return models.row(ids.index(matching[0]), named=True)

    def method(self, model: Mapping[str, Any], method: str | None = None) -> str:
        """The method of labelling that is meant: the model's first one by default.

        Raises:
            BadInputError: the model was not labelled by that method; the message lists those it was labelled by.
        """
        configured: list[str] = json.loads(model["config"]).get("methods") or ["brainlmm-eq2"]
        if method is None or method in configured:
            return method or configured[0]
        sql = "SELECT DISTINCT method FROM label_score WHERE model_id = ? ORDER BY method"
        known = self.store.arrow(sql, [model["model_id"]])["method"].to_pylist()
        if method not in known:
            raise BadInputError(
                f"{model['model_id']} has no labels by {method!r}; it has {', '.join(known or configured)}."
            )
        return method

    def runs(self) -> pl.DataFrame:
        """What became of each ingest, the latest first: the last row of the `run` table for each run."""
        return self.store.frame(
            "SELECT run_id, arg_max(model_id, (recorded_at, state != 'started')) AS model_id, "
            "arg_max(state, (recorded_at, state != 'started')) AS state, any_value(code_version) AS code_version, "
            "min(recorded_at) AS started_at, max(recorded_at) AS recorded_at, "
            "arg_max(message, (recorded_at, state != 'started')) AS message, any_value(config) AS config "
            "FROM run GROUP BY run_id ORDER BY started_at DESC, run_id DESC"
        )

    def stages(self) -> pl.DataFrame:
        """What each stage has committed, in the order in which they began: stage, batches, rows, last_commit."""
        return self.store.frame(
            "SELECT stage, count(*) AS batches, sum(n_rows)::BIGINT AS rows, max(committed_at) AS last_commit "
            "FROM ledger GROUP BY stage ORDER BY min(committed_at), stage"
        )

    def volume(self, subject_id: str) -> Volume:
        """Where a subject's voxels are in its volume or on its surface.

        Raises:
            NotFoundError: no such subject, or its voxels' places are not known.
        """
        subject = self._subject(subject_id)
        voxels = self.store.frame(
            "SELECT voxel, i, j, k, hemisphere, vertex FROM voxel WHERE subject_id = ? ORDER BY voxel", [subject_id]
        )
        shape: Sequence[int] = subject["shape"] or ()
        wanted = ["i", "j", "k"] if subject["space"] == "volume" else ["hemisphere", "vertex"]
        if not shape or any(voxels[name].null_count() for name in wanted):
            raise NotFoundError(f"{subject_id}: where its voxels are is not in the atlas, so it cannot be shown.")
        if subject["space"] == "volume":
            _, n_j, n_i = shape
            i, j, k = (voxels[name].to_numpy().astype(np.int64) for name in wanted)
            cells, n_cells = (k * n_j + j) * n_i + i, int(np.prod(shape))
        else:
            right = (voxels["hemisphere"] == "right").to_numpy()
            cells, n_cells = voxels["vertex"].to_numpy().astype(np.int64) + right * shape[0], sum(shape)
        return Volume(subject, voxels["voxel"].to_numpy().astype(np.int32), cells, n_cells)

    def derived(self, key: tuple[str, ...], make: Callable[[_T | None], _T]) -> Fresh[_T]:
        """What is kept under a key and made anew when the atlas has grown; made by the first `make` of that key."""
        return self._derived.setdefault(key, Fresh(make, self.patience))

    def _subject(self, subject_id: str) -> dict[str, Any]:
        subjects = self.store.arrow("SELECT * FROM subject ORDER BY subject_id").to_pylist()
        for subject in subjects:
            if subject["subject_id"] == subject_id:
                return dict(subject)
        known = ", ".join(subject["subject_id"] for subject in subjects) or "none"
        raise NotFoundError(f"There is no subject {subject_id!r}; there are {known}.")
