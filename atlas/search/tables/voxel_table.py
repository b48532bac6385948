"""The voxels of one model as arrays: what they are filtered by, and what is told of each."""

import threading
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from cachetools import LRUCache
from numpy.typing import NDArray

from ....schemas.errors import NotFoundError, meant
from ....schemas.stage import Stage
from ...store.maintenance import require_model
from ...store.store import Store
from ..filters import ALL_VOXELS, Filters
from .ledger import Batches, batches_of, fitted_since
from .model_row import ModelRow

_COLUMNS = (
    "voxel, r2, r, q, semantic_r, semantic_q, semantic, noise_ceiling, i, j, k, hemisphere, vertex, "
    "significant, r2_of_ceiling, food_t, food_q"
)
_KEPT = 4
"""Arrays of voxels whose rows are kept: those of the readouts and of labels by a method or two."""

# A ? for each voxel: DuckDB then filters while it scans. A list it would join, and before that all captions.
_TOP_IMAGES = """
    SELECT t.voxel, t.rank, t.stimulus_id, s.uri, t.box, t.response, t.measured,
      (t.measured IS NOT NULL OR p.part IS NOT NULL) AS seen,
      arg_min(c.text, (NOT starts_with(c.captioner, ? || '@'), c.captioner)) AS caption
    FROM top_image t LEFT JOIN stimulus s USING (stimulus_id)
      LEFT JOIN split p ON p.model_id = t.model_id AND p.stimulus_id = t.stimulus_id
      LEFT JOIN caption c ON c.stimulus_id = t.stimulus_id AND c.box = t.box
    WHERE t.model_id = ? AND t.rank <= ? AND t.voxel IN ({voxels})
    GROUP BY ALL ORDER BY t.voxel, t.rank
"""


