"""An open atlas: its subjects, regions, models, runs and stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self, TypedDict, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas.config import Settings
from ...schemas.errors import NotFoundError, meant
from ..backbones import load
from ..backbones.interface import Backbone
from ..store.links import Parameters
from ..store.store import Store
from ..writers import has_died
from .concepts import TextTowers
from .model import Model
from .sql_concept import concept_function
from .tables.answer_html import answer_html
from .tables.derived import DerivedValues, Fresh
from .tables.held_memory import budget
from .tables.indexed_voxels import index_folder
from .tables.located import Located
from .tables.model_row import MODELS, ModelRow, full_id
from .tables.model_tables import ModelTables


class SubjectRow(TypedDict):
    """A row of the table `subject`."""

    subject_id: str
    dataset: str
    simulated: bool
    space: str
    surface: str | None
    transform: str | None
    shape: Sequence[int] | None
    description: str
    affine: Sequence[float] | None
    affine_code: int | None


@dataclass(frozen=True, eq=False)
class Volume:
    """Where a subject's voxels are."""

    subject: SubjectRow
    shape: Sequence[int]
    """(z, y, x) in voxels, or (left, right) in vertices."""
    voxels: NDArray[np.int32]
    """(n,) numbers, ascending."""
    cells: NDArray[np.int64]
    """(n,) place of each in the flattened (z, y, x) volume; on a surface, the vertex, the right ones after the left."""
    n_cells: int
    """Voxels of the volume, or vertices of both hemispheres."""

    @classmethod
    def of(cls, subject: SubjectRow, voxels: pl.DataFrame) -> "Volume":
        """From a row of `subject`, and its voxels as `Atlas.places` has them.

        Raises:
            NotFoundError: the voxels' places are not known.
        """
        shape = subject["shape"] or ()
        wanted = ["i", "j", "k"] if subject["space"] == "volume" else ["hemisphere", "vertex"]
        if not shape or any(voxels[name].null_count() for name in wanted):
            raise NotFoundError(
                f"{subject['subject_id']}: where its voxels are is not in the atlas, so it cannot be shown; the same "
                "ingest again with a table voxels.csv or --space says it, and fits nothing anew."
            )
        if subject["space"] == "volume":
            _, n_j, n_i = shape
            i, j, k = (voxels[name].to_numpy().astype(np.int64) for name in wanted)
            cells, n_cells = (k * n_j + j) * n_i + i, int(np.prod(shape))
        else:
            right = (voxels["hemisphere"] == "right").to_numpy()
            cells, n_cells = voxels["vertex"].to_numpy().astype(np.int64) + right * shape[0], sum(shape)
        return cls(subject, shape, voxels["voxel"].to_numpy().astype(np.int32), cells, n_cells)


def subject_of(subjects: pl.DataFrame, subject_id: str) -> SubjectRow:
    """The row of one subject among those of `Atlas.subjects`.

    Raises:
        NotFoundError: no such subject; the message lists those that there are.
    """
    rows = {row["subject_id"]: row for row in subjects.drop("n_voxels", strict=False).to_dicts()}
    if subject_id not in rows:
        raise NotFoundError(
            f"There is no subject {subject_id!r}; there are {', '.join(rows) or 'none'}.{meant(subject_id, rows)}"
        )
    return cast("SubjectRow", rows[subject_id])


def atlas_html(address: str, subjects: pl.DataFrame, models: pl.DataFrame) -> str:
    """An atlas in a notebook: where it is, and its models."""
    names = ", ".join(subjects["subject_id"].head(5)) + (", …" if len(subjects) > 5 else "")
    facts = f"models: {len(models):,}", f"subjects: {len(subjects):,}, {names}".rstrip(", ")
    shown = models.select("model_id", "backbone", "n_voxels", "n_significant", "state", "simulated")
    return answer_html(f"Atlas {address}", facts, shown, simulated=bool(subjects["simulated"].any()))


class _Models(NamedTuple):
    """The models of a generation."""

    frame: pl.DataFrame
    by_id: Mapping[str, Model]


