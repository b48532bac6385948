"""Mean similarities of regions without their voxels: what is asked of many models at once.

A similarity is the product of a concept's unit vector and a voxel's, so that a region's mean similarity is the product
of the concept with the mean of its voxels' unit vectors, whatever the concept. These means are kept in a file.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import StoreError
from ....schemas.files import write_atomically
from ....schemas.stage import Stage
from ...backbones.interface import Readout
from ..evidence import Doubles
from ..filters import Filters
from ..tables.indexed_voxels import INDEXED
from ..tables.ledger import Batches, batches_of
from ..tables.model_tables import ModelTables

_BLOCK = 16_384
_OTHERS = frozenset({
    Stage.RUN, Stage.READOUTS, Stage.QUERIES, Stage.LEARNING_CURVE, Stage.DESCRIBE, Stage.SCORE, Stage.VERIFY,
})  # fmt: skip
"""Stages whose rows change no voxel, region or test: a model that is dissected later keeps its means."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RegionVectors:
    """Mean unit vectors of a model's regions."""

    rois: list[str]
    counts: NDArray[np.int64]
    """Voxels of each, (n_rois,)."""
    means: Doubles
    """(n_rois, dim); 0 where there is no voxel."""
    batches: Batches
    """What they come from; none where something that they come from lags behind the ledger."""


def region_vectors(tables: ModelTables, readout: Readout, *, significant: bool, semantic: bool) -> RegionVectors:
    """The mean vectors of a model's regions.

    Args:
        tables: those of the model.
        readout: weights, half or pattern.
        significant: only of voxels whose encoding model is significant.
        semantic: without voxels whose predicted responses luminance, contrast and edges may explain.
    """
    filters, kind = Filters(significant=significant, semantic=semantic), f"{readout}-{significant:d}{semantic:d}"
    make = partial(_present, tables, readout, filters, tables.indexes / f"regions-{kind}.npz")
    vectors: RegionVectors = tables.derived.get(("region vectors", tables.model.model_id, kind), make)[0]
    return vectors


def _present(
    tables: ModelTables, readout: Readout, filters: Filters, path: Path, old: RegionVectors | None
) -> RegionVectors:
    batches = _counted(batches_of(tables.store, tables.model.model_id, tables.model.subject_id))
    if old is not None and old.batches == batches:
        return old
    fingerprint = hashlib.sha256(repr(sorted(batches)).encode()).hexdigest()
    if (saved := _saved(path, fingerprint)) is not None:
        return RegionVectors(*saved, batches)
    indexed, table = tables.indexed(readout)[0], tables.voxels()
    rows, passes = table.among(indexed.voxels, filters)
    rois = list(table.rois)
    members = np.array([table.roi(roi) for roi in rois], bool).reshape(len(rois), len(table.voxels))
    counts, sums = np.zeros(len(rois), np.int64), np.zeros((len(rois), tables.model.dim))
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        inside = members[:, rows[block]] & passes[block]
        counts += inside.sum(axis=1)
        sums += inside.astype(np.float32) @ indexed.index.vectors[block]
    # A server's tables may be those of a moment ago, and the next batch may be on its way.
    present = _counted(table.batches) == batches
    present &= indexed.batches == frozenset(batch for batch in batches if batch[0] in INDEXED)
    made = RegionVectors(rois, counts, sums / counts[:, None].clip(min=1), batches if present else frozenset())
    if present and indexed.saved:  # while a model is filled, its vectors are not kept either
        _save(path, fingerprint, made)
    return made


def _counted(batches: Batches) -> Batches:
    """Those that a voxel, a region or a test comes from."""
    return frozenset(batch for batch in batches if batch[0] not in _OTHERS)


def _saved(path: Path, fingerprint: str) -> tuple[list[str], NDArray[np.int64], Doubles] | None:
    """What was kept of the same rows; None where there is nothing, or it is of others, or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) == fingerprint:
                return json.loads(str(kept["rois"])), kept["counts"], kept["means"]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        _log.warning("%s is damaged (%s), and made again.", path, error)
    return None


def _save(path: Path, fingerprint: str, made: RegionVectors) -> None:
    content = {"rois": json.dumps(made.rois), "counts": made.counts, "means": made.means, "fingerprint": fingerprint}
    try:
        write_atomically(path, lambda file: np.savez(file, **content))  # type: ignore[arg-type]
    except StoreError as error:
        # What is not kept costs time at the next start and changes no answer.
        _log.warning("The regions' mean vectors cannot be kept: %s", error)
