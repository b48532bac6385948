"""From fitted voxels to labels: the stages of dissection, in order."""

from collections.abc import Mapping
from dataclasses import replace

from ....atlas.backbones.interface import Backbone, Floats
from ....schemas.config import IngestConfig
from ....schemas.errors import BadInputError
from ....schemas.registry import SCORERS
from ...dissection import scorer_class
from ...dissection.interface import Material, Scorer
from ...dissection.nouns import Unscored
from ..append_images import append_images
from ..concept_queries import append_queries, text_queries
from ..context import Context
from ..encode import encode
from ..voxel_batches import voxels_to_label
from .describe import describe, described_by
from .embed import append_labels, embed_labels
from .generate import candidate_labels, encode_pictures, generate
from .label_evidence import verify_labels
from .score import score


def scorers_of(config: IngestConfig) -> dict[str, type[Scorer]]:
    """The configuration's methods, in the order of the registry; none where nothing is to be labelled.

    Raises:
        NotFoundError: there is no such method.
    """
    methods = sorted(config.methods, key=[*SCORERS.names, *config.methods].index)
    return {} if config.dissect == "none" else {method: scorer_class(method) for method in methods}


def require_sense(config: IngestConfig, backbone: Backbone, label_backbone: Backbone) -> None:
    """Refuse settings by which no voxel could be labelled, before any work.

    Raises:
        BadInputError: a method lacks its list of concepts or a text tower, or labels cannot be embedded.
        NotFoundError: there is no such method.
    """
    scorers = scorers_of(config)
    if unlisted := [method for method, scorer in scorers.items() if not scorer.from_candidates and not config.concepts]:
        raise BadInputError(
            f"{unlisted[0]} chooses from a fixed list of concepts, and none is given; pass --concepts FILE with one a "
            "line."
        )
    if (reading := [method for method, scorer in scorers.items() if scorer.reads_text]) and not backbone.has_text:
        raise BadInputError(
            f"{reading[0]} compares labels with voxels as text, and {backbone.name} has no text tower; choose another "
            "method, or lite, clip-rn50 or clip-vit-b32 as --backbone."
        )
    if scorers and not label_backbone.has_text:
        raise BadInputError(
            f"{label_backbone.name} has no text tower to embed labels; pass --label-backbone lite, clip-rn50 or "
            "clip-vit-b32."
        )


def label_voxels(context: Context, features: Floats) -> None:
    """Label the voxels that the configuration asks for, by every method that it names.

    Args:
        context: the ingest.
        features: (n_stimuli, dim).
    """
    config, scorers = context.config, scorers_of(context.config)
    if not scorers:
        return
    voxels = voxels_to_label(context)
    if not len(voxels):
        context.progress.note(f"{context.model_id}: no voxel is {config.dissect}, so none is labelled.")
        return
    spaces = _spaces(context, scorers)
    probe = features
    if context.probe is not context.dataset:
        append_images(context, context.probe)
        probe = encode(context, images=context.probe, name="encode probe images")
    labels, unscored, names, pictures = None, Unscored(), set[str](), {}
    if context.captioner and context.generator:
        describe(context, probe, voxels, context.captioner)
        labels, unscored = candidate_labels(context, context.captioner.name)
        drawn = generate(context, labels, context.generator)
        names |= {label for candidates in labels.values() for label in candidates}
        wanted = {space.name: space for method, space in spaces.items() if scorers[method].from_candidates}
        encoded = encode_pictures(context, drawn, context.backbone, *wanted.values())
        pictures = dict(zip(["", *wanted], encoded, strict=True))
        labels = {voxel: own for voxel, own in labels.items() if drawn.missing.isdisjoint(own)}
        undrawn = f"{context.generator.name} has no picture of it"
        for voxel, own in labels.items():
            unscored[voxel] |= dict.fromkeys(set(own).difference(drawn.pictures["lemma"]), undrawn)
        append_labels(context, {noun for of_voxel in unscored.values() for noun in of_voxel})
    for method, scorer in scorers.items():
        material, regions = Material(config, probe), None
        if (space := spaces.get(method)) and scorer.compares_crops:
            regions, in_space = described_by(context, space)
            material = replace(material, space=space, described_by=in_space)
        elif space:
            material = replace(material, space=space, images=encode(context, encoder=space, images=context.probe))
        if scorer.from_candidates:
            drawn_in_space = pictures[space.name].features if space else None
            material = replace(material, pictures=pictures[""], pictures_in_space=drawn_in_space)
        else:
            append_labels(context, config.concepts)
            names |= set(config.concepts)
        if scorer.reads_text:
            material = replace(material, text=text_queries(context, names))
        if scorer.from_candidates:
            score(context, method, material, voxels, labels, unscored, regions)
        else:
            score(context, method, material, voxels)
    embed_labels(context, sorted(names), context.label_backbone)
    verify_labels(context, features, list(scorers))
    if context.label_backbone.name == context.backbone.name:
        append_queries(context, sorted(names))


def _spaces(context: Context, scorers: Mapping[str, type[Scorer]]) -> dict[str, Backbone]:
    """Method → the network in whose space it compares images, for those that name one."""
    loaded = {space.name: space for space in (*context.spaces, context.label_backbone, context.backbone)}
    named = {method: scorer.space(context.config) for method, scorer in scorers.items()}
    return {method: loaded[name] for method, name in named.items() if name}
