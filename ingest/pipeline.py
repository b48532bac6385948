"""The stages of an ingest, in order: encode → fit → describe → nouns → generate → score → embed labels.

Every stage appends batches that the ledger knows, so an ingest that was stopped anywhere goes on where it was, and one
that is complete does nothing.
"""

import datetime
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atlas.backbones.interface import Backbone
from atlas.store import Store
from ingest.datasets.interface import Dataset
from ingest.datasets.readable import without_unreadable
from ingest.dissection.captions import load_captioner
from ingest.dissection.synthesis import load_generator
from ingest.labelling import Networks, brainlmm_methods, label_voxels, require_sense, voxels_to_label
from ingest.memory import bytes_to_fit, require_memory
from ingest.plan import Plan, plan
from ingest.progress import Progress, Silent
from ingest.runs import only_one, recorded
from ingest.stages.context import Context
from ingest.stages.encode import encode
from ingest.stages.fit import fit
from ingest.stages.inherit import inherit_fit, inherit_top_images
from ingest.stages.learning_curve import append_learning_curve
from ingest.stages.subject import append_subject
from schemas.config import IngestConfig
from schemas.errors import BadInputError, NotFoundError


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
    learning_curve: bool = False,
    progress: Progress | None = None,
    skip_bad: bool = False,
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
        learning_curve: also fit every voxel on fewer images; a model that is complete gets it added.
        progress: told what happens.
        skip_bad: go on without images that cannot be read and labels that cannot be drawn; they stop the run otherwise.

    Returns:
        The model's id.

    Raises:
        BadInputError: the data set has too few images, or no voxel; settings that label nothing; an unreadable image;
            too little memory.
        NotFoundError: an ROI that the subject has not.
        MissingWeightsError: weights of the captioner or the generator are not on this machine.
        LedgerConflictError: the atlas says something else of the subject or of an image.
        StoreLockedError: another process ingests the same model.
        StoreError: the atlas or a picture cannot be written.
    """
    require_sense(config, label_backbone)
    progress = progress or Silent()
    if skip_bad:
        dataset = without_unreadable(dataset, progress)
    found = {"backbone_sha256": backbone.fingerprint, "preprocessing": backbone.preprocessing}
    config = config.model_copy(update={"data_sha256": dataset.fingerprint, **found})
    voxels = selected_voxels(dataset, config)
    require_memory(bytes_to_fit(dataset.stimuli.height, backbone.dim, min(len(voxels), config.batch_voxels)))
    context = Context(
        store=store,
        dataset=dataset,
        backbone=backbone,
        config=config,
        home=home,
        run_id=_run_id(),
        model_id=_model_id(dataset, config),
        progress=progress,
        device=device,
        batch_images=batch_images,
        skip_bad=skip_bad,
    )
    networks = load_networks(context, label_backbone)
    with only_one(home, context.model_id), recorded(context):
        append_subject(context)
        features = encode(context)
        fit(context, features, voxels)
        if learning_curve:
            append_learning_curve(context, features)
        label_voxels(context, features, networks)
    return context.model_id


def dissect(
    store: Store,
    dataset: Dataset,
    source: str,
    config: IngestConfig,
    backbone: Backbone,
    label_backbone: Backbone,
    *,
    home: Path,
    device: str = "auto",
    batch_images: int = 8,
    progress: Progress | None = None,
    skip_bad: bool = False,
) -> str:
    """Label the voxels of a fitted model with settings of one's own, or go on with that.

    Other settings than the model's make a model of their own, which takes over the fit, and what else they leave as it
    was.

    Args:
        store: the atlas.
        dataset: what the model was fitted on.
        source: the model's id.
        config: the model's settings, of which those of the dissection may be changed.
        backbone: the network that the model was fitted with.
        label_backbone: the network whose text tower embeds the labels.
        home: as for `ingest`, and so are the others.
        device: see `ingest`.
        batch_images: see `ingest`.
        progress: see `ingest`.
        skip_bad: see `ingest`.

    Returns:
        The id of the model that has the labels: `source`, or the new one.

    Raises:
        BadInputError: the data or the network are not those that the model was fitted with; the model is not fitted to
            the end, or came with a release; and what `ingest` raises, as the others.
    """
    old = require_fitted(store, source, dataset, backbone)
    require_sense(config, label_backbone)
    # Older versions had fewer settings, so that equal settings may have another hash now.
    model_id = source if config == old else _model_id(dataset, config)
    context = Context(
        store=store,
        dataset=dataset,
        backbone=backbone,
        config=config,
        home=home,
        run_id=_run_id(),
        model_id=model_id,
        progress=progress or Silent(),
        device=device,
        batch_images=batch_images,
        skip_bad=skip_bad,
    )
    asked = selected_voxels(dataset, config)
    networks = load_networks(context, label_backbone)
    with only_one(home, model_id), recorded(context):
        if model_id != source:
            inherit_fit(context, source, asked)
            inherit_top_images(context, source, old, voxels_to_label(context))
        label_voxels(context, encode(context), networks)
    return model_id


def plan_dissection(
    store: Store,
    dataset: Dataset,
    source: str,
    config: IngestConfig,
    backbone: Backbone,
    label_backbone: Backbone,
    *,
    home: Path,
    device: str = "auto",
    batch_images: int = 8,
    progress: Progress | None = None,
    n_sample: int = 100,
) -> Plan:
    """What `dissect` with the same arguments would cost; nothing is stored but features of images.

    Args:
        store: see `dissect`, as for the others.
        dataset: what the model was fitted on.
        source: the model's id.
        config: the settings of the dissection.
        backbone: the model's network.
        label_backbone: the labels' network.
        home: see `ingest`.
        device: see `ingest`.
        batch_images: see `ingest`.
        progress: see `ingest`.
        n_sample: images that the numbers are estimated from; 0 for all, which makes them exact.

    Raises:
        BadInputError: no method captions or draws; and what `dissect` raises.
    """
    require_fitted(store, source, dataset, backbone)
    require_sense(config, label_backbone)
    selected_voxels(dataset, config)
    context = Context(
        store=store,
        dataset=dataset,
        backbone=backbone,
        config=config,
        home=home,
        run_id=_run_id(),
        model_id=source,
        progress=progress or Silent(),
        device=device,
        batch_images=batch_images,
    )
    networks = load_networks(context, label_backbone)
    if networks.captioner is None or networks.generator is None:
        raise BadInputError("clip-msm captions and draws nothing, so that there is nothing to plan.")
    return plan(context, encode(context), networks.captioner, networks.generator, n_sample)


def require_fitted(store: Store, model_id: str, dataset: Dataset, backbone: Backbone) -> IngestConfig:
    """The settings of a model, if it is fitted to the end, on this data and with this network.

    Raises:
        BadInputError: it is not.
    """
    row = store.arrow(
        "SELECT config, len(feature_mean) AS dim, EXISTS (FROM significance s WHERE s.model_id = m.model_id) AS "
        "tested, EXISTS (FROM ledger WHERE stage = 'model' AND batch_key = m.model_id) AS ours FROM model m "
        "WHERE model_id = ?",
        [model_id],
    ).to_pylist()[0]
    config = IngestConfig.model_validate_json(row["config"])
    if not row["ours"]:
        raise BadInputError(
            f"{model_id} came with a release, which its labels are part of; ingest its data to label it."
        )
    if not row["tested"]:
        raise BadInputError(f"{model_id} is not fitted to the end; let `voxel-atlas ingest` go on with it first.")
    if backbone.dim != row["dim"]:
        raise BadInputError(
            f"{model_id} has weights in {row['dim']} dimensions and {backbone.name} has {backbone.dim}; pass the "
            "--weights that it was fitted with."
        )
    if backbone.fingerprint != config.backbone_sha256:
        raise BadInputError(
            f"{model_id} was fitted with other weights of {backbone.name} than these; pass the --weights of then."
        )
    if dataset.fingerprint != config.data_sha256:
        raise BadInputError(f"The data of {model_id} have changed since it was fitted; ingest them as a new model.")
    return config


def load_networks(context: Context, label_backbone: Backbone) -> Networks:
    """Captioner and generator, before any work: what is missing should not be missed after hours.

    Raises:
        MissingWeightsError: the weights of one are not on this machine.
    """
    if context.config.dissect == "none" or not brainlmm_methods(context.config):
        return Networks(label_backbone, None, None)
    config, home, device = context.config, context.home, context.device
    lite = next((loaded for loaded in (context.backbone, label_backbone) if loaded.name == "lite"), None)
    captioner = load_captioner(config.captioner, context.backbone, home, device, lite)
    return Networks(label_backbone, captioner, load_generator(config.generator, home, device, lite))


def _run_id() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _model_id(dataset: Dataset, config: IngestConfig) -> str:
    return f"{dataset.subject.subject_id}/{config.backbone}/{config.sha256[:6]}"


def selected_voxels(dataset: Dataset, config: IngestConfig) -> NDArray[np.int32]:
    """Numbers of the voxels to fit, ascending.

    Raises:
        BadInputError: there are too few images, or no voxels.
        NotFoundError: an ROI that the subject has not.
    """
    if dataset.stimuli.height < 20:
        raise BadInputError(
            f"{dataset.subject.subject_id} has responses to {dataset.stimuli.height} images; at least 20 are needed to "
            "fit and test a model."
        )
    rois, (kind, _, to_label) = config.rois, config.dissect.partition("=")
    _require_rois(dataset, [*rois, *(to_label.split(",") if kind == "roi" else ())])
    voxels = dataset.voxels
    if rois:
        inside = dataset.voxel_rois.filter(dataset.voxel_rois["roi"].is_in(rois))
        voxels = voxels.filter(voxels["voxel"].is_in(inside["voxel"].implode()))
    if voxels.is_empty():
        raise BadInputError(f"{dataset.subject.subject_id} has no voxel in {', '.join(rois) or 'its mask'}.")
    return voxels["voxel"].sort().to_numpy().astype(np.int32)


def _require_rois(dataset: Dataset, rois: Sequence[str]) -> None:
    known = dataset.rois["roi"].to_list()
    if unknown := [roi for roi in rois if roi not in known]:
        raise NotFoundError(f"{dataset.subject.subject_id} has no ROI {unknown[0]!r}; it has {', '.join(known)}.")
