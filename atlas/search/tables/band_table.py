"""What the vocabulary's nouns look like in each voxel: the band that a word without meaning stays in, and one scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...backbones.interface import Floats
from ..evidence import SPECIFIC_QUANTILE
from ..readouts import EXPONENTS
from .indexed_voxels import IndexedVoxels
from .readout_table import ReadoutTable

REACH = 0.99
"""Quantile of the sizes of all nouns' similarities, over all voxels, that the ends of a model's scale stand for."""
_BLOCK = 8192
_BINS = 20_000
_LARGEST_Z = 200.0


@dataclass(frozen=True, eq=False)
class BandTable:
    """Quantiles of the vocabulary's similarities, by the order of the voxels' index."""

    voxels: NDArray[np.int64]
    low: Floats
    """The .05 quantile of each voxel, (n,)."""
    high: Floats
    """The .95 quantile, (n,): but for rounding, `readout_norm.q95` where concepts are held against the vocabulary."""
    reach: float
    """The .99 quantile of the sizes of similarities; 0 where there is no voxel."""
    reach_z: float
    """That of the sizes of their z; 0 where z is not known."""
    n_words: int
    made_of: tuple[object, ...]

    @classmethod
    def load(
        cls, indexed: IndexedVoxels, readouts: ReadoutTable, nouns: Floats, old: "BandTable | None"
    ) -> "BandTable":
        """The present band of a model by the nouns' unit vectors, (n_nouns, dim); the old one where nothing changed."""
        made_of = indexed.batches, readouts.batches
        if old is not None and old.made_of == made_of:
            return old
        n = len(indexed.voxels)
        quantiles, sizes, sizes_z = np.zeros((2, n), np.float32), np.zeros(_BINS), np.zeros(_BINS)
        rows = np.searchsorted(readouts.voxels, indexed.voxels).clip(max=max(len(readouts.voxels) - 1, 0))
        gains, exponent = readouts.gains.of_rows(rows), EXPONENTS[readouts.readout]
        errors = np.stack([readouts.spectrum.standard_errors(noun, gains.penalties, exponent) for noun in nouns], 1)
        with np.errstate(divide="ignore"):
            reciprocal = np.where(errors > 0, 1 / errors, np.nan)  # (n_penalties, n_words)
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            similarity = indexed.index.vectors[block] @ nouns.T
            quantiles[:, block] = np.quantile(similarity, [1 - SPECIFIC_QUANTILE, SPECIFIC_QUANTILE], axis=1)
            z = similarity * gains.gain[block, None] * reciprocal[gains.which[block]]
            sizes += np.histogram(np.abs(similarity), _BINS, (0, 1))[0]
            sizes_z += np.histogram(np.abs(z), _BINS, (0, _LARGEST_Z))[0]  # NaN is in no bin
        low, high = quantiles
        reach, reach_z = _quantile(sizes, 1.0), _quantile(sizes_z, _LARGEST_Z)
        return cls(indexed.voxels, low, high, reach, reach_z, len(nouns), made_of)


def _quantile(counts: NDArray[np.float64], largest: float) -> float:
    """The quantile `REACH` of what was counted in equal bins from 0 to `largest`; 0 of nothing."""
    total = counts.sum()
    if not total:
        return 0.0
    return float(largest * (np.searchsorted(np.cumsum(counts), REACH * total) + 1) / len(counts))
