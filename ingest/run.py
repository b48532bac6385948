"""The stages of an ingest, in order: encode → fit → describe → nouns → generate → score → embed labels.

Every stage appends batches that the ledger knows, so an ingest that was stopped anywhere goes on where it was, and one
that is complete does nothing.
"""

import datetime
import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atlas.backbones.interface import Backbone
from ..atlas.store.store import Store
from ..schemas.config import IngestConfig
from ..schemas.errors import BadInputError
from .datasets.interface import Dataset
from .datasets.readable import without_unreadable
from .datasets.rois import require_rois, voxels_in
from .dissection.captioners import load_captioner
from .dissection.generators import load_generator
from .encoding.memory import bytes_to_fit, require_memory
from .labelling import Networks, brainlmm_methods, label_voxels, require_sense
from .progress import Progress, Silent
from .run_log import only_one, recorded
from .stages.append_subject import append_subject
from .stages.context import Context
from .stages.encode import encode
from .stages.fit import fit
from .stages.fit_learning_curve import append_learning_curve
from .workers import Here, Workers


def ingest(
    store: Store,
    dataset: Dataset,
    config: IngestConfig,
    backbone: Backbone,
    label_backbone: Backbone,
    *,
    home: Path,
    device: str = "auto",
    batch_images: int = 16,
    learning_curve: bool = False,
    progress: Progress | None = None,
    skip_bad: bool = False,
    workers: Workers | None = None,
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
        workers: where the costly batches are worked on; None for this process.

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
        WorkersError: no worker is left.
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
        run_id=new_run_id(),
        model_id=model_id_of(dataset, config),
        progress=progress,
        device=device,
        batch_images=batch_images,
        skip_bad=skip_bad,
        workers=workers or Here(),
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


def new_run_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def model_id_of(dataset: Dataset, config: IngestConfig) -> str:
    """The id of the model that these settings make; they name the fingerprints of data and network."""
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
    kind, _, to_label = config.dissect.partition("=")
    require_rois(dataset, to_label.split(",") if kind == "roi" else ())
    voxels = voxels_in(dataset, config.rois)
    if not len(voxels):
        raise BadInputError(f"{dataset.subject.subject_id} has no voxel in {', '.join(config.rois) or 'its mask'}.")
    return voxels
