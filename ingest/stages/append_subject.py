"""Stage `subject`: where the voxels are, and which regions they are in."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import polars as pl
import pyarrow as pa

from ...atlas.store.content import conform
from ...schemas.errors import LedgerConflictError
from ...schemas.stage import Stage
from ..datasets.image_names import files_of
from ..datasets.interface import MadeRegions, Repeated
from .context import DataContext, ranges

_SETTINGS = (
    "space",
    "betas",
    "tasks",
    "localizer_t",
    "food",
    "food_labels",
    "skip_sessions",
    "axes",
    "parcellation",
    "allow_missing",
    "surface",
    "transform",
)
"""Settings that decide what the atlas says of a subject, and not only of one model of it."""

_PLACES = ("i", "j", "k", "hemisphere", "vertex")
_SET_PLACES = f"""UPDATE voxel SET {", ".join(f"{name} = given.{name}" for name in _PLACES)}
    FROM (SELECT unnest(?::INTEGER[]) AS voxel, unnest(?::INTEGER[]) AS i, unnest(?::INTEGER[]) AS j,
        unnest(?::INTEGER[]) AS k, unnest(?::VARCHAR[]) AS hemisphere, unnest(?::INTEGER[]) AS vertex) given
    WHERE voxel.subject_id = ? AND voxel.voxel = given.voxel"""  # noqa: S608 - names of this module


def append_subject(context: DataContext) -> None:
    """Append the subject with its voxels and regions, once for all of its models.

    Raises:
        LedgerConflictError: the atlas says something else of the subject.
    """
    dataset = context.dataset
    subject_id = dataset.subject.subject_id
    tables: tuple[tuple[str, pl.DataFrame], ...] = ()
    if isinstance(dataset, MadeRegions):
        tables = ("region_test", dataset.region_tests), ("region_image", dataset.region_images)
    described = {
        name: frame.select(pl.lit(subject_id).alias("subject_id"), pl.all()).to_arrow()
        for name, frame in (
            ("roi", dataset.rois),
            ("voxel", _voxels(context)),
            ("voxel_roi", dataset.voxel_rois),
            *tables,
        )
    }
    subject = {**asdict(dataset.subject), "shape": list(dataset.subject.shape)}
    del subject["listed"], subject["own_surface"], subject["recognised"]
    batch = {"subject": pa.Table.from_pylist([subject]), **described}
    try:
        context.append(batch, Stage.SUBJECT, subject_id)
    except LedgerConflictError as error:
        if not _only_shown_otherwise(context, described):
            raise LedgerConflictError(_other_subject(context, subject_id)) from error
        names = ("space", "surface", "transform", "shape", "affine", "affine_code", "description")
        sql = f"UPDATE subject SET {', '.join(f'{name} = ?' for name in names)} WHERE subject_id = ?"  # noqa: S608
        statement = (sql, [*(subject[name] for name in names), subject_id])
        places = (_SET_PLACES, [*(described["voxel"][name].to_pylist() for name in ("voxel", *_PLACES)), subject_id])
        context.store.amend([statement, places], batch, run_id=context.run_id, stage=Stage.SUBJECT, key=subject_id)
    if said := dataset.subject.recognised:
        context.progress.note(said)
    if n_more := files_of(dataset).height - dataset.stimuli.height:
        context.progress.note(f"{n_more} images have the bytes of others: their trials count as repeats of these.")


def _only_shown_otherwise(context: DataContext, described: Mapping[str, pa.Table]) -> bool:
    """Whether the atlas has the same voxels and regions, so that only what shows or places them has changed."""
    subject_id = context.dataset.subject.subject_id
    for name, rows in described.items():
        known = context.store.frame(f"FROM {name} WHERE subject_id = ?", [subject_id])
        given = pl.DataFrame(conform(name, rows))
        if name == "voxel" and known.select(_PLACES).null_count().row(0) == (known.height,) * len(_PLACES):
            # Where they are was not known, which nothing that is fitted depends on.
            known, given = known.drop(_PLACES), given.drop(_PLACES)
        if not known.sort(known.columns).equals(given.sort(given.columns)):
            return False
    return True


def _voxels(context: DataContext) -> pl.DataFrame:
    """The subject's voxels, with noise ceilings from repeats where the data set brings none.

    The first ingest of a subject decides them: it takes a look at every response.
    """
    dataset, voxels = context.dataset, context.dataset.voxels
    if voxels["noise_ceiling"].null_count() < voxels.height or not isinstance(dataset, Repeated):
        return voxels
    sql = "SELECT noise_ceiling FROM voxel WHERE subject_id = ? ORDER BY voxel"
    known = context.store.frame(sql, [dataset.subject.subject_id])["noise_ceiling"]
    if len(known) == voxels.height:
        return voxels.with_columns(known.cast(pl.Float32))
    numbers, found = np.arange(voxels.height), [np.empty(0, np.float32)]
    with context.progress.stage("noise ceilings", voxels.height) as advance:
        for start, stop in ranges(voxels.height, context.config.batch_voxels):
            found.append(dataset.ceiling_of(numbers[start:stop]))
            advance(stop - start)
    return voxels.with_columns(pl.Series("noise_ceiling", np.concatenate(found), pl.Float32).fill_nan(None))


def _other_subject(context: DataContext, subject_id: str) -> str:
    """Why the subject's rows are not those that are in the atlas, as far as settings tell."""
    sql = "SELECT config FROM model WHERE subject_id = ? LIMIT 1"
    configs = context.store.arrow(sql, [subject_id])["config"].to_pylist()
    now = context.config.model_dump(mode="json")
    before = {**now, **json.loads(configs[0])} if configs else now
    changed = [f"{name} was {before[name]!r} and is {now[name]!r}" for name in _SETTINGS if before[name] != now[name]]
    return (
        f"{subject_id} is in the atlas with other voxels or regions, which all its models share "
        f"({'; '.join(changed) or 'the files that describe them have changed'}); ingest it as before, or into another "
        "atlas by --atlas."
    )
