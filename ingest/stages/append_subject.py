"""Stages `subject` and `stimuli`: where the voxels are, which regions they are in, and the images that were seen."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ...atlas.store.content import conform
from ...schemas.errors import LedgerConflictError
from ...schemas.stage import Stage
from ..datasets.image_names import files_of
from ..datasets.interface import Images, MadeRegions, Repeated
from .context import Context, hash_of, ranges

_SETTINGS = (
    "space",
    "betas",
    "tasks",
    "localizer_t",
    "food",
    "food_labels",
    "skip_sessions",
    "allow_missing",
    "surface",
    "transform",
)
"""Settings that decide what the atlas says of a subject, and not only of one model of it."""


def append_subject(context: Context) -> None:
    """Append the subject with its voxels and regions, once for all of its models, and the images that are new.

    Raises:
        LedgerConflictError: the atlas says something else of the subject or of an image.
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
    del subject["listed"], subject["own_surface"]
    batch = {"subject": pa.Table.from_pylist([subject]), **described}
    try:
        context.append(batch, Stage.SUBJECT, subject_id)
    except LedgerConflictError as error:
        if not _only_shown_otherwise(context, described):
            raise LedgerConflictError(_other_subject(context, subject_id)) from error
        names = ("surface", "transform", "shape", "affine", "affine_code", "description")
        sql = f"UPDATE subject SET {', '.join(f'{name} = ?' for name in names)} WHERE subject_id = ?"  # noqa: S608
        statement = (sql, [*(subject[name] for name in names), subject_id])
        context.store.amend([statement], batch, run_id=context.run_id, stage=Stage.SUBJECT, key=subject_id)
    if n_more := files_of(dataset).height - dataset.stimuli.height:
        context.progress.note(f"{n_more} images have the bytes of others: their trials count as repeats of these.")
    append_images(context, dataset)


def _only_shown_otherwise(context: Context, described: Mapping[str, pa.Table]) -> bool:
    """Whether the atlas has the same voxels and regions, so that only what shows the subject has changed."""
    subject_id = context.dataset.subject.subject_id
    for name, rows in described.items():
        known = context.store.frame(f"FROM {name} WHERE subject_id = ?", [subject_id])
        given = pl.DataFrame(conform(name, rows))
        if not known.sort(known.columns).equals(given.sort(given.columns)):
            return False
    return True


def _voxels(context: Context) -> pl.DataFrame:
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


def append_images(context: Context, images: Images) -> None:
    """Append rows of `stimulus`. Subjects share images: only those that no subject brought yet are new.

    Raises:
        LedgerConflictError: another image is in the atlas by the name of one.
    """
    new = _unknown(context, images)
    _find_again(context, images)
    if new.is_empty():
        return
    dataset = context.dataset
    key = f"{dataset.subject.subject_id}/{dataset.fingerprint[:16]}"
    if images is not dataset:
        key += f"/probe/{hash_of(repr(new['stimulus_id'].to_list()).encode())}"
    context.append({"stimulus": new.to_arrow()}, Stage.STIMULI, key)
    # Another ingest may have brought images of the same names since we looked.
    _unknown(context, images)


def _find_again(context: Context, images: Images) -> None:
    """Say where images are now that were moved: whose files are no longer where an earlier ingest saw them."""
    sql = "SELECT stimulus_id, uri AS old FROM stimulus WHERE dataset IN (SELECT unnest(?::VARCHAR[]))"
    known = context.store.frame(sql, [images.stimuli["dataset"].unique().to_list()])
    other = images.stimuli.join(known, on="stimulus_id").filter(pl.col("uri") != pl.col("old"))
    # An image within a file is FILE#NUMBER.
    moved = [row for row in other.iter_rows(named=True) if not any(map(Path.exists, _files(row["old"])))]
    if moved:
        update = (
            "UPDATE stimulus SET uri = new.uri FROM "
            "(SELECT unnest(?::VARCHAR[]) AS id, unnest(?::VARCHAR[]) AS uri) new WHERE stimulus_id = new.id"
        )
        context.store.change([(update, [[row["stimulus_id"] for row in moved], [row["uri"] for row in moved]])])


def _files(uri: str) -> tuple[Path, Path]:
    return Path(uri), Path(uri.rpartition("#")[0] or uri)


def _unknown(context: Context, images: Images) -> pl.DataFrame:
    """Images that are not in the atlas.

    Raises:
        LedgerConflictError: another image is there by the name of one.
    """
    sql = "SELECT stimulus_id, sha256 AS known FROM stimulus WHERE dataset IN (SELECT unnest(?::VARCHAR[]))"
    known = context.store.frame(sql, [images.stimuli["dataset"].unique().to_list()])
    joined = images.stimuli.join(known, on="stimulus_id", how="left", maintain_order="left")
    changed = joined.filter(pl.col("known") != pl.col("sha256"))
    if not changed.is_empty():
        raise LedgerConflictError(
            f"{changed['uri'][0]}: another image is in the atlas as {changed['stimulus_id'][0]} (images that changed: "
            f"{changed.height}); put the old images back, or ingest into another atlas by --atlas."
        )
    return joined.filter(pl.col("known").is_null()).drop("known")


def _other_subject(context: Context, subject_id: str) -> str:
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
