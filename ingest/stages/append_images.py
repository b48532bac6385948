"""Stage `stimuli`: the images that were seen, and those that voxels are described by."""

from pathlib import Path

import polars as pl

from ...schemas.errors import LedgerConflictError
from ...schemas.stage import Stage
from ..datasets.interface import Images, SlowlyHashed
from .context import DataContext, hash_of


def hash_images(context: DataContext, images: Images) -> None:
    """Read the images whose SHA-256 are not known yet, where that takes minutes; afterwards `stimuli` has them."""
    if isinstance(images, SlowlyHashed):
        with context.progress.stage("hash images", images.n_images) as advance:
            images.sha256s(advance)


def append_images(context: DataContext, images: Images) -> None:
    """Append rows of `stimulus`. Subjects share images: only those that no subject brought yet are new.

    Raises:
        LedgerConflictError: another image is in the atlas by the name of one.
    """
    hash_images(context, images)
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


def _find_again(context: DataContext, images: Images) -> None:
    """Say where images are now that were moved: whose files are no longer where an earlier ingest saw them."""
    sql = "SELECT stimulus_id, uri AS old FROM stimulus WHERE dataset IN (SELECT unnest(?::VARCHAR[]))"
    known = context.store.frame(sql, [images.stimuli["dataset"].unique().to_list()])
    other = images.stimuli.join(known, on="stimulus_id").filter(pl.col("uri") != pl.col("old"))
    # An image within a file is FILE#NUMBER.
    moved = [row for row in other.iter_rows(named=True) if not any(map(Path.exists, _files(row["old"])))]
    if moved and not context.store.appends_only:  # whose server finds images by its own paths
        update = (
            "UPDATE stimulus SET uri = new.uri FROM "
            "(SELECT unnest(?::VARCHAR[]) AS id, unnest(?::VARCHAR[]) AS uri) new WHERE stimulus_id = new.id"
        )
        context.store.change([(update, [[row["stimulus_id"] for row in moved], [row["uri"] for row in moved]])])


def _files(uri: str) -> tuple[Path, Path]:
    return Path(uri), Path(uri.rpartition("#")[0] or uri)


def _unknown(context: DataContext, images: Images) -> pl.DataFrame:
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
