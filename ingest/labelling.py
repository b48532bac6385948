"""From fitted voxels to labels: the stages of dissection, in order."""

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from ..atlas.backbones import load
from ..atlas.backbones.interface import Backbone, Floats
from ..schemas.config import IngestConfig
from ..schemas.errors import BadInputError
from .dissection.captioners import Captioner
from .dissection.generators import Generator
from .dissection.scoring import Method
from .stages import score_baseline as baseline
from .stages.context import Context
from .stages.describe import describe
from .stages.encode import encode
from .stages.fit import significant_voxels
from .stages.generate import candidate_labels, encode_pictures, generate
from .stages.score import Compared, embed_labels, score

RELEASED: Method = "brainlmm-released"


@dataclass(frozen=True)
class Networks:
    """What labels voxels, beside the model's own backbone; each is loaded once."""

    label_backbone: Backbone
    """Its text tower embeds the labels."""
    captioner: Captioner | None
    generator: Generator | None
    """Both None where no method needs them."""


def brainlmm_methods(config: IngestConfig) -> list[Method]:
    """The configuration's methods that describe, draw and rank."""
    return [method for method in get_args(Method) if method in config.methods]


def require_sense(config: IngestConfig, label_backbone: Backbone) -> None:
    """Refuse settings by which no voxel could be labelled, before any work.

    Raises:
        BadInputError: no list for clip-msm, or labels that nothing can embed.
    """
    if config.dissect == "none":
        return
    if baseline.METHOD in config.methods and not config.concepts:
        raise BadInputError(
            "clip-msm chooses from a fixed list of concepts, and none is given; pass --concepts FILE with one a line."
        )
    if not label_backbone.has_text:
        raise BadInputError(
            f"{label_backbone.name} has no text tower to embed labels; pass --label-backbone lite, clip-rn50 or "
            "clip-vit-b32."
        )


def label_voxels(context: Context, features: Floats, networks: Networks) -> None:
    """Label the voxels that the configuration asks for, by every method that it names.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
        networks: captioner, generator and text tower.
    """
    config = context.config
    if config.dissect == "none":
        return
    voxels = voxels_to_label(context)
    if not len(voxels):
        context.progress.note(f"{context.model_id}: no voxel is {config.dissect}, so none is labelled.")
        return
    names: set[str] = set()
    if networks.captioner and networks.generator:
        describe(context, features, voxels, networks.captioner)
        labels = candidate_labels(context, networks.captioner.name)
        drawn = generate(context, labels, networks.generator)
        names |= {label for candidates in labels.values() for label in candidates}
        spaces = [context.backbone]
        if RELEASED in config.methods:
            spaces.append(_similarity_space(context, networks))
        pictures, *others = encode_pictures(context, drawn, *spaces)
        labels = {voxel: own for voxel, own in labels.items() if drawn.missing.isdisjoint(own)}
        for method in brainlmm_methods(config):
            compared = None
            if method == RELEASED:
                images = encode(replace(context, backbone=spaces[1]))
                compared = Compared(features, images, others[0].features)
            score(context, voxels, labels, pictures, method, compared)
    if baseline.METHOD in config.methods:
        tower = networks.label_backbone
        baseline.clip_msm(context, features, voxels, encode(replace(context, backbone=tower)), tower)
        names |= set(config.concepts)
    embed_labels(context, sorted(names), networks.label_backbone)


def _similarity_space(context: Context, networks: Networks) -> Backbone:
    """The network in whose space brainlmm-released compares pictures."""
    name = context.config.similarity_backbone or networks.label_backbone.name
    for loaded in (networks.label_backbone, context.backbone):
        if loaded.name == name:
            return loaded
    return load(name, device=context.device, home=context.home)


def voxels_to_label(context: Context) -> NDArray[np.int32]:
    """Numbers of the fitted voxels that the configuration asks to label, ascending."""
    config, store = context.config, context.store
    kind, _, rois = config.dissect.partition("=")
    if kind == "significant":
        return significant_voxels(store, context.model_id, config.fdr)
    if kind == "all":
        sql = "SELECT voxel FROM encoding WHERE model_id = ? ORDER BY voxel"
        return np.asarray(store.arrow(sql, [context.model_id])["voxel"].to_numpy(), np.int32)
    sql = (
        "SELECT voxel FROM encoding WHERE model_id = ? AND voxel IN "
        "(SELECT voxel FROM voxel_roi WHERE subject_id = ? AND roi IN (SELECT unnest(?::VARCHAR[]))) ORDER BY voxel"
    )
    parameters = [context.model_id, context.dataset.subject.subject_id, rois.split(",")]
    return np.asarray(store.arrow(sql, parameters)["voxel"].to_numpy(), np.int32)