class VoxelTable:
    """Fitted voxels in ascending order, with their scores, places and regions. Never changed once made."""

    def __init__(self, model: ModelRow, frame: pl.DataFrame, regions: pl.DataFrame, batches: Batches) -> None:
        self._model, self._regions = model, regions
        self.batches = batches
        self.frame = frame
        """`_COLUMNS`, and x_mm, y_mm and z_mm."""
        self.voxels: NDArray[np.int64] = frame["voxel"].to_numpy().astype(np.int64)
        self._significant = frame["significant"].fill_null(value=False).to_numpy()
        self.semantic_known: bool = frame["semantic"].null_count() < len(frame)
        """Whether it is known which voxels are semantic."""
        self.semantic: NDArray[np.bool_] = frame["semantic"].fill_null(value=True).to_numpy()
        """(n_voxels,) False where low-level properties may explain what is predicted; True where it is not known."""
        self._not_semantic = self.voxels[~self.semantic]
        self._r2 = frame["r2"].to_numpy()
        self._aligned: LRUCache[int, _Aligned] = LRUCache(_KEPT)
        self._lock = threading.Lock()
        members = {
            str(name): np.isin(self.voxels, its["voxel"].drop_nulls().to_numpy())
            for (name,), its in regions.group_by("roi")
        }
        names = sorted(members)
        self._inside = np.array([members[name] for name in names], bool).reshape(len(names), len(self.voxels))
        self._names = pl.Series(names, dtype=pl.String)  # pyarrow would import pandas, which takes as long as a query
        self.rois: dict[str, NDArray[np.bool_]] = dict(zip(names, self._inside, strict=True))
        """Region → (n_voxels,) whether each voxel lies in it."""
        # Made once: every answer takes some rows of it.
        self._described = frame.select(
            pl.lit(model.model_id).alias("model_id"),
            pl.lit(model.subject_id).alias("subject_id"),
            pl.lit(model.simulated).alias("simulated"),
            pl.exclude("significant", "r2_of_ceiling", "food_t", "food_q"),
        )

    @classmethod
    def load(cls, store: Store, model: ModelRow, old: "VoxelTable | None") -> "VoxelTable":
        """The present table of a model; the old one where nothing has changed.

        Raises:
            NotFoundError: the model was removed.
        """
        batches = batches_of(store, model.model_id, model.subject_id)
        if old is not None and old.batches == batches:
            return old
        if old is not None and old.batches <= batches and {stage for stage, _ in batches - old.batches} == {Stage.FIT}:
            return old.grown(store, batches)
        frame = _quality(store, model, 0, np.iinfo(np.int32).max)
        if frame.is_empty():
            require_model(store, model.model_id)
        regions = store.frame(
            "SELECT r.roi, v.voxel FROM roi r LEFT JOIN voxel_roi v USING (subject_id, roi) WHERE subject_id = ?",
            [model.subject_id],
        )
        return cls(model, frame, regions, batches)

    def grown(self, store: Store, batches: Batches) -> "VoxelTable":
        """This table and the voxels that were fitted since."""
        new = fitted_since(store, self._model.model_id, self.voxels)
        if not len(new):
            return VoxelTable(self._model, self.frame, self._regions, batches)
        rows = _quality(store, self._model, int(new[0]), int(new[-1])).filter(pl.col("voxel").is_in(new.tolist()))
        frame = pl.concat([self.frame, rows], rechunk=True)
        if len(self.voxels) and self.voxels[-1] > new[0]:
            frame = frame.sort("voxel")
        return VoxelTable(self._model, frame, self._regions, batches)

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """Which voxels pass all that is no evidence of a concept, (n_voxels,); any region where none is named.

        Raises:
            NotFoundError: a region that the subject has not.
        """
        mask = np.full(len(self.voxels), not filters.rois)
        for roi in filters.rois:
            mask |= self.roi(roi)
        if filters.among is not None:
            mask &= np.isin(self.voxels, np.asarray(filters.among, np.int64))
        if filters.significant:
            mask &= self._significant
        if filters.semantic:
            mask &= self.semantic
        if filters.min_r2 is not None:
            mask &= self._r2 >= filters.min_r2
        return mask

    def are_shown(self, voxels: NDArray[np.integer], *, semantic: bool) -> NDArray[np.bool_]:
        """Which of some voxels are shown: all, or with `semantic` those that are not known to be otherwise; (n,)."""
        return ~np.isin(voxels, self._not_semantic) if semantic else np.ones(len(voxels), bool)

    def roi(self, name: str) -> NDArray[np.bool_]:
        """Which voxels lie in a region.

        Raises:
            NotFoundError: the subject has no such region; the message lists those that it has.
        """
        if name not in self.rois:
            raise NotFoundError(
                f"{self._model.subject_id} has no ROI {name!r}; it has {', '.join(self.rois) or 'none'}."
                f"{meant(name, self.rois)}"
            )
        return self.rois[name]

    def rows(self, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each voxel, (n,); -1 for one that was not fitted."""
        rows = np.searchsorted(self.voxels, voxels)
        rows[rows == len(self.voxels)] = 0
        fitted = self.voxels[rows] == voxels if len(self.voxels) else np.zeros(len(voxels), bool)
        return np.where(fitted, rows, -1)

    def among(
        self, voxels: NDArray[np.int64], filters: Filters = ALL_VOXELS
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row of each voxel as `rows` gives it, and whether it was fitted and passes `mask`; both (n,), read only.

        Args:
            voxels: what is searched. It comes with every question, so what does not depend on the question is kept.
            filters: as in `mask`.

        Raises:
            NotFoundError: a region that the subject has not.
        """
        with self._lock:
            aligned = self._aligned.get(id(voxels))
            if aligned is None:
                # What is kept holds the array, so that no other one can have its id.
                aligned = self._aligned[id(voxels)] = _Aligned(voxels, self.rows(voxels), {})
        plain = not filters.rois and filters.among is None and filters.min_r2 is None
        limits = filters.significant, filters.semantic
        if plain and limits in aligned.masks:
            return aligned.rows, aligned.masks[limits]
        allowed = self.mask(filters)
        passes = (aligned.rows >= 0) & allowed[aligned.rows] if len(allowed) else np.zeros(len(voxels), bool)
        if plain:
            aligned.masks[limits] = passes
        return aligned.rows, passes

    def describe(self, rows: NDArray[np.int64]) -> pl.DataFrame:
        """What answers tell of voxels: model_id, subject_id, simulated, voxel, rois, r2, … in the order of `rows`."""
        inside = self._inside[:, rows].T
        ends = np.cumsum(np.count_nonzero(inside, axis=1))
        named = self._names.gather(np.nonzero(inside)[1]).to_arrow()
        regions = pa.LargeListArray.from_arrays(pl.Series(np.append(0, ends)).to_arrow(), named)
        return self._described[rows].insert_column(4, pl.Series("rois", regions, pl.List(pl.String)))


class _Aligned(NamedTuple):
    """What a table says of the voxels that are searched."""

    voxels: NDArray[np.int64]
    rows: NDArray[np.int64]
    masks: dict[tuple[bool, bool], NDArray[np.bool_]]
    """By whether only significant, and only semantic voxels pass."""


def _quality(store: Store, model: ModelRow, first: int, last: int) -> pl.DataFrame:
    """The columns of `VoxelTable.frame` of the fitted voxels from `first` to `last`, ascending."""
    sql = f"SELECT {_COLUMNS} FROM voxel_quality WHERE model_id = ? AND voxel BETWEEN ? AND ? ORDER BY voxel"  # noqa: S608 - constant
    frame = store.frame(sql, [model.model_id, first, last])
    # Not of the view: an atlas of before has neither its places nor the affine until it is upgraded.
    subject = store.frame("FROM subject WHERE subject_id = ?", [model.subject_id])
    affine = subject["affine"].item() if "affine" in subject.columns else None
    rows = np.reshape(affine, (4, 4))[:3].tolist() if affine is not None else [[None] * 4] * 3
    return frame.with_columns(
        (pl.col("i") * of_i + pl.col("j") * of_j + pl.col("k") * of_k + origin)
        .cast(pl.Float64)
        .round(4)
        .alias(f"{axis}_mm")
        for axis, (of_i, of_j, of_k, origin) in zip("xyz", rows, strict=True)
    )


def top_images(store: Store, model: ModelRow, voxels: NDArray[np.int64], first: int) -> pl.DataFrame:
    """As `Model.top_images`."""
    captioner = PurePath(model.settings.get("captioner", "")).name
    sql = _TOP_IMAGES.format(voxels=", ".join("?" * len(voxels)) or "NULL")
    return store.frame(sql, [captioner, model.model_id, first, *voxels.tolist()])
