"""Labelling the voxels of a model that is fitted: with its own settings or others, and what that will cost."""

from pathlib import Path

from ..atlas.backbones.interface import Backbone
from ..atlas.store.store import Store
from ..schemas.config import IngestConfig
from ..schemas.errors import BadInputError
from .datasets.interface import Dataset
from .labelling import label_voxels, require_sense, voxels_to_label
from .plan import Plan, plan
from .progress import Progress, Silent
from .run import load_networks, model_id_of, new_run_id, selected_voxels
from .run_log import only_one, recorded
from .stages.context import Context
from .stages.encode import encode
from .stages.inherit import inherit_fit, inherit_top_images
from .workers import Here, Workers


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
    batch_images: int = 16,
    progress: Progress | None = None,
    skip_bad: bool = False,
    workers: Workers | None = None,
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
        workers: see `ingest`.

    Returns:
        The id of the model that has the labels: `source`, or the new one.

    Raises:
        BadInputError: the data or the network are not those that the model was fitted with; the model is not fitted to
            the end, or came with a release; and what `ingest` raises, as the others.
    """
    old = require_fitted(store, source, dataset, backbone)
    require_sense(config, label_backbone)
    # Older versions had fewer settings, so that equal settings may have another hash now.
    model_id = source if config == old else model_id_of(dataset, config)
    context = Context(
        store=store,
        dataset=dataset,
        backbone=backbone,
        config=config,
        home=home,
        run_id=new_run_id(),
        model_id=model_id,
        progress=progress or Silent(),
        device=device,
        batch_images=batch_images,
        skip_bad=skip_bad,
        workers=workers or Here(),
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
    batch_images: int = 16,
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
        run_id=new_run_id(),
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
