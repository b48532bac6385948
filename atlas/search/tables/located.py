"""Where subjects' voxels lie in mm, as far as this process knows."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .voxel_table import VoxelTable


class Located:
    """Places of voxels: those of the responses' own image, or what is told by who knows the subjects' surfaces."""

    def __init__(self) -> None:
        self._told: Callable[[str], NDArray[np.float64]] | None = None

    def told_by(self, places: Callable[[str], NDArray[np.float64]]) -> None:
        """Take places from a function: subject → x, y and z in mm by voxel number, (n_voxels, 3), NaN for unknown."""
        self._told = places

    def of(self, subject_id: str, table: VoxelTable) -> NDArray[np.float64]:
        """x, y and z in mm of a table's voxels, (n, 3); NaN where nothing says it."""
        own = table.frame.select(pl.col("x_mm", "y_mm", "z_mm").cast(float).fill_null(np.nan)).to_numpy()
        if self._told is None or np.isfinite(own).all():
            return own
        places, known = self._told(subject_id), np.full((len(table.voxels), 3), np.nan)
        there = table.voxels < len(places)
        known[there] = places[table.voxels[there]]
        return known
