"""The stages of an ingest, in order: encode → fit → describe → nouns → generate → score → embed labels.

Every stage appends batches that the ledger knows, so an ingest that was stopped anywhere goes on where it was, and one
that is complete does nothing.
"""

import datetime
import importlib.metadata
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from atlas.backbones.interface import Backbone
from atlas.store import Store
from ingest.datasets.interface import Dataset
from ingest.dissection.captions import load_captioner
from ingest.dissection.synthesis import load_generator
from ingest.progress import Progress, Silent
from ingest.stages.context import Context
from ingest.stages.describe import describe
from ingest.stages.encode import encode
from ingest.stages.fit import fit, significant_voxels
from ingest.stages.generate import candidate_labels, generate
from ingest.stages.score import METHOD, embed_labels, score
from schemas.config import IngestConfig
from schemas.errors import BadInputError, NotFoundError, StoreLockedError


def ingest(
    store: Store,
    dataset: Dataset,
    config: IngestConfig,
    backbone: Backbone,
    label_backbone: Backbone,
    *,
    home: Path,
    device: str = "auto",
    batch_images: int = 8,
    progress: Progress | None = None,
) -> str:
    """Bring one model of one subject into the atlas, or go on with it.

    Args:
        store: the atlas.
        dataset: images and responses of the subject.
        config: the settings; the fingerprints of data and network are filled in here.
        backbone: the network whose features the model uses.
        label_backbone: the network whose text tower embeds the labels.
        home: folder for features, generated pictures and weights.
        device: where networks run.
        batch_images: images that a network sees at once.
        progress: told what happens.

    Returns:
        The model's id.

    Raises:
        BadInputError: the data set has too few images, or no voxel; a method that an ingest does not compute.
        NotFoundError: an ROI that the subject has not.
        StoreLockedError: another process ingests the same model.
    """
    if unknown := [method for method in config.methods if method != METHOD]:
        raise BadInputError(f"An ingest does not compute {unknown[0]} yet; leave it out of --method.")
    config = config.model_copy(update={"data_sha256": dataset.fingerprint, "backbone_sha256": backbone.fingerprint})
    model_id = f"{dataset.subject.subject_id}/{config.backbone}/{config.sha256[:6]}"
    voxels = _selected_voxels(dataset, config.rois)
    context = Context(
        store=store,
        dataset=dataset,
        backbone=backbone,
        config=config,
        home=home,
        run_id=f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        model_id=model_id,
        progress=progress or Silent(),
        device=device,
        batch_images=batch_images,
    )
    with _only_ingester(home, model_id), _recorded(context):
        _append_subject(context)
        features = encode(context)
        fit(context, features, voxels)
        _dissect(context, features, label_backbone)
    return model_id


def _dissect(context: Context, features: NDArray[np.float32], label_backbone: Backbone) -> None:
    config = context.config
    if config.dissect == "none":
        return
    # A q above 1 does not occur: `all` takes every voxel that was fitted.
    voxels = significant_voxels(context.store, context.model_id, config.fdr if config.dissect == "significant" else 1)
    if not len(voxels):
        context.progress.note(f"{context.model_id}: no voxel is significant at q = {config.fdr}, so none is labelled.")
        return
    captioner = load_captioner(config.captioner, context.backbone, context.home, context.device)
    describe(context, features, voxels, captioner)
    labels = candidate_labels(context, captioner.name)
    pictures = generate(context, labels, load_generator(config.generator, context.home, context.device))
    score(context, labels, pictures)
    embed_labels(context, sorted({label for candidates in labels.values() for label in candidates}), label_backbone)


def _selected_voxels(dataset: Dataset, rois: tuple[str, ...]) -> NDArray[np.int32]:
    if dataset.stimuli.height < 20:
        raise BadInputError(
            f"{dataset.subject.subject_id} has responses to {dataset.stimuli.height} images; at least 20 are needed to "
            "fit and test a model."
        )
    known = dataset.rois["roi"].to_list()
    if unknown := [roi for roi in rois if roi not in known]:
        raise NotFoundError(f"{dataset.subject.subject_id} has no ROI {unknown[0]!r}; it has {', '.join(known)}.")
    voxels = dataset.voxels
    if rois:
        inside = dataset.voxel_rois.filter(dataset.voxel_rois["roi"].is_in(rois))
        voxels = voxels.filter(voxels["voxel"].is_in(inside["voxel"].implode()))
    if voxels.is_empty():
        raise BadInputError(f"{dataset.subject.subject_id} has no voxel in {', '.join(rois) or 'its mask'}.")
    return voxels["voxel"].sort().to_numpy().astype(np.int32)


def _append_subject(context: Context) -> None:
    dataset = context.dataset
    subject = {**asdict(dataset.subject), "shape": list(dataset.subject.shape)}
    subject_id = dataset.subject.subject_id
    described = {
        name: frame.insert_column(0, _constant("subject_id", subject_id, frame.height)).to_arrow()
        for name, frame in (
            ("roi", dataset.rois.clone()),
            ("voxel", dataset.voxels.clone()),
            ("voxel_roi", dataset.voxel_rois.clone()),
        )
    }
    batch = {"subject": pa.Table.from_pylist([subject]), **described}
    context.store.append(batch, run_id=context.run_id, stage="subject", key=subject_id)
    # Subjects of one data set share images: only those that no subject brought yet are new.
    sql = "SELECT stimulus_id FROM stimulus WHERE dataset = ?"
    known = context.store.frame(sql, [dataset.subject.dataset])["stimulus_id"]
    new = dataset.stimuli.filter(~dataset.stimuli["stimulus_id"].is_in(known.implode()))
    if not new.is_empty():
        key = f"{subject_id}/{dataset.fingerprint[:16]}"
        context.store.append({"stimulus": new.to_arrow()}, run_id=context.run_id, stage="stimuli", key=key)


def _constant(name: str, value: str, n: int) -> pl.Series:
    return pl.Series(name, [value], dtype=pl.String).new_from_index(0, n)


@contextmanager
def _only_ingester(home: Path, model_id: str) -> Iterator[None]:
    """Holds the model's lock, which the operating system drops when the process dies."""
    path = home / "locks" / f"{model_id.replace('/', '_')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreLockedError(f"{model_id} is being ingested by another process; wait for it or stop it.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _recorded(context: Context) -> Iterator[None]:
    """Writes the run's beginning and its end, whatever that is, to the `run` table."""
    _append_run(context, "started", "")
    try:
        yield
    except KeyboardInterrupt:
        _append_run(context, "interrupted", "stopped by the user; the same command goes on from here")
        raise
    except Exception as error:
        _append_run(context, "failed", str(error))
        raise
    _append_run(context, "finished", "")


def _append_run(context: Context, state: str, message: str) -> None:
    row = {
        "run_id": context.run_id,
        "model_id": context.model_id,
        "config": context.config.canonical_json(),
        "code_version": importlib.metadata.version("voxel-atlas"),
        "state": state,
        "recorded_at": datetime.datetime.now(datetime.UTC),
        "message": message,
    }
    key = f"{context.run_id}/{state}"
    context.store.append({"run": pa.Table.from_pylist([row])}, run_id=context.run_id, stage="run", key=key)