class Atlas:
    """An open atlas. Its methods answer with Polars frames, and may be called from several threads at once.

    >>> with Atlas.open("atlas.duckdb") as atlas:
    ...     atlas.model().similar("cake", first=5).frame
    """

    def __init__(
        self,
        store: Store,
        *,
        home: Path | None = None,
        patience: float = 0.0,
        model_memory: str | None = None,
        load_backbone: Callable[..., Backbone] = load,
    ) -> None:
        """Look at a store.

        Args:
            store: the atlas; closed with this object.
            home: folder of weights and indexes; None for the one of the settings.
            patience: seconds for which an answer may lag behind the newest batch, so that no question waits for what
                is derived from it; 0 always answers from the newest.
            model_memory: how much models may take which are kept to be asked; None for that of the settings.
            load_backbone: gives the network of a name, with `home`, as `backbones.load` does.

        Raises:
            BadInputError: models may take more memory than there is.
        """
        self.store = store
        self.home = home if home is not None else Settings().home
        self.text_towers = TextTowers(store, self.home, load_backbone)
        may_take = budget(Settings().model_memory if model_memory is None else model_memory)
        self._derived = DerivedValues(store, patience, may_take)
        self.located = Located()
        self._models = Fresh(self._load_models)
        self._concept = concept_function(lambda: list(self._models.get(self.generation())[0].by_id.values()))
        # Also for who reaches a served atlas by Quack: statements run where the text towers are.
        store.define("concept", self._concept)

    @classmethod
    def open(
        cls,
        address: str,
        *,
        home: Path | None = None,
        token: str = "",
        patience: float = 0.0,
        memory_limit: str = "2GB",
        files: Sequence[str] = (),
    ) -> Self:
        """Open an atlas for reading; other processes may read a file at the same time.

        Args:
            address: a file path, or ducklake:CATALOG data=FOLDER.
            home: folder of weights and indexes; None for the one of the settings.
            token: of scope ingest, for a server over HTTP.
            patience: as in the constructor.
            memory_limit: how much memory DuckDB may use.
            files: folders and files that statements of `sql` may read besides the atlas.

        Raises:
            NotFoundError: there is no atlas.
            StoreError: it cannot be opened.
        """
        store = Store.open(address, read_only=True, create=False, token=token, memory_limit=memory_limit, files=files)
        return cls(store, home=home, patience=patience)

    def close(self) -> None:
        """Let go of the atlas."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sql(self, statement: str, parameters: Parameters = None) -> pl.DataFrame:
        """Rows of one SQL statement that reads; in it, `concept('any text')` stands for what `concept_map` takes.

        Raises:
            BadInputError: the statement is wrong, is more than one, would change something, or reads a file that the
                atlas was not opened with.
        """
        # Again, as another atlas of this process may have had the file open, and taken its own along.
        self.store.define("concept", self._concept)
        return self.store.query(statement, parameters)

    def generation(self) -> int:
        """Number of the atlas's state, which grows with every batch; with `patience`, of a moment ago."""
        return self._derived.generation()

    def caught_up(self, generation: int) -> int:
        """The generation that all that is derived from the database belongs to, at least; what is older is begun anew.

        Args:
            generation: the newest one.
        """
        return self._derived.caught_up(generation)

    @property
    def has_room(self) -> bool:
        """Whether one more model, as large as the largest that is kept, can be kept to be asked."""
        return self._derived.has_room

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
            self.subject(subject_id)
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
        return self._models.get(self.generation())[0].frame

    def model(self, model_id: str | None = None) -> Model:
        """A model, to be asked. It stays valid while the atlas grows, and its counts are those of now.

        Args:
            model_id: the id, or a part of it that only one model has; None for the newest finished model.

        Raises:
            NotFoundError: no such model; the message lists those that there are.
        """
        models = self._models.get(self.generation())[0].by_id
        return models[full_id(list(models), model_id, self.store.address)]

    def runs(self) -> pl.DataFrame:
        """What became of each ingest, the latest first: the last row of the `run` table for each run.

        One that has begun and whose process is no more is told as killed.
        """
        runs = self.store.frame(
            "SELECT run_id, arg_max(model_id, (recorded_at, state != 'started')) AS model_id, "
            "arg_max(state, (recorded_at, state != 'started')) AS state, any_value(code_version) AS code_version, "
            "min(recorded_at) AS started_at, max(recorded_at) AS recorded_at, "
            "arg_max(message, (recorded_at, state != 'started')) AS message, any_value(config) AS config "
            "FROM run GROUP BY run_id ORDER BY started_at DESC, run_id DESC"
        )
        begun = runs.filter(state="started")
        # A later run of the model has the lock now, so an earlier one has it no more.
        last = set(begun.unique("model_id", keep="first", maintain_order=True)["run_id"])
        dead = [run for run, model in begun.select("run_id", "model_id").iter_rows()
                if run not in last or has_died(self.home, model)]  # fmt: skip
        killed = pl.col("run_id").is_in(dead)
        return runs.with_columns(
            state=pl.when(killed).then(pl.lit("killed")).otherwise("state"),
            message=pl.when(killed)
            .then(pl.lit("its process ended; the same command goes on from here"))
            .otherwise("message"),
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
        return Volume.of(self.subject(subject_id), self.places(subject_id))

    def places(self, subject_id: str) -> pl.DataFrame:
        """Where a subject's voxels are, by voxel: voxel, i, j, k in a volume, hemisphere and vertex on a surface."""
        sql = "SELECT voxel, i, j, k, hemisphere, vertex FROM voxel WHERE subject_id = ? ORDER BY voxel"
        return self.store.frame(sql, [subject_id])

    def _load_models(self, _: "_Models | None") -> "_Models":
        frame = self.store.frame(MODELS)
        by_id = {
            row["model_id"]: Model(
                **row,
                tables=ModelTables(
                    ModelRow(**row),
                    self._derived,
                    index_folder(self.home, self.store.address, row["model_id"]),
                    self.located,
                ),
                text_towers=self.text_towers,
            )
            for row in frame.iter_rows(named=True)
        }
        return _Models(frame, by_id)

    def subject(self, subject_id: str) -> SubjectRow:
        """A subject.

        Raises:
            NotFoundError: no such subject.
        """
        return subject_of(self.store.frame("FROM subject ORDER BY subject_id"), subject_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.store.address}>"

    def _repr_html_(self) -> str:
        return atlas_html(self.store.address, self.subjects(), self.models())
